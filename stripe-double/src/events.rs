//! The events that changes emit, and when they become visible.

use crate::config::EventDelay;
use crate::fields::Fields;
use crate::objects::Kind;
use crate::snapshot::{Snapshot, Visible};
use crate::store::{Record, Store, is_before_basil};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// How long events are kept, in seconds: 30 days, as at Stripe.
pub(crate) const RETENTION_SECONDS: i64 = 30 * 24 * 3600;

/// Types without information that another event does not contain.
const NOISE: [&str; 9] = [
    "payment_intent.created",
    "payment_intent.processing",
    "payment_intent.amount_capturable_updated",
    "charge.succeeded",
    "charge.pending",
    "charge.failed",
    "charge.captured",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

impl Store {
    /// Emits an event about an object in its current state. `at` is in unix seconds.
    pub(crate) fn emit(&mut self, event: &'static str, about: &str, at: i64) {
        self.emit_with(event, about, at, None);
    }

    /// Emits an event that also contains the previous values of the changed fields.
    pub(crate) fn emit_with(
        &mut self,
        event: &'static str,
        about: &str,
        at: i64,
        previous: Option<Value>,
    ) {
        if !self.noise_events && NOISE.contains(&event) {
            return;
        }
        let Some(record) = self.get(about) else {
            return;
        };
        let mut fields = Arc::clone(&record.fields);
        if record.kind == Kind::Invoice && is_before_basil(&self.api_version) {
            self.name_single_payment(about, Arc::make_mut(&mut fields));
        }
        let snapshot = Snapshot {
            kind: record.kind,
            fields,
            previous,
        };
        let (livemode, account) = (record.livemode, Arc::clone(&record.account));
        let prefix = match record.kind {
            Kind::Session
            | Kind::Dispute
            | Kind::Invoice
            | Kind::InvoicePayment
            | Kind::CreditNote
            | Kind::Event => "evt_1",
            Kind::Intent | Kind::Charge | Kind::Refund | Kind::BalanceTransaction => "evt_3",
        };
        let id = self.ids.object(prefix);
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("api_version", self.api_version.as_str());
        fields.set("created", at);
        fields.set("livemode", livemode);
        fields.set("pending_webhooks", self.pending_webhooks);
        fields.set("type", event);
        if account != self.account {
            fields.set("account", &*account);
        }
        fields.shrink();
        let record = Record {
            kind: Kind::Event,
            place: (at, self.next_sequence()),
            livemode,
            account,
            fields: Arc::new(fields),
            snapshot: Some(snapshot),
            visible: self.visibility(),
        };
        // The id comes from the counter, so it is new.
        let _ = self.insert(&id, record);
    }

    /// Makes all held events visible.
    pub(crate) fn release_events(&mut self) {
        let ids: Vec<String> = self
            .places(Kind::Event)
            .map(|places| places.values().cloned().collect())
            .unwrap_or_default();
        for id in ids {
            if let Some(visible) = self.get_mut_visible(&id) {
                *visible = Visible::Now;
            }
        }
    }

    /// Returns whether an object appears in lists now.
    pub(crate) fn is_listed(&self, record: &Record) -> bool {
        match record.visible {
            Visible::Now => true,
            Visible::From(instant) => Instant::now() >= instant,
            Visible::AfterLists(lists) => self.event_lists > lists,
            Visible::Held => false,
        }
    }

    /// Returns whether an event is too old to be kept; false for other objects.
    pub(crate) fn is_forgotten(&self, record: &Record) -> bool {
        record.kind == Kind::Event && record.place.0 < self.clock.now() - RETENTION_SECONDS
    }

    fn visibility(&self) -> Visible {
        match self.event_delay {
            EventDelay::None => Visible::Now,
            EventDelay::For(delay) => Visible::From(Instant::now() + delay),
            EventDelay::Lists(lists) => Visible::AfterLists(self.event_lists + lists),
            EventDelay::Held => Visible::Held,
        }
    }
}
