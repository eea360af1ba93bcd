//! The plan: which changes are made for one invoice, which issues are raised, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::PaymentIds;
use super::invoice::InvoiceStatus;
use super::issue::{Issue, IssueKind};
use super::money::Money;
use super::payment::PaymentStatus;
use super::recheck::Recheck;
use super::rules::Memory;

/// The outcome of [`reconcile`](super::reconcile::reconcile).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) payments: Vec<PaymentChange>,
    pub(crate) invoice: Option<InvoiceChange>,
    pub(crate) issues: Vec<Issue>,
    /// Kinds that this pass could not judge: an open issue of such a kind stays.
    pub(crate) undecided: BTreeSet<IssueKind>,
    /// Kinds about writing of which the lack of a change says nothing.
    pub(crate) unjudged: BTreeSet<IssueKind>,
    /// Stripe ids that this pass had evidence for: open issues about other
    /// objects stay.
    pub(crate) judged: BTreeSet<String>,
    /// Of these, the ids of payments of which Stripe's answer was not understood.
    pub(crate) unclear: BTreeSet<String>,
    /// Ids of payments that this invoice has nothing to do with any more: they were asked
    /// about because issues of it name them. They are judged by themselves.
    pub(crate) disowned: BTreeSet<String>,
    /// Ids of payments whose money the rows say was received, as they stand.
    pub(crate) booked: BTreeSet<String>,
    /// What was decided and is not written after all.
    pub(crate) unwritten: Unwritten,
    /// What the payments come to once the plan is carried out; `None` where the
    /// invoice's currency is not understood.
    pub(crate) secured: Option<Money>,
    /// What this pass learned of the invoice's payments, over what is remembered.
    pub(crate) learned: Memory,
    pub(crate) recheck: Recheck,
    /// Why money that Stripe received could not be judged by what was read; it is to be
    /// asked about again.
    pub(crate) unread: Option<String>,
    /// Why something was not done, for people.
    pub(crate) reasons: Vec<String>,
}

impl Plan {
    /// Whether the host's tables stay as they are.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.payments.is_empty() && self.invoice.is_none()
    }

    /// Notes that its changes are not written.
    pub(crate) fn note_unwritten(&mut self) {
        self.unwritten.invoice |= self.invoice.is_some();
        let payments = self.payments.iter().flat_map(|change| change.ids().each());
        self.unwritten.payments.extend(payments.map(str::to_owned));
    }
}

/// What a plan would change, where it is not carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unwritten {
    /// The ids of its payments.
    pub(crate) payments: BTreeSet<String>,
    pub(crate) invoice: bool,
}

/// A change to the host's payments. Rows are never removed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PaymentChange {
    Insert(NewPayment),
    Update(PaymentUpdate),
}

impl PaymentChange {
    /// The Stripe payment that it is about.
    pub(crate) fn ids(&self) -> &PaymentIds {
        match self {
            Self::Insert(new) => &new.ids,
            Self::Update(update) => &update.ids,
        }
    }
}

/// A payment that Stripe has and the books lack.
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
    /// Values for further columns, by their path.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) request_id: Option<String>,
}

/// What changes in a row that is there; `None` stays as it is.
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
    /// Ids that the row lacks, each to be written where its column is empty.
    pub(crate) missing_ids: PaymentIds,
    /// Seconds since 1970.
    pub(crate) received_at: Option<i64>,
    pub(crate) request_id: Option<String>,
}

impl PaymentUpdate {
    /// Whether anything would be written.
    pub(crate) fn changes_anything(&self) -> bool {
        self.status.is_some()
            || self.amount.is_some()
            || self.gratuity.is_some()
            || self.refunded.is_some()
    }
}

/// What changes in the invoice; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InvoiceChange {
    pub(crate) status: Option<InvoiceStatus>,
    pub(crate) amount_paid: Option<Money>,
    pub(crate) balance: Option<Money>,
    /// Seconds since 1970.
    pub(crate) paid_at: Option<i64>,
}

impl InvoiceChange {
    /// Nothing to write is no change.
    pub(crate) fn or_nothing(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
