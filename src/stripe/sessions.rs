//! Looks up the checkout sessions of payment intents.
//!
//! Source: <https://docs.stripe.com/api/checkout/sessions/list>.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::lists::{List, read_list};
use super::objects::{self, Reading};
use super::planner::Start;
use crate::domain::evidence::{SessionSide, StripePayment};
use crate::pg::Stop;

/// A session lives for a day at the most, and its intent is made meanwhile; an hour on
/// either side is for clocks. Source: <https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at>.
const LIFE_SECONDS: i64 = 24 * 60 * 60;
const TOLERANCE_SECONDS: i64 = 60 * 60;

/// Asks by which session a payment came, and reads it: one request, and none where no
/// money came or the session was read.
pub(crate) fn with_session(
    client: &Client,
    payment: StripePayment,
    reading: &Reading,
    stop: &Stop,
) -> Result<StripePayment, StripeError> {
    let Some(intent) = payment
        .ids
        .intent
        .clone()
        .filter(|_| payment.lacks_session())
    else {
        return Ok(payment);
    };
    let query = [("payment_intent", intent.as_str()), ("limit", "1")];
    let page = read_list(client.get("/v1/checkout/sessions", &query, stop)?)?;
    match page.objects.first() {
        Some(session) => join(payment, session, reading),
        None => Ok(StripePayment {
            session_side: SessionSide::Read,
            ..payment
        }),
    }
}

/// The same for many intents of one time, `oldest` to `newest` (seconds since 1970), by
/// pages of the list of sessions, as long as that is fewer requests than asking for
/// each; what is found neither by a session nor without one is left as it is. Gives how
/// many pages were read.
pub(crate) fn join_sessions<'a>(
    client: &Client,
    payments: impl Iterator<Item = &'a mut StripePayment>,
    (oldest, newest): (i64, i64),
    reading: &Reading,
    stop: &Stop,
) -> Result<u64, StripeError> {
    let mut open: BTreeMap<String, &mut StripePayment> = payments
        .filter(|payment| payment.lacks_session())
        .filter_map(|payment| Some((payment.ids.intent.clone()?, payment)))
        .collect();
    let since = earliest_session(oldest);
    let mut start = Start::At(newest.saturating_add(TOLERANCE_SECONDS));
    let most = open.len() / 2;
    let mut pages = 0;
    while pages < most && !open.is_empty() {
        let page = List::Sessions.read_page(client, &start, stop)?;
        pages += 1;
        for session in &page.objects {
            let intent = session
                .pointer("/payment_intent/id")
                .and_then(Value::as_str);
            let Some(payment) = intent.and_then(|intent| open.remove(intent)) else {
                continue;
            };
            // What cannot be read is asked for by itself, with its error.
            if let Ok(joined) = join(payment.clone(), session, reading) {
                *payment = joined;
            }
        }
        let contents = page.contents();
        let last = contents.objects.last();
        if !contents.has_more || last.is_some_and(|(_, made)| *made < since) {
            // All sessions of the time were seen, and these payments came by none.
            for payment in open.values_mut() {
                payment.session_side = SessionSide::Read;
            }
            break;
        }
        match last {
            Some((id, _)) => start = Start::After(id.clone()),
            None => break,
        }
    }
    Ok(u64::try_from(pages).unwrap_or_default())
}

/// When the session of an intent that was made at this time may have been made.
pub(crate) fn earliest_session(intent_made: i64) -> i64 {
    intent_made.saturating_sub(LIFE_SECONDS + TOLERANCE_SECONDS)
}

/// An intent's payment and its session, whose own intent need not be expanded.
fn join(
    payment: StripePayment,
    session: &Value,
    reading: &Reading,
) -> Result<StripePayment, StripeError> {
    let found = objects::read_unexpanded(session, reading)?;
    match found.filter(|found| found.ids.intent == payment.ids.intent) {
        Some(found) => Ok(payment.with_session(found)),
        None => Err(StripeError::Malformed {
            what: "another object than the session of the payment intent".to_owned(),
        }),
    }
}
