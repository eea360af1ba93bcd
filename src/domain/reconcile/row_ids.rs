//! Ties rows to their payments where the application's payments have no column for Stripe's ids.

use std::collections::BTreeMap;

use super::Facts;
use super::receipt::Receipt;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::InvoiceStatus;
use crate::domain::payment::{PaymentRow, PaymentStatus};

/// How far apart a row's date and Stripe's time may be, in seconds: a date may be one of another time zone.
const SAME_TIME: u64 = 2 * 24 * 60 * 60;

/// Returns the rows with the ids that earlier runs stored of them.
pub(super) fn with_stored(
    rows: &[PaymentRow],
    stored: &BTreeMap<String, PaymentIds>,
) -> Vec<PaymentRow> {
    let mut rows = rows.to_vec();
    for row in rows.iter_mut().filter(|row| row.ids.is_empty()) {
        if let Some(ids) = stored.get(&row.id) {
            row.ids.clone_from(ids);
        }
    }
    rows
}

/// Ties rows to received payments that no row is known to be of, and returns the ids of these rows: of a payment that is
/// expected, if the amount is the same; and of the row that the application itself wrote when it marked as paid an
/// invoice that stores the payment's id. Any other row of this amount may be another payment. That the invoice is paid
/// says so only while this payment is new: later, this extension may have set it.
pub(super) fn presume(
    rows: &mut [PaymentRow],
    receipts: &[Receipt],
    facts: &Facts,
) -> BTreeMap<String, PaymentIds> {
    let mut presumed = BTreeMap::new();
    let mut receipts: Vec<&Receipt> = receipts.iter().collect();
    // The result does not depend on the order of the evidence and of the rows.
    receipts.sort_by_key(|receipt| receipt.key());
    for receipt in receipts {
        let ids = &receipt.payment.ids;
        if rows.iter().any(|row| row.ids.same_payment(ids)) {
            continue;
        }
        let amounts = [receipt.base().minor, receipt.received.minor];
        let may_be_it = |row: &&mut PaymentRow| {
            row.ids.is_empty() && row.amount_minor() > 0 && amounts.contains(&row.amount_minor())
        };
        let (mut expected, mut received) = (Vec::new(), Vec::new());
        for row in rows.iter_mut().filter(may_be_it) {
            match row.status {
                PaymentStatus::Pending => expected.push(row),
                status if status.was_received() => received.push(row),
                _ => {}
            }
        }
        expected.sort_by(|one, other| one.id.cmp(&other.id));
        let row = match (received.as_mut_slice(), expected.into_iter().next()) {
            ([], expected) => expected,
            ([row], None) if was_written_by_application(row, receipt, facts) => received.pop(),
            _ => None,
        };
        if let Some(row) = row {
            row.ids.clone_from(ids);
            presumed.insert(row.id.clone(), ids.clone());
        }
    }
    presumed
}

fn was_written_by_application(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> bool {
    let ids = &receipt.payment.ids;
    let is_known = facts.memory.of(ids).is_some_and(|known| known.is_own);
    let is_paid = matches!(
        facts.invoice.status,
        InvoiceStatus::Paid | InvoiceStatus::AfterPaid
    );
    let mut stored = facts.invoice.stored_ids.iter();
    let stores_it = stored.any(|id| ids.contains(id.trim()));
    let at_the_time = match (row.paid_at, receipt.payment.received_at) {
        (Some(row), Some(stripe)) => row.abs_diff(stripe) <= SAME_TIME,
        _ => true,
    };
    facts.rows_are_unwritten && !is_known && is_paid && stores_it && at_the_time
}
