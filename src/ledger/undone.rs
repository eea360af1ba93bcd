//! What a run changed, for putting it back, and what was put back.

use serde::Deserialize;
use serde_json::Value;

use super::changes::{self, Change, Entry};
use crate::pg::{identity, sql};

/// A change as the ledger has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) id: i64,
    pub(crate) run_id: i64,
    pub(crate) invoice_id: String,
    pub(crate) table_name: String,
    pub(crate) row_id: String,
    #[serde(default)]
    pub(crate) before: Option<Value>,
    #[serde(default)]
    pub(crate) after: Option<Value>,
    /// The run that put it back already.
    #[serde(default)]
    pub(crate) undone_by: Option<i64>,
}

impl From<Recorded> for Change {
    fn from(recorded: Recorded) -> Self {
        Self {
            table: recorded.table_name,
            row: recorded.row_id,
            before: recorded.before,
            after: recorded.after.unwrap_or_default(),
        }
    }
}

/// The kind of a run, such as `sweep`; `None` where there is no such run.
pub(crate) fn kind_of_run(run: i64) -> Option<String> {
    let kind = sql::fetch_one(
        "select to_jsonb(kind) from invoice_sync.run where id = $1::bigint",
        &[Some(&run.to_string())],
    )?;
    kind.as_str().map(str::to_owned)
}

/// All that a run changed, the newest first.
pub(crate) fn changes_of_run(run: i64) -> Vec<Recorded> {
    read("run_id", run)
}

/// One change.
pub(crate) fn change(id: i64) -> Option<Recorded> {
    read("id", id).pop()
}

fn read(column: &str, value: i64) -> Vec<Recorded> {
    sql::fetch(
        &format!(
            "select to_jsonb(c) from invoice_sync.change c
            where c.{column} = $1::bigint order by c.id desc"
        ),
        &[Some(&value.to_string())],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Notes that `run` put these changes of one invoice back, and how.
pub(crate) fn note(run: i64, undone: &[&Recorded], made: &[Change]) {
    let ids: Vec<i64> = undone.iter().map(|change| change.id).collect();
    let Some(first) = undone.first() else {
        return;
    };
    let evidence = serde_json::json!({ "undoes_run": first.run_id, "undoes_changes": ids });
    let entry = Entry {
        invoice: &first.invoice_id,
        changes: made,
        evidence,
    };
    changes::record(run, &[entry]);
    sql::execute(
        "update invoice_sync.change set undone_by = $1::bigint
        where $2::jsonb @> to_jsonb(id)",
        &[
            Some(&run.to_string()),
            Some(&serde_json::json!(ids).to_string()),
        ],
    );
    // What was undone were repairs put back: those stand again.
    sql::execute(
        "update invoice_sync.change set undone_by = null
        where undone_by = $1::bigint and invoice_id = $2",
        &[Some(&first.run_id.to_string()), Some(&first.invoice_id)],
    );
    // Stripe is asked again: what the books lack now is to be seen.
    sql::execute(
        "update invoice_sync.invoice_check set next_check_at = now() where invoice_id = $1",
        &[Some(&first.invoice_id)],
    );
}

/// Takes back what a run of `resolve_issue` decided: the facts are told of
/// again. Answers with the number of such decisions.
pub(crate) fn lift_decisions(run: i64) -> usize {
    sql::fetch(
        "update invoice_sync.issue set settled = null
        where last_run = $1::bigint and settled is not null
        returning to_jsonb(id)",
        &[Some(&run.to_string())],
    )
    .len()
}

/// Closes the invoice's `repair_undone`: the repair stands again.
pub(crate) fn repair_stands_again(run: i64, invoice: &str) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), resolved_by = $3, resolution = 'undo',
            settled = null, last_run = $1::bigint
        where invoice_id = $2 and kind = 'repair_undone'
          and (state <> 'resolved' or settled is not null)",
        &[
            Some(&run.to_string()),
            Some(invoice),
            Some(&identity::outer_role()),
        ],
    );
}
