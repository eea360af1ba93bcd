//! The handle of a session or an intent.

use crate::builders::{Dispute, Refund};
use crate::lock::lock;
use crate::state::Shared;
use crate::store::{Refusal, Store};
use std::sync::Arc;

/// A checkout session with its payment intent and charge, an intent without a session, or a charge without an intent.
/// Operations emit Stripe's
/// events and return the purchase; an operation that is invalid in the current state panics and says why.
#[derive(Clone)]
pub struct Purchase {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: String,
    pub(crate) at: Option<i64>,
}

impl Purchase {
    /// Sets the time of the following operations (unix seconds); the default is now.
    pub fn at(mut self, at: i64) -> Self {
        self.at = Some(at);
        self
    }

    /// Pays in full: session complete and paid, intent and charge succeeded.
    #[track_caller]
    pub fn pay(self) -> Self {
        self.run(|store, id, at| store.pay(id, None, at))
    }

    /// Pays so that another amount (minor units) than the intent's is received.
    #[track_caller]
    pub fn pay_receiving(self, amount: i64) -> Self {
        self.run(|store, id, at| store.pay(id, Some(amount), at))
    }

    /// Completes with a delayed method: session complete and unpaid, intent processing.
    #[track_caller]
    pub fn process(self) -> Self {
        self.run(Store::process)
    }

    /// Makes the delayed method succeed.
    #[track_caller]
    pub fn succeed(self) -> Self {
        self.run(Store::succeed)
    }

    /// Makes the delayed method fail or, if none is in flight, declines the card.
    #[track_caller]
    pub fn fail(self) -> Self {
        self.run(Store::fail)
    }

    /// Expires the session and cancels its intent, if there is one.
    #[track_caller]
    pub fn expire(self) -> Self {
        self.run(Store::expire)
    }

    /// Opens a copy of the session, which expired, by its recovery link. Returns the copy.
    #[track_caller]
    pub fn recover(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            id: self.get(|store, id, at| store.recover(id, at)),
            at: self.at,
        }
    }

    /// Cancels the intent.
    #[track_caller]
    pub fn cancel(self) -> Self {
        self.run(Store::cancel)
    }

    /// Authorises without capturing.
    #[track_caller]
    pub fn authorise(self) -> Self {
        self.run(Store::authorise)
    }

    /// Captures this amount (minor units) of the authorised amount.
    #[track_caller]
    pub fn capture(self, amount: i64) -> Self {
        self.run(|store, id, at| store.capture(id, amount, at))
    }

    /// Captures a part (minor units) of the authorised amount; the rest stays capturable (multicapture).
    #[track_caller]
    pub fn capture_part(self, amount: i64) -> Self {
        self.run(|store, id, at| store.capture_part(id, amount, at))
    }

    /// Completes the session with `no_payment_required` and without an intent.
    #[track_caller]
    pub fn complete_free(self) -> Self {
        self.run(Store::complete_free)
    }

    /// Refunds the charge. Returns the refund's id.
    #[track_caller]
    pub fn refund(&self, refund: Refund) -> String {
        self.get(|store, id, at| store.refund(id, refund, at))
    }

    /// Disputes the charge. Returns the dispute's id.
    #[track_caller]
    pub fn dispute(&self, dispute: Dispute) -> String {
        self.get(|store, id, at| store.dispute(id, dispute, at))
    }

    /// Returns the session's id.
    #[track_caller]
    pub fn session_id(&self) -> String {
        let session = self.get(|store, id, _| Ok(store.target(id)?.session));
        session.unwrap_or_else(|| panic!("\"{}\" has no checkout session", self.id))
    }

    /// Returns the intent's id; a session has one after it is confirmed.
    #[track_caller]
    pub fn intent_id(&self) -> String {
        let intent = self.get(|store, id, _| Ok(store.target(id)?.intent));
        intent.unwrap_or_else(|| panic!("\"{}\" has no payment intent yet", self.id))
    }

    /// Returns the latest charge's id.
    #[track_caller]
    pub fn charge_id(&self) -> String {
        self.get(|store, id, _| store.charge_of(id))
    }

    #[track_caller]
    fn run(self, change: impl FnOnce(&mut Store, &str, i64) -> Result<(), Refusal>) -> Self {
        self.get(change);
        self
    }

    #[track_caller]
    fn get<T>(&self, change: impl FnOnce(&mut Store, &str, i64) -> Result<T, Refusal>) -> T {
        let mut store = lock(&self.shared.store);
        let at = self.at.unwrap_or_else(|| store.clock.now());
        let result = change(&mut store, &self.id, at);
        drop(store);
        accept(result)
    }
}

/// Returns the result of an operation, or panics at the caller's line.
#[track_caller]
pub(crate) fn accept<T>(result: Result<T, Refusal>) -> T {
    match result {
        Ok(done) => done,
        Err(refusal) => panic!("the double refuses: {}", refusal.message),
    }
}
