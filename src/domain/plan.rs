//! The plan: which changes are made for one invoice, which issues are raised, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::PaymentIds;
use super::invoice::InvoiceStatus;
use super::issue::{Issue, IssueKind};
use super::money::Money;
use super::payment::PaymentStatus;
use super::recheck::Recheck;
use super::rules::Memory;

/// The result of [`reconcile`](super::reconcile::reconcile).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) payments: Vec<PaymentChange>,
    pub(crate) invoice: Option<InvoiceChange>,
    pub(crate) issues: Vec<Issue>,
    /// Kinds that this pass could not decide: open issues of these kinds stay open.
    pub(crate) undecided: BTreeSet<IssueKind>,
    /// Kinds of failed writes for which the absence of a planned change proves nothing.
    pub(crate) unjudged: BTreeSet<IssueKind>,
    /// Stripe ids for which this pass had evidence. Open issues about other objects stay open.
    pub(crate) judged: BTreeSet<String>,
    /// The ids among them whose payment has an unknown status.
    pub(crate) unclear: BTreeSet<String>,
    /// Ids of payments that the invoice no longer refers to. They were looked up because issues of the invoice name
    /// them; each is then decided about by itself.
    pub(crate) disowned: BTreeSet<String>,
    /// Ids of payments whose money the current rows say was received.
    pub(crate) booked: BTreeSet<String>,
    /// Whether each id that the invoice stores is that of a row whose money was received, and no row waits for
    /// anything: Stripe need not be asked as long as the rows stay.
    pub(crate) stored_ids_are_booked: bool,
    /// The ids of rows that this pass tied to payments, by the rows' keys, if payments have no column for ids, or it has those
    /// of balance transactions.
    pub(crate) row_ids: BTreeMap<String, PaymentIds>,
    /// Payments whose rows lack values that Stripe does not know yet.
    pub(crate) awaited: BTreeSet<String>,
    /// Payments of which the invoice's row has only a part: other invoices may have the rest.
    pub(crate) in_part: Vec<PaymentIds>,
    /// What was decided but is not written.
    pub(crate) unwritten: Unwritten,
    /// The sum of the payments after the plan; `None` if the invoice's currency is not valid.
    pub(crate) secured: Option<Money>,
    /// Received payments that no row stands for, whether or not the plan inserts one.
    pub(crate) without_row: Vec<PaymentIds>,
    /// What this pass learned about the invoice's payments, to be stored.
    pub(crate) learned: Memory,
    pub(crate) recheck: Recheck,
    /// The invoice's status word, if money is recorded for it and its meaning is not known.
    pub(crate) unknown_word: Option<String>,
    /// Why received money could not be decided with the evidence at hand; Stripe must be asked again.
    pub(crate) unread: Option<String>,
    /// Why something was not done, for people.
    pub(crate) reasons: Vec<String>,
}

impl Plan {
    /// Returns whether the plan leaves the application's tables unchanged.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.payments.is_empty() && self.invoice.is_none()
    }

    /// Adds payments that were written before with values that Stripe does not know yet.
    pub(crate) fn await_also(&mut self, awaited: BTreeSet<String>) {
        if !awaited.is_empty() {
            self.awaited.extend(awaited);
            self.recheck = self.recheck.sooner(Recheck::BackingOff);
        }
    }

    /// Records that the plan's changes are not written.
    pub(crate) fn note_unwritten(&mut self) {
        self.unwritten.invoice |= self.invoice.is_some();
        let payments = self.payments.iter().flat_map(|change| change.ids().each());
        self.unwritten.payments.extend(payments.map(str::to_owned));
    }
}

/// The changes of a plan that is not applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unwritten {
    /// All ids of its payments.
    pub(crate) payments: BTreeSet<String>,
    pub(crate) invoice: bool,
}

/// A change to the application's payments. Rows are never deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PaymentChange {
    Insert(NewPayment),
    Update(PaymentUpdate),
}

impl PaymentChange {
    /// Returns the ids of the Stripe payment that it is about.
    pub(crate) fn ids(&self) -> &PaymentIds {
        match self {
            Self::Insert(new) => &new.ids,
            Self::Update(update) => &update.ids,
        }
    }
}

/// A payment that Stripe received and that has no row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewPayment {
    pub(crate) ids: PaymentIds,
    pub(crate) status: PaymentStatus,
    /// Without the gratuity.
    pub(crate) amount: Money,
    pub(crate) gratuity: Money,
    pub(crate) refunded: Money,
    /// Seconds since 1970.
    pub(crate) received_at: Option<i64>,
    /// Values for further columns, by path.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) request_id: Option<String>,
}

/// A change to an existing row; `None` leaves a column unchanged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PaymentUpdate {
    /// The row's primary key, as text.
    pub(crate) row: String,
    /// The Stripe payment that is the reason.
    pub(crate) ids: PaymentIds,
    pub(crate) status: Option<PaymentStatus>,
    pub(crate) amount: Option<Money>,
    pub(crate) gratuity: Option<Money>,
    pub(crate) refunded: Option<Money>,
    /// Ids that the row does not have; each is written only into an empty column.
    pub(crate) missing_ids: PaymentIds,
    /// Values for further columns that the row leaves empty, by path.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(crate) received_at: Option<i64>,
    pub(crate) request_id: Option<String>,
}

impl PaymentUpdate {
    /// Returns whether nothing but empty further columns would be written.
    pub(crate) fn only_fills(&self) -> bool {
        let without = Self {
            attributes: BTreeMap::new(),
            ..self.clone()
        };
        !without.changes_anything()
    }

    /// Returns whether anything would be written.
    pub(crate) fn changes_anything(&self) -> bool {
        self.status.is_some()
            || self.amount.is_some()
            || self.gratuity.is_some()
            || self.refunded.is_some()
            || !self.attributes.is_empty()
    }
}

/// A change to the invoice; `None` leaves a column unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InvoiceChange {
    pub(crate) status: Option<InvoiceStatus>,
    pub(crate) amount_paid: Option<Money>,
    pub(crate) balance: Option<Money>,
    /// Seconds since 1970.
    pub(crate) paid_at: Option<i64>,
}

impl InvoiceChange {
    /// Returns `None` if nothing would be written.
    pub(crate) fn or_nothing(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
