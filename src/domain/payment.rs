//! A payment row, as the application stores it.

use super::identity::PaymentIds;
use super::invoice::Field;
use super::money::Money;

/// What a payment row's status word means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentStatus {
    Paid,
    /// Expected, not received: becomes Paid when Stripe has the money.
    Pending,
    Refunded,
    Disputed,
    /// A word that the settings do not name: never changed, never counted.
    Other,
}

/// One row of the host's payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PaymentRow {
    /// The primary key, as text.
    pub(crate) id: String,
    pub(crate) status: PaymentStatus,
    /// The host's own word for the status.
    pub(crate) status_word: String,
    /// Without the gratuity.
    pub(crate) amount: Field<Money>,
    pub(crate) gratuity: Field<Money>,
    /// How much of it went back.
    pub(crate) refunded: Field<Money>,
    pub(crate) ids: PaymentIds,
    /// The row's date, seconds since 1970, where the host has such a column.
    pub(crate) paid_at: Option<i64>,
}

impl PaymentStatus {
    /// Whether money came in once, wherever it is now.
    pub(crate) fn was_received(self) -> bool {
        matches!(self, Self::Paid | Self::Refunded | Self::Disputed)
    }
}

impl PaymentRow {
    /// The amount, or 0 where there is none to be read (which is an issue of its own).
    pub(crate) fn amount_minor(&self) -> i64 {
        self.amount.value().map_or(0, |money| money.minor)
    }

    /// How much of it went back, by the row itself; never below 0.
    pub(crate) fn refunded_minor(&self) -> i64 {
        self.refunded.value().map_or(0, |money| money.minor.max(0))
    }

    /// Whether money came in by this row once, wherever it is now.
    pub(crate) fn was_received(&self) -> bool {
        self.status.was_received()
    }
}
