//! Reads Stripe's lists of events into the inbox: that of the key's own account, and those of others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::apply::contention::retry_on_contention;
use crate::apply::report::Report;
use crate::domain::account::qualified;
use crate::domain::event::Event;
use crate::domain::feed::{FeedRead, Place};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::host::moment::now;
use crate::ledger::backfills;
use crate::ledger::events;
use crate::ledger::feed;
use crate::ledger::payment_issues;
use crate::pg::{Problem, Step, Stop, Transactions, start_on_threads};
use crate::select::inbox::EventScope;
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::events::{Page, Unreadable, read_page};

/// The feed of an account.
pub(crate) struct Feed {
    /// How the account is asked.
    pub(crate) connection: Connection,
    /// The name under which its position is stored.
    pub(crate) whose: String,
    /// Whose events they are, and which of them are acted on.
    pub(crate) scope: EventScope,
}

/// What reading a feed led to.
pub(crate) struct Followed {
    /// Why it was not read to its end.
    pub(crate) outcome: Result<(), StripeError>,
    /// How many pages were read.
    pub(crate) pages: usize,
    /// How many events to act on no webhook had delivered before.
    pub(crate) news: usize,
}

impl Followed {
    /// The account cannot be asked.
    pub(crate) fn refused(error: StripeError) -> Self {
        Self {
            outcome: Err(error),
            pages: 0,
            news: 0,
        }
    }
}

/// Reads feeds to their ends, page by page; the position in each is stored with each page. An error of Stripe ends the
/// reading of that feed, an event that another session has locked that of all; the next run continues from there.
/// Returns what became of each.
pub(crate) fn follow(
    transactions: Transactions,
    feeds: Vec<Feed>,
    deadline: Instant,
    report: &mut Report,
) -> Result<Vec<Followed>, Problem> {
    let Some(first) = feeds.first() else {
        return Ok(Vec::new());
    };
    let limit = first.connection.concurrency.min(feeds.len());
    let (mut readings, mut jobs) = (Vec::new(), Vec::new());
    let is_over = Arc::new(AtomicBool::new(false));
    for (which, of) in feeds.into_iter().enumerate() {
        let former = feed::feed_place(&of.whose);
        let read = FeedRead::from(former.clone(), now());
        if let Some(gap) = read.gap() {
            report.note_gap(of.scope.named.as_deref(), gap);
        }
        let client = Arc::new(Client::new(of.connection, deadline));
        jobs.extend(read.next().is_some().then(|| Job {
            which,
            number: 0,
            client: Arc::clone(&client),
            read: read.clone(),
            began_at: now(),
            is_over: Arc::clone(&is_over),
        }));
        readings.push(Reading {
            whose: of.whose,
            scope: of.scope,
            former,
            read,
            client,
            number: 0,
            early: BTreeMap::new(),
            followed: Followed::refused(StripeError::NotAsked),
        });
    }
    // The next page of a feed is requested while one is stored.
    let mut running = start_on_threads(jobs, limit, deadline, Job::read_page)?;
    let mut failed = None;
    while let Some(portion) = transactions.wait(|| running.next()) {
        // After a failure, answers are no longer needed, but their requests are counted.
        if failed.is_some() {
            continue;
        }
        let reading = &mut readings[portion.which];
        if let Err(problem) = reading.take(portion, report) {
            is_over.store(true, Ordering::Relaxed);
            failed = Some(problem);
        }
    }
    for reading in &readings {
        report.count_requests(reading.client.requests(), reading.client.retries());
        // Of what was read, the last page may have told of Stripe Invoices first.
        let is_read = reading.followed.outcome.is_ok();
        reading.request_gap(if is_read { 0 } else { GROWTH_TO_REQUEST });
    }
    match failed {
        Some(problem) => Err(problem),
        None => Ok(readings.into_iter().map(|it| it.followed).collect()),
    }
}

/// The next page of a feed.
struct Job {
    /// The index of the feed.
    which: usize,
    /// Counts the pages of the feed.
    number: usize,
    client: Arc<Client>,
    read: FeedRead,
    /// The time by the server's clock, in seconds since 1970.
    began_at: i64,
    is_over: Arc<AtomicBool>,
}

