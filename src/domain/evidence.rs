//! Evidence: what Stripe's answer says of one object that was asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::qualified;
use super::identity::{PaymentIds, StripeId};
use super::money::{Currency, Money};
use super::reductions::Reductions;

/// Stripe's answer about one stored id.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "most findings are payments; a box would be opened at once"
)]
pub(crate) enum Evidence {
    Payment(StripePayment),
    /// Stripe has no such object (404 `resource_missing`).
    Missing {
        id: StripeId,
        message: String,
    },
    /// The object belongs to the other mode, according to its prefix or to Stripe.
    OtherMode {
        id: StripeId,
        message: String,
    },
    /// The application stores a text that is not a Stripe id; Stripe was not asked.
    NotAnId {
        text: String,
    },
}

impl Evidence {
    /// Returns all ids of the payment; none if the evidence is not a payment.
    pub(crate) fn payment_ids(&self) -> impl Iterator<Item = &str> {
        let ids = match self {
            Self::Payment(payment) => Some(&payment.ids),
            Self::Missing { .. } | Self::OtherMode { .. } | Self::NotAnId { .. } => None,
        };
        ids.into_iter().flat_map(PaymentIds::each)
    }
}

/// A checkout session, its payment intent and the latest charge, combined; or a Stripe Invoice that none paid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StripePayment {
    pub(crate) ids: PaymentIds,
    /// The ids of what it replaced: the session that expired before this one was made from it, the Stripe Invoice of which
    /// its own is a revision, the charge that was declined. Nothing came by them. And the payment link that the session
    /// was made from.
    #[serde(default)]
    pub(crate) former_ids: Vec<String>,
    pub(crate) state: PaymentState,
    /// When the answer was requested, before the request was sent, in microseconds since 1970 by the server's clock.
    /// The answer may not contain anything that happened later.
    pub(crate) as_of: i64,
    /// Whether the answer contains refunds and disputes. An answer without the charge does not, and then earlier
    /// knowledge of them remains valid.
    pub(crate) tells_returns: bool,
    /// In Stripe's smallest unit; includes pending refunds.
    pub(crate) refunded: i64,
    /// The most severe of its disputes.
    pub(crate) dispute: Option<Dispute>,
    /// How much its disputes withhold together, in Stripe's smallest unit; may be more than was received.
    pub(crate) withheld: i64,
    pub(crate) session_side: SessionSide,
    pub(crate) livemode: Option<bool>,
    /// The gratuity as in the metadata, not yet checked.
    pub(crate) gratuity: Gratuity,
    /// The invoices that the metadata of session or intent names.
    pub(crate) invoice_references: Vec<String>,
    /// Whether only a subscription names the invoice, and this is not its first payment: the name may be that of the
    /// first invoice only.
    #[serde(default)]
    pub(crate) is_renewal_of_named: bool,
    /// Whether Stripe was asked about the Stripe Invoice that it paid.
    #[serde(default)]
    pub(crate) invoice_was_read: bool,
    /// When the money was received, in seconds since 1970.
    pub(crate) received_at: Option<i64>,
    /// The id of the balance transaction by which it was added to Stripe's balance.
    #[serde(default)]
    pub(crate) balance_transaction: Option<String>,
    /// What Stripe paid out of it, less its fee, in the smallest unit of the payment's currency; `None` if it is not
    /// known.
    pub(crate) net: Option<i64>,
    /// Why less was asked for than the price.
    pub(crate) reductions: Reductions,
    /// Values for columns of the application's payment row, by path (`payment_intent.description`,
    /// `metadata.project`).
    pub(crate) attributes: BTreeMap<String, String>,
    /// Whether `attributes` lack values that Stripe knows only once the money is settled.
    #[serde(default)]
    pub(crate) is_unsettled: bool,
    /// The `Request-Id` of Stripe's answer.
    pub(crate) request_id: Option<String>,
}

