//! Stripe's feed of events is read into the inbox, from where it was last read to.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::contention::until_nobody_interferes;
use super::inbox::Own;
use super::report::Report;
use crate::domain::feed::Course;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::host::write::now;
use crate::ledger::backfills;
use crate::ledger::events::{self, Way};
use crate::pg::{Problem, Transactions, run_on_threads};
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::events::{Unreadable, read_page};

/// Reads the feed to its end, a page at a time; each is kept before the next is
/// asked for. An error ends it, and the next run goes on from there: Stripe's, or
/// where somebody else keeps an event locked.
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
    }
    let client = Arc::new(Client::new(connection, deadline));
    let mut outcome = Ok(Ok(()));
    while let Some(request) = course.next() {
        let asked = Arc::clone(&client);
        let answers = transactions.wait(|| {
            run_on_threads(vec![request], 1, deadline, move |request, stop| {
                read_page(&asked, &request, stop)
            })
        })?;
        match answers.into_iter().next().flatten() {
            Some(Ok(page)) => {
                let received: Vec<_> = page.events.iter().map(|it| (it, own.fate(it))).collect();
                let stored = until_nobody_interferes(|| {
                    events::receive(&received, Way::Feed);
                    Ok(())
                });
                if let Err(problem) = stored {
                    outcome = Err(problem);
                    break;
                }
                pass_over(&page.unreadable, report);
                let stripe_time = page.stripe_time.unwrap_or_else(now);
                course.take(&page.marks, page.has_more, stripe_time);
            }
            Some(Err(StripeError::CursorGone { .. })) => course.event_is_gone(now()),
            Some(Err(error)) => {
                outcome = Ok(Err(error));
                break;
            }
            None => {
                outcome = Ok(Err(StripeError::NotAsked));
                break;
            }
        }
        events::keep_feed_place(&whose, &course.place_to_keep(&former));
    }
    report.count_requests(client.requests(), client.retries());
    if let Some(gap) = course.gap() {
        let is_read = matches!(outcome, Ok(Ok(())));
        backfills::request_gap(gap, if is_read { 0 } else { WORTH_LISTING });
    }
    outcome
}

/// While the feed cannot be read, the gap grows; so much more of it is worth lists of
/// its own, in seconds.
const WORTH_LISTING: i64 = 24 * 60 * 60;

/// One event that is not as it should be must not keep all others away.
fn pass_over(unreadable: &[Unreadable], report: &mut Report) {
    for Unreadable { id, why } in unreadable {
        report.note_stripe_error(None, &format!("{id}: {why}"));
        report.add_general_issue(
            &Issue::new(
                IssueKind::EventFailing,
                Severity::Warning,
                format!("Stripe's event {id} cannot be read and was passed over: {why}."),
            )
            .about(Some(id))
            .with_evidence(json!({ "event": id, "why": why })),
        );
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
