//! Issues: their kinds, severities and texts.

use serde_json::Value;

/// Each kind of thing that is never repaired by a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum IssueKind {
    PaidWithoutPayment,
    AmountMismatch,
    CurrencyMismatch,
    Overpaid,
    DuplicatePayment,
    PossibleDuplicate,
    StripeObjectMissing,
    LivemodeMismatch,
    UnknownStatus,
    Refunded,
    PartiallyRefunded,
    Disputed,
    UnlinkedPayment,
    ApplyFailed,
    OverriddenByTrigger,
    RepairUndone,
    StripeUnreachable,
    Misconfigured,
    WebhooksFailing,
    EventFailing,
}

impl IssueKind {
    pub(crate) const ALL: [Self; 20] = [
        Self::PaidWithoutPayment,
        Self::AmountMismatch,
        Self::CurrencyMismatch,
        Self::Overpaid,
        Self::DuplicatePayment,
        Self::PossibleDuplicate,
        Self::StripeObjectMissing,
        Self::LivemodeMismatch,
        Self::UnknownStatus,
        Self::Refunded,
        Self::PartiallyRefunded,
        Self::Disputed,
        Self::UnlinkedPayment,
        Self::ApplyFailed,
        Self::OverriddenByTrigger,
        Self::RepairUndone,
        Self::StripeUnreachable,
        Self::Misconfigured,
        Self::WebhooksFailing,
        Self::EventFailing,
    ];

    /// The kind of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The word in SQL, in JSON and in the documentation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PaidWithoutPayment => "paid_without_payment",
            Self::AmountMismatch => "amount_mismatch",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::Overpaid => "overpaid",
            Self::DuplicatePayment => "duplicate_payment",
            Self::PossibleDuplicate => "possible_duplicate",
            Self::StripeObjectMissing => "stripe_object_missing",
            Self::LivemodeMismatch => "livemode_mismatch",
            Self::UnknownStatus => "unknown_status",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Disputed => "disputed",
            Self::UnlinkedPayment => "unlinked_payment",
            Self::ApplyFailed => "apply_failed",
            Self::OverriddenByTrigger => "overridden_by_trigger",
            Self::RepairUndone => "repair_undone",
            Self::StripeUnreachable => "stripe_unreachable",
            Self::Misconfigured => "misconfigured",
            Self::WebhooksFailing => "webhooks_failing",
            Self::EventFailing => "event_failing",
        }
    }
}

/// How soon a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth knowing; nothing is wrong with the books.
    Notice,
    /// The books or the money need a decision.
    Warning,
    /// Money is missing, or will be soon.
    Critical,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing to look at. Open once per invoice, kind and object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Issue {
    pub(crate) kind: IssueKind,
    pub(crate) severity: Severity,
    /// The Stripe object it is about; `None` where it is the invoice itself.
    pub(crate) object: Option<String>,
    /// A sentence that a bookkeeper understands.
    pub(crate) summary: String,
    /// The machine's facts: amounts with their currency, ids, statuses.
    pub(crate) evidence: Value,
}

impl Issue {
    pub(crate) fn new(kind: IssueKind, severity: Severity, summary: String) -> Self {
        Self {
            kind,
            severity,
            object: None,
            summary,
            evidence: Value::Null,
        }
    }

    /// Says which Stripe object it is about.
    pub(crate) fn about(mut self, object: Option<&str>) -> Self {
        self.object = object.map(str::to_owned);
        self
    }

    /// Takes over what another issue about the same object says.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.severity = self.severity.max(other.severity);
        if !self.summary.contains(&other.summary) {
            self.summary = format!("{} {}", self.summary, other.summary);
        }
        if let Value::Object(facts) = &mut self.evidence {
            let also = facts
                .entry("also")
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(others) = also {
                others.push(other.evidence.clone());
            }
        }
    }

    pub(crate) fn with_evidence(mut self, evidence: Value) -> Self {
        self.evidence = evidence;
        self
    }
}