/// Whether the checkout session of a payment was read. Stripe does not copy a session's metadata to its intent, so
/// without the session the invoice, the gratuity and the client reference of an intent are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SessionSide {
    /// There may be a session, and it has not been read.
    Unread,
    /// The session was read, or there is none.
    Read,
}

/// Whether money was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PaymentState {
    /// `amount_received` of a succeeded intent, or the total of a session that was paid without an intent.
    Received(Money),
    /// May still be paid; contains the status.
    Waiting(String),
    /// Will never be paid (expired, canceled); contains the status.
    Never(String),
    /// Nothing had to be paid (`no_payment_required`, setup mode, amount 0).
    NothingDue,
    /// A status value that this version does not know.
    Unknown { field: String, value: String },
}

impl PaymentState {
    /// The status of a session that was completed with a payment that takes days, such as a bank debit.
    pub(crate) const IN_FLIGHT: &str = "complete, payment in flight";

    /// The status of an intent whose customer has the instructions to pay: a voucher, or an account to transfer to.
    pub(crate) const INSTRUCTED: &str = "requires_action, instructions to pay given";

    /// Returns the currency of the money received.
    pub(crate) fn currency(&self) -> Option<Currency> {
        match self {
            Self::Received(money) => Some(money.currency),
            _ => None,
        }
    }

    /// Ranks two answers about one payment: received money first, then what a person must check, then what may still
    /// be paid.
    fn rank(&self) -> u8 {
        match self {
            Self::Received(_) => 4,
            Self::Unknown { .. } => 3,
            Self::Waiting(_) => 2,
            Self::NothingDue => 1,
            Self::Never(_) => 0,
        }
    }

    /// A total order, so that merging does not depend on the order of the answers.
    fn order(&self) -> (u8, i64, String) {
        let amount = match self {
            Self::Received(money) => money.minor,
            _ => 0,
        };
        (self.rank(), amount, format!("{self:?}"))
    }
}

/// The gratuity according to metadata or a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Gratuity {
    None,
    /// The metadata's text.
    Text(String),
    /// A tip known to Stripe itself (a terminal's), in its smallest unit; metadata takes precedence.
    Tip(i64),
    /// Session and intent contradict each other.
    Contradictory(String, String),
}

impl Gratuity {
    /// Merges two sources; the result does not depend on their order.
    pub(crate) fn merge(self, other: Self) -> Self {
        let tips = [self.tip(), other.tip()];
        let mut texts: Vec<String> = self.texts().chain(other.texts()).collect();
        texts.sort();
        match (texts.pop(), texts.into_iter().next()) {
            (None, _) => tips
                .into_iter()
                .flatten()
                .max()
                .map_or(Self::None, Self::Tip),
            (Some(last), Some(first)) if first != last => Self::Contradictory(first, last),
            (Some(text), _) => Self::Text(text),
        }
    }

    fn tip(&self) -> Option<i64> {
        match self {
            Self::Tip(minor) => Some(*minor),
            _ => None,
        }
    }

    fn texts(self) -> impl Iterator<Item = String> {
        let (first, second) = match self {
            Self::None | Self::Tip(_) => (None, None),
            Self::Text(text) => (Some(text), None),
            Self::Contradictory(a, b) => (Some(a), Some(b)),
        };
        first.into_iter().chain(second)
    }
}

/// The status of a dispute. Source: <https://docs.stripe.com/api/disputes/object#dispute_object-status>.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Dispute {
    /// Won, a closed inquiry, or prevented without a withdrawal: the money stays.
    Settled,
    /// An inquiry (`warning_…`): no money has been withdrawn.
    Inquiry(String),
    /// A status that this version does not know.
    Unknown(String),
    /// The money is withdrawn until the bank decides.
    Open(String),
    Lost,
}

