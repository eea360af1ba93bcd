//! Reads all payments of a range of time from a list, page by page, from the newest back.

use std::time::Instant;

use serde_json::Value;

use super::client::{Client, Connection};
use super::error::StripeError;
use super::events::ids_of;
use super::invoices::names_an_invoice;
use super::lists::{List, Page, read_page};
use super::objects::{Reading, intent_of_charge};
use super::planner::Start;
use super::retrieve::{ask, complete};
use super::sessions::with_session;
use crate::domain::account::qualified;
use crate::domain::evidence::{PaymentState, StripePayment};
use crate::domain::identity::{PaymentIds, StripeId};
use crate::pg::{Problem, Running, Step, Stop, start_on_threads};
use crate::stripe::lookups::read_found;

/// The list that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryList {
    /// A list of payments.
    Payments(List),
    /// The list of charges: one without an intent is a payment, others refer to theirs.
    Charges,
    /// The list of Stripe Invoices: those that name an invoice lead to their payments.
    StripeInvoices,
    /// A list at this path of objects that refer to payments: refunds, disputes.
    References(&'static str),
}

impl HistoryList {
    /// Returns the list with the name of Stripe's type in the plural. Unknown names mean payment intents, which every
    /// payment has.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "checkout_sessions" => Self::Payments(List::Sessions),
            "charges" => Self::Charges,
            "invoices" => Self::StripeInvoices,
            "refunds" => Self::References("/v1/refunds"),
            "disputes" => Self::References("/v1/disputes"),
            _ => Self::Payments(List::Intents),
        }
    }

    fn read_page(self, client: &Client, start: &Start, stop: &Stop) -> Result<Page, StripeError> {
        match self {
            Self::Payments(list) => list.read_page_of_payable(client, start, stop),
            Self::Charges => read_page(client, "/v1/charges", &[], Some("data"), start, stop),
            Self::StripeInvoices => read_page(client, "/v1/invoices", &[], None, start, stop),
            Self::References(path) => read_page(client, path, &[], None, start, stop),
        }
    }
}

/// The range of time that is read, and its list.
#[derive(Clone, Debug)]
pub(crate) struct TimeRange {
    pub(crate) list: HistoryList,
    /// Seconds since 1970; both ends are included.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// The object after which reading continues; `None` to start at `until`.
    pub(crate) after: Option<String>,
}

/// The content of one page.
#[derive(Debug)]
pub(crate) struct HistoryPage {
    /// The payments for which money was received.
    pub(crate) payments: Vec<StripePayment>,
    /// For a list of sessions, the intents of all that are complete.
    pub(crate) intents_of_sessions: Vec<String>,
    /// The objects that refer to payments.
    pub(crate) references: Vec<PaymentReference>,
    /// The number of objects on the page that are in the range.
    pub(crate) objects: u64,
    /// The oldest object and its time of creation; `None` if the page is empty.
    pub(crate) last: Option<(String, i64)>,
    pub(crate) is_last: bool,
    /// The times of creation of the oldest and the newest object of the page.
    pub(crate) time: Option<(i64, i64)>,
}

/// An object that refers to a payment and is not evidence itself.
#[derive(Clone, Debug)]
pub(crate) struct PaymentReference {
    pub(crate) object: String,
    pub(crate) ids: PaymentIds,
    pub(crate) created: Option<i64>,
    pub(crate) livemode: bool,
    /// Why it could not be read; `None` if it could.
    pub(crate) unreadable: Option<String>,
    /// Whether it is a charge, which is ignored if the payment is known.
    pub(crate) is_charge: bool,
}

/// Reads a range. The next page is requested while the caller processes the last one.
pub(crate) struct History {
    running: Running<Result<HistoryPage, StripeError>>,
    client: std::sync::Arc<Client>,
}

impl History {
    /// Starts to read. Fails with 53000 if no thread can be started.
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

    /// Returns the number of requests sent so far, and how many of them were retries.
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
        let page = match self.list.read_page(client, start, stop) {
            // The permission is optional.
            Err(StripeError::Forbidden { .. }) if self.list == HistoryList::StripeInvoices => {
                return Ok(HistoryPage::end());
            }
            page => page?,
        };
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
            if self.list == HistoryList::Payments(List::Sessions) {
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
            match self.list {
                HistoryList::Payments(_) => {
                    history_page.add_payment(object, &page, client, reading, stop)?;
                }
                HistoryList::Charges if intent_of_charge(object).is_none() => {
                    history_page.add_payment(object, &page, client, reading, stop)?;
                }
                HistoryList::StripeInvoices => {
                    history_page.add_payments_of_invoice(object, client, reading, stop)?;
                }
                HistoryList::Charges | HistoryList::References(_) => {
                    history_page.add_reference(object, None);
                }
            }
        }
        Ok(history_page)
    }
}

impl HistoryPage {
    /// Returns the page of a list that cannot be read.
    fn end() -> Self {
        Self {
            payments: Vec::new(),
            intents_of_sessions: Vec::new(),
            references: Vec::new(),
            objects: 0,
            last: None,
            is_last: true,
            time: None,
        }
    }

    /// Returns the page with the ids of this account; the place in the list stays as Stripe has it.
    pub(crate) fn of_account(mut self, account: &str) -> Self {
        let of = |ids: &PaymentIds| ids.of(Some(account));
        self.payments = self
            .payments
            .into_iter()
            .map(|it| it.of(Some(account)))
            .collect();
        for reference in &mut self.references {
            reference.ids = of(&reference.ids);
            reference.object = qualified(Some(account), &reference.object);
        }
        for intent in &mut self.intents_of_sessions {
            *intent = qualified(Some(account), intent);
        }
        self
    }

    /// Adds the payments of a Stripe Invoice that names an invoice. Those of others are found by the ids that are stored.
    fn add_payments_of_invoice(
        &mut self,
        invoice: &Value,
        client: &Client,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<(), StripeError> {
        let id = ids_of(invoice).stripe_invoice;
        let Some(id) = id.as_deref().and_then(StripeId::parse) else {
            return Ok(());
        };
        if !names_an_invoice(invoice, reading) {
            return Ok(());
        }
        let found = match ask(client, &id, reading, stop) {
            Err(error @ (StripeError::Malformed { .. } | StripeError::NoSuchObject { .. })) => {
                self.add_reference(invoice, Some(error.to_string()));
                return Ok(());
            }
            found => found?,
        };
        for payment in found {
            if matches!(payment.state, PaymentState::Received(money) if money.minor > 0) {
                let payment = with_session(client, payment, reading, stop)?;
                self.payments.push(payment);
            }
        }
        Ok(())
    }

    fn add_payment(
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
                self.add_reference(object, Some(error.to_string()));
                return Ok(());
            }
        };
        if matches!(found.payment.state, PaymentState::Received(_)) {
            let payments = complete(found.payment, &found.open, client, reading, stop)?;
            self.payments.extend(payments);
        }
        Ok(())
    }

    fn add_reference(&mut self, object: &Value, unreadable: Option<String>) {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        let is_charge = text("object") == Some("charge");
        if is_charge && text("status") != Some("succeeded") && unreadable.is_none() {
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
