//! A received payment, split into amount, gratuity and refunded amount.

use crate::domain::evidence::{Dispute, StripePayment};
use crate::domain::money::Money;
use crate::domain::payment::PaymentStatus;
use crate::domain::rules::Rules;

/// A payment that Stripe received for this invoice, taken apart.
pub(super) struct Receipt<'a> {
    pub(super) payment: &'a StripePayment,
    pub(super) received: Money,
    pub(super) gratuity: Money,
    pub(super) refunded: Money,
    pub(super) dispute: Option<Dispute>,
}

impl Receipt<'_> {
    /// What the payment row's amount is to be.
    pub(super) fn base(&self) -> Money {
        Money::new(
            self.received.minor - self.gratuity.minor,
            self.received.currency,
        )
    }

    pub(super) fn wholly_refunded(&self) -> bool {
        self.refunded.minor >= self.received.minor
    }

    pub(super) fn withheld(&self) -> bool {
        self.dispute.as_ref().is_some_and(Dispute::withholds_money)
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.payment.ids.key()
    }

    /// The status that the row should have, by the words that the host has.
    pub(super) fn status(&self, rules: &Rules) -> PaymentStatus {
        let words = &rules.payment_words;
        if self.wholly_refunded() && words.refunded.is_some() {
            PaymentStatus::Refunded
        } else if self.withheld() && words.disputed.is_some() {
            PaymentStatus::Disputed
        } else {
            PaymentStatus::Paid
        }
    }
}
