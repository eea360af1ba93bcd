//! Payments of exactly what an invoice said was left, although its rows say that more was left.

use super::receipt::Receipt;
use super::{Draft, Facts, books};
use crate::domain::invoice::{Field, Invoice};
use crate::domain::payment::PaymentRow;

impl Draft {
    /// Returns the amount paid, which is the total, if the invoice stated more than its rows before, and what came now is
    /// exactly the rest of it: then somebody has noted money without a row, cash for example, and the customer paid what
    /// was left. Any other sum might contain what the application itself counted of these payments, and is not added.
    pub(super) fn settled_beside_rows(
        &self,
        facts: &Facts,
        receipts: &[Receipt],
        after: &[PaymentRow],
    ) -> Option<i64> {
        let invoice = facts.before.map_or(facts.invoice, |before| before.invoice);
        let (total, stated) = (total_of(invoice)?, stated_by(invoice)?);
        if total_of(facts.invoice) != Some(total) || stated_by(facts.invoice) != Some(stated) {
            // A trigger counted what was written.
            return None;
        }
        let rows = rows_before(facts);
        // What the application gave back is nothing that the invoice states.
        let beyond_rows = stated.saturating_sub(books::received(&rows, &self.known).max(0));
        let secured = books::secured(after, &self.known);
        let came = secured.saturating_sub(books::secured(&rows, &self.known).max(0));
        let is_counted = came == beyond_rows
            || receipts.iter().any(|receipt| {
                let amounts = receipt.amounts_by_hand();
                amounts.contains(&beyond_rows)
            });
        let is_rest = came > 0 && stated.checked_add(came) == Some(total);
        (beyond_rows > 0 && is_rest && !is_counted).then_some(total)
    }
}

fn total_of(invoice: &Invoice) -> Option<i64> {
    invoice.total.value().map(|total| total.minor)
}

/// Returns the amount paid according to the invoice: without a column for it, the balance says so.
fn stated_by(invoice: &Invoice) -> Option<i64> {
    match (&invoice.amount_paid, &invoice.balance) {
        (Field::Unmapped, Field::Value(balance)) => total_of(invoice)?.checked_sub(balance.minor),
        (amount_paid, _) => amount_paid.value().map(|money| money.minor),
    }
}

/// Returns the rows before payments were written, with all ids that are known now.
fn rows_before(facts: &Facts) -> Vec<PaymentRow> {
    let Some(before) = facts.before else {
        return facts.rows.to_vec();
    };
    let mut rows = before.rows.to_vec();
    for row in &mut rows {
        if let Some(now) = facts.rows.iter().find(|now| now.id == row.id) {
            row.ids.clone_from(&now.ids);
        }
    }
    rows
}