/// A page that was read.
struct Portion {
    which: usize,
    number: usize,
    /// `None` if there was nothing at this position any more.
    page: Result<Option<Page>, StripeError>,
    /// The position after it.
    read: FeedRead,
}

impl Job {
    fn read_page(mut self, stop: &Stop) -> Step<Self, Portion> {
        let Some(request) = self.read.next() else {
            return Step {
                portion: self.portion(Ok(None)),
                then: Vec::new(),
            };
        };
        let page = match read_page(&self.client, &request, stop) {
            Ok(page) => {
                let time = page.stripe_time.unwrap_or(self.began_at);
                self.read.take(&page.marks, page.has_more, time);
                Ok(Some(page))
            }
            Err(StripeError::CursorGone { .. }) => {
                self.read.event_is_gone(self.began_at);
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let goes_on =
            page.is_ok() && self.read.next().is_some() && !self.is_over.load(Ordering::Relaxed);
        let portion = self.portion(page);
        self.number += 1;
        Step {
            portion,
            then: Vec::from_iter(goes_on.then_some(self)),
        }
    }

    fn portion(&self, page: Result<Option<Page>, StripeError>) -> Portion {
        Portion {
            which: self.which,
            number: self.number,
            page,
            read: self.read.clone(),
        }
    }
}

/// A feed that is being read.
struct Reading {
    whose: String,
    scope: EventScope,
    /// The position at the start.
    former: Place,
    /// The position that is stored.
    read: FeedRead,
    client: Arc<Client>,
    /// The page that is stored next.
    number: usize,
    /// Pages that arrived before it.
    early: BTreeMap<usize, Portion>,
    followed: Followed,
}

impl Reading {
    /// Stores the pages that have arrived, in their order: no position is stored before the events up to it.
    fn take(&mut self, portion: Portion, report: &mut Report) -> Result<(), Problem> {
        self.early.insert(portion.number, portion);
        while let Some(next) = self.early.remove(&self.number) {
            self.number += 1;
            self.keep(next, report)?;
        }
        Ok(())
    }

    /// Stores the events of a page and the position after it.
    fn keep(&mut self, portion: Portion, report: &mut Report) -> Result<(), Problem> {
        let page = match portion.page {
            Ok(page) => page,
            Err(error) => {
                self.followed.outcome = Err(error);
                return Ok(());
            }
        };
        self.read = portion.read;
        self.followed.pages += 1;
        if let Some(page) = page {
            self.store(page, report)?;
        }
        let place = self.read.place_to_keep(&self.former);
        if place.read_at != self.former.read_at {
            // With this position the next reading finds no gap, and this one may end here.
            self.request_gap(0);
        }
        feed::keep_feed_place(&self.whose, self.scope.named.as_deref(), &place);
        if self.read.next().is_none() {
            self.followed.outcome = Ok(());
        }
        Ok(())
    }

    fn store(&mut self, page: Page, report: &mut Report) -> Result<(), Problem> {
        let account = self.scope.named.as_deref();
        // Whatever an event says: it is of the account that was asked.
        let of_account = |event: Event| match account {
            Some(account) => event.of_account(account),
            None => event,
        };
        let events: Vec<Event> = page.events.into_iter().map(of_account).collect();
        let received: Vec<_> = events
            .iter()
            .filter(|it| !self.scope.is_pointless(it))
            .map(|it| (it, self.scope.disposition(it)))
            .collect();
        self.followed.news += retry_on_contention(|| Ok(events::receive_from_feed(&received)))?;
        record_unreadable(account, &page.unreadable, report);
        Ok(())
    }

    /// Requests the lists of a time whose events Stripe has deleted before they were read, as far as that time is longer by
    /// `least` seconds than what was requested.
    fn request_gap(&self, least: i64) {
        if let Some(gap) = self.read.gap() {
            backfills::request_gap(self.scope.named.as_deref(), gap, least);
        }
    }
}

/// In seconds. While the feed cannot be read, the gap grows; its growth is requested as a backfill once it exceeds
/// this.
const GROWTH_TO_REQUEST: i64 = 24 * 60 * 60;

/// Records events that cannot be read, so that they do not block the others.
fn record_unreadable(account: Option<&str>, unreadable: &[Unreadable], report: &mut Report) {
    for Unreadable { id, why, ids } in unreadable {
        let (id, ids) = (&qualified(account, id), ids.of(account));
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
