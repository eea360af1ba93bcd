//! Payments that only issues of deleted invoices are about: Stripe is asked about them, so that the payments get
//! issues of their own.

use crate::domain::identity::StripeId;
use crate::host::find::those_there;
use crate::host::mapping::Mapping;
use crate::ledger::payment_issues;

/// A payment whose invoice no longer exists.
pub(crate) struct Orphan {
    pub(crate) money: StripeId,
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// The number that people know the invoice by.
    pub(crate) label: String,
}

/// Returns such payments, from at most `limit` issues.
pub(crate) fn orphans(mapping: &Mapping, limit: usize) -> Vec<Orphan> {
    let issues = payment_issues::reported_by_invoices(limit);
    let there = those_there(
        mapping,
        &issues.iter().map(|it| it.invoice.as_str()).collect(),
    );
    issues
        .into_iter()
        .filter(|it| !there.contains(&it.invoice))
        .filter_map(|it| {
            Some(Orphan {
                money: StripeId::parse(&it.object)?,
                invoice: it.invoice,
                label: it.label,
            })
        })
        .collect()
}
