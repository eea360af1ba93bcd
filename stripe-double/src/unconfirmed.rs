//! Sessions and intents before payment, and their expiry.

use crate::builders::{Checkout, Intent};
use crate::fields::Fields;
use crate::objects::Kind;
use crate::snapshot::Visible;
use crate::store::{Record, Refusal, Store};
use serde_json::Value;
use std::sync::Arc;

/// How long a session is open by default: 24 hours.
const SESSION_SECONDS: i64 = 24 * 3600;

/// The session, intent or both that an operation is about.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
}

impl Store {
    /// Opens a session. Returns its id.
    pub(crate) fn open_checkout(&mut self, checkout: Checkout) -> Result<String, Refusal> {
        let mut intent = checkout.intent;
        let at = intent.created.unwrap_or_else(|| self.clock.now());
        intent.created = Some(at);
        let livemode = intent.livemode;
        let made = |ids: &mut crate::ids::Ids| ids.session(livemode);
        let id = checkout.id.unwrap_or_else(|| made(&mut self.ids));
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("created", at);
        let expires_at = checkout.expires_at.unwrap_or(at + SESSION_SECONDS);
        fields.set("expires_at", expires_at);
        fields.set("livemode", livemode);
        fields.set("mode", checkout.mode);
        fields.set("metadata", checkout.metadata);
        fields.set("url", format!("https://checkout.stripe.com/c/pay/{id}"));
        fields.set("client_reference_id", checkout.client_reference_id);
        fields.set("payment_link", checkout.payment_link);
        // The template's values are those of a paid session.
        fields.set("customer_details", Value::Null);
        fields.set("customer", intent.customer.clone());
        if checkout.mode == "setup" {
            fields.set("payment_status", "no_payment_required");
        } else {
            fields.set("amount_subtotal", intent.amount);
            fields.set("amount_total", intent.amount);
            fields.set("currency", intent.currency.as_str());
        }
        let account = self.account_of(&intent);
        self.add(Kind::Session, &id, at, livemode, account, fields)?;
        if checkout.mode != "setup" {
            self.plans.insert(id.clone(), Box::new(intent));
        }
        if checkout.mode == "payment" && checkout.early_intent {
            self.ensure_intent(&self.target(&id)?, at)?;
        }
        Ok(id)
    }

    /// Creates an intent. Returns its id.
    pub(crate) fn create_intent(&mut self, intent: Intent) -> Result<String, Refusal> {
        let at = intent.created.unwrap_or_else(|| self.clock.now());
        let id = match &intent.id {
            Some(id) => id.clone(),
            None => self.ids.object("pi_3"),
        };
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("amount", intent.amount);
        fields.set("client_secret", format!("{id}_secret_double"));
        fields.set("created", at);
        fields.set("currency", intent.currency.as_str());
        fields.set("customer", intent.customer.clone());
        fields.set("description", intent.description.clone());
        fields.set("livemode", intent.livemode);
        fields.set("metadata", intent.metadata.clone());
        let account = self.account_of(&intent);
        self.add(Kind::Intent, &id, at, intent.livemode, account, fields)?;
        self.plans.insert(id.clone(), Box::new(intent));
        self.emit("payment_intent.created", &id, at);
        Ok(id)
    }

    /// Returns the session and intent for the id of either.
    pub(crate) fn target(&self, id: &str) -> Result<Target, Refusal> {
        let record = self.get(id).ok_or_else(|| Refusal::missing(id))?;
        match record.kind {
            Kind::Session => Ok(Target {
                session: Some(id.to_owned()),
                intent: match record.text("payment_intent") {
                    Some(intent) => Some(intent.to_owned()),
                    None => (record.text("invoice")).and_then(|it| self.intent_of_invoice(it)),
                },
            }),
            Kind::Intent => {
                let mut sessions = self.children(Kind::Session, "payment_intent", id);
                Ok(Target {
                    session: sessions.pop(),
                    intent: Some(id.to_owned()),
                })
            }
            other => Err(Refusal::invalid(format!(
                "\"{id}\" is a {}, neither a checkout.session nor a payment_intent",
                other.name()
            ))),
        }
    }

