//! Reads Stripe's list of events into the inbox.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use crate::apply::contention::retry_on_contention;
use crate::apply::report::Report;
use crate::domain::feed::{FeedRead, Request};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::host::write::now;
use crate::ledger::backfills;
use crate::ledger::events::{self, Channel};
use crate::ledger::feed;
use crate::ledger::payment_issues;
use crate::pg::{Problem, Running, Step, Stop, Transactions, start_on_threads};
use crate::select::inbox::EventScope;
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::events::{Page, Unreadable, read_page};

/// Reads the feed to its end, page by page; its position is stored with each page. An error of Stripe or an event
/// that another session has locked ends the reading, and the next run continues from there.
pub(crate) fn follow(
    transactions: Transactions,
    connection: Connection,
    own: &EventScope,
    deadline: Instant,
    report: &mut Report,
) -> Result<Result<(), StripeError>, Problem> {
    let feed_name = own.name();
    let former = feed::feed_place(&feed_name);
    let mut feed_read = FeedRead::from(former.clone(), now());
    if let Some(gap) = feed_read.gap() {
        report.note_gap(gap);
    }
    let client = Arc::new(Client::new(connection, deadline));
    let mut outcome = Ok(Ok(()));
    let mut asked = ask(&client, feed_read.next(), deadline)?;
    while let Some(mut asking) = asked.take() {
        match transactions.wait(|| asking.next()) {
            Some(Ok(page)) => {
                feed_read.take(
                    &page.marks,
                    page.has_more,
                    page.stripe_time.unwrap_or_else(now),
                );
                // The next page is requested while this one is stored.
                asked = ask(&client, feed_read.next(), deadline)?;
                let received: Vec<_> = page
                    .events
                    .iter()
                    .map(|it| (it, own.disposition(it)))
                    .collect();
                let stored = retry_on_contention(|| {
                    events::receive(&received, Channel::Feed);
                    Ok(())
                });
                if let Err(problem) = stored {
                    outcome = Err(problem);
                    break;
                }
                record_unreadable(&page.unreadable, report);
            }
            Some(Err(StripeError::CursorGone { .. })) => {
                feed_read.event_is_gone(now());
                asked = ask(&client, feed_read.next(), deadline)?;
            }
            Some(Err(error)) => {
                outcome = Ok(Err(error));
                break;
            }
            None => {
                outcome = Ok(Err(StripeError::NotAsked));
                break;
            }
        }
        feed::keep_feed_place(&feed_name, &feed_read.place_to_keep(&former));
    }
    if let Some(mut asking) = asked {
        // This answer is no longer needed, but its request is counted.
        transactions.wait(|| asking.next());
    }
    report.count_requests(client.requests(), client.retries());
    if let Some(gap) = feed_read.gap() {
        let is_read = matches!(outcome, Ok(Ok(())));
        backfills::request_gap(gap, if is_read { 0 } else { GROWTH_TO_REQUEST });
    }
    outcome
}

/// A page that has been requested.
type Asked = Running<Result<Page, StripeError>>;

fn ask(
    client: &Arc<Client>,
    request: Option<Request>,
    deadline: Instant,
) -> Result<Option<Asked>, Problem> {
    let client = Arc::clone(client);
    let read = move |request, stop: &Stop| Step {
        portion: read_page(&client, &request, stop),
        then: Vec::new(),
    };
    request
        .map(|request| start_on_threads(vec![request], 1, deadline, read))
        .transpose()
}

/// In seconds. While the feed cannot be read, the gap grows; its growth is requested as a backfill once it exceeds
/// this.
const GROWTH_TO_REQUEST: i64 = 24 * 60 * 60;

/// Records events that cannot be read, so that they do not block the others.
fn record_unreadable(unreadable: &[Unreadable], report: &mut Report) {
    for Unreadable { id, why, ids } in unreadable {
        report.note_stripe_error(None, &format!("{id}: {why}"));
        // Stripe lists the event for a while; its resolved issue is not opened again.
        if payment_issues::is_over(IssueKind::EventFailing, id) {
            continue;
        }
        report.add_general_issue(
            &Issue::new(
                IssueKind::EventFailing,
                Severity::Warning,
                format!("Stripe's event {id} cannot be read and was skipped: {why}. Check the object in Stripe."),
            )
            .about(Some(id))
            .with_evidence(json!({
                "event": id,
                "ids": ids.each().collect::<Vec<_>>(),
                "why": why,
            })),
        );
    }
}

/// Opens or resolves `webhooks_failing`: Stripe had events for us, and no webhook arrived for a day. The issue is
/// resolved when one arrives, not when there are no events.
pub(crate) fn watch_webhooks(report: &mut Report) {
    let Some(missed) = feed::missed_deliveries() else {
        report.resolve_webhooks_failing();
        return;
    };
    report.add_general_issue(
        &Issue::new(
            IssueKind::WebhooksFailing,
            Severity::Warning,
            format!(
                "Stripe had {} events in the last day, and none of them was received by webhook. Check the endpoint in Stripe's dashboard; Stripe disables endpoints that fail for days.",
                missed.events
            ),
        )
        .with_evidence(json!({
            "events": missed.events,
            "last_delivery": missed.last_delivery,
        })),
    );
}
