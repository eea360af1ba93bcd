//! Events become repairs: the feed is read into the inbox, and what waits
//! there is acted on, whichever way it came.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use super::apply::{Outcome, Treatment, apply};
use super::report::Report;
use crate::domain::event::Event;
use crate::domain::evidence::{Evidence, PaymentState, StripePayment};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::payment::PaymentStatus;
use crate::host::find;
use crate::host::read::{Lock, read};
use crate::ledger::events::{self, Fate, Verdict, Waiting, Way};
use crate::pg::{Problem, run_on_threads};
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::events::{KEPT_SECONDS, matters, read_feed};
use crate::stripe::gather::{Question, gather};
use crate::stripe::objects::Reading;

/// Events come late and share seconds: so far back the feed is read again.
const OVERLAP_SECONDS: i64 = 10 * 60;

/// What the first reading of the feed goes back to: older payments are found
/// by the ids that their invoices store.
const FIRST_LOOK_SECONDS: i64 = 24 * 60 * 60;

/// So long an event waits for the application to commit the invoice that it names.
const GRACE_SECONDS: i64 = 60 * 60;

/// Whose events are acted on.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// The key's mode; `None` where it does not tell.
    pub(crate) livemode: Option<bool>,
    /// The connected account of the settings.
    pub(crate) account: Option<String>,
}

impl Own {
    /// Events of other types, of the other mode (Connect endpoints get both)
    /// and of other accounts are kept and ignored.
    pub(crate) fn fate(&self, event: &Event) -> Fate {
        let ours = self.livemode.is_none_or(|mode| mode == event.livemode)
            && (event.account.is_none() || event.account == self.account);
        if ours && matters(event) {
            Fate::Pending
        } else {
            Fate::Ignored
        }
    }
}

/// Reads the feed of events into the inbox, from where it was last read to.
/// An error leaves that place as it is: the next run reads it again.
pub(crate) fn follow_feed(
    connection: Connection,
    own: &Own,
    now: i64,
    deadline: Instant,
    report: &mut Report,
) -> Result<Result<(), StripeError>, Problem> {
    let cursor = events::feed_cursor();
    let since = cursor
        .map_or(now - FIRST_LOOK_SECONDS, |at| at - OVERLAP_SECONDS)
        .max(now - KEPT_SECONDS);
    let read = run_on_threads(vec![connection], 1, deadline, move |connection, stop| {
        let client = Client::new(connection, deadline);
        let mut events = Vec::new();
        let outcome = read_feed(&client, since, stop, |page| events.extend(page));
        (
            outcome.map(|()| events),
            client.requests(),
            client.retries(),
        )
    })?;
    let Some((outcome, requests, retries)) = read.into_iter().next().flatten() else {
        return Ok(Err(StripeError::NotAsked));
    };
    report.count_requests(requests, retries);
    let events = match outcome {
        Ok(events) => events,
        Err(error) => return Ok(Err(error)),
    };
    // The oldest first, as they happened.
    for event in events.iter().rev() {
        events::receive(event, Way::Feed, own.fate(event));
    }
    let newest = events.iter().map(|event| event.created).max();
    // Without events the place moves on as well, or it would fall behind what
    // Stripe keeps; a day covers any difference of clocks.
    let reached = newest.unwrap_or(0).max(now - FIRST_LOOK_SECONDS);
    events::advance_feed(reached);
    Ok(Ok(()))
}

/// Asks for the present state of what the waiting events are about, several
/// events about one payment with one question, and acts on it.
pub(crate) fn work_off(
    treatment: &Treatment,
    connection: Connection,
    reading: Reading,
    limit: usize,
    deadline: Instant,
    report: &mut Report,
) -> Result<Option<StripeError>, Problem> {
    let waiting: BTreeMap<String, Waiting> = events::waiting(limit)
        .into_iter()
        .map(|waiting| (waiting.money.to_string(), waiting))
        .collect();
    if waiting.is_empty() {
        return Ok(None);
    }
    let questions = waiting
        .keys()
        .map(|money| Question {
            about: money.clone(),
            ids: vec![money.clone()],
        })
        .collect();
    let gathered = gather(questions, connection, reading, deadline)?;
    report.count_requests(gathered.requests, gathered.retries);
    for finding in gathered.findings {
        let Some(waiting) = waiting.get(&finding.about) else {
            continue;
        };
        let verdict = match finding.evidence {
            Ok(evidence) => act(treatment, &evidence, waiting.waited, report)?,
            // Not the event's fault, and no attempt.
            Err(StripeError::NotAsked) => continue,
            Err(error) => Verdict::Again(error.to_string()),
        };
        events::settle(&waiting.events, &verdict);
    }
    Ok(gathered.fatal)
}

