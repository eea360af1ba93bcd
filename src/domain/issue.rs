//! Issues: their kinds, severities and texts.

use serde_json::Value;

/// The kinds of problems that are never repaired automatically.
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

    /// Returns the kind with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the name in SQL, JSON and the documentation.
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

/// How urgent an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// For information; the books are correct.
    Notice,
    /// Someone must make a decision about the books or the money.
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

/// One issue. There is one open issue per invoice, kind and object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Issue {
    pub(crate) kind: IssueKind,
    pub(crate) severity: Severity,
    /// The Stripe object that it is about; `None` for the invoice itself.
    pub(crate) object: Option<String>,
    /// A sentence for bookkeepers.
    pub(crate) summary: String,
    /// Facts for programs: amounts with their currency, ids, statuses.
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

    /// Sets the Stripe object that it is about.
    pub(crate) fn about(mut self, object: Option<&str>) -> Self {
        self.object = object.map(str::to_owned);
        self
    }

    /// Adds the content of another issue about the same object.
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
