//! The settings that a decision depends on, and what is remembered of payments.

use std::collections::BTreeMap;

use super::evidence::{Dispute, StripePayment};
use super::identity::PaymentIds;
use super::invoice::InvoiceStatus;
use super::money::{AmountUnit, Currency};
use super::payment::PaymentStatus;
use super::words::is_among;
use super::words::payment::{FAILED, IN_PART, PARTLY_REFUNDED, PENDING};

/// The settings that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The mode of the key in use; `None` if it is unknown.
    pub(crate) livemode: Option<bool>,
    pub(crate) invoice_words: InvoiceWords,
    pub(crate) payment_words: PaymentWords,
    pub(crate) gratuity_unit: AmountUnit,
}

/// The meaning of a status word, and what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning<S> {
    pub(crate) status: S,
    /// The meaning, for people.
    pub(crate) name: &'static str,
    /// The setting that contains the word; `None` if no setting does.
    pub(crate) setting: Option<&'static str>,
}

impl<S> Meaning<S> {
    fn by_setting(status: S, name: &'static str, setting: &'static str) -> Self {
        Self {
            status,
            name,
            setting: Some(setting),
        }
    }

    fn usual(status: S, name: &'static str) -> Self {
        Self {
            status,
            name,
            setting: None,
        }
    }
}

/// The application's words for an invoice's status.
#[derive(Clone, Debug)]
pub(crate) struct InvoiceWords {
    pub(crate) paid: String,
    /// `None` if the application has no word for it; the status then stays unchanged.
    pub(crate) partial: Option<String>,
    pub(crate) closed: Vec<String>,
    pub(crate) open: Vec<String>,
    pub(crate) refunded: Vec<String>,
    pub(crate) after_paid: Vec<String>,
}

impl InvoiceWords {
    /// Returns the status that a word means.
    pub(crate) fn class(&self, word: &str) -> InvoiceStatus {
        self.meaning(word).status
    }

    /// Returns the meaning of a word: the one that the settings give it, or else its usual one.
    pub(crate) fn meaning(&self, word: &str) -> Meaning<InvoiceStatus> {
        self.named(word).unwrap_or_else(|| usual_meaning(word))
    }

    /// Returns the meaning that the settings give a word.
    fn named(&self, word: &str) -> Option<Meaning<InvoiceStatus>> {
        let is_in = |words: &[String]| words.iter().any(|named| named == word);
        let (status, name, setting) = if word == self.paid {
            (InvoiceStatus::Paid, "paid", "invoice_paid_word")
        } else if self.partial.as_deref() == Some(word) {
            (
                InvoiceStatus::Partial,
                "partly paid",
                "invoice_partial_word",
            )
        } else if is_in(&self.closed) {
            (InvoiceStatus::Closed, "closed", "invoice_closed_words")
        } else if is_in(&self.refunded) {
            (InvoiceStatus::Closed, "refunded", "invoice_refunded_words")
        } else if is_in(&self.after_paid) {
            (
                InvoiceStatus::AfterPaid,
                "after paid",
                "invoice_after_paid_words",
            )
        } else if is_in(&self.open) {
            (InvoiceStatus::Open, "open", "invoice_open_words")
        } else {
            return None;
        };
        Some(Meaning::by_setting(status, name, setting))
    }

    /// Returns all words that the settings name.
    pub(crate) fn all(&self) -> Vec<String> {
        let single = [Some(&self.paid), self.partial.as_ref()];
        let lists = [&self.closed, &self.open, &self.refunded, &self.after_paid];
        let listed = lists.into_iter().flatten();
        single
            .into_iter()
            .flatten()
            .chain(listed)
            .cloned()
            .collect()
    }
}

/// Returns the usual meaning of a word that the settings do not name.
fn usual_meaning(word: &str) -> Meaning<InvoiceStatus> {
    use super::words::invoice::{AFTER_PAID, CLOSED, OPEN, PAID, PARTIAL, REFUNDED};
    if is_among(OPEN, word) {
        Meaning::usual(InvoiceStatus::Open, "open")
    } else if is_among(PARTIAL, word) {
        Meaning::usual(InvoiceStatus::Partial, "partly paid")
    } else if is_among(CLOSED, word) {
        Meaning::usual(InvoiceStatus::Closed, "closed")
    } else if is_among(REFUNDED, word) {
        Meaning::usual(InvoiceStatus::Closed, "refunded")
    } else if is_among(AFTER_PAID, word) || is_among(PAID, word) {
        Meaning::usual(InvoiceStatus::AfterPaid, "after paid")
    } else {
        Meaning::usual(InvoiceStatus::Unknown, "unknown")
    }
}

