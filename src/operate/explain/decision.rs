//! What would be done about an invoice, and for everything that is not done the reason.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Asking, Line};
use crate::apply::outcome::{Outcome, described_changes};
use crate::host::read::Reading;
use crate::ledger::about_invoice::{
    self, CheckTimes, KnownIssue, OpenEvent, Sweep, check_times, last_sweep, open_events,
};
use crate::ledger::stripe_accounts;
use crate::select::inbox::{EventScope, Foreign};

const DECISION: &str = "decision";

/// What the dry run found, and what it was about.
pub(super) struct Findings<'a> {
    pub(super) outcomes: &'a [Outcome],
    /// The issues that a run would raise, as dry runs report them.
    pub(super) issues: &'a [Value],
    /// The ids of all payments of the invoice.
    pub(super) objects: &'a BTreeSet<String>,
    pub(super) scope: &'a EventScope,
    pub(super) asking: Asking,
}

pub(super) fn lines(reading: &Reading, findings: &Findings) -> Vec<Line> {
    let invoice = &reading.invoice;
    let objects: Vec<&str> = findings.objects.iter().map(String::as_str).collect();
    let events = open_events(&objects);
    let found = findings.issues.iter();
    let about: Vec<&str> = objects
        .into_iter()
        .chain(events.iter().map(|event| event.id.as_str()))
        .chain(found.filter_map(|issue| issue["object"].as_str()))
        .collect();
    let names: Vec<&str> = [Some(invoice.id.as_str()), invoice.number.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let mut issues = about_invoice::issues(&invoice.id, &names, &about);
    let mut new = Vec::new();
    for found in findings.issues {
        match issues
            .iter_mut()
            .find(|issue| issue.is_open && is_same(found, issue))
        {
            // What is true now.
            Some(known) => known.summary = text(found, "issue"),
            None => new.push(would_be_opened(found)),
        }
    }
    let mut lines = planned(findings);
    lines.extend(reasons(findings));
    lines.extend(new);
    lines.extend(issues.iter().map(known_issue));
    lines.extend(events.iter().map(|event| waiting(event, findings.scope)));
    lines.push(next_request(check_times(&invoice.id), findings));
    lines.push(sweep(last_sweep()));
    lines
}

/// Returns the issues about an invoice that does not count.
pub(super) fn about_excluded(invoice: &str) -> Vec<Line> {
    let issues = about_invoice::issues(invoice, &[invoice], &[]);
    issues.iter().map(known_issue).collect()
}

/// Returns a line for each change of a row that would be made.
fn planned(findings: &Findings) -> Vec<Line> {
    let outcomes = findings.outcomes.iter();
    let changes = outcomes.flat_map(|outcome| described_changes(&outcome.intended));
    let line = |change| {
        let why = "sync_invoice, or the next run that looks at the invoice, does this";
        Line::new(DECISION, "would be done", Some(change), why.to_owned())
    };
    let lines: Vec<Line> = changes.map(line).collect();
    if !lines.is_empty() {
        return lines;
    }
    let why = match findings.asking {
        Asking::Stripe => {
            "by what Stripe says now, the rows need no change that may be made without a decision"
        }
        Asking::Memory => {
            "by what is stored, the rows need no change that may be made without a decision; Stripe was not asked (ask => true asks it)"
        }
    };
    vec![Line::new(
        DECISION,
        "would be done",
        Some("nothing".to_owned()),
        why.to_owned(),
    )]
}

/// Returns the plan's reasons for what is not done.
fn reasons(findings: &Findings) -> impl Iterator<Item = Line> {
    let outcomes = findings.outcomes.iter();
    let reasons: BTreeSet<&String> = outcomes
        .flat_map(|outcome| outcome.intended.reasons.iter().chain(&outcome.postponed))
        .collect();
    let line = |reason: &String| Line::new(DECISION, "not done", None, reason.clone());
    reasons
        .into_iter()
        .map(line)
        .collect::<Vec<_>>()
        .into_iter()
}

fn would_be_opened(found: &Value) -> Line {
    Line::new(
        DECISION,
        format!("new issue {}", text(found, "kind")),
        Some(text(found, "severity")),
        text(found, "issue"),
    )
}

/// Returns the line for an issue that is open, or about which a person has decided.
fn known_issue(issue: &KnownIssue) -> Line {
    let KnownIssue { kind, id, .. } = issue;
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let (what, value) = if !issue.is_open {
        let value = format!(
            "{} by {} at {}, issue {id}",
            or_unknown(&issue.resolution),
            or_unknown(&issue.resolved_by),
            or_unknown(&issue.resolved_at)
        );
        (format!("decided {kind}"), value)
    } else if let Some(by) = &issue.undone_by {
        let at = or_unknown(&issue.undone_at);
        (
            "held back".to_owned(),
            format!("undone by {by} at {at}, issue {id}"),
        )
    } else {
        let value = format!("{}, issue {id}, since {}", issue.severity, issue.first_seen);
        (format!("open issue {kind}"), value)
    };
    let note = match &issue.note {
        Some(note) => format!(" Note: {note}"),
        None => String::new(),
    };
    Line::new(
        DECISION,
        what,
        Some(value),
        format!("{}{note}", issue.summary),
    )
}

fn text(found: &Value, field: &str) -> String {
    found[field].as_str().unwrap_or_default().to_owned()
}

/// Returns whether the issue that was found is the known one.
fn is_same(found: &Value, known: &KnownIssue) -> bool {
    found["kind"].as_str() == Some(&known.kind)
        && found["object"].as_str() == known.object.as_deref()
}

/// Returns the line for an event that was not acted on.
fn waiting(event: &OpenEvent, scope: &EventScope) -> Line {
    let what = format!("event {} ({})", event.id, event.kind);
    let result = event.result.as_deref();
    let (value, why) = match event.state.as_str() {
        "pending" => {
            let next = event.next_attempt_at.as_deref();
            let next = next.map_or_else(|| "the next sweep".to_owned(), str::to_owned);
            let value = format!("{} attempts, next: {next}", event.attempts);
            let why = result.unwrap_or("it was received, and is processed by the next sweep");
            (value, why.to_owned())
        }
        "ignored" => {
            let account = event.account.as_deref();
            let named = stripe_accounts::named(account).into_values().next();
            let scope = named.map_or_else(|| scope.clone(), |named| scope.with(&named));
            let why = match scope.foreign(event.livemode, account) {
                Some(Foreign::Mode) => {
                    "it is of the other mode (test or live) than the API key".to_owned()
                }
                Some(Foreign::Account) => format!(
                    "it is of the connected account {}, which neither the setting invoice_sync.stripe_account nor the table of that name contains",
                    account.unwrap_or_default()
                ),
                None => "events of this type change nothing in the books".to_owned(),
            };
            ("ignored".to_owned(), why)
        }
        state => (state.to_owned(), result.unwrap_or_default().to_owned()),
    };
    Line::new(DECISION, what, Some(value), why)
}

fn next_request(times: Option<CheckTimes>, findings: &Findings) -> Line {
    let line =
        |value: &str, why: String| Line::new(DECISION, "next request", Some(value.to_owned()), why);
    let Some(times) = times else {
        return if findings.objects.is_empty() {
            line(
                "none",
                "there is no Stripe id to ask about; Stripe's events are read all the same"
                    .to_owned(),
            )
        } else {
            line(
                "the next sweep",
                "Stripe has not been asked about this invoice yet".to_owned(),
            )
        };
    };
    let asked = match &times.checked_at {
        Some(at) => format!("Stripe was last asked at {at}"),
        None => "Stripe has not answered about this invoice yet".to_owned(),
    };
    match &times.next_check_at {
        Some(_) if times.is_due => line("the next sweep", asked),
        None if times.is_over && !are_booked(findings) => line(
            "the next sweep",
            format!("{asked}, and not about all that the invoice stores now"),
        ),
        Some(at) => line(at, asked),
        None => line(
            "none",
            format!(
                "{asked}; all its payments are final or booked, and Stripe's events report changes"
            ),
        ),
    }
}

fn are_booked(findings: &Findings) -> bool {
    let mut outcomes = findings.outcomes.iter();
    outcomes.all(|outcome| outcome.plan.stored_ids_are_booked)
}

fn sweep(last: Option<Sweep>) -> Line {
    let (value, why) = match last {
        None => (
            "none yet".to_owned(),
            "only sweeps find payments whose webhook was lost (schedule() makes pg_cron start them)"
                .to_owned(),
        ),
        Some(Sweep {
            started_at,
            error: Some(error),
            ..
        }) => (started_at, format!("it was not complete: {error}")),
        Some(Sweep {
            started_at,
            is_finished: true,
            ..
        }) => (started_at, "it was complete".to_owned()),
        Some(Sweep { started_at, .. }) => (started_at, "it has not finished".to_owned()),
    };
    Line::new(DECISION, "last sweep", Some(value), why)
}