/// Acts on what Stripe says of one payment: on the invoice that it is for,
/// where there is one.
pub(crate) fn act(
    treatment: &Treatment,
    evidence: &[Evidence],
    waited: i64,
    report: &mut Report,
) -> Result<Verdict, Problem> {
    let payment = evidence.iter().find_map(|finding| match finding {
        Evidence::Payment(payment) => Some(payment),
        _ => None,
    });
    let Some(payment) = payment else {
        return Ok(Verdict::Done(
            "Stripe has no such object any more".to_owned(),
        ));
    };
    let invoices = find::invoices_of(treatment.mapping, &payment.ids, &payment.invoice_references);
    if invoices.is_empty() {
        return Ok(judge_unlinked(payment, waited, report));
    }
    let mut verdict = Verdict::Done(String::new());
    for invoice in invoices {
        if payment.ids.session.is_none() && waits_by_session(treatment, &invoice)? {
            // The session's own event, or the next sweep, tells which it is.
            verdict = Verdict::Again("a payment row waits by its session".to_owned());
            continue;
        }
        if let Some(outcome) = apply(treatment, &invoice, evidence)? {
            report.add(&outcome, Some(evidence));
            if let Some(why) = failure(&outcome) {
                verdict = Verdict::Again(why);
            } else if let Verdict::Done(result) = &mut verdict {
                *result = describe(&outcome);
            }
        }
    }
    Ok(verdict)
}

/// Whether a payment of the invoice is expected under a session's id alone: an
/// intent that comes without its session may be that very payment.
fn waits_by_session(treatment: &Treatment, invoice: &str) -> Result<bool, Problem> {
    let reading = read(treatment.mapping, invoice, Lock::None)?;
    Ok(reading.is_some_and(|reading| {
        reading.payments.iter().any(|row| {
            row.status == PaymentStatus::Pending
                && row.ids.session.is_some()
                && row.ids.intent.is_none()
        })
    }))
}

/// Money that no invoice claims: not ours, unless it says otherwise.
fn judge_unlinked(payment: &StripePayment, waited: i64, report: &mut Report) -> Verdict {
    let PaymentState::Received(money) = payment.state else {
        return Verdict::Done("nothing received, and no invoice refers to it".to_owned());
    };
    if payment.invoice_references.is_empty() {
        return Verdict::Done("names no invoice".to_owned());
    }
    let named = payment.invoice_references.join(", ");
    if waited < GRACE_SECONDS {
        return Verdict::Again(format!("there is no invoice {named} yet"));
    }
    let key = payment.ids.key();
    report.add_general_issue(
        &Issue::new(
            IssueKind::UnlinkedPayment,
            Severity::Warning,
            format!(
                "Stripe received {money} by {} for the invoice {named}, which does not exist.",
                key.unwrap_or("a payment")
            ),
        )
        .about(key)
        .with_evidence(json!({
            "id": key,
            "received": money.to_string(),
            "names_invoice": payment.invoice_references,
        })),
    );
    Verdict::Done(format!("there is no invoice {named}"))
}

fn failure(outcome: &Outcome) -> Option<String> {
    outcome.postponed.clone().or_else(|| {
        outcome
            .plan
            .issues
            .iter()
            .find(|issue| issue.kind == IssueKind::ApplyFailed)
            .map(|issue| issue.summary.clone())
    })
}

fn describe(outcome: &Outcome) -> String {
    let what = super::report::describe(&outcome.intended);
    let label = outcome.invoice.label();
    if what.is_empty() {
        format!("invoice {label}: nothing to do")
    } else {
        format!("invoice {label}: {what}")
    }
}

/// Whose events these settings are for.
pub(crate) fn own(connection: &Connection) -> Own {
    Own {
        livemode: connection.key.livemode(),
        account: connection.account.clone(),
    }
}

/// Opens or resolves `webhooks_failing`: Stripe had events for us, and in a day
/// not one came by webhook.
pub(crate) fn watch_webhooks(report: &mut Report) {
    let Some(missed) = events::missed_deliveries() else {
        report.resolve_general_issue(IssueKind::WebhooksFailing);
        return;
    };
    report.add_general_issue(
        &Issue::new(
            IssueKind::WebhooksFailing,
            Severity::Warning,
            format!(
                "Stripe had {} events in the last day, and none of them came by webhook. Stripe disables an endpoint that fails for days.",
                missed.events
            ),
        )
        .with_evidence(json!({
            "events": missed.events,
            "last_delivery": missed.last_delivery,
        })),
    );
}
