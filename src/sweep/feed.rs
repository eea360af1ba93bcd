//! Stripe's feed of events is read into the inbox, from where it was last read to.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::inbox::Own;
use super::report::Report;
use crate::domain::event::Event;
use crate::domain::feed::{Course, Mark};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::host::write::now;
use crate::ledger::backfills;
use crate::ledger::events::{self, Way};
use crate::pg::{Problem, Transactions, run_on_threads};
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::events::read_page;

/// Reads the feed to its end, a page at a time; each is kept before the next is
/// asked for. An error ends it, and the next run goes on from there.
pub(crate) fn follow(
    transactions: Transactions,
    connection: Connection,
    own: &Own,
    deadline: Instant,
    report: &mut Report,
) -> Result<Result<(), StripeError>, Problem> {
    let whose = own.name();
    let former = events::feed_place(&whose);
    let mut course = Course::from(former.clone(), now());
    if let Some(gap) = course.gap() {
        report.note_gap(gap);
        backfills::request_gap(gap);
    }
    let client = Arc::new(Client::new(connection, deadline));
    let mut outcome = Ok(());
    while let Some(request) = course.next() {
        let asked = Arc::clone(&client);
        let answers = transactions.wait(|| {
            run_on_threads(vec![request], 1, deadline, move |request, stop| {
                read_page(&asked, &request, stop)
            })
        })?;
        match answers.into_iter().next().flatten() {
            Some(Ok(page)) => {
                let marks: Vec<Mark> = page.events.iter().map(mark).collect();
                let received: Vec<_> = page.events.iter().map(|it| (it, own.fate(it))).collect();
                events::receive(&received, Way::Feed);
                course.take(&marks, page.has_more, page.stripe_time.unwrap_or_else(now));
            }
            Some(Err(StripeError::CursorGone { .. })) => course.event_is_gone(now()),
            Some(Err(error)) => {
                outcome = Err(error);
                break;
            }
            None => {
                outcome = Err(StripeError::NotAsked);
                break;
            }
        }
        events::keep_feed_place(&whose, &course.place_to_keep(&former));
    }
    report.count_requests(client.requests(), client.retries());
    Ok(outcome)
}

fn mark(event: &Event) -> Mark {
    Mark {
        id: event.id.clone(),
        created: event.created,
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