    /// Returns the target's intent; creates it for a session that is being confirmed.
    pub(crate) fn ensure_intent(&mut self, target: &Target, at: i64) -> Result<String, Refusal> {
        if let Some(intent) = &target.intent {
            return Ok(intent.clone());
        }
        let Some(session) = &target.session else {
            return Err(Refusal::invalid("there is neither a session nor an intent"));
        };
        let in_payment_mode = self.require(session, Kind::Session)?.text("mode") == Some("payment");
        let plan = self.plans.remove(session).filter(|_| in_payment_mode);
        let Some(mut plan) = plan else {
            let message = format!("\"{session}\" is not in payment mode: it has no intent");
            return Err(Refusal::conflict(message));
        };
        plan.created = Some(at);
        let intent = self.create_intent(*plan)?;
        let link = intent.clone();
        self.change(session, |fields| fields.set("payment_intent", link))?;
        Ok(intent)
    }

    /// Expires an unpaid session: `checkout.session.expired`; cancels its intent, if there is one.
    pub(crate) fn expire(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        let Some(session) = target.session else {
            return Err(Refusal::invalid(format!(
                "\"{id}\" has no checkout session"
            )));
        };
        self.require_open(&session)?;
        self.change(&session, |fields| {
            fields.set("status", "expired");
            fields.set("url", Value::Null);
        })?;
        self.emit("checkout.session.expired", &session, at);
        match target.intent {
            Some(intent) => self.cancel_intent(&intent, at, "automatic"),
            None => Ok(()),
        }
    }

    /// Cancels the intent: `payment_intent.canceled`.
    pub(crate) fn cancel(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let intent = self.ensure_intent(&self.target(id)?, at)?;
        self.cancel_intent(&intent, at, "requested_by_customer")
    }

    fn cancel_intent(&mut self, intent: &str, at: i64, reason: &str) -> Result<(), Refusal> {
        let status = self.require(intent, Kind::Intent)?.text("status");
        if let Some(status @ ("succeeded" | "canceled")) = status {
            let message = format!("\"{intent}\" is {status} and cannot be canceled");
            return Err(Refusal::conflict(message));
        }
        self.change(intent, |fields| {
            fields.set("status", "canceled");
            fields.set("amount_capturable", 0);
            fields.set("canceled_at", at);
            fields.set("cancellation_reason", reason);
        })?;
        // What was captured before stays; only the rest is released.
        if self.require(intent, Kind::Intent)?.int("amount_received") > 0 {
            let charge = self.latest_charge(intent)?;
            self.change(&charge, |fields| fields.set("captured", true))?;
        }
        self.emit("payment_intent.canceled", intent, at);
        Ok(())
    }

    pub(crate) fn require_open(&self, session: &str) -> Result<(), Refusal> {
        match self.require(session, Kind::Session)?.text("status") {
            Some("open") => Ok(()),
            status => Err(Refusal::conflict(format!(
                "\"{session}\" is {}, not open",
                status.unwrap_or("without a status")
            ))),
        }
    }

    /// Stores a new object of this kind.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        id: &str,
        at: i64,
        livemode: bool,
        account: Arc<str>,
        mut fields: Fields,
    ) -> Result<(), Refusal> {
        fields.shrink();
        let record = Record {
            kind,
            place: (at, self.next_sequence()),
            livemode,
            account,
            fields: Arc::new(fields),
            snapshot: None,
            visible: Visible::Now,
        };
        self.insert(id, record)
    }

    /// Sets one field of an object without an event, for states that no operation produces.
    pub(crate) fn set(&mut self, id: &str, field: &str, value: Value) -> Result<(), Refusal> {
        self.change(id, |fields| fields.set(field.to_owned(), value))
    }

    pub(crate) fn account_of(&self, intent: &Intent) -> Arc<str> {
        match &intent.account {
            Some(account) => account.as_str().into(),
            None => Arc::clone(&self.account),
        }
    }
}
