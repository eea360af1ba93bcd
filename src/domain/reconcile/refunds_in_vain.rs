//! Rows that say more money went back than Stripe gave back: a refund may have failed, of which many applications never hear.

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, books, sharing};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::Money;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::PaymentUpdate;

impl Draft {
    /// Raises an issue if the row, once it is updated, says that more of the payment was refunded than Stripe says. The row is
    /// not changed: somebody may have given the money back otherwise.
    pub(super) fn compare_refund(
        &mut self,
        row: &PaymentRow,
        update: &PaymentUpdate,
        receipt: &Receipt,
        facts: &Facts,
    ) {
        if sharing::parts_of_others(receipt, facts).is_some() {
            return;
        }
        let mut row = row.clone();
        books::overlay(&mut row, update);
        let stated = match row.status {
            PaymentStatus::Refunded => row.whole_minor(),
            _ => row.refunded_minor(),
        };
        if receipt.payment.tells_returns && stated > receipt.gone() {
            self.refund_in_vain(&row.id, stated, receipt, facts);
        }
    }

    /// Raises an issue if a refund failed that a row of its own, with a negative amount, still states. Returns whether there is
    /// one: as long as there is, the amount that had gone back stays known.
    pub(super) fn note_refund_in_vain(&mut self, receipt: &Receipt, facts: &Facts) -> bool {
        let ids = &receipt.payment.ids;
        let before = facts.memory.of(ids).map_or(0, |known| known.refunded);
        let gone = receipt.refunded.minor;
        let failed = books::reversed_in_vain(facts.rows, ids, before, gone);
        if let Some(failed) = failed {
            let stated = gone.saturating_add(failed);
            self.refund_in_vain("", stated, receipt, facts);
        }
        failed.is_some()
    }

    fn refund_in_vain(&mut self, row: &str, stated: i64, receipt: &Receipt, facts: &Facts) {
        let currency = receipt.received.currency;
        let stated = Money::new(stated, currency);
        let gone = Money::new(receipt.gone(), currency);
        let key = receipt.key();
        self.issues.push(
            Issue::new(
                IssueKind::AmountMismatch,
                Severity::Warning,
                format!(
                    "The books say that {stated} of {} of invoice {} went back, but at Stripe it was {gone}. If a refund failed, correct the payment, or refund it again; if the money went back otherwise, accept the amount (accept_amount).",
                    key.unwrap_or("a payment"),
                    facts.invoice.label(),
                ),
            )
            .about(key)
            .with_evidence(json!({
                "id": key,
                "row": Some(row).filter(|row| !row.is_empty()),
                "stated_as_refunded": stated.to_string(),
                "refunded": gone.to_string(),
            })),
        );
    }
}
