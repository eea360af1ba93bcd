//! Checks that Stripe answers and what the key may read, with one small request for each kind of object.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::client::{Answer, Client, Connection};
use super::error::StripeError;
use crate::pg::{Problem, run_on_threads};

/// A kind of object that a key is to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource {
    /// The name in Stripe's dashboard.
    pub(crate) name: &'static str,
    path: &'static str,
    /// What the list must be able to contain.
    expanded: Option<&'static str>,
    /// What is lost if the key may not read them; `None` if nothing works without them.
    pub(crate) loss: Option<&'static str>,
}

const fn needed(name: &'static str, path: &'static str) -> Resource {
    Resource {
        name,
        path,
        expanded: None,
        loss: None,
    }
}

const RESOURCES: [Resource; 7] = [
    needed("Checkout Sessions", "/v1/checkout/sessions"),
    needed("PaymentIntents", "/v1/payment_intents"),
    needed("Charges", "/v1/charges"),
    needed("Disputes", "/v1/disputes"),
    needed("Events", "/v1/events"),
    Resource {
        loss: Some(
            "payments are not found by the id or the metadata of a Stripe Invoice, and a subscription's session cannot be \
         matched with the intent that paid it: its refunds and disputes are not found, and beside a row that may be the \
         payment it is reported as possible_duplicate",
        ),
        ..needed("Invoices", "/v1/invoices")
    },
    Resource {
        expanded: Some("data.balance_transaction"),
        loss: Some(
            "payments have the date of the charge instead of the date on which the money came, and a row of what Stripe \
         paid out less its fee is not recognised",
        ),
        ..needed("Balance transaction sources", "/v1/charges")
    },
];

/// Time reserved for threads to end before the deadline.
const SHUTDOWN_MARGIN: Duration = Duration::from_millis(250);

/// The outcome of the request for one kind of object.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) resource: &'static Resource,
    pub(crate) outcome: Result<Seen, StripeError>,
}

/// What an answer shows about mode and clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The mode of the newest object, if there is one.
    pub(crate) livemode: Option<bool>,
    /// How many seconds Stripe's clock is ahead of ours.
    pub(crate) ahead: Option<i64>,
}

/// Requests one object of each kind at the same time, for at most `timeout`.
pub(crate) fn probe(connection: Connection, timeout: Duration) -> Result<Vec<Reply>, Problem> {
    let deadline = Instant::now() + timeout;
    let client = Arc::new(Client::new(connection, deadline - SHUTDOWN_MARGIN));
    let answers = run_on_threads(
        RESOURCES.to_vec(),
        RESOURCES.len(),
        deadline,
        move |resource, stop| {
            let mut query = vec![("limit", "1")];
            query.extend(resource.expanded.map(|path| ("expand[]", path)));
            client.get(resource.path, &query, stop).map(seen)
        },
    )?;
    let replies = RESOURCES.iter().zip(answers);
    Ok(replies
        .map(|(resource, outcome)| Reply {
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
