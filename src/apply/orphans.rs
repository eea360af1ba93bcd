//! Money that the issues of deleted invoices tell of: Stripe is asked about it, so that it
//! is told of without them.

use crate::domain::identity::StripeId;
use crate::host::find::those_there;
use crate::host::mapping::Mapping;
use crate::ledger::payment_issues;

/// A payment whose invoice is not there any more.
pub(crate) struct Orphan {
    pub(crate) money: StripeId,
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// What people called it.
    pub(crate) label: String,
}

/// At most so many of them.
pub(crate) fn orphans(mapping: &Mapping, limit: usize) -> Vec<Orphan> {
    let told = payment_issues::told_by_invoices(limit);
    let there = those_there(
        mapping,
        &told.iter().map(|it| it.invoice.as_str()).collect(),
    );
    told.into_iter()
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
