//! Repairs that are held back, read from the issues about them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::issue::IssueKind;
use crate::pg::sql;

/// An issue about a repair that waits for a person's decision.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Held {
    /// The issue's id.
    pub(crate) id: i64,
    /// False if a person decided that the repair is not to be made.
    pub(crate) open: bool,
    pub(crate) object: Option<String>,
    pub(crate) evidence: Value,
}

/// Repairs that wait for a person's decision, by invoice and kind of issue.
#[derive(Debug, Default)]
pub(crate) struct HeldRepairs(BTreeMap<(String, String), Vec<Held>>);

impl HeldRepairs {
    /// Returns the invoice's issues of that kind that are open or settled, the latest first.
    pub(crate) fn of(&self, invoice: &str, kind: IssueKind) -> &[Held] {
        let key = (invoice.to_owned(), kind.as_str().to_owned());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// Returns the payments of these invoices whose repair was undone and not allowed again since, each with its ids.
pub(crate) fn undone_payments(invoices: &[&str]) -> BTreeMap<String, Vec<Vec<String>>> {
    #[derive(Deserialize)]
    struct Row {
        invoice: String,
        ids: Vec<String>,
    }
    let rows = sql::fetch(
        "select jsonb_build_object('invoice', x.invoice_id, 'ids', p.ids)
        from invoice_sync.issue x
        cross join lateral jsonb_array_elements(x.evidence -> 'stripe_payments') p (ids)
        where coalesce(x.invoice_id, '') in (select jsonb_array_elements_text($1::jsonb))
          and x.kind = 'repair_undone'
          and (x.state <> 'resolved' or x.settled is not null)
        order by x.id",
        &[Some(&json!(invoices).to_string())],
    );
    let mut undone: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for row in rows {
        if let Ok(row) = serde_json::from_value::<Row>(row) {
            undone.entry(row.invoice).or_default().push(row.ids);
        }
    }
    undone
}

/// Returns the held repairs of these invoices.
pub(crate) fn held(invoices: &[&str]) -> HeldRepairs {
    #[derive(Deserialize)]
    struct Row {
        invoice: String,
        kind: String,
        held: Held,
    }
    let rows = sql::fetch(
        "select jsonb_build_object(
            'invoice', x.invoice_id, 'kind', x.kind, 'held', jsonb_build_object(
                'id', x.id, 'open', x.state <> 'resolved', 'object', x.object,
                'evidence', x.evidence))
        from invoice_sync.issue x
        where coalesce(x.invoice_id, '') in (select jsonb_array_elements_text($1::jsonb))
          and x.kind in ('overridden_by_trigger', 'repair_undone')
          and (x.state <> 'resolved' or x.settled is not null)
        order by x.id desc",
        &[Some(&json!(invoices).to_string())],
    );
    let mut holds = HeldRepairs::default();
    for row in rows
        .into_iter()
        .filter_map(|row| serde_json::from_value::<Row>(row).ok())
    {
        let of_kind = holds.0.entry((row.invoice, row.kind)).or_default();
        of_kind.push(row.held);
    }
    holds
}
