//! Rows that say money came of which Stripe says that it did not.

use serde_json::json;

use super::{Draft, Facts};
use crate::domain::evidence::{PaymentState, StripePayment};
use crate::domain::identity::PaymentIds;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::rules::Remembered;

impl Draft {
    /// Raises an issue about each row that counts and whose payment Stripe has not received, and remembers that, so that
    /// the row pays no invoice. The row is not changed: somebody may have used it for money that came otherwise. While the
    /// payment is in flight, the row does not count either, and no issue is raised.
    pub(super) fn note_denied(
        &mut self,
        payments: &[StripePayment],
        currency: Currency,
        facts: &Facts,
    ) {
        for payment in std::mem::take(&mut self.unpaid) {
            let rows = facts.rows_of(&payment.ids).filter(|row| {
                is_of(row, &payment.ids)
                    && counts(row)
                    && !self.may_be_paid(row, &payment, payments)
            });
            let Some(row) = rows.max_by_key(|row| (row.amount_minor(), row.id.as_str())) else {
                continue;
            };
            let (PaymentState::Waiting(status) | PaymentState::Never(status)) = &payment.state
            else {
                continue;
            };
            if !payment.denies_money() && !payment.is_in_flight() {
                continue;
            }
            self.plan.stored_ids_are_booked = false;
            self.remember_denied(&payment, facts);
            if payment.is_in_flight() {
                // What was said of an earlier attempt stays as it is.
                let ids = payment.ids.each().map(str::to_owned);
                self.plan.unclear.extend(ids);
                continue;
            }
            let key = payment.ids.key();
            let booked = Money::new(row.whole_minor(), currency);
            self.issues.push(
                Issue::new(
                    IssueKind::AmountMismatch,
                    Severity::Warning,
                    format!(
                        "The books say {booked} for {} of invoice {}, but Stripe received nothing ({status}), so it does not count. Correct the payment, or take the id out of it if the money came otherwise, or accept the amount (accept_amount).",
                        key.unwrap_or("a payment"),
                        facts.invoice.label(),
                    ),
                )
                .about(key)
                .with_evidence(json!({
                    "id": key,
                    "row": row.id,
                    "booked": booked.to_string(),
                    "received": Money::new(0, currency).to_string(),
                })),
            );
        }
    }

    /// Returns whether another payment, or an earlier answer about this one, says that the row's money came or may still
    /// come: several payments may share a session or a Stripe Invoice.
    fn may_be_paid(
        &self,
        row: &PaymentRow,
        denied: &StripePayment,
        payments: &[StripePayment],
    ) -> bool {
        let mut others = payments.iter().filter(|other| other.ids != denied.ids);
        // What this answer says of the very same payment is newer: a bank may return a debit that had succeeded.
        let is_taken_back = |known: &&Remembered| {
            let is_same = known.ids.key() == denied.ids.key();
            is_same && denied.tells_returns && known.as_of < denied.as_of
        };
        let known = self.known.values().filter(|known| known.received > 0);
        let mut known = known.filter(|known| !is_taken_back(known));
        others.any(|other| !other.denies_money() && other.ids.same_payment(&row.ids))
            || known.any(|known| known.ids.same_payment(&row.ids))
    }

    fn remember_denied(&mut self, payment: &StripePayment, facts: &Facts) {
        let ids = &payment.ids;
        let nothing = Remembered {
            ids: ids.clone(),
            as_of: payment.as_of,
            seen_at: payment.as_of,
            own_seen_at: facts.memory.of(ids).map_or(0, |known| known.own_seen_at),
            currency: None,
            received: 0,
            refunded: 0,
            refunded_latest: 0,
            dispute: None,
            withheld: 0,
            is_own: true,
        };
        for id in ids.of_one_payment() {
            self.known.insert(id.to_owned(), nothing.clone());
            self.plan.learned.0.insert(id.to_owned(), nothing.clone());
        }
    }
}

/// Returns whether the row is of this payment and no other: a session beside an intent may be a copy.
fn is_of(row: &PaymentRow, ids: &PaymentIds) -> bool {
    row.ids.key().is_some_and(|key| ids.contains(key))
}

fn counts(row: &PaymentRow) -> bool {
    let says_paid = matches!(
        row.status,
        PaymentStatus::Paid | PaymentStatus::PartlyRefunded
    );
    says_paid && row.amount_minor() > 0
}