impl Dispute {
    pub(crate) fn from_status(status: &str) -> Self {
        match status {
            "won" | "prevented" | "warning_closed" => Self::Settled,
            "warning_needs_response" | "warning_under_review" => Self::Inquiry(status.to_owned()),
            "needs_response" | "under_review" => Self::Open(status.to_owned()),
            "lost" => Self::Lost,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// The inverse of [`Dispute::from_status`], except that all settled statuses become `won`.
    pub(crate) fn as_status(&self) -> &str {
        match self {
            Self::Settled => "won",
            Self::Lost => "lost",
            Self::Inquiry(status) | Self::Open(status) | Self::Unknown(status) => status,
        }
    }

    /// Returns whether the money is withdrawn, temporarily or for good. An unknown status counts as withdrawn, so
    /// that no money is credited by a guess.
    pub(crate) fn withholds_money(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Lost | Self::Unknown(_))
    }
}

/// The disputes of one payment together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disputes {
    pub(crate) most_severe: Option<Dispute>,
    /// In Stripe's smallest unit.
    pub(crate) withheld: i64,
}

impl Disputes {
    /// Adds a dispute over this amount.
    pub(crate) fn add(&mut self, dispute: Dispute, amount: i64) {
        if dispute.withholds_money() {
            self.withheld = self.withheld.saturating_add(amount.max(0));
        }
        self.most_severe = self.most_severe.take().max(Some(dispute));
    }
}

/// Returns whether the value at this path is one that Stripe may know only once the money is settled.
pub(crate) fn is_late(path: &str) -> bool {
    path.starts_with("balance_transaction.")
}

impl StripePayment {
    /// Sets what is known of its disputes.
    pub(crate) fn with_disputes(mut self, disputes: Disputes) -> Self {
        self.dispute = disputes.most_severe;
        self.withheld = disputes.withheld;
        self
    }

    /// Returns the payment as one of this account: its ids are those of that account.
    pub(crate) fn of(mut self, account: Option<&str>) -> Self {
        self.ids = self.ids.of(account);
        for id in &mut self.former_ids {
            *id = qualified(account, id);
        }
        self
    }

    /// Returns whether money was received that cannot be assigned before the session is read.
    pub(crate) fn lacks_session(&self) -> bool {
        self.session_side == SessionSide::Unread && matches!(self.state, PaymentState::Received(_))
    }

    /// Returns whether no money came and none is on its way. A Stripe Invoice that is open does not say so: a payment of it
    /// may be in flight.
    pub(crate) fn denies_money(&self) -> bool {
        match &self.state {
            PaymentState::Never(_) => true,
            PaymentState::Waiting(status) => match status.as_str() {
                "open" => self.ids.session.is_some(),
                "requires_payment_method"
                | "requires_confirmation"
                | "requires_action"
                | "requires_capture" => true,
                _ => false,
            },
            PaymentState::Received(_) | PaymentState::NothingDue | PaymentState::Unknown { .. } => {
                false
            }
        }
    }

