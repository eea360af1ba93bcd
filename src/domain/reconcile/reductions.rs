//! Says why less was paid than was owed, if Stripe says so.

use serde_json::json;

use super::{Draft, Facts};
use crate::domain::evidence::StripePayment;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::Money;
use crate::domain::reductions::Reduced;

impl Draft {
    /// Keeps what was taken off the price of a payment of this invoice.
    pub(super) fn keep_reductions(&mut self, payment: &StripePayment, received: Money) {
        self.lacks_reductions |= payment.lacks_invoice();
        self.reduced.push(Reduced {
            key: payment.ids.key().map(str::to_owned),
            received,
            reductions: payment.reductions,
        });
    }

    /// Raises an issue if less was paid than the total because of a discount or credit at Stripe that the invoice does not
    /// have.
    pub(super) fn note_reductions(&mut self, facts: &Facts, secured: i64) {
        let invoice = facts.invoice;
        let Some(total) = invoice.total.value().filter(|total| total.minor > secured) else {
            return;
        };
        if self.lacks_reductions {
            self.plan.undecided.insert(IssueKind::AmountMismatch);
        }
        let amount = |minor: i64| Money::new(minor, total.currency).to_string();
        for reduced in std::mem::take(&mut self.reduced) {
            let (key, reductions) = (reduced.key.as_deref(), reduced.reductions);
            let reasons = reductions.reasons(total.currency);
            let Some(reasons) = reasons.filter(|_| reduced.received.currency == total.currency)
            else {
                continue;
            };
            self.issues.push(
                Issue::new(
                    IssueKind::AmountMismatch,
                    Severity::Warning,
                    format!(
                        "Stripe received {} by {} for invoice {}: less than its total of {total}, because of {reasons} at Stripe.",
                        reduced.received,
                        key.unwrap_or("a payment"),
                        invoice.label(),
                    ),
                )
                .about(key)
                .with_evidence(json!({
                    "id": key,
                    "received": reduced.received.to_string(),
                    "discount": amount(reductions.discount),
                    "balance": amount(reductions.balance),
                    "credit": amount(reductions.credit),
                    "elsewhere": amount(reductions.elsewhere),
                    "total": total.to_string(),
                })),
            );
        }
    }
}