/// The application's words for a payment's status.
#[derive(Clone, Debug)]
pub(crate) struct PaymentWords {
    pub(crate) paid: String,
    pub(crate) pending: Vec<String>,
    pub(crate) failed: Vec<String>,
    pub(crate) refunded: Option<String>,
    pub(crate) partly_refunded: Vec<String>,
    pub(crate) disputed: Option<String>,
}

impl PaymentWords {
    /// Returns the status that a word means.
    pub(crate) fn class(&self, word: &str) -> PaymentStatus {
        self.meaning(word).status
    }

    /// Returns the meaning of a word: the one that the settings give it, or else its usual one.
    pub(crate) fn meaning(&self, word: &str) -> Meaning<PaymentStatus> {
        use PaymentStatus::{Disputed, Failed, Other, Paid, PartlyRefunded, Pending, Refunded};
        let is_in = |words: &[String]| words.iter().any(|named| named == word);
        if word == self.paid {
            Meaning::by_setting(Paid, "paid", "payment_paid_word")
        } else if self.refunded.as_deref() == Some(word) {
            Meaning::by_setting(Refunded, "refunded", "payment_refunded_word")
        } else if self.disputed.as_deref() == Some(word) {
            Meaning::by_setting(Disputed, "disputed", "payment_disputed_word")
        } else if is_in(&self.pending) {
            Meaning::by_setting(Pending, "pending", "payment_pending_words")
        } else if is_in(&self.partly_refunded) {
            let setting = "payment_partly_refunded_words";
            Meaning::by_setting(PartlyRefunded, "partly refunded", setting)
        } else if is_in(&self.failed) {
            Meaning::by_setting(Failed, "failed", "payment_failed_words")
        } else if is_among(PARTLY_REFUNDED, word) {
            Meaning::usual(PartlyRefunded, "partly refunded")
        } else if is_among(self.in_part(), word) {
            Meaning::usual(Paid, "paid in part")
        } else if is_among(FAILED, word) {
            Meaning::usual(Failed, "failed")
        } else if is_among(PENDING, word) {
            Meaning::usual(Pending, "pending")
        } else {
            Meaning::usual(Other, "unknown")
        }
    }

    /// Returns the usual words for a payment that was received and did not settle its invoice: none if there are words for
    /// payments that wait, because then such a word does not say that the row's whole amount was received.
    pub(crate) fn in_part(&self) -> &'static [&'static str] {
        if self.pending.is_empty() {
            IN_PART
        } else {
            &[]
        }
    }

    /// Returns the word for a status; `None` if the application has none.
    pub(crate) fn word(&self, status: PaymentStatus) -> Option<&str> {
        match status {
            PaymentStatus::Paid => Some(&self.paid),
            PaymentStatus::Refunded => self.refunded.as_deref(),
            PaymentStatus::Disputed => self.disputed.as_deref(),
            PaymentStatus::Pending
            | PaymentStatus::Failed
            | PaymentStatus::PartlyRefunded
            | PaymentStatus::Other => None,
        }
    }

    /// Returns all words that the settings name.
    pub(crate) fn all(&self) -> Vec<String> {
        let single = [
            Some(&self.paid),
            self.refunded.as_ref(),
            self.disputed.as_ref(),
        ];
        let lists = [&self.pending, &self.failed, &self.partly_refunded];
        let listed = lists.into_iter().flatten();
        single
            .into_iter()
            .flatten()
            .chain(listed)
            .cloned()
            .collect()
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

    /// Returns whether a payment with this id is known.
    pub(crate) fn has_seen(&self, id: &str) -> bool {
        self.0.contains_key(id) || self.0.values().any(|known| known.ids.contains(id))
    }

    /// Returns whether money of a payment with this id is known.
    pub(crate) fn has_received(&self, id: &str) -> bool {
        let mut received = self.0.iter().filter(|(_, known)| known.received > 0);
        received.any(|(key, known)| key == id || known.ids.contains(id))
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
        known.own_seen_at = known.own_seen_at.max(own.seen_at);
        if own.refunded > known.refunded {
            (known.received, known.refunded) = (own.received, own.refunded);
        }
    }
}

/// Payments that other invoices have booked, by the key of the payment.
#[derive(Clone, Debug, Default)]
pub(crate) struct OtherInvoices(pub(crate) BTreeMap<String, OtherBooks>);

/// What other invoices have booked of one payment, by their numbers and ids; apart from these, the rows that do not
/// count, of any invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherBooks {
    parts: BTreeMap<(String, String), OtherPart>,
    uncounted: BTreeMap<String, OtherPart>,
}

