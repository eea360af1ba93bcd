//! Stripe's events: the types that are acted on, the objects that they are about, and pages of the list.
//!
//! Source: <https://docs.stripe.com/api/events>.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::lists::read_list;
use crate::domain::account::is_account;
use crate::domain::event::Event;
use crate::domain::feed::{Mark, Request};
use crate::domain::identity::PaymentIds;
use crate::pg::Stop;

/// The event types that are processed.
pub(crate) const TYPES: [&str; 26] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.amount_capturable_updated",
    "charge.succeeded",
    "charge.captured",
    "charge.refunded",
    "charge.refund.updated",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "invoice.paid",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice_payment.paid",
    // Those of the feed end here.
    "checkout.session.async_payment_failed",
    "refund.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "invoice.payment_failed",
    "credit_note.created",
];

/// The types that are read from the feed: `GET /v1/events` accepts 20. The others come with one of these, of the same
/// moment, or move no money: a failed session or Stripe Invoice with the failed intent, a new refund with
/// `charge.refunded`, the funds of a dispute with the dispute itself, a credit note with its refund or with the payment
/// of what is left. By webhook, all are understood.
pub(super) fn of_feed() -> &'static [&'static str] {
    &TYPES[..20]
}

/// Reads an event, and takes its object out of it. Fails if a documented field is missing or of another type.
pub(crate) fn read_event(event: &mut Value) -> Result<Event, StripeError> {
    let text = |field: &str| {
        event
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| StripeError::missing(field))
    };
    if text("object")? != "event" {
        return Err(StripeError::Malformed {
            what: "it is not an event".to_owned(),
        });
    }
    let snapshot = event
        .pointer("/data/object")
        .filter(|object| object.is_object())
        .ok_or_else(|| StripeError::missing("data.object"))?;
    let mut read = Event {
        id: text("id")?.to_owned(),
        kind: text("type")?.to_owned(),
        created: event
            .get("created")
            .and_then(Value::as_i64)
            .ok_or_else(|| StripeError::missing("created"))?,
        livemode: event
            .get("livemode")
            .and_then(Value::as_bool)
            .ok_or_else(|| StripeError::missing("livemode"))?,
        account: event
            .get("account")
            .and_then(Value::as_str)
            .map(str::to_owned),
        ids: ids_of(snapshot),
        snapshot: Value::Null,
    };
    if let Some(snapshot) = event.pointer_mut("/data/object") {
        read.snapshot = snapshot.take();
    }
    Ok(read)
}

/// Reads an event that Stripe has delivered, whose account its context may state, too.
pub(crate) fn read_delivered(mut event: Value) -> Result<Event, StripeError> {
    Ok(Event {
        account: stated_account(&event).map(str::to_owned),
        ..read_event(&mut event)?
    })
}

/// Returns the account that a delivered event states; `None` for the key's own account. The endpoint of an organisation
/// states it in the context, a path that ends with the account; a context without an account is that of nobody here.
/// Source: <https://docs.stripe.com/api/events/object#event_object-context>.
pub(crate) fn stated_account(event: &Value) -> Option<&str> {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    let of_context = || {
        let context = text("context").filter(|context| !context.is_empty())?;
        let parts = || context.rsplit('/');
        parts().find(|part| is_account(part)).or(parts().next())
    };
    text("account").or_else(of_context)
}

/// Returns whether an event of this type can change what is known about a payment.
pub(crate) fn matters(event: &Event) -> bool {
    let tells_something = match event.kind.as_str() {
        // The intent's own event tells of its charge.
        "charge.succeeded" => event.ids.intent.is_none(),
        // An authorisation brings no money, the capture of a part does.
        "payment_intent.amount_capturable_updated" => {
            let received = event.snapshot.get("amount_received");
            received.and_then(Value::as_i64) != Some(0)
        }
        kind => TYPES.contains(&kind),
    };
    tells_something && !event.ids.is_empty()
}

/// Returns all ids of the payment that an object names.
pub(super) fn ids_of(object: &Value) -> PaymentIds {
    let id = |field: &str| object.get(field).and_then(Value::as_str);
    let named = match object.get("object").and_then(Value::as_str) {
        Some("checkout.session") => [id("id"), id("payment_intent")],
        Some("payment_intent") => [id("id"), id("latest_charge")],
        Some("charge") => [id("id"), id("payment_intent")],
        Some("refund" | "dispute") => [id("payment_intent"), id("charge")],
        Some("invoice") => {
            // Before 2025-03-31, it names its payment.
            let payment = id("payment_intent").or(id("charge"));
            [id("id"), payment]
        }
        Some("invoice_payment") => {
            let payment = |field: &str| object.get("payment")?.get(field)?.as_str();
            [
                id("invoice"),
                payment("payment_intent").or(payment("charge")),
            ]
        }
        Some("credit_note") => [id("invoice"), None],
        _ => [None; 2],
    };
    PaymentIds::from_columns(named)
}

/// A page of the list of events.
#[derive(Debug)]
pub(crate) struct Page {
    /// The newest event first.
    pub(crate) events: Vec<Event>,
    /// Objects that are not events as documented.
    pub(crate) unreadable: Vec<Unreadable>,
    /// Ids and times of all objects on the page.
    pub(crate) marks: Vec<Mark>,
    /// Whether there are more events in the direction of paging.
    pub(crate) has_more: bool,
    /// Stripe's clock at the time of the answer, in seconds since 1970.
    pub(crate) stripe_time: Option<i64>,
}

/// An object of the list that could not be read as an event.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) id: String,
    pub(crate) why: String,
    /// The payment that it is about, if it can be determined all the same.
    pub(crate) ids: PaymentIds,
}

impl Page {
    fn add(&mut self, mut object: Value) {
        let id = object.get("id").and_then(Value::as_str).map(str::to_owned);
        let made = object.get("created").and_then(Value::as_i64);
        if let (Some(id), Some(created)) = (&id, made) {
            self.marks.push(Mark {
                id: id.clone(),
                created,
            });
        }
        match read_event(&mut object) {
            Ok(event) => self.events.push(event),
            Err(error) => self.unreadable.push(Unreadable {
                id: id.unwrap_or_else(|| "an event without an id".to_owned()),
                why: error.to_string(),
                ids: object
                    .pointer("/data/object")
                    .map_or_else(PaymentIds::default, ids_of),
            }),
        }
    }
}

/// Requests one page of the events of [`of_feed`]. Fails with [`StripeError::CursorGone`] if Stripe no longer has the
/// event to continue from.
pub(crate) fn read_page(
    client: &Client,
    request: &Request,
    stop: &Stop,
) -> Result<Page, StripeError> {
    let mut query: Vec<(&str, &str)> = of_feed().iter().map(|kind| ("types[]", *kind)).collect();
    let since;
    match request {
        Request::After(event) => query.push(("ending_before", event)),
        Request::Before { event, since: at } => {
            since = at.to_string();
            query.push(("created[gte]", &since));
            query.extend(event.as_deref().map(|event| ("starting_after", event)));
        }
    }
    let list = read_list(client.get_page("/v1/events", &query, stop)?)?;
    let mut page = Page {
        events: Vec::new(),
        unreadable: Vec::new(),
        marks: Vec::new(),
        has_more: list.has_more,
        stripe_time: list.date,
    };
    list.objects.into_iter().for_each(|object| page.add(object));
    Ok(page)
}
