//! What is reported of Stripe accounts other than the key's: those that nobody named, and those that cannot be asked.

use std::collections::BTreeMap;

use serde_json::json;

use crate::apply::report::Report;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::payment_issues::{has_issue, resolve_without_invoice};
use crate::ledger::{events, stripe_accounts};
use crate::select::inbox::EventScope;
use crate::stripe::error::StripeError;
use crate::stripe::events::TYPES;

/// Returns whether no issue about the account was raised yet.
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
                "Stripe sends events of the connected account {account}; they are stored and not acted on. If this database keeps the books of that account, name it: insert into invoice_sync.stripe_account (account) values ('{account}'), or, if it is the only one, set invoice_sync.stripe_account to {account} ({now}). Otherwise remove the account's events from the webhook endpoint."
            ),
        )
        .about(Some(account))
        .with_evidence(json!({ "account": account, "setting": "invoice_sync.stripe_account" })),
    );
}

/// Raises an issue for each account that cannot be asked, and resolves it once it answers.
pub(crate) fn note_asked(asked: &BTreeMap<String, Option<StripeError>>, report: &mut Report) {
    let Some(run) = report.run().filter(|_| !asked.is_empty()) else {
        return;
    };
    let (refused, answered): (Vec<_>, Vec<_>) =
        asked.iter().partition(|(_, error)| error.is_some());
    let answered: Vec<String> = answered.into_iter().map(|(it, _)| it.clone()).collect();
    resolve_without_invoice(run, IssueKind::StripeUnreachable, &answered);
    for (account, error) in refused {
        let why = error.as_ref().map(ToString::to_string).unwrap_or_default();
        report.add_general_issue(
            &Issue::new(
                IssueKind::StripeUnreachable,
                Severity::Critical,
                format!(
                    "The Stripe account {account} cannot be asked, so nothing new is booked for its invoices: {why}. Check its row in invoice_sync.stripe_account, and whether it is still connected."
                ),
            )
            .about(Some(account))
            .with_evidence(json!({ "account": account, "why": why })),
        );
    }
}

/// Once an account is named, as that of the settings or in the table of accounts: acts on its events that were stored,
/// and resolves the issue.
pub(crate) fn take_up(own: &EventScope, report: &Report) {
    let Some(run) = report.run() else {
        return;
    };
    if let Some(account) = &own.account
        && has_issue(IssueKind::EventFailing, account)
    {
        events::take_up(account, true, own.livemode, &TYPES);
        resolve_without_invoice(run, IssueKind::EventFailing, std::slice::from_ref(account));
    }
    for named in stripe_accounts::named_with_issue(IssueKind::EventFailing.as_str()) {
        let account = &named.account;
        events::take_up(account, false, named.livemode.or(own.livemode), &TYPES);
        resolve_without_invoice(run, IssueKind::EventFailing, std::slice::from_ref(account));
    }
}
