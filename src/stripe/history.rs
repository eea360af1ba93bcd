//! All payments of a stretch of time, by the pages of a list, from its newest
//! object back.

use std::time::Instant;

use serde_json::Value;

use super::client::{Client, Connection};
use super::error::StripeError;
use super::events::ids_of;
use super::gather::read_found;
use super::lists::{List, Page, read_page};
use super::objects::Reading;
use super::planner::Start;
use super::retrieve::disputes;
use crate::domain::evidence::{PaymentState, StripePayment};
use crate::domain::identity::PaymentIds;
use crate::pg::{Problem, Running, Step, Stop, start_on_threads};

/// Which list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Book {
    /// Of payments.
    Payments(List),
    /// Of what happens to payments: charges, refunds, disputes, at this path.
    Traces(&'static str),
}

impl Book {
    /// By the name of Stripe's type, in the plural; what is not known is intents,
    /// which every payment has.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "checkout_sessions" => Self::Payments(List::Sessions),
            "charges" => Self::Traces("/v1/charges"),
            "refunds" => Self::Traces("/v1/refunds"),
            "disputes" => Self::Traces("/v1/disputes"),
            _ => Self::Payments(List::Intents),
        }
    }

    fn read_page(self, client: &Client, start: &Start, stop: &Stop) -> Result<Page, StripeError> {
        match self {
            Self::Payments(list) => list.read_page(client, start, stop),
            Self::Traces(path) => read_page(client, path, None, start, stop),
        }
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) book: Book,
    /// Seconds since 1970, both inclusive.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// The object after which reading goes on; `None`: from `until` on.
    pub(crate) after: Option<String>,
}

/// A page's worth.
#[derive(Debug)]
pub(crate) struct Chapter {
    /// Those for which money was received.
    pub(crate) payments: Vec<StripePayment>,
    /// Of a list of sessions: the intents of all of them, paid or not.
    pub(crate) intents_of_sessions: Vec<String>,
    /// What tells of payments, and of which payments.
    pub(crate) traces: Vec<Trace>,
    /// Objects of the stretch that stood on the page.
    pub(crate) objects: u64,
    /// The oldest object, and when it was made; `None` on an empty page.
    pub(crate) last: Option<(String, i64)>,
    pub(crate) is_last: bool,
    /// When the oldest and the newest object of the page were made.
    pub(crate) time: Option<(i64, i64)>,
}

/// An object that tells of a payment and is not evidence itself.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) object: String,
    pub(crate) ids: PaymentIds,
    pub(crate) created: Option<i64>,
    pub(crate) livemode: bool,
    /// Why it could not be read, where that is so.
    pub(crate) unreadable: Option<String>,
    /// A charge: of no interest where the money is known.
    pub(crate) is_charge: bool,
}

/// A stretch that is being read: while one chapter is worked on, the next is on
/// its way.
pub(crate) struct History {
    running: Running<Result<Chapter, StripeError>>,
    client: std::sync::Arc<Client>,
}

impl History {
    /// Begins to read. Fails with 53000 where no thread can be started.
    pub(crate) fn start(
        stretch: Stretch,
        connection: Connection,
        reading: Reading,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let client = std::sync::Arc::new(Client::new(connection, deadline));
        let asked = std::sync::Arc::clone(&client);
        let first = match &stretch.after {
            Some(id) => Start::After(id.clone()),
            None => Start::At(stretch.until),
        };
        let running = start_on_threads(vec![first], 1, deadline, move |start, stop| {
            let chapter = stretch.read(&asked, &start, &reading, stop);
            let next = chapter.as_ref().ok().and_then(Chapter::next);
            Step {
                portion: chapter,
                then: next.into_iter().collect(),
            }
        })?;
        Ok(Self { running, client })
    }

    /// Waits for the next chapter, interruptibly; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<Chapter, StripeError>> {
        self.running.next()
    }

    /// Requests sent so far, and how many of them were retries.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (self.client.requests(), self.client.retries())
    }
}

impl Stretch {
    fn read(
        &self,
        client: &Client,
        start: &Start,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<Chapter, StripeError> {
        let page = self.book.read_page(client, start, stop)?;
        let contents = page.contents();
        let last = contents.objects.last().cloned();
        let is_over = last.as_ref().is_none_or(|(_, made)| *made < self.since);
        let mut chapter = Chapter {
            payments: Vec::new(),
            intents_of_sessions: Vec::new(),
            traces: Vec::new(),
            objects: 0,
            is_last: is_over || !contents.has_more,
            last,
            time: contents.time(),
        };
        for object in &page.objects {
            if self.book == Book::Payments(List::Sessions) {
                let intent = ids_of(object).intent;
                let expanded = || Some(object.pointer("/payment_intent/id")?.as_str()?.to_owned());
                chapter.intents_of_sessions.extend(intent.or_else(expanded));
            }
            let made = object.get("created").and_then(Value::as_i64);
            if made.is_some_and(|made| made < self.since) {
                continue;
            }
            chapter.objects += 1;
            match self.book {
                Book::Payments(_) => {
                    chapter.take(object, &page, client, reading, stop)?;
                }
                Book::Traces(_) => chapter.take_trace(object, None),
            }
        }
        Ok(chapter)
    }
}

impl Chapter {
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
        self.traces.push(Trace {
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
