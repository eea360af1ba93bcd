//! The handle of a running double.

use crate::builders::{Checkout, Dispute, Intent, Refund};
use crate::clock::Clock;
use crate::config::{Config, EventDelay, Key};
use crate::faults::Fault;
use crate::journal::Seen;
use crate::limits::RateLimit;
use crate::lock::lock;
use crate::objects::Kind;
use crate::purchase::{Purchase, accept};
use crate::server::Server;
use crate::state::Shared;
use crate::store::{Refusal, Store, is_before_basil};
use crate::stripe_invoices::{Billed, StripeInvoice};
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
    /// Starts to listen on 127.0.0.1.
    pub fn start(config: Config) -> io::Result<Double> {
        let shared = Arc::new(Shared::new(&config));
        let server = Server::start(config.port, Arc::clone(&shared))?;
        Ok(Double { shared, server })
    }

    /// Returns `http://127.0.0.1:PORT`, to be used instead of `https://api.stripe.com`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Creates a checkout session.
    #[track_caller]
    pub fn checkout(&self, checkout: Checkout) -> Purchase {
        self.purchase(self.change(|store, _| store.open_checkout(checkout)))
    }

    /// Creates a payment intent without a session.
    #[track_caller]
    pub fn intent(&self, intent: Intent) -> Purchase {
        self.purchase(self.change(|store, _| store.create_intent(intent)))
    }

    /// Creates a Stripe Invoice.
    #[track_caller]
    pub fn stripe_invoice(&self, invoice: StripeInvoice) -> Billed {
        Billed::create(&self.shared, invoice)
    }

    /// Charges a card without a payment intent, as the Charges API does.
    #[track_caller]
    pub fn charge(&self, charge: Intent) -> Purchase {
        self.purchase(self.change(|store, _| store.charge_directly(charge, true)))
    }

    /// As [`Self::charge`], without capturing.
    #[track_caller]
    pub fn authorise_charge(&self, charge: Intent) -> Purchase {
        self.purchase(self.change(|store, _| store.charge_directly(charge, false)))
    }

    /// Accepts another key from now on.
    pub fn accept_key(&self, key: Key) {
        lock(&self.shared.keys).push(key);
    }

    /// Ends the access to a connected account, as when its owner disconnects the platform.
    pub fn revoke(&self, account: &str) {
        self.with(|store| store.accounts.remove(account));
    }

    /// Gives the access back.
    pub fn restore(&self, account: &str) {
        self.with(|store| store.accounts.insert(account.to_owned()));
    }

    /// Returns the ids of the Invoice Payments of a Stripe Invoice.
    pub fn invoice_payments(&self, invoice: &str) -> Vec<String> {
        self.with(|store| store.payments_of_invoice(invoice))
    }

    /// Behaves from now on as an account with this API version.
    pub fn set_api_version(&self, version: &str) {
        self.with(|store| {
            store.api_version = version.to_owned();
            store.release_counts_as_refunded = is_before_basil(version);
        });
    }

    /// Returns the purchase of an existing session or intent, by its id.
    pub fn purchase(&self, id: impl Into<String>) -> Purchase {
        Purchase {
            shared: Arc::clone(&self.shared),
            id: id.into(),
            at: None,
        }
    }

    /// Refunds the charge of a charge, intent or session. Returns the refund's id.
    #[track_caller]
    pub fn refund(&self, id: &str, refund: Refund) -> String {
        self.change(|store, at| store.refund(id, refund, at))
    }

    /// Changes a refund's status.
    #[track_caller]
    pub fn update_refund(&self, id: &str, status: &str) {
        self.change(|store, at| store.update_refund(id, status, at));
    }

    /// Disputes the charge of a charge, intent or session. Returns the dispute's id.
    #[track_caller]
    pub fn dispute(&self, id: &str, dispute: Dispute) -> String {
        self.change(|store, at| store.dispute(id, dispute, at))
    }

    /// Changes a dispute's status.
    #[track_caller]
    pub fn update_dispute(&self, id: &str, status: &str) {
        self.change(|store, at| store.update_dispute(id, status, at));
    }

    /// Sets any field of any object to any value, without an event. Setting `livemode` does not change which keys see
    /// the object.
    #[track_caller]
    pub fn set(&self, id: &str, field: &str, value: impl Into<Value>) {
        self.change(|store, _| store.set(id, field, value.into()));
    }

    /// Removes a field from an object.
    #[track_caller]
    pub fn remove_field(&self, id: &str, field: &str) {
        let field = field.to_owned();
        self.change(|store, _| store.change(id, |fields| fields.remove(field)));
    }

    /// Deletes an object; other objects keep its id.
    #[track_caller]
    pub fn delete(&self, id: &str) {
        self.change(|store, _| store.delete(id));
    }

    /// Emits an event of any type about an object in its current state.
    pub fn emit(&self, event: &'static str, id: &str) {
        self.with(|store| {
            let at = store.clock.now();
            store.emit(event, id, at);
        });
    }

    /// Returns an object as Stripe shows it, in any mode and account.
    pub fn object(&self, id: &str) -> Option<Value> {
        self.with(|store| Some(Value::Object(store.get(id)?.render())))
    }

    /// Returns all events of all modes and accounts, the oldest first, including those that are not listed yet: what
    /// Stripe posts to a webhook.
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

    /// Sets when events from now on appear in the list.
    pub fn set_event_delay(&self, delay: EventDelay) {
        self.with(|store| store.event_delay = delay);
    }

    /// Makes all held events appear in the list.
    pub fn release_events(&self) {
        self.with(Store::release_events);
    }

    /// Sets the number of pending webhook deliveries of events from now on. With more than 0, events are listed for
    /// `delivery_success=false`.
    pub fn set_pending_webhooks(&self, deliveries: u32) {
        self.with(|store| store.pending_webhooks = deliveries);
    }

    /// Returns the double's time, in unix seconds.
    pub fn now(&self) -> i64 {
        self.with(|store| store.clock.now())
    }

    /// Sets the clock to a fixed time (unix seconds).
    pub fn set_clock(&self, at: i64) {
        self.with(|store| store.clock = Clock::Frozen(at));
    }

    /// Moves the clock forward; it stays running or fixed.
    pub fn advance_clock(&self, seconds: i64) {
        self.with(|store| store.clock.advance(seconds));
    }

    /// Lets time pass without the clock: everything that has happened is so many seconds older.
    pub fn age(&self, seconds: i64) {
        self.with(|store| store.age(seconds));
    }

    /// Sets the delay before each answer.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.shared.limits).latency = latency;
    }

    /// Sets the most requests per second.
    pub fn set_rate_limit(&self, per_second: Option<u32>) {
        lock(&self.shared.limits).rate = per_second.map(RateLimit::new);
    }

    /// Sets the most concurrent requests.
    pub fn set_max_concurrency(&self, most: Option<usize>) {
        lock(&self.shared.limits).concurrency = most;
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.faults).add(fault);
    }

    /// Returns how many answers [`Action::Hold`](crate::Action::Hold) holds back.
    pub fn held(&self) -> usize {
        self.shared.connections.held()
    }

    /// Sends all held answers, as they were when the requests arrived.
    pub fn release_held(&self) {
        self.shared.connections.release();
    }

    /// Removes all faults; requests that hang continue to hang.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Returns how many faults may still apply.
    pub fn faults_left(&self) -> usize {
        lock(&self.shared.faults).left()
    }

    /// Returns the requests since the start or the last reset, in the order of their arrival, without those to the
    /// control API.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.journal).all().to_vec()
    }

    /// Returns how many requests had paths with this prefix.
    pub fn count_of(&self, path_prefix: &str) -> usize {
        lock(&self.shared.journal).count_of(path_prefix)
    }

    /// Returns the number of requests for each endpoint, such as `GET /v1/payment_intents/:id`.
    pub fn counts_by_path(&self) -> BTreeMap<String, usize> {
        lock(&self.shared.journal).by_path()
    }

    /// Clears the recorded requests and the peak.
    pub fn reset_requests(&self) {
        lock(&self.shared.journal).reset();
        self.shared.in_flight.reset_peak();
    }

    /// Returns the most requests that were in flight at the same time.
    pub fn peak_in_flight(&self) -> usize {
        self.shared.in_flight.peak()
    }

    /// Returns how many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.accepted()
    }

    /// Returns the accepted mails as they were posted, each with its `id`.
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
