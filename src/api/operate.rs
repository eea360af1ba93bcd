//! The SQL functions `resolve_issue`, `acknowledge_issue`, `snooze_issue`, `undo` and `undo_change`.

use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::Value;

use super::rpc::{admitted, decided};
use super::sync::mode;
use crate::domain::issue::IssueKind;
use crate::ledger::decisions;
use crate::operate::actions::{Action, actions_of};
use crate::operate::resolve::{self, Decision};
use crate::operate::undo as undoing;
use crate::pg::Problem;

#[expect(
    clippy::type_complexity,
    reason = "pgrx reads the columns from the signature"
)]
#[pg_extern(security_definer, stable, parallel_restricted)]
#[search_path(pg_catalog, pg_temp)]
fn issue_kinds() -> TableIterator<
    'static,
    (
        name!(kind, String),
        name!(action, Option<String>),
        name!(description, Option<String>),
        name!(argument, Option<String>),
        name!(argument_required, Option<bool>),
    ),
> {
    admitted(|| Ok(()));
    TableIterator::new(IssueKind::ALL.into_iter().flat_map(|kind| {
        let name = kind.as_str().to_owned();
        let actions = actions_of(kind);
        if actions.is_empty() {
            return vec![(name, None, None, None, None)];
        }
        let row = |action: &Action| {
            let argument = action.argument();
            (
                name.clone(),
                Some(action.as_str().to_owned()),
                Some(action.description().to_owned()),
                argument.map(|argument| argument.name.to_owned()),
                argument.map(|argument| argument.is_required),
            )
        };
        actions.iter().map(row).collect()
    }))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn resolve_issue(
    id: Option<i64>,
    action: Option<&str>,
    note: default!(Option<&str>, "null"),
    arguments: default!(Option<JsonB>, "'{}'"),
    dry_run: default!(bool, false),
) -> JsonB {
    JsonB(decided(|| {
        resolve::resolve_issue(&Decision {
            issue: given(id, "issue id")?,
            action: action.unwrap_or_default(),
            note,
            arguments: arguments.map_or(Value::Null, |arguments| arguments.0),
            mode: mode(dry_run),
        })
    }))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn acknowledge_issue(id: Option<i64>, note: default!(Option<&str>, "null")) {
    decided(|| decisions::acknowledge(given(id, "issue id")?, note));
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn snooze_issue(
    id: Option<i64>,
    until: Option<TimestampWithTimeZone>,
    note: default!(Option<&str>, "null"),
) {
    let until = until.map(|until| until.to_iso_string());
    decided(|| decisions::snooze(given(id, "issue id")?, until.as_deref(), note));
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn undo(run_id: Option<i64>, dry_run: default!(bool, false)) -> JsonB {
    JsonB(decided(|| {
        undoing::undo(given(run_id, "run id")?, mode(dry_run))
    }))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn undo_change(change_id: Option<i64>, dry_run: default!(bool, false)) -> JsonB {
    JsonB(decided(|| {
        undoing::undo_change(given(change_id, "change id")?, mode(dry_run))
    }))
}

fn given(number: Option<i64>, what: &str) -> Result<i64, Problem> {
    number.ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} must not be null"),
        )
    })
}
