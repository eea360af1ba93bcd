//! All payments of a stretch of time, by the pages of a list, from its newest
//! object back.

use std::time::Instant;

use super::client::{Client, Connection};
use super::error::StripeError;
use super::gather::read_found;
use super::lists::{List, Page};
use super::objects::Reading;
use super::planner::Start;
use super::retrieve::disputes;
use crate::domain::evidence::{PaymentState, StripePayment};
use crate::pg::{Problem, Running, Step, Stop, start_on_threads};

/// What is read.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) list: List,
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
    /// Objects of the stretch that stood on the page.
    pub(crate) objects: u64,
    /// Those of them that could not be read, and why.
    pub(crate) unreadable: Vec<String>,
    /// The oldest object, and when it was made; `None` on an empty page.
    pub(crate) last: Option<(String, i64)>,
    pub(crate) is_last: bool,
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
        let page = self.list.read_page(client, start, stop)?;
        let contents = page.contents();
        let last = contents.objects.last().cloned();
        let is_over = last.as_ref().is_none_or(|(_, made)| *made < self.since);
        let mut chapter = Chapter {
            payments: Vec::new(),
            objects: 0,
            unreadable: Vec::new(),
            is_last: is_over || !contents.has_more,
            last,
        };
        self.fill(&mut chapter, &page, client, reading, stop)?;
        Ok(chapter)
    }

    fn fill(
        &self,
        chapter: &mut Chapter,
        page: &Page,
        client: &Client,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<(), StripeError> {
        for object in &page.objects {
            let made = object.get("created").and_then(serde_json::Value::as_i64);
            if made.is_some_and(|made| made < self.since) {
                continue;
            }
            chapter.objects += 1;
            let found = match read_found(object, reading, page.request_id.clone()) {
                Ok(found) => found,
                Err(error) => {
                    chapter.unreadable.push(error.to_string());
                    continue;
                }
            };
            let mut payment = found.payment;
            if !matches!(payment.state, PaymentState::Received(_)) {
                continue;
            }
            if found.disputed {
                payment.dispute = disputes(client, &payment, stop)?;
            }
            chapter.payments.push(payment);
        }
        Ok(())
    }
}

impl Chapter {
    fn next(&self) -> Option<Start> {
        let (id, _) = self.last.as_ref().filter(|_| !self.is_last)?;
        Some(Start::After(id.clone()))
    }
}
