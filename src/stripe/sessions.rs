//! Looks up the checkout sessions of payment intents.
//!
//! Source: <https://docs.stripe.com/api/checkout/sessions/list>.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::lists::{List, read_list};
use super::objects::{self, Reading};
use super::planner::Start;
use crate::domain::evidence::{SessionSide, StripePayment};
use crate::pg::{Stop, unpoisoned};

/// A session lives for a day at most, and its intent is created in this time; the tolerance of an hour on either side
/// covers differences of clocks. Source:
/// <https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at>.
const LIFE_SECONDS: i64 = 24 * 60 * 60;
pub(crate) const TOLERANCE_SECONDS: i64 = 60 * 60;

/// All sessions up to a time, where the end of Stripe's list was on the first page: what earlier intents have needs no
/// further request. A shop with a payment form of its own has no sessions at all.
#[derive(Default)]
pub(crate) struct AllSessions(Mutex<Option<(i64, Arc<[Value]>)>>);

impl AllSessions {
    fn up_to(&self, time: i64) -> Option<Arc<[Value]>> {
        let known = unpoisoned(self.0.lock());
        let (until, sessions) = known.as_ref()?;
        (time <= *until).then(|| Arc::clone(sessions))
    }

    /// What was made after the answer may be missing.
    fn note(&self, until: i64, answered_at: Option<i64>, sessions: Vec<Value>) {
        let Some(until) = answered_at.map(|answered| until.min(answered)) else {
            return;
        };
        let mut known = unpoisoned(self.0.lock());
        if known.as_ref().is_none_or(|(earlier, _)| *earlier < until) {
            *known = Some((until, sessions.into()));
        }
    }
}

/// Requests the session of a payment and adds it. Takes one request, or none if no money was received or the session
/// is known.
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

/// As [`with_session`], for many intents created between `oldest` and `newest` (seconds since 1970), by pages of the
/// list of sessions, as long as that takes fewer requests than one for each. Payments for which neither a session nor
/// its absence is known at the end stay unchanged. Returns the number of pages read.
pub(crate) fn join_sessions<'a>(
    client: &Client,
    payments: impl Iterator<Item = &'a mut StripePayment>,
    (oldest, newest): (i64, i64),
    reading: &Reading,
    all: &AllSessions,
    stop: &Stop,
) -> Result<u64, StripeError> {
    let mut open: BTreeMap<String, &mut StripePayment> = payments
        .filter(|payment| payment.lacks_session())
        .filter_map(|payment| Some((payment.ids.intent.clone()?, payment)))
        .collect();
    let since = earliest_session(oldest);
    let until = newest.saturating_add(TOLERANCE_SECONDS);
    let mut start = Start::At(until);
    let most = open.len() / 2;
    if most > 0
        && let Some(sessions) = all.up_to(until)
    {
        join_each(&mut open, &sessions, reading);
        have_none(open);
        return Ok(0);
    }
    let mut pages = 0;
    while pages < most && !open.is_empty() {
        let page = List::Sessions.read_page(client, &start, stop)?;
        pages += 1;
        join_each(&mut open, &page.objects, reading);
        let contents = page.contents();
        let last = contents.objects.last();
        if !contents.has_more || last.is_some_and(|(_, made)| *made < since) {
            if !contents.has_more && pages == 1 {
                all.note(until, page.date, page.objects);
            }
            have_none(open);
            break;
        }
        match last {
            Some((id, _)) => start = Start::After(id.clone()),
            None => break,
        }
    }
    Ok(u64::try_from(pages).unwrap_or_default())
}

/// Adds those of the sessions that are an open payment's. One that cannot be read is requested by itself later, and
/// fails with its own error.
fn join_each(
    open: &mut BTreeMap<String, &mut StripePayment>,
    sessions: &[Value],
    reading: &Reading,
) {
    for session in sessions {
        let intent = session
            .pointer("/payment_intent/id")
            .and_then(Value::as_str);
        let Some(payment) = intent.and_then(|intent| open.remove(intent)) else {
            continue;
        };
        if let Ok(joined) = join(payment.clone(), session, reading) {
            *payment = joined;
        }
    }
}

/// All sessions of the time were read, so the remaining payments have none.
fn have_none(open: BTreeMap<String, &mut StripePayment>) {
    for payment in open.into_values() {
        payment.session_side = SessionSide::Read;
    }
}

/// Returns the earliest time of creation of the session of an intent created at this time.
pub(crate) fn earliest_session(intent_made: i64) -> i64 {
    intent_made.saturating_sub(LIFE_SECONDS + TOLERANCE_SECONDS)
}

/// Adds its session to an intent's payment. The intent in the session need not be expanded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_made_after_the_answer_is_asked_for() {
        let all = AllSessions::default();
        assert!(all.up_to(10).is_none());
        all.note(100, None, Vec::new());
        assert!(all.up_to(10).is_none(), "the answer's time is unknown");
        all.note(100, Some(50), vec![Value::Null]);
        assert_eq!(all.up_to(50).map(|sessions| sessions.len()), Some(1));
        assert!(all.up_to(51).is_none());
        all.note(40, Some(60), Vec::new());
        assert_eq!(all.up_to(50).map(|sessions| sessions.len()), Some(1));
    }
}
