//! Callers through an RPC gateway: the check that they are admins, and the HTTP status of an error.

use pgrx::prelude::*;
use serde_json::json;

use crate::host::admin;
use crate::host::deferred::waiting_again_afterwards;
use crate::pg::Problem;
use crate::pg::identity::is_http_request;

/// Called by the views, and by functions that SQL says best.
#[pg_extern(security_definer, stable, parallel_restricted)]
#[search_path(pg_catalog, pg_temp)]
fn require_admin() -> bool {
    or_raise(admin::require_admin());
    true
}

/// What the caller may have, or the end of the statement.
pub(super) fn admitted<T>(work: impl FnOnce() -> Result<T, Problem>) -> T {
    or_raise(if_admin(work))
}

/// The same for decisions: what is not as it must be (55000) are the facts that the
/// caller decides about.
pub(super) fn decided<T>(work: impl FnOnce() -> Result<T, Problem>) -> T {
    if_admin(work).unwrap_or_else(|problem| raise(problem, 409))
}

fn if_admin<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    waiting_again_afterwards(|| {
        admin::require_admin()?;
        work()
    })
}

/// The value, or the end of the statement. What is not as it must be (55000) is
/// the server's affair: no key is set, the settings are gone.
pub(super) fn or_raise<T>(result: Result<T, Problem>) -> T {
    result.unwrap_or_else(|problem| raise(problem, 503))
}

/// `not_ready` is the status for 55000. PostgREST's own statuses would be 500 for an
/// unknown invoice, 500 for what is not ready, and 403 where Stripe rejects *our* key.
fn raise(problem: Problem, not_ready: u16) -> ! {
    let status = match problem.sqlstate_text() {
        "P0002" => Some(404),
        "42501" => Some(403),
        "28000" => Some(503),
        "55000" => Some(not_ready),
        _ => None,
    };
    match status.filter(|_| is_http_request()) {
        Some(status) => answer(&problem, status),
        None => problem.raise(),
    }
}

/// PostgREST takes the status and the body of its answer from an error of its own
/// SQLSTATE.
/// Source: <https://docs.postgrest.org/en/stable/references/errors.html#raise-errors-with-http-status-codes>.
fn answer(problem: &Problem, status: u16) -> ! {
    let body = json!({
        "code": problem.sqlstate_text(),
        "message": problem.message(),
        "details": problem.detail_text(),
        "hint": problem.hint_text(),
    });
    Problem::new(PgSqlErrorCode::ERRCODE_RAISE_EXCEPTION, body.to_string())
        .detail(json!({ "status": status, "headers": {} }).to_string())
        .raise_as(*b"PGRST")
}
