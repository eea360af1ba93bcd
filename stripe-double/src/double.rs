//! The handle on a running double.

use crate::builders::{Checkout, Dispute, Intent, Refund};
use crate::clock::Clock;
use crate::config::{Config, EventDelay};
use crate::faults::Fault;
use crate::journal::Seen;
use crate::limits::RateLimit;
use crate::lock::lock;
use crate::objects::Kind;
use crate::purchase::{Purchase, accept};
use crate::server::Server;
use crate::state::Shared;
use crate::store::{Refusal, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A running stand-in for Stripe. Dropping it closes its connections and stops it.
pub struct Double {
    shared: Arc<Shared>,
    server: Server,
}

impl Double {
    /// Listens on 127.0.0.1.
    pub fn start(config: Config) -> io::Result<Double> {
        let shared = Arc::new(Shared::new(&config));
        let server = Server::start(config.port, Arc::clone(&shared))?;
        Ok(Double { shared, server })
    }

    /// `http://127.0.0.1:PORT`, to be used instead of `https://api.stripe.com`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Opens a checkout session.
    #[track_caller]
    pub fn checkout(&self, checkout: Checkout) -> Purchase {
        self.purchase(self.change(|store, _| store.open_checkout(checkout)))
    }

    /// Makes a payment intent without a session.
    #[track_caller]
    pub fn intent(&self, intent: Intent) -> Purchase {
        self.purchase(self.change(|store, _| store.create_intent(intent)))
    }

    /// The purchase of an existing session or intent, by its id.
    pub fn purchase(&self, id: impl Into<String>) -> Purchase {
        Purchase {
            shared: Arc::clone(&self.shared),
            id: id.into(),
            at: None,
        }
    }

    /// Refunds the charge behind the id of a charge, intent or session; gives the refund's id.
    #[track_caller]
    pub fn refund(&self, id: &str, refund: Refund) -> String {
        self.change(|store, at| store.refund(id, refund, at))
    }

    /// Changes a refund's status.
    #[track_caller]
    pub fn update_refund(&self, id: &str, status: &str) {
        self.change(|store, at| store.update_refund(id, status, at));
    }

    /// Disputes the charge behind the id of a charge, intent or session; gives the dispute's id.
    #[track_caller]
    pub fn dispute(&self, id: &str, dispute: Dispute) -> String {
        self.change(|store, at| store.dispute(id, dispute, at))
    }

    /// Changes a dispute's status.
    #[track_caller]
    pub fn update_dispute(&self, id: &str, status: &str) {
        self.change(|store, at| store.update_dispute(id, status, at));
    }

    /// Sets any field of any object to any value, without an event. Which keys see the object does not
    /// change with its `livemode`.
    #[track_caller]
    pub fn set(&self, id: &str, field: &str, value: impl Into<Value>) {
        self.change(|store, _| store.set(id, field, value.into()));
    }

    /// Leaves a field out of an object's answers.
    #[track_caller]
    pub fn remove_field(&self, id: &str, field: &str) {
        let field = field.to_owned();
        self.change(|store, _| store.change(id, |fields| fields.remove(field)));
    }

    /// Deletes an object; ids that name it stay where they are.
    #[track_caller]
    pub fn delete(&self, id: &str) {
        self.change(|store, _| store.delete(id));
    }

    /// Emits an event of any type about an object as it is now.
    pub fn emit(&self, event: &'static str, id: &str) {
        self.with(|store| {
            let at = store.clock.now();
            store.emit(event, id, at);
        });
    }

    /// An object as Stripe would show it, in whichever mode and account.
    pub fn object(&self, id: &str) -> Option<Value> {
        self.with(|store| Some(Value::Object(store.get(id)?.render())))
    }

    /// All events of all modes and accounts, oldest first, seen yet in the list or not: what Stripe would
    /// post to a webhook.
    pub fn events(&self) -> Vec<Value> {
        self.events_after(0)
    }

    /// The same without so many, the oldest.
    pub fn events_after(&self, known: usize) -> Vec<Value> {
        self.with(|store| {
            let ids = store
                .places(Kind::Event)
                .into_iter()
                .flat_map(|places| places.values())
                .skip(known);
            let events = ids.filter_map(|id| store.get(id));
            events.map(|event| Value::Object(event.render())).collect()
        })
    }

    /// Decides when events that happen from now on appear in the list.
    pub fn set_event_delay(&self, delay: EventDelay) {
        self.with(|store| store.event_delay = delay);
    }

    /// Lets every event appear in the list that is still held back.
    pub fn release_events(&self) {
        self.with(Store::release_events);
    }

    /// How many webhook deliveries events that happen from now on wait for; with more than none they are
    /// listed for `delivery_success=false`.
    pub fn set_pending_webhooks(&self, deliveries: u32) {
        self.with(|store| store.pending_webhooks = deliveries);
    }

    /// The double's time, in unix seconds.
    pub fn now(&self) -> i64 {
        self.with(|store| store.clock.now())
    }

    /// Stops the clock at this time (unix seconds).
    pub fn set_clock(&self, at: i64) {
        self.with(|store| store.clock = Clock::Frozen(at));
    }

    /// Moves the clock, which goes on as before.
    pub fn advance_clock(&self, seconds: i64) {
        self.with(|store| store.clock.advance(seconds));
    }

    /// Lets time pass without the clock: everything that has happened is so many seconds older.
    pub fn age(&self, seconds: i64) {
        self.with(|store| store.age(seconds));
    }

    /// Waited before each answer from now on.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.shared.limits).latency = latency;
    }

    /// Requests a second that are let through from now on.
    pub fn set_rate_limit(&self, per_second: Option<u32>) {
        lock(&self.shared.limits).rate = per_second.map(RateLimit::new);
    }

    /// Requests that may be in flight at once from now on.
    pub fn set_max_concurrency(&self, most: Option<usize>) {
        lock(&self.shared.limits).concurrency = most;
    }

    /// Lets something go wrong.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.faults).add(fault);
    }

    /// How many answers are held back by [`Action::Hold`](crate::Action::Hold).
    pub fn held(&self) -> usize {
        self.shared.connections.held()
    }

    /// Sends every answer that is held back, as it was when it was asked for.
    pub fn release_held(&self) {
        self.shared.connections.release();
    }

    /// Forgets all faults; requests that hang go on hanging.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// How many rules for faults may still strike.
    pub fn faults_left(&self) -> usize {
        lock(&self.shared.faults).left()
    }

    /// The requests since the start or the last reset, in the order of their arrival; the control door's
    /// are not among them.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.journal).all().to_vec()
    }

    /// How many requests went to paths that begin so.
    pub fn count_of(&self, path_prefix: &str) -> usize {
        lock(&self.shared.journal).count_of(path_prefix)
    }

    /// How many requests went to which endpoint, as `GET /v1/payment_intents/:id`.
    pub fn counts_by_path(&self) -> BTreeMap<String, usize> {
        lock(&self.shared.journal).by_path()
    }

    /// Forgets the requests and the peak.
    pub fn reset_requests(&self) {
        lock(&self.shared.journal).reset();
        self.shared.in_flight.reset_peak();
    }

    /// The most requests that were in flight at once.
    pub fn peak_in_flight(&self) -> usize {
        self.shared.in_flight.peak()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.accepted()
    }

    /// The mails that were taken, as they were posted, each with its `id`.
    pub fn emails(&self) -> Vec<Value> {
        lock(&self.shared.outbox).mails().to_vec()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut lock(&self.shared.store))
    }

    #[track_caller]
    fn change<T>(&self, act: impl FnOnce(&mut Store, i64) -> Result<T, Refusal>) -> T {
        let result = self.with(|store| {
            let now = store.clock.now();
            act(store, now)
        });
        accept(result)
    }
}
