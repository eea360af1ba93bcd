//! Repairs that are held back, read from the issues about them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::issue::IssueKind;
use crate::pg::sql;

/// An issue about a repair that waits for a person's decision.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Held {
    /// The issue's id.
    pub(crate) id: i64,
    /// False if a person decided that the repair is not to be made.
    pub(crate) open: bool,
    pub(crate) object: Option<String>,
    pub(crate) evidence: Value,
}

/// Repairs that wait for a person's decision, by invoice and kind of issue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HeldRepairs(BTreeMap<(String, String), Vec<Held>>);

impl HeldRepairs {
    /// Returns the invoice's issues of that kind that are open or settled, the latest first.
    pub(crate) fn of(&self, invoice: &str, kind: IssueKind) -> &[Held] {
        let key = (invoice.to_owned(), kind.as_str().to_owned());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// What [`super::recall`] reads of held repairs: those of the invoices in the first parameter.
pub(super) const RECALLED: &str = "
select jsonb_build_object('held', jsonb_build_object(
    'invoice', x.invoice_id, 'kind', x.kind, 'held', jsonb_build_object(
        'id', x.id, 'open', x.state <> 'resolved', 'object', x.object,
        'evidence', x.evidence)))
from invoice_sync.issue x
where coalesce(x.invoice_id, '') = any ($1)
  and x.kind in ('overridden_by_trigger', 'repair_undone')
  and (x.state <> 'resolved' or x.settled is not null)";

/// A row of [`RECALLED`].
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) invoice: String,
    kind: String,
    held: Held,
}

impl HeldRepairs {
    /// Adds a row, in any order.
    pub(super) fn add(&mut self, row: Row) {
        let of_kind = self.0.entry((row.invoice, row.kind)).or_default();
        let place = of_kind.partition_point(|held| held.id > row.held.id);
        of_kind.insert(place, row.held);
    }

    /// Returns the invoice's payments whose repair was undone and not allowed again since, each with its ids.
    pub(crate) fn undone_payments(&self, invoice: &str) -> Vec<Vec<String>> {
        let undone = self.of(invoice, IssueKind::RepairUndone).iter().rev();
        let payments = undone.filter_map(|held| held.evidence["stripe_payments"].as_array());
        let payments = payments.flatten();
        payments
            .filter_map(|ids| serde_json::from_value(ids.clone()).ok())
            .collect()
    }
}

/// Returns the held repairs of this invoice.
pub(crate) fn held(invoice: &str) -> HeldRepairs {
    let statement = format!("select r.row -> 'held' from ({RECALLED}) r (row)");
    let mut holds = HeldRepairs::default();
    let rows = sql::look_up(1, &statement, &[vec![invoice]]).into_iter();
    for row in rows.filter_map(|row| serde_json::from_value(row).ok()) {
        holds.add(row);
    }
    holds
}
