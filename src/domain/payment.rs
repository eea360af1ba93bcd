//! A payment row as the application stores it.

use std::collections::BTreeMap;

use super::identity::PaymentIds;
use super::invoice::Field;
use super::money::Money;

/// The meaning of a payment row's status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentStatus {
    Paid,
    /// Expected, not received; becomes Paid when Stripe has received the money.
    Pending,
    /// An attempt that took no money; becomes Paid if Stripe received the money of this very payment.
    Failed,
    Refunded,
    /// Counts with what was not refunded. Never written.
    PartlyRefunded,
    Disputed,
    /// A word that the settings do not name: never changed, never counted.
    Other,
}

/// One row of the application's payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PaymentRow {
    /// The primary key, as text.
    pub(crate) id: String,
    pub(crate) status: PaymentStatus,
    /// The application's word for the status.
    pub(crate) status_word: String,
    /// Without the gratuity.
    pub(crate) amount: Field<Money>,
    pub(crate) gratuity: Field<Money>,
    /// How much of the payment was refunded.
    pub(crate) refunded: Field<Money>,
    pub(crate) ids: PaymentIds,
    /// The text in a column for ids that is the id of another object of Stripe's, such as a balance transaction.
    pub(crate) other_object: Option<String>,
    /// The row's date, in seconds since 1970, if there is such a column.
    pub(crate) paid_at: Option<i64>,
    /// The columns for values of Stripe's objects that are empty, by the path of the value. Of a row that was received,
    /// only those of values that Stripe may know later.
    pub(crate) unfilled: BTreeMap<String, Empty>,
}

/// What an empty column contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    Null,
    Zero,
}

impl PaymentStatus {
    /// Returns whether money was received, even if it was refunded or withdrawn later.
    pub(crate) fn was_received(self) -> bool {
        matches!(
            self,
            Self::Paid | Self::Refunded | Self::PartlyRefunded | Self::Disputed
        )
    }

    /// Returns whether the row becomes paid once Stripe has received the money.
    pub(crate) fn may_still_come(self) -> bool {
        matches!(self, Self::Pending | Self::Failed)
    }
}

impl PaymentRow {
    /// Returns the amount, or 0 if it cannot be read (which is reported as an issue of its own).
    pub(crate) fn amount_minor(&self) -> i64 {
        self.amount.value().map_or(0, |money| money.minor)
    }

    /// Returns the amount with the gratuity: what the row says that Stripe received.
    pub(crate) fn whole_minor(&self) -> i64 {
        let gratuity = self.gratuity.value().map_or(0, |money| money.minor.max(0));
        self.amount_minor().saturating_add(gratuity)
    }

    /// Returns the refunded amount that the row states; never below 0.
    pub(crate) fn refunded_minor(&self) -> i64 {
        self.refunded.value().map_or(0, |money| money.minor.max(0))
    }

    /// Returns whether the row's money was received, even if it was refunded or withdrawn later.
    pub(crate) fn was_received(&self) -> bool {
        self.status.was_received()
    }
}
