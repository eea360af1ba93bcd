//! What a person does about it: `resolve_issue`, `acknowledge_issue`,
//! `snooze_issue`, `undo`, `undo_change`.

use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::Value;

use super::or_raise;
use super::sync::mode;
use crate::domain::issue::IssueKind;
use crate::ledger::desk;
use crate::operate::actions::actions_of;
use crate::operate::resolve::{self, Decision};
use crate::operate::undo as undoing;
use crate::pg::Problem;

#[pg_extern(immutable, parallel_safe)]
fn issue_kinds() -> TableIterator<
    'static,
    (
        name!(kind, String),
        name!(action, Option<String>),
        name!(description, Option<String>),
    ),
> {
    TableIterator::new(IssueKind::ALL.into_iter().flat_map(|kind| {
        let name = kind.as_str().to_owned();
        let actions = actions_of(kind);
        if actions.is_empty() {
            return vec![(name, None, None)];
        }
        let row = |action: &crate::operate::actions::Action| {
            let words = [action.as_str(), action.description()].map(|text| Some(text.to_owned()));
            let [action, description] = words;
            (name.clone(), action, description)
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
    let decision = Decision {
        issue: or_raise(given(id, "the issue's number")),
        action: action.unwrap_or_default(),
        note,
        arguments: arguments.map_or(Value::Null, |arguments| arguments.0),
        mode: mode(dry_run),
    };
    JsonB(or_raise(resolve::resolve_issue(&decision)))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn acknowledge_issue(id: Option<i64>, note: default!(Option<&str>, "null")) {
    or_raise(given(id, "the issue's number").and_then(|id| desk::acknowledge(id, note)));
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn snooze_issue(
    id: Option<i64>,
    until: Option<TimestampWithTimeZone>,
    note: default!(Option<&str>, "null"),
) {
    let until = until.map(|until| until.to_iso_string());
    or_raise(
        given(id, "the issue's number").and_then(|id| desk::snooze(id, until.as_deref(), note)),
    );
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn undo(run_id: Option<i64>, dry_run: default!(bool, false)) -> JsonB {
    let undone =
        given(run_id, "the run's number").and_then(|run| undoing::undo(run, mode(dry_run)));
    JsonB(or_raise(undone))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn undo_change(change_id: Option<i64>, dry_run: default!(bool, false)) -> JsonB {
    let undone = given(change_id, "the change's number")
        .and_then(|change| undoing::undo_change(change, mode(dry_run)));
    JsonB(or_raise(undone))
}

fn given(number: Option<i64>, what: &str) -> Result<i64, Problem> {
    number.ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} is null"),
        )
    })
}
