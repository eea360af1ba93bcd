//! Rows without the id of a payment that may stand for it: somebody may have entered them by hand.

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, books};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::payment::PaymentRow;

/// Returns the payments in the order in which they are booked: those with rows first, and those for which rows without
/// ids may stand last, because whether one does depends on what the others leave in the books.
pub(super) fn in_order<'r, 'p>(receipts: &'r [Receipt<'p>], facts: &Facts) -> Vec<&'r Receipt<'p>> {
    let has_row = |receipt: &Receipt| facts.rows_of(&receipt.payment.ids).next().is_some();
    let mut ordered: Vec<&Receipt> = receipts.iter().collect();
    ordered.sort_by_key(|receipt| {
        let has_row = has_row(receipt);
        (!has_row, !has_row && similar_rows(receipt, facts).is_some())
    });
    ordered
}

impl Draft {
    /// Returns whether rows may already stand for this payment ([`similar_rows`]), and raises an issue if so and the
    /// payment and the rows together would exceed the total. The rows may have been entered by hand, so neither booking
    /// the payment nor ignoring it would be safe.
    pub(super) fn may_be_booked_without_id(&mut self, receipt: &Receipt, facts: &Facts) -> bool {
        let Some(total) = facts.invoice.total.value() else {
            return false;
        };
        let base = receipt.base();
        let after = books::project(facts.rows, &self.plan.payments);
        let with_this = books::secured(&after, &self.known).saturating_add(base.minor);
        let Some(similar) = similar_rows(receipt, facts) else {
            return false;
        };
        // Where no row has an id, one of this amount may be this payment even if the invoice is due for more; and so may one
        // that names an object of Stripe's that says nothing of the payment.
        let may_be_this =
            facts.rows_have_no_ids || similar.iter().any(|row| names_another(row, receipt));
        if with_this <= total.minor && !may_be_this {
            return false;
        }
        let (how, rows) = match similar.as_slice() {
            [row] => (
                "The invoice has another payment of the same amount without this id",
                json!(row.id),
            ),
            rows => (
                "The invoice has other payments without ids that add up to this amount",
                rows.iter().map(|row| row.id.clone()).collect(),
            ),
        };
        let excess = if with_this > total.minor {
            ", and together they exceed the total"
        } else {
            ""
        };
        self.issues.push(
            Issue::new(
                IssueKind::PossibleDuplicate,
                Severity::Warning,
                format!(
                    "Stripe received {} by {} for invoice {}. {how}{excess}. Decide whether they are the same payment (link_row) or two payments (book_anyway).",
                    receipt.received,
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label(),
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "received": receipt.received.to_string(),
                "row": rows,
            })),
        );
        true
    }
}

/// Returns the rows that may stand for this payment: a row without an id that says otherwise
/// ([`PaymentIds::may_stand_for`]), or all rows without ids together, if they come to the amount, to what was received,
/// or to what Stripe paid out of it.
fn similar_rows<'f>(receipt: &Receipt, facts: &'f Facts) -> Option<Vec<&'f PaymentRow>> {
    let amounts = receipt.amounts_by_hand();
    let may_be_this = |row: &&PaymentRow| {
        row.was_received() && row.amount_minor() > 0 && row.ids.may_stand_for(&receipt.payment.ids)
    };
    // In an order that does not depend on that of the rows.
    let mut rows: Vec<&PaymentRow> = facts.rows.iter().filter(may_be_this).collect();
    rows.sort_by_key(|row| (!names_another(row, receipt), &row.id));
    if let Some(row) = rows
        .iter()
        .find(|row| amounts.contains(&row.amount_minor()))
    {
        return Some(vec![row]);
    }
    rows.retain(|row| row.ids.is_empty());
    let sum = rows
        .iter()
        .fold(0, |sum: i64, row| sum.saturating_add(row.amount_minor()));
    amounts.contains(&sum).then_some(rows)
}

/// Returns whether the row has no id of a payment, but that of another object of Stripe's, which may belong to this payment:
/// the application recorded a payment of Stripe's by it.
fn names_another(row: &PaymentRow, receipt: &Receipt) -> bool {
    let named = row.other_object.as_deref().filter(|_| row.ids.is_empty());
    // If it were this payment's balance transaction, that would have told: see [`super::ties`].
    let is_another_payment =
        |named: &str| named.starts_with("txn_") && receipt.payment.balance_transaction.is_some();
    named.is_some_and(|named| !is_another_payment(named))
}