    /// Returns whether the money is on its way, and may yet not come.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(&self.state, PaymentState::Waiting(status)
            if matches!(status.as_str(),
                "processing" | "pending" | PaymentState::IN_FLIGHT | PaymentState::INSTRUCTED))
    }

    /// Returns whether a Stripe Invoice that was not read may say why less was paid. A session says it itself.
    pub(crate) fn lacks_invoice(&self) -> bool {
        self.ids.stripe_invoice.is_some() && self.ids.session.is_none() && !self.invoice_was_read
    }

    /// Adds what the session contains to the payment of an intent. The state stays that of the intent, which is more
    /// exact.
    pub(crate) fn with_session(mut self, session: Self) -> Self {
        self.ids.complete_from(&session.ids);
        self.former_ids.extend(session.former_ids);
        self.gratuity = self.gratuity.merge(session.gratuity);
        self.is_renewal_of_named &= session.invoice_references.is_empty();
        self.invoice_references.extend(session.invoice_references);
        self.invoice_references.sort();
        self.invoice_references.dedup();
        self.reductions = self.reductions.merge(session.reductions);
        for (path, value) in session.attributes {
            self.attributes.entry(path).or_insert(value);
        }
        self.session_side = SessionSide::Read;
        self
    }

    /// Adds what the Stripe Invoice says that it paid. What the payment itself or its session names goes first.
    pub(crate) fn with_stripe_invoice(mut self, invoice: Self) -> Self {
        self.ids.complete_from(&invoice.ids);
        self.former_ids.extend(invoice.former_ids);
        if self.invoice_references.is_empty() {
            self.invoice_references = invoice.invoice_references;
            self.is_renewal_of_named = invoice.is_renewal_of_named;
        }
        self.reductions = self.reductions.merge(invoice.reductions);
        self.invoice_was_read |= invoice.invoice_was_read;
        self
    }

    /// Normalizes a single answer in the same way as [`Self::merge`] does two.
    fn normalized(mut self) -> Self {
        self.gratuity = self.gratuity.merge(Gratuity::None);
        self.former_ids.sort();
        self.former_ids.dedup();
        self.invoice_references.sort();
        self.invoice_references.dedup();
        self
    }

    /// Merges two answers about one payment; the result does not depend on their order.
    fn merge(mut self, mut other: Self) -> Self {
        if other.state.order() > self.state.order() {
            std::mem::swap(&mut self, &mut other);
        }
        self.ids.complete_from(&other.ids);
        self.former_ids.extend(other.former_ids);
        self.former_ids.sort();
        self.former_ids.dedup();
        self.as_of = self.as_of.min(other.as_of);
        self.tells_returns |= other.tells_returns;
        self.refunded = self.refunded.max(other.refunded);
        self.dispute = self.dispute.max(other.dispute);
        self.withheld = self.withheld.max(other.withheld);
        self.session_side = self.session_side.max(other.session_side);
        self.livemode = self.livemode.max(other.livemode);
        self.gratuity = self.gratuity.merge(other.gratuity);
        self.is_renewal_of_named = match (
            self.invoice_references.is_empty(),
            other.invoice_references.is_empty(),
        ) {
            (true, _) => other.is_renewal_of_named,
            (_, true) => self.is_renewal_of_named,
            _ => self.is_renewal_of_named && other.is_renewal_of_named,
        };
        self.invoice_references.extend(other.invoice_references);
        self.invoice_references.sort();
        self.invoice_references.dedup();
        self.received_at = match (self.received_at, other.received_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.balance_transaction = self.balance_transaction.max(other.balance_transaction);
        self.net = self.net.max(other.net);
        self.reductions = self.reductions.merge(other.reductions);
        self.invoice_was_read |= other.invoice_was_read;
        self.is_unsettled &= other.is_unsettled;
        for (path, value) in other.attributes {
            self.attributes
                .entry(path)
                .and_modify(|own| {
                    if value < *own {
                        own.clone_from(&value);
                    }
                })
                .or_insert(value);
        }
        self.request_id = self.request_id.max(other.request_id);
        self
    }
}

/// Merges the answers about each payment. Order and content of the result do not depend on the order of the evidence.
pub(crate) fn merge_payments<'a>(
    evidence: impl IntoIterator<Item = &'a Evidence>,
) -> Vec<StripePayment> {
    let mut merged: Vec<StripePayment> = Vec::new();
    let mut payments: Vec<&StripePayment> = evidence
        .into_iter()
        .filter_map(|item| match item {
            Evidence::Payment(payment) => Some(payment),
            _ => None,
        })
        .collect();
    payments.sort_by(|a, b| {
        (a.ids.grouping_order(), a.state.order()).cmp(&(b.ids.grouping_order(), b.state.order()))
    });
    for payment in payments {
        match merged
            .iter()
            .position(|known| known.ids.same_payment(&payment.ids))
        {
            Some(at) => {
                let known = merged.swap_remove(at);
                merged.push(known.merge(payment.clone()));
            }
            None => merged.push(payment.clone().normalized()),
        }
    }
    merged.sort_by_key(|payment| (payment.received_at, payment.ids.key().map(str::to_owned)));
    merged
}
