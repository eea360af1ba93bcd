//! Checks that Stripe answers and what the key may read, with one small request for each kind of object.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::client::{Answer, Client, Connection};
use super::error::StripeError;
use crate::pg::{Problem, run_on_threads};

/// What a key must be allowed to read: as Stripe's dashboard calls it, and the list.
const RESOURCES: [(&str, &str); 5] = [
    ("Checkout Sessions", "/v1/checkout/sessions"),
    ("PaymentIntents", "/v1/payment_intents"),
    ("Charges", "/v1/charges"),
    ("Disputes", "/v1/disputes"),
    ("Events", "/v1/events"),
];

/// Left for threads to end by themselves before they are given up.
const REST: Duration = Duration::from_millis(250);

/// What came of asking for one kind of object.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// As Stripe's dashboard calls it.
    pub(crate) resource: &'static str,
    pub(crate) outcome: Result<Seen, StripeError>,
}

/// What an answer tells beside its contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The mode of the newest object, where there is one.
    pub(crate) livemode: Option<bool>,
    /// By how many seconds Stripe's clock is ahead of ours.
    pub(crate) ahead: Option<i64>,
}

/// Asks for everything at once, for as long as `patience`.
pub(crate) fn probe(connection: Connection, patience: Duration) -> Result<Vec<Reply>, Problem> {
    let deadline = Instant::now() + patience;
    let client = Arc::new(Client::new(connection, deadline - REST));
    let answers = run_on_threads(
        RESOURCES.to_vec(),
        RESOURCES.len(),
        deadline,
        move |(_, path), stop| client.get(path, &[("limit", "1")], stop).map(seen),
    )?;
    let replies = RESOURCES.iter().zip(answers);
    Ok(replies
        .map(|((resource, _), outcome)| Reply {
            resource,
            outcome: outcome.unwrap_or(Err(StripeError::NotAsked)),
        })
        .collect())
}

fn seen(answer: Answer) -> Seen {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    Seen {
        livemode: answer
            .body
            .pointer("/data/0/livemode")
            .and_then(Value::as_bool),
        ahead: answer.date.zip(now).map(|(theirs, ours)| theirs - ours),
    }
}
