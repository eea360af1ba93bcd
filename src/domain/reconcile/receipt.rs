//! A received payment, split into amount, gratuity and refunded amount.

use crate::domain::evidence::{Dispute, StripePayment};
use crate::domain::money::Money;
use crate::domain::payment::PaymentStatus;
use crate::domain::rules::{Remembered, Rules};

/// A payment that Stripe received for this invoice, split into its parts.
pub(super) struct Receipt<'a> {
    pub(super) payment: &'a StripePayment,
    pub(super) received: Money,
    pub(super) gratuity: Money,
    pub(super) refunded: Money,
    pub(super) dispute: Option<Dispute>,
    /// How much its disputes withhold; at most what was received.
    pub(super) withheld: Money,
}

impl Receipt<'_> {
    /// Returns the amount for the payment row: received minus gratuity.
    pub(super) fn base(&self) -> Money {
        Money::new(
            self.received.minor - self.gratuity.minor,
            self.received.currency,
        )
    }

    /// Returns the amounts, in Stripe's smallest unit, with which somebody may record the payment by hand.
    pub(super) fn amounts_by_hand(&self) -> Vec<i64> {
        let fee = self
            .payment
            .net
            .map(|net| self.received.minor.saturating_sub(net));
        let gross = [self.base().minor, self.received.minor];
        let net = fee
            .into_iter()
            .flat_map(|fee| gross.map(|amount| amount.saturating_sub(fee)));
        gross.into_iter().chain(net).collect()
    }

    /// Returns how much of it went back or is withheld.
    pub(super) fn gone(&self) -> i64 {
        self.refunded.minor.saturating_add(self.withheld.minor)
    }

    pub(super) fn wholly_refunded(&self) -> bool {
        self.refunded.minor >= self.received.minor
    }

    /// Returns whether disputes withhold all that was not refunded.
    pub(super) fn is_withheld(&self) -> bool {
        self.withheld.minor > 0 && self.gone() >= self.received.minor
    }

    /// Returns whether disputes withhold a part of the payment.
    pub(super) fn is_partly_withheld(&self) -> bool {
        (1..self.received.minor).contains(&self.withheld.minor)
    }

    /// Returns whether disputes no longer withhold what they withheld before: they are settled, or only an inquiry is
    /// open besides. An inquiry alone says nothing of a row that the application itself called disputed.
    pub(super) fn gives_back(&self, before: Option<&Remembered>) -> bool {
        match &self.dispute {
            Some(Dispute::Settled) => true,
            Some(Dispute::Inquiry(_)) => before.is_some_and(|before| before.withheld > 0),
            _ => false,
        }
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.payment.ids.key()
    }

    /// Returns the status for the row, limited to the words that the application has.
    pub(super) fn status(&self, rules: &Rules) -> PaymentStatus {
        let words = &rules.payment_words;
        if self.wholly_refunded() && words.refunded.is_some() {
            PaymentStatus::Refunded
        } else if self.is_withheld() && words.disputed.is_some() {
            PaymentStatus::Disputed
        } else {
            PaymentStatus::Paid
        }
    }
}
