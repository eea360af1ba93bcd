//! Events of connected accounts that the settings do not name: one issue for each account, until it is named.

use serde_json::json;

use crate::apply::report::Report;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::events;
use crate::ledger::payment_issues::{has_issue, resolve_without_invoice};
use crate::select::inbox::EventScope;
use crate::stripe::events::TYPES;

/// Returns whether nobody was told of the account yet.
pub(crate) fn is_news(account: &str) -> bool {
    !has_issue(IssueKind::EventFailing, account)
}

/// Raises the issue about the account.
pub(crate) fn report_foreign(account: &str, own: &EventScope, report: &mut Report) {
    let now = match &own.account {
        Some(own) => format!("it is set to {own}"),
        None => "it is not set".to_owned(),
    };
    report.add_general_issue(
        &Issue::new(
            IssueKind::EventFailing,
            Severity::Warning,
            format!(
                "Stripe sends events of the connected account {account}; they are stored and not acted on. If this database keeps the books of that account, set invoice_sync.stripe_account to {account} ({now}); otherwise remove the account's events from the webhook endpoint."
            ),
        )
        .about(Some(account))
        .with_evidence(json!({ "account": account, "setting": "invoice_sync.stripe_account" })),
    );
}

/// Once the settings name the account: acts on its events that were stored, and resolves the issue.
pub(crate) fn take_up(own: &EventScope, report: &Report) {
    let (Some(account), Some(run)) = (&own.account, report.run()) else {
        return;
    };
    if has_issue(IssueKind::EventFailing, account) {
        events::take_up(account, own.livemode, &TYPES);
        resolve_without_invoice(run, IssueKind::EventFailing, std::slice::from_ref(account));
    }
}
