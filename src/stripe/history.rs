//! Reads all payments of a range of time from a list, page by page, from the newest back.

use std::time::Instant;

use serde_json::Value;

use super::client::{Client, Connection};
use super::error::StripeError;
use super::events::ids_of;
use super::lists::{List, Page, read_page};
use super::objects::Reading;
use super::planner::Start;
use super::retrieve::disputes;
use crate::domain::evidence::{PaymentState, StripePayment};
use crate::domain::identity::PaymentIds;
use crate::pg::{Problem, Running, Step, Stop, start_on_threads};
use crate::stripe::fetch::read_found;

/// Which list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryList {
    /// Of payments.
    Payments(List),
    /// Of what happens to payments: charges, refunds, disputes, at this path.
    References(&'static str),
}

impl HistoryList {
    /// By the name of Stripe's type, in the plural; what is not known is intents,
    /// which every payment has.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "checkout_sessions" => Self::Payments(List::Sessions),
            "charges" => Self::References("/v1/charges"),
            "refunds" => Self::References("/v1/refunds"),
            "disputes" => Self::References("/v1/disputes"),
            _ => Self::Payments(List::Intents),
        }
    }

    fn read_page(self, client: &Client, start: &Start, stop: &Stop) -> Result<Page, StripeError> {
        match self {
            Self::Payments(list) => list.read_page(client, start, stop),
            Self::References(path) => read_page(client, path, None, start, stop),
        }
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) struct TimeRange {
    pub(crate) book: HistoryList,
    /// Seconds since 1970, both inclusive.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// The object after which reading goes on; `None`: from `until` on.
    pub(crate) after: Option<String>,
}

/// A page's worth.
#[derive(Debug)]
pub(crate) struct HistoryPage {
    /// Those for which money was received.
    pub(crate) payments: Vec<StripePayment>,
    /// Of a list of sessions: the intents of all of them, paid or not.
    pub(crate) intents_of_sessions: Vec<String>,
    /// What tells of payments, and of which payments.
    pub(crate) references: Vec<PaymentReference>,
    /// Objects of the range that stood on the page.
    pub(crate) objects: u64,
    /// The oldest object, and when it was made; `None` on an empty page.
    pub(crate) last: Option<(String, i64)>,
    pub(crate) is_last: bool,
    /// When the oldest and the newest object of the page were made.
    pub(crate) time: Option<(i64, i64)>,
}

/// An object that tells of a payment and is not evidence itself.
#[derive(Clone, Debug)]
pub(crate) struct PaymentReference {
    pub(crate) object: String,
    pub(crate) ids: PaymentIds,
    pub(crate) created: Option<i64>,
    pub(crate) livemode: bool,
    /// Why it could not be read, where that is so.
    pub(crate) unreadable: Option<String>,
    /// A charge: of no interest where the money is known.
    pub(crate) is_charge: bool,
}

/// A range that is being read: while one page is worked on, the next is on
/// its way.
pub(crate) struct History {
    running: Running<Result<HistoryPage, StripeError>>,
    client: std::sync::Arc<Client>,
}

impl History {
    /// Begins to read. Fails with 53000 where no thread can be started.
    pub(crate) fn start(
        range: TimeRange,
        connection: Connection,
        reading: Reading,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let client = std::sync::Arc::new(Client::new(connection, deadline));
        let asked = std::sync::Arc::clone(&client);
        let first = match &range.after {
            Some(id) => Start::After(id.clone()),
            None => Start::At(range.until),
        };
        let running = start_on_threads(vec![first], 1, deadline, move |start, stop| {
            let history_page = range.read(&asked, &start, &reading, stop);
            let next = history_page.as_ref().ok().and_then(HistoryPage::next);
            Step {
                portion: history_page,
                then: next.into_iter().collect(),
            }
        })?;
        Ok(Self { running, client })
    }

    /// Waits for the next page, interruptibly; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<HistoryPage, StripeError>> {
        self.running.next()
    }

    /// Requests sent so far, and how many of them were retries.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (self.client.requests(), self.client.retries())
    }
}

impl TimeRange {
    fn read(
        &self,
        client: &Client,
        start: &Start,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<HistoryPage, StripeError> {
        let page = self.book.read_page(client, start, stop)?;
        let contents = page.contents();
        let last = contents.objects.last().cloned();
        let is_over = last.as_ref().is_none_or(|(_, made)| *made < self.since);
        let mut history_page = HistoryPage {
            payments: Vec::new(),
            intents_of_sessions: Vec::new(),
            references: Vec::new(),
            objects: 0,
            is_last: is_over || !contents.has_more,
            last,
            time: contents.time(),
        };
        for object in &page.objects {
            if self.book == HistoryList::Payments(List::Sessions) {
                let intent = ids_of(object).intent;
                let expanded = || Some(object.pointer("/payment_intent/id")?.as_str()?.to_owned());
                history_page
                    .intents_of_sessions
                    .extend(intent.or_else(expanded));
            }
            let made = object.get("created").and_then(Value::as_i64);
            if made.is_some_and(|made| made < self.since) {
                continue;
            }
            history_page.objects += 1;
            match self.book {
                HistoryList::Payments(_) => {
                    history_page.take(object, &page, client, reading, stop)?;
                }
                HistoryList::References(_) => history_page.take_trace(object, None),
            }
        }
        Ok(history_page)
    }
}

impl HistoryPage {
    fn take(
        &mut self,
        object: &Value,
        page: &Page,
        client: &Client,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<(), StripeError> {
        let found = match read_found(object, reading, page) {
            Ok(found) => found,
            Err(error) => {
                self.take_trace(object, Some(error.to_string()));
                return Ok(());
            }
        };
        let mut payment = found.payment;
        if matches!(payment.state, PaymentState::Received(_)) {
            if found.disputed {
                payment.dispute = disputes(client, &payment, stop)?;
            }
            self.payments.push(payment);
        }
        Ok(())
    }

    fn take_trace(&mut self, object: &Value, unreadable: Option<String>) {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        let is_charge = text("object") == Some("charge");
        if is_charge && text("status") != Some("succeeded") {
            return;
        }
        let flag = object.get("livemode").and_then(Value::as_bool);
        self.references.push(PaymentReference {
            object: text("id").unwrap_or("an object without an id").to_owned(),
            ids: ids_of(object),
            created: object.get("created").and_then(Value::as_i64),
            livemode: flag.unwrap_or_default(),
            unreadable,
            is_charge,
        });
    }

    fn next(&self) -> Option<Start> {
        let (id, _) = self.last.as_ref().filter(|_| !self.is_last)?;
        Some(Start::After(id.clone()))
    }
}
