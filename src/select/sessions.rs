//! Adds what is remembered of checkout sessions to the lookups, so that Stripe is asked for each once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::evidence::{SessionSide, StripePayment};
use crate::domain::identity::{ObjectKind, StripeId};
use crate::ledger::stripe_payments;
use crate::stripe::history::HistoryPage;
use crate::stripe::lookups::Question;
use crate::stripe::sessions::{TOLERANCE_SECONDS, earliest_session};

/// Adds stored sessions to the questions: an intent whose session is known is looked up by the session, which
/// contains the intent; an intent known to have no session is looked up without a search for one.
pub(crate) fn with_known_sessions(mut questions: Vec<Question>) -> Vec<Question> {
    let ids = questions.iter().flat_map(|question| &question.ids);
    let known = stripe_payments::sessions_of(ids.map(|id| id.trim()).filter(|id| is_intent(id)));
    if known.is_empty() {
        return questions;
    }
    for question in &mut questions {
        let mut ids: Vec<String> = Vec::new();
        for id in std::mem::take(&mut question.ids) {
            match known.get(id.trim()) {
                Some(Some(session)) if !ids.contains(session) => {
                    if ids.is_empty() {
                        // The time was that of the intent.
                        question.created = None;
                    }
                    ids.push(session.clone());
                }
                Some(None) => {
                    question.sessionless.insert(id.trim().to_owned());
                }
                _ => {}
            }
            ids.push(id);
        }
        question.ids = ids;
    }
    questions
}

/// Sets the session of each payment of a list, as far as it is stored.
pub(crate) fn recall_sessions<'a>(payments: impl Iterator<Item = &'a mut StripePayment>) {
    let payments: Vec<&mut StripePayment> =
        payments.filter(|payment| payment.lacks_session()).collect();
    let intents = payments.iter().filter_map(|it| it.ids.intent.as_deref());
    let known = stripe_payments::sessions_of(intents);
    for payment in payments {
        let intent = payment.ids.intent.as_deref().unwrap_or_default();
        match known.get(intent) {
            Some(None) => payment.session_side = SessionSide::Read,
            Some(session) => payment.ids.session.clone_from(session),
            None => {}
        }
    }
}

/// The complete sessions of a period. If all of them were read, an intent of that period that none of them has came without
/// a session, provided that it was paid before.
#[derive(Default)]
pub(crate) struct SeenSessions {
    /// Seconds since 1970.
    since: i64,
    until: i64,
    /// Sessions that were paid until then were complete when they were read.
    paid_until: i64,
    is_whole: bool,
    /// Hashes of intent ids. If two intents have the same hash, Stripe is asked.
    intents: HashSet<u64>,
}

impl SeenSessions {
    /// Starts a period at the time `now`, before any of its sessions was read.
    pub(crate) fn of(since: i64, until: i64, now: i64) -> Self {
        Self {
            since,
            until,
            paid_until: now - TOLERANCE_SECONDS,
            ..Self::default()
        }
    }

    pub(crate) fn note(&mut self, page: &HistoryPage) {
        let intents = page.intents_of_sessions.iter();
        self.intents.extend(intents.map(|intent| hash(intent)));
        self.is_whole |= page.is_last;
    }

    /// Marks the payments of a page of intents that came without a session.
    pub(crate) fn judge(&self, page: &mut HistoryPage) {
        let Some((oldest, newest)) = page.time.filter(|_| self.is_whole) else {
            return;
        };
        if earliest_session(oldest) < self.since || newest > self.until {
            return;
        }
        let is_seen = |intent: &str| self.intents.contains(&hash(intent));
        let was_paid = |it: &StripePayment| it.received_at.is_some_and(|at| at <= self.paid_until);
        let open = page.payments.iter_mut();
        for payment in open.filter(|it| it.lacks_session() && was_paid(it)) {
            let intent = payment.ids.intent.as_deref();
            if payment.ids.session.is_none() && intent.is_some_and(|intent| !is_seen(intent)) {
                payment.session_side = SessionSide::Read;
            }
        }
    }
}

fn hash(intent: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    intent.hash(&mut hasher);
    hasher.finish()
}

fn is_intent(id: &str) -> bool {
    StripeId::parse(id).is_some_and(|id| id.kind() == ObjectKind::PaymentIntent)
}
