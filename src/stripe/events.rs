//! Stripe's events: which matter, what they are about, and the feed of them.
//!
//! Source: <https://docs.stripe.com/api/events>.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use crate::domain::event::Event;
use crate::domain::identity::PaymentIds;
use crate::pg::Stop;

/// The types that are acted on; `GET /v1/events` takes up to 20.
pub(crate) const TYPES: [&str; 14] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
];

/// Stripe keeps events for so long, in seconds.
pub(crate) const KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;

const PAGE: &str = "100";

/// Reads an event. Fails where a promised field is missing or of another type.
pub(crate) fn read_event(event: &Value) -> Result<Event, StripeError> {
    let text = |field: &str| {
        event
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| missing(field))
    };
    if text("object")? != "event" {
        return Err(StripeError::Malformed {
            what: "it is no event".to_owned(),
        });
    }
    let snapshot = event
        .pointer("/data/object")
        .filter(|object| object.is_object())
        .ok_or_else(|| missing("data.object"))?;
    Ok(Event {
        id: text("id")?.to_owned(),
        kind: text("type")?.to_owned(),
        created: event
            .get("created")
            .and_then(Value::as_i64)
            .ok_or_else(|| missing("created"))?,
        livemode: event
            .get("livemode")
            .and_then(Value::as_bool)
            .ok_or_else(|| missing("livemode"))?,
        account: event
            .get("account")
            .and_then(Value::as_str)
            .map(str::to_owned),
        ids: ids_of(snapshot),
        snapshot: snapshot.clone(),
    })
}

/// Whether this type of event can change what is known of a payment.
pub(crate) fn matters(event: &Event) -> bool {
    TYPES.contains(&event.kind.as_str()) && !event.ids.is_empty()
}

/// Every id of the payment that an object names.
fn ids_of(object: &Value) -> PaymentIds {
    let id = |field: &str| object.get(field).and_then(Value::as_str);
    let named = match object.get("object").and_then(Value::as_str) {
        Some("checkout.session") => [id("id"), id("payment_intent")],
        Some("payment_intent") => [id("id"), id("latest_charge")],
        Some("charge") => [id("id"), id("payment_intent")],
        Some("refund" | "dispute") => [id("payment_intent"), id("charge")],
        _ => [None; 2],
    };
    PaymentIds::from_columns(named)
}

/// Reads the feed from `since` (seconds since 1970) on, page by page, the
/// newest first; `take` is given every page. Ends with `NotAsked` where the time is up.
pub(crate) fn read_feed(
    client: &Client,
    since: i64,
    stop: &Stop,
    mut take: impl FnMut(Vec<Event>),
) -> Result<(), StripeError> {
    let since = since.to_string();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE), ("created[gte]", since.as_str())];
        query.extend(TYPES.iter().map(|kind| ("types[]", *kind)));
        query.extend(cursor.as_deref().map(|id| ("starting_after", id)));
        let page = client.get("/v1/events", &query, stop)?.body;
        let events = page
            .get("data")
            .and_then(Value::as_array)
            .ok_or_else(|| missing("data"))?
            .iter()
            .map(read_event)
            .collect::<Result<Vec<_>, _>>()?;
        let has_more = page
            .get("has_more")
            .and_then(Value::as_bool)
            .ok_or_else(|| missing("has_more"))?;
        cursor = events.last().map(|event| event.id.clone());
        take(events);
        if !has_more || cursor.is_none() {
            return Ok(());
        }
    }
}

fn missing(field: &str) -> StripeError {
    StripeError::Malformed {
        what: format!("\"{field}\" is missing or of the wrong type"),
    }
}
