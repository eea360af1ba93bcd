//! The settings that a decision depends on, and what is remembered of payments.

use std::collections::BTreeMap;

use super::evidence::{Dispute, StripePayment};
use super::identity::PaymentIds;
use super::invoice::InvoiceStatus;
use super::money::AmountUnit;
use super::payment::PaymentStatus;

/// The settings that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The mode of the key in use; `None` if it is unknown.
    pub(crate) livemode: Option<bool>,
    pub(crate) invoice_words: InvoiceWords,
    pub(crate) payment_words: PaymentWords,
    pub(crate) gratuity_unit: AmountUnit,
}

/// The application's words for an invoice's status.
#[derive(Clone, Debug)]
pub(crate) struct InvoiceWords {
    pub(crate) paid: String,
    /// `None` if the application has no word for it; the status then stays unchanged.
    pub(crate) partial: Option<String>,
    pub(crate) closed: Vec<String>,
}

impl InvoiceWords {
    /// Returns the meaning of a word; a word that is not listed means open.
    pub(crate) fn class(&self, word: &str) -> InvoiceStatus {
        if word == self.paid {
            InvoiceStatus::Paid
        } else if self.partial.as_deref() == Some(word) {
            InvoiceStatus::Partial
        } else if self.closed.iter().any(|closed| closed == word) {
            InvoiceStatus::Closed
        } else {
            InvoiceStatus::Open
        }
    }
}

/// The application's words for a payment's status.
#[derive(Clone, Debug)]
pub(crate) struct PaymentWords {
    pub(crate) paid: String,
    pub(crate) pending: Vec<String>,
    pub(crate) refunded: Option<String>,
    pub(crate) disputed: Option<String>,
}

impl PaymentWords {
    pub(crate) fn class(&self, word: &str) -> PaymentStatus {
        if word == self.paid {
            PaymentStatus::Paid
        } else if self.refunded.as_deref() == Some(word) {
            PaymentStatus::Refunded
        } else if self.disputed.as_deref() == Some(word) {
            PaymentStatus::Disputed
        } else if self.pending.iter().any(|pending| pending == word) {
            PaymentStatus::Pending
        } else {
            PaymentStatus::Other
        }
    }

    /// Returns the word for a status; `None` if the application has none.
    pub(crate) fn word(&self, status: PaymentStatus) -> Option<&str> {
        match status {
            PaymentStatus::Paid => Some(&self.paid),
            PaymentStatus::Refunded => self.refunded.as_deref(),
            PaymentStatus::Disputed => self.disputed.as_deref(),
            PaymentStatus::Pending | PaymentStatus::Other => None,
        }
    }
}

/// What earlier runs learned about Stripe payments, by each of their ids. With it, a decision from the tables alone
/// does not forget a refund for which they have no column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory(pub(crate) BTreeMap<String, Remembered>);

impl Memory {
    /// Returns what is known about a payment.
    pub(crate) fn of(&self, ids: &PaymentIds) -> Option<&Remembered> {
        [&ids.intent, &ids.session, &ids.charge]
            .into_iter()
            .flatten()
            .find_map(|id| self.0.get(id))
    }

    /// Returns whether an answer is older than what is known about its payment. Such an answer must not be used. An
    /// answer that was requested before the known one was applied may be the older of the two, so it must not lower
    /// a refund or a dispute.
    pub(crate) fn outdates(&self, payment: &StripePayment) -> bool {
        self.of(&payment.ids).is_some_and(|known| {
            known.as_of > payment.as_of
                || known.seen_at > payment.as_of && known.is_taken_back_by(payment)
        })
    }

    /// Stores an entry unless a newer one is known.
    pub(crate) fn keep_latest(&mut self, id: String, remembered: Remembered) {
        let known = self.0.get(&id);
        if known.is_none_or(|known| known.as_of <= remembered.as_of) {
            self.0.insert(id, remembered);
        }
    }

    /// Marks an entry as learned for this invoice. Keeps the refunded amount learned for it if that is more than what
    /// was learned for another invoice since: its row may still state that amount, and it can only be lowered if the
    /// stored amount is known.
    pub(crate) fn keep_own(&mut self, id: &str, own: &Remembered) {
        let Some(known) = self.0.get_mut(id) else {
            return;
        };
        known.is_own = true;
        if own.refunded > known.refunded {
            (known.received, known.refunded) = (own.received, own.refunded);
        }
    }
}

/// Payments that other invoices have booked, by the key of the payment.
#[derive(Clone, Debug, Default)]
pub(crate) struct OtherInvoices(pub(crate) BTreeMap<String, OtherBooks>);

/// What another invoice has booked of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherBooks {
    /// The number that people know the invoice by.
    pub(crate) invoice: String,
    /// Whether a row says that the money was received; otherwise a row is pending, or has a word that the settings
    /// do not name.
    pub(crate) was_received: bool,
}

impl OtherInvoices {
    /// Returns the other invoice that has this payment.
    pub(crate) fn of(&self, ids: &PaymentIds) -> Option<&OtherBooks> {
        ids.lookup().find_map(|id| self.0.get(id))
    }

    /// Adds an entry; if several invoices have the payment, one that received the money counts.
    pub(crate) fn note(&mut self, key: &str, books: OtherBooks) {
        let order = |books: &OtherBooks| (!books.was_received, books.invoice.clone());
        let known = self.0.get(key);
        if known.is_none_or(|known| order(&books) < order(known)) {
            self.0.insert(key.to_owned(), books);
        }
    }
}

/// What is known about one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// When the answer was requested, in microseconds since 1970.
    pub(crate) as_of: i64,
    /// When it was acted on, in microseconds since 1970: it may say all that happened before that.
    pub(crate) seen_at: i64,
    /// In Stripe's smallest unit.
    pub(crate) received: i64,
    /// In Stripe's smallest unit. It may be more than the latest answer says: a row of the invoice still states it, and
    /// can only be lowered if that is known.
    pub(crate) refunded: i64,
    /// The refunded amount according to the latest answer.
    pub(crate) refunded_latest: i64,
    pub(crate) dispute: Option<Dispute>,
    /// Whether it was learned for this invoice, and not only for another one.
    pub(crate) is_own: bool,
}

impl Remembered {
    /// Returns whether an answer states a lower refunded amount or a lesser dispute.
    fn is_taken_back_by(&self, payment: &StripePayment) -> bool {
        payment.tells_returns
            && (payment.refunded < self.refunded_latest || payment.dispute < self.dispute)
    }
}
