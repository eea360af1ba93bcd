//! What is reported of Stripe accounts other than the key's: those that nobody named, and those that cannot be asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::apply::report::Report;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::payment_issues::{has_issue, resolve_without_invoice};
use crate::ledger::{events, issues, stripe_accounts};
use crate::select::inbox::EventScope;
use crate::stripe::error::{Asked, StripeError};
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

/// What other accounts answered in a run, and why not.
#[derive(Default)]
pub(crate) struct AccountAnswers(BTreeMap<String, BTreeMap<Asked, Option<StripeError>>>);

impl AccountAnswers {
    /// Records that the account answered or refused; a refusal counts more than answers.
    pub(crate) fn note(&mut self, account: &str, asked: Asked, refused: Option<StripeError>) {
        let of = self.0.entry(account.to_owned()).or_default();
        let refusal = of.entry(asked).or_default();
        *refusal = refused.or(refusal.take());
    }

    /// Raises an issue for each account that cannot be asked, and resolves it once it answers what it refused.
    pub(crate) fn report(self, report: &mut Report) {
        let Some(run) = report.run().filter(|_| !self.0.is_empty()) else {
            return;
        };
        let mut open = issues::unanswered_by_accounts();
        for (account, of) in self.0 {
            let former = open.remove(&account);
            let (refused, answered): (Vec<_>, Vec<_>) =
                of.into_iter().partition(|(_, error)| error.is_some());
            let answered: Vec<&str> = answered.iter().map(|(asked, _)| asked.as_str()).collect();
            let Some((_, Some(error))) = refused.first() else {
                if former.is_some() {
                    issues::resolve_outage(run, Some(&account), &answered);
                }
                continue;
            };
            let mut unanswered = former.unwrap_or_default();
            unanswered.extend(refused.iter().map(|(asked, _)| asked.as_str().to_owned()));
            unanswered.retain(|asked| !answered.contains(&asked.as_str()));
            report.add_general_issue(&cannot_be_asked(&account, error, &unanswered));
        }
    }
}

fn cannot_be_asked(account: &str, error: &StripeError, unanswered: &BTreeSet<String>) -> Issue {
    Issue::new(
        IssueKind::StripeUnreachable,
        Severity::Critical,
        format!(
            "The Stripe account {account} cannot be asked, so nothing new is booked for its invoices: {error}. Check its row in invoice_sync.stripe_account, and whether it is still connected."
        ),
    )
    .about(Some(account))
    .with_evidence(json!({
        "account": account,
        "why": error.to_string(),
        "unanswered": unanswered,
    }))
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
