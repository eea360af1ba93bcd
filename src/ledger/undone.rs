//! The changes of a run that is undone, and their marks afterwards.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::changes::{self, Change, Entry};
use super::checks;
use crate::pg::{identity, sql};

/// A change as stored in the ledger.
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
    pub(crate) evidence: Value,
    /// The run that has undone it already.
    #[serde(default)]
    pub(crate) undone_by: Option<i64>,
}

impl From<Recorded> for Change {
    fn from(recorded: Recorded) -> Self {
        Self {
            table: recorded.table_name,
            row: recorded.row_id,
            before: recorded.before.as_ref().map(Value::to_string),
            after: recorded.after.as_ref().map(Value::to_string),
        }
    }
}

/// Returns the kind of a run, such as `sweep`; `None` if there is no such run.
pub(crate) fn kind_of_run(run: i64) -> Option<String> {
    let kind = sql::fetch_one(
        "select to_jsonb(kind) from invoice_sync.run where id = $1::bigint",
        &[Some(&run.to_string())],
    )?;
    kind.as_str().map(str::to_owned)
}

/// Returns all changes of a run, the newest first.
pub(crate) fn changes_of_run(run: i64) -> Vec<Recorded> {
    read("c.run_id = $1::bigint", run)
}

/// Returns one change.
pub(crate) fn change(id: i64) -> Option<Recorded> {
    read(IS_CHANGE, id).pop()
}

/// The condition that `c` of `invoice_sync.full_change` is the change in the first parameter: in the row whose id is the
/// last one that is not greater, if that row was not deleted.
const IS_CHANGE: &str = "
c.first_id = (select max(f.id) from invoice_sync.change f where f.id <= $1::bigint) and c.id = $1::bigint";

/// Returns the changes of the same row that were made after this one, the oldest first.
pub(crate) fn later_changes(change: &Recorded) -> Vec<Recorded> {
    let rows = sql::fetch(
        "select to_jsonb(c) from invoice_sync.full_change c
        where c.invoice_id = $1 and c.table_name = $2 and c.row_id = $3 and c.id > $4::bigint
        order by c.id",
        &[
            Some(&change.invoice_id),
            Some(&change.table_name),
            Some(&change.row_id),
            Some(&change.id.to_string()),
        ],
    );
    let rows = rows.into_iter();
    rows.filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}

fn read(condition: &str, value: i64) -> Vec<Recorded> {
    sql::fetch(
        &format!(
            "select to_jsonb(c) from invoice_sync.full_change c where {condition} order by c.id desc"
        ),
        &[Some(&value.to_string())],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Records that `run` has undone these changes of one invoice, and by which changes.
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
    for id in &ids {
        mark(*id, Some(run));
    }
    mark_in_effect(&ids);
    // Marks the invoice as due, so that a new request to Stripe shows what the books lack now.
    checks::mark_due(std::slice::from_ref(&first.invoice_id));
}

/// Marks a change as undone by this run; `None` if it is in effect.
fn mark(change: i64, undone_by: Option<i64>) {
    sql::execute(
        &format!(
            "update invoice_sync.change r set undone_by_runs[$1::bigint - r.id + 1] = $2::bigint
            where r.id = (select c.first_id from invoice_sync.full_change c where {IS_CHANGE})"
        ),
        &[
            Some(&change.to_string()),
            undone_by.map(|run| run.to_string()).as_deref(),
        ],
    );
}

/// Marks the changes that these changes had undone as no longer undone. Changes that those had undone are marked as
/// undone again, and so on.
fn mark_in_effect(changes: &[i64]) {
    let mut changes = changes.to_vec();
    let mut in_effect = true;
    while !changes.is_empty() {
        let undone = changes.iter().filter_map(|id| change(*id));
        let undone = undone.flat_map(|of| {
            let targets = of.evidence["undoes_changes"].as_array().cloned();
            let ids = targets.into_iter().flatten().filter_map(|id| id.as_i64());
            ids.map(move |id| (id, of.run_id)).collect::<Vec<_>>()
        });
        let undone: BTreeMap<i64, i64> = undone.collect();
        for (id, run) in &undone {
            mark(*id, (!in_effect).then_some(*run));
        }
        changes = undone.into_keys().collect();
        in_effect = !in_effect;
    }
}

/// Reverts the decisions of a run of `resolve_issue`: opens the issue again if no run can raise it, and allows the
/// others to be raised again. Returns the number of reverted decisions.
pub(crate) fn revert_decisions(own_run: i64, run: i64) -> usize {
    let decided = "last_run = $1::bigint and resolution is not null and state = 'resolved'";
    let opened = sql::fetch(
        &format!(
            "update invoice_sync.issue x
            set state = 'open', resolved_at = null, resolved_by = null, resolution = null,
                settled = null, last_run = $2::bigint
            where {decided}
              and not exists (
                  select from invoice_sync.issue o
                  where coalesce(o.invoice_id, '') = coalesce(x.invoice_id, '') and o.kind = x.kind
                    and coalesce(o.object, '') = coalesce(x.object, '') and o.state <> 'resolved')
            returning to_jsonb(id)"
        ),
        &[Some(&run.to_string()), Some(&own_run.to_string())],
    );
    let unsettled = sql::fetch(
        &format!(
            "update invoice_sync.issue set settled = null
            where {decided} and settled is not null
            returning to_jsonb(id)"
        ),
        &[Some(&run.to_string())],
    );
    opened.len() + unsettled.len()
}

/// Resolves the issue that `undo_run` opened about the invoice (`repair_undone`), because the repairs are in the
/// books again.
pub(crate) fn repair_is_restored(run: i64, undo_run: i64, invoice: &str) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), resolved_by = $4, resolution = 'undo',
            settled = null, last_run = $1::bigint
        where invoice_id = $3 and kind = 'repair_undone' and evidence -> 'undo_run' = $2::jsonb
          and (state <> 'resolved' or settled is not null)",
        &[
            Some(&run.to_string()),
            Some(&undo_run.to_string()),
            Some(invoice),
            Some(&identity::outer_role()),
        ],
    );
}

/// Returns whether undoing a run removes repairs from the books. Undoing an undo restores them, and undoing that
/// removes them again.
pub(crate) fn takes_repairs_out(run: i64) -> bool {
    let mut run = run;
    let mut takes_out = true;
    while kind_of_run(run).as_deref() == Some("undo") {
        takes_out = !takes_out;
        let undone = sql::fetch_one(
            "select evidence -> 'undoes_run' from invoice_sync.full_change
            where run_id = $1::bigint and evidence ? 'undoes_run' limit 1",
            &[Some(&run.to_string())],
        );
        match undone.and_then(|undone| undone.as_i64()) {
            Some(undone) if undone < run => run = undone,
            _ => break,
        }
    }
    takes_out
}
