//! Tests of src/stripe without a server: pure functions by tables, and the client over HTTP against the stand-in.

mod charges;
mod client;
mod client_answers;
mod events;
mod fetch;
mod http_date;
mod invoices;
mod limiter;
mod lists;
mod objects;
mod pages;
mod planner;
mod retry;
mod signature;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stripe_double::{Config, Double};

use super::client::{Answer, Client, Connection};
use super::error::StripeError;
use super::limiter::Limits;
use crate::pg::Stop;
use crate::settings::Secret;

const KEY: &str = "sk_test_double";

/// Longer than any successful test takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn double() -> Double {
    Double::start(Config::default()).expect("the stand-in starts")
}

fn connection(double: &Double) -> Connection {
    Connection {
        base: double.url(),
        key: Secret::for_tests(KEY),
        version: "2026-07-29.dahlia".to_owned(),
        account: None,
        timeout: Duration::from_secs(5),
        limits: Limits::new(1000, [None]),
        concurrency: 4,
    }
}

fn client(double: &Double) -> Client {
    Client::new(connection(double), Instant::now() + TEST_TIMEOUT)
}

fn get(client: &Client, path: &str) -> Result<Answer, StripeError> {
    client.get(path, &[], &Stop::new())
}

/// A charge in Stripe's format, limited to the fields that are read.
fn charge() -> Value {
    json!({
        "object": "charge", "id": "ch_1", "livemode": false, "created": 1_700_000_030,
        "status": "succeeded", "captured": true, "disputed": false, "currency": "usd",
        "amount": 5_000, "amount_captured": 5_000, "amount_refunded": 0,
        "payment_intent": "pi_1", "description": "A boat trip", "metadata": {},
    })
}

fn intent() -> Value {
    json!({
        "object": "payment_intent", "id": "pi_1", "livemode": false, "created": 1_700_000_010,
        "status": "succeeded", "currency": "usd", "amount": 5_000, "amount_received": 5_000,
        "description": "Trip 7", "metadata": {}, "latest_charge": charge(),
    })
}

fn session() -> Value {
    json!({
        "object": "checkout.session", "id": "cs_test_1", "livemode": false, "created": 1_700_000_000,
        "mode": "payment", "status": "complete", "payment_status": "paid", "currency": "usd",
        "amount_total": 5_000, "client_reference_id": "ref-9", "metadata": {},
        "payment_intent": intent(),
    })
}

/// Returns the object with one field set; `path` is a JSON pointer.
fn with(mut object: Value, path: &str, value: impl Into<Value>) -> Value {
    let (parent, field) = path.rsplit_once('/').expect("a JSON pointer");
    object
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .unwrap_or_else(|| panic!("there is no object at {parent}"))
        .insert(field.to_owned(), value.into());
    object
}

/// Returns the object without one field; `path` is a JSON pointer.
fn without(mut object: Value, path: &str) -> Value {
    let (parent, field) = path.rsplit_once('/').expect("a JSON pointer");
    object
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .and_then(|fields| fields.remove(field))
        .unwrap_or_else(|| panic!("there is nothing at {path}"));
    object
}
