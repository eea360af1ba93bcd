//! One payment that several invoices share: each has its own part in its books.

use super::Facts;
use super::receipt::Receipt;
use crate::domain::payment::PaymentRow;
use crate::domain::rules::OtherBooks;

/// Returns what other invoices have of the payment, if they have a part of it.
pub(super) fn parts_of_others<'f>(receipt: &Receipt, facts: &'f Facts) -> Option<&'f OtherBooks> {
    let others = facts.other_invoices.of(&receipt.payment.ids)?;
    (others.whole() > 0).then_some(others)
}

/// Returns whether the row is a part of the payment, and other invoices have the rest: together, the parts are exactly
/// what Stripe received.
pub(super) fn is_part_of_whole(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> bool {
    row.amount_minor() > 0
        && parts_of_others(receipt, facts).is_some_and(|others| {
            row.whole_minor().checked_add(others.whole()) == Some(receipt.received.minor)
        })
}

/// Returns whether the row is no more than the payment of which other invoices have parts. Whether all parts together
/// are more is an issue of the payment: [`crate::domain::shared_payment`].
pub(super) fn is_one_of_parts(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> bool {
    row.whole_minor() <= receipt.received.minor && parts_of_others(receipt, facts).is_some()
}
