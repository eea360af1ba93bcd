//! Callers through an RPC gateway: the check that they are admins, and the HTTP status of an error.

use pgrx::prelude::*;
use serde_json::json;

use crate::host::admin;
use crate::host::deferred::waiting_again_afterwards;
use crate::pg::identity::is_http_request;
use crate::pg::{Problem, with_own_formats};

/// Called by views, and by functions written in SQL.
#[pg_extern(security_definer, stable, parallel_restricted)]
#[search_path(pg_catalog, pg_temp)]
fn require_admin() -> bool {
    or_raise(admin::require_admin());
    true
}

/// Runs `work` if the caller is an admin; raises its error.
pub(super) fn admitted<T>(work: impl FnOnce() -> Result<T, Problem>) -> T {
    or_raise(if_admin(work))
}

/// As [`admitted`], for decisions: 55000 means that the facts are not those that the caller decided on, and becomes
/// a 409.
pub(super) fn decided<T>(work: impl FnOnce() -> Result<T, Problem>) -> T {
    if_admin(work).unwrap_or_else(|problem| raise(problem, 409))
}

fn if_admin<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    let admitted = || {
        admin::require_admin()?;
        work()
    };
    with_own_formats(|| waiting_again_afterwards(admitted))
}

/// Returns the value or raises the error. 55000 becomes a 503, because it is a problem of the server: no key, no
/// settings.
pub(super) fn or_raise<T>(result: Result<T, Problem>) -> T {
    result.unwrap_or_else(|problem| raise(problem, 503))
}

/// Raises the error. `not_ready` is the HTTP status for 55000. PostgREST's own statuses would be 500 for an unknown
/// invoice, 500 for 55000, and 403 if Stripe rejects *our* key.
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

/// PostgREST takes the status and the body of its answer from an error with SQLSTATE `PGRST`. Source:
/// <https://docs.postgrest.org/en/stable/references/errors.html#raise-errors-with-http-status-codes>.
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
