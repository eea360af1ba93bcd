//! Why a run is incomplete, and the issue about it.

use serde_json::json;

use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::pg::Problem;

/// Why a run is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Stripe could not be reached, or did not answer every question. Contains the kinds of questions without any
    /// answer; empty if there was no key.
    Stripe(Vec<String>),
    /// The settings do not match the database.
    Settings,
}

impl Failure {
    pub(super) fn issue(self, problem: &Problem) -> Issue {
        let (kind, summary) = match &self {
            Self::Stripe(_) => (
                IssueKind::StripeUnreachable,
                "Stripe could not be asked, so payments may be missing from the books (for details, run invoice_sync.doctor())",
            ),
            Self::Settings => (
                IssueKind::Misconfigured,
                "Stripe is not asked about payments, because the settings of invoice_sync do not match the database (for details, run invoice_sync.doctor())",
            ),
        };
        let mut evidence = json!({
            "sqlstate": problem.sqlstate_text(),
            "message": problem.message(),
            "detail": problem.detail_text(),
            "hint": problem.hint_text(),
        });
        if let Self::Stripe(unanswered) = self
            && !unanswered.is_empty()
        {
            evidence["unanswered"] = unanswered.into();
        }
        Issue::new(
            kind,
            Severity::Critical,
            format!("{summary}: {}.", problem.message()),
        )
        .with_evidence(evidence)
    }
}