/// What one other invoice has booked of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherPart {
    /// The number that people know the invoice by.
    pub(crate) invoice: String,
    /// The invoice's primary key, as text.
    pub(crate) id: String,
    /// The primary key of the row, as text, if it does not count by the settings.
    pub(crate) uncounted_row: Option<String>,
    /// Whether a row says that the money was received; otherwise a row is pending, or has a word that the settings
    /// do not name.
    pub(crate) was_received: bool,
    /// What the row says, with the gratuity, in Stripe's smallest unit; 0 if it is neither received nor pending.
    pub(crate) whole: i64,
}

impl OtherBooks {
    /// Returns whether rows that count have the payment.
    fn have_it(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Returns a row that does not count and may say that the money was received.
    pub(crate) fn uncounted(&self) -> Option<&OtherPart> {
        self.uncounted.values().next()
    }

    /// Returns the number of an invoice that has the payment: of one that received the money, if there is one.
    pub(crate) fn invoice(&self) -> &str {
        let first = self.parts.values().min_by_key(|part| !part.was_received);
        first.map_or("", |part| &part.invoice)
    }

    /// Returns the numbers of all invoices that have the payment.
    pub(crate) fn invoices(&self) -> Vec<&str> {
        let parts = self.parts.values();
        parts.map(|part| part.invoice.as_str()).collect()
    }

    /// Returns whether an invoice says that the money was received.
    pub(crate) fn was_received(&self) -> bool {
        self.parts.values().any(|part| part.was_received)
    }

    /// Returns what the invoices have of the payment together, in Stripe's smallest unit.
    pub(crate) fn whole(&self) -> i64 {
        let parts = self.parts.values().map(|part| part.whole);
        parts.fold(0, i64::saturating_add)
    }
}

impl OtherInvoices {
    /// Returns what other invoices have of this payment.
    pub(crate) fn of(&self, ids: &PaymentIds) -> Option<&OtherBooks> {
        let mut known = ids.lookup().filter_map(|id| self.0.get(id));
        known.find(|books| books.have_it())
    }

    /// Returns a row of any invoice that has this payment and does not count.
    pub(crate) fn uncounted(&self, ids: &PaymentIds) -> Option<&OtherPart> {
        let mut known = ids.lookup().filter_map(|id| self.0.get(id));
        known.find_map(OtherBooks::uncounted)
    }

    /// Has them booked again, whatever rows that do not count say.
    pub(crate) fn forget_uncounted(&mut self) {
        self.0
            .values_mut()
            .for_each(|books| books.uncounted.clear());
    }

    /// Adds a row of another invoice. Several rows of one invoice count once: the largest that was received.
    pub(crate) fn note(&mut self, key: &str, part: OtherPart) {
        let books = self.0.entry(key.to_owned()).or_default();
        if let Some(row) = &part.uncounted_row {
            books.uncounted.insert(row.clone(), part);
            return;
        }
        let place = (part.invoice.clone(), part.id.clone());
        let known = books.parts.get(&place);
        if known.is_none_or(|it| (it.was_received, it.whole) < (part.was_received, part.whole)) {
            books.parts.insert(place, part);
        }
    }
}

/// What is known about one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// All ids of the payment.
    pub(crate) ids: PaymentIds,
    /// When the answer was requested, in microseconds since 1970.
    pub(crate) as_of: i64,
    /// When it was acted on, in microseconds since 1970: it may say all that happened before that.
    pub(crate) seen_at: i64,
    /// When an answer was last acted on for this invoice, in microseconds since 1970; 0 if none was.
    pub(crate) own_seen_at: i64,
    /// That of the amounts, if it is known.
    pub(crate) currency: Option<Currency>,
    /// In Stripe's smallest unit; 0 if a row says that it was received, and Stripe that it was not.
    pub(crate) received: i64,
    /// In Stripe's smallest unit. It may be more than the latest answer says: a row of the invoice still states it, and
    /// can only be lowered if that is known.
    pub(crate) refunded: i64,
    /// The refunded amount according to the latest answer.
    pub(crate) refunded_latest: i64,
    pub(crate) dispute: Option<Dispute>,
    /// How much its disputes withhold, in Stripe's smallest unit.
    pub(crate) withheld: i64,
    /// Whether it was learned for this invoice, and not only for another one.
    pub(crate) is_own: bool,
}

impl Remembered {
    /// Returns whether an answer states a lower refunded amount or a lesser dispute.
    fn is_taken_back_by(&self, payment: &StripePayment) -> bool {
        payment.tells_returns
            && (payment.refunded < self.refunded_latest
                || payment.dispute < self.dispute
                || payment.withheld < self.withheld)
    }
}
