//! What earlier runs stored about invoices, read by one statement.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::held_repairs::HeldRepairs;
use super::{checks, held_repairs, payment_ids, stripe_payments};
use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::rules::Memory;
use crate::pg::sql;

/// What earlier runs stored about an invoice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stored {
    /// The state of its payments, and of those in the evidence about it.
    pub(crate) memory: Memory,
    pub(crate) held: HeldRepairs,
    /// Whether a request to Stripe about it was noted.
    pub(crate) has_check: bool,
    /// Ids about which Stripe need not be asked any more.
    pub(crate) finished: BTreeSet<String>,
    /// Payments whose rows lack values that Stripe did not know yet.
    pub(crate) awaited: BTreeSet<String>,
    /// Stripe's ids of rows whose table has no column for them, by the rows' keys.
    pub(crate) row_ids: BTreeMap<String, PaymentIds>,
}

/// One of them, by what it is about.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Row {
    Payment(stripe_payments::Row),
    Held(held_repairs::Row),
    Finished(checks::Finished),
    Tied(payment_ids::Row),
}

/// Returns what is stored about these invoices and the payments in the evidence given with them, by invoice.
pub(crate) fn recall(cases: &[(&str, &[Evidence])]) -> BTreeMap<String, Stored> {
    let mut invoices_by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (invoice, evidence) in cases {
        for id in evidence.iter().flat_map(Evidence::payment_ids) {
            invoices_by_id.entry(id).or_default().push(invoice);
        }
    }
    let invoices: BTreeSet<&str> = cases.iter().map(|(invoice, _)| *invoice).collect();
    let statement = [
        stripe_payments::RECALLED,
        held_repairs::RECALLED,
        checks::RECALLED,
        payment_ids::RECALLED,
    ]
    .join(" union all ");
    let rows = sql::look_up(
        cases.len(),
        &statement,
        &[
            invoices.iter().copied().collect::<Vec<_>>(),
            invoices_by_id.keys().copied().collect(),
        ],
    );
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    let mut payments = Vec::new();
    let rows = rows.into_iter();
    for row in rows.filter_map(|row| serde_json::from_value(row).ok()) {
        match row {
            Row::Payment(payment) => payments.push(payment),
            Row::Held(held) => {
                let of = stored.entry(held.invoice.clone()).or_default();
                of.held.add(held);
            }
            Row::Finished(check) => {
                let stored = stored.entry(check.invoice).or_default();
                stored.has_check = true;
                (stored.finished, stored.awaited) = (check.ids, check.awaited);
            }
            Row::Tied(of) => {
                let stored = stored.entry(of.invoice).or_default();
                stored.row_ids.insert(of.row, of.ids);
            }
        }
    }
    let memories = stripe_payments::memories(&payments, &invoices, &invoices_by_id);
    for (invoice, memory) in memories {
        stored.entry(invoice).or_default().memory = memory;
    }
    stored
}
