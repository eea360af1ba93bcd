//! Outcomes of payments: paid, in flight, authorised, declined.

use crate::fields::Fields;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use crate::unconfirmed::Target;
use serde_json::{Value, json};

impl Store {
    /// Pays in full, or so that `received` minor units are received. Completes a session without an intent (setup,
    /// subscription).
    pub(crate) fn pay(&mut self, id: &str, received: Option<i64>, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        if let Some(session) = &target.session {
            self.require_open(session)?;
            if self.require(session, Kind::Session)?.text("mode") != Some("payment") {
                return self.complete_without_intent(session, at);
            }
        }
        let intent = self.confirm(&target, at)?;
        let amount = self.require(&intent, Kind::Intent)?.int("amount");
        let received = received.unwrap_or(amount);
        let charge = self.charge(&intent, at, |_| {})?;
        self.settle(&charge, received, at)?;
        self.emit("charge.succeeded", &charge, at);
        self.succeed_intent(&intent, received, at)?;
        self.complete_session(&target, &intent, "paid", at)
    }

    /// Completes with a delayed method: session complete and unpaid, intent processing.
    pub(crate) fn process(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.open_target(id)?;
        let intent = self.confirm(&target, at)?;
        let charge = self.charge(&intent, at, |charge| {
            charge.set("status", "pending");
            charge.set("captured", true);
        })?;
        self.emit("charge.pending", &charge, at);
        self.change(&intent, |fields| {
            fields.set("status", "processing");
            fields.set("payment_method_types", json!(["us_bank_account"]));
        })?;
        self.emit("payment_intent.processing", &intent, at);
        self.complete_session(&target, &intent, "unpaid", at)
    }

    /// Makes the delayed method succeed.
    pub(crate) fn succeed(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        let intent = self.intent_that_is(&target, "processing")?;
        let amount = self.require(&intent, Kind::Intent)?.int("amount");
        let charge = self.latest_charge(&intent)?;
        self.settle(&charge, amount, at)?;
        self.emit("charge.succeeded", &charge, at);
        self.succeed_intent(&intent, amount, at)?;
        let Some(session) = target.session else {
            return Ok(());
        };
        self.change(&session, |fields| fields.set("payment_status", "paid"))?;
        self.emit("checkout.session.async_payment_succeeded", &session, at);
        Ok(())
    }

    /// Makes the delayed method fail or, if none is in flight, declines the card.
    pub(crate) fn fail(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        let in_flight = self.intent_that_is(&target, "processing").ok();
        let intent = match &in_flight {
            Some(intent) => intent.clone(),
            None => self.confirm(&self.open_target(id)?, at)?,
        };
        let decline = |charge: &mut Fields| {
            charge.set("status", "failed");
            charge.set("captured", false);
            charge.set("failure_code", "card_declined");
            charge.set("failure_message", "Your card was declined.");
        };
        let charge = match &in_flight {
            Some(_) => {
                let charge = self.latest_charge(&intent)?;
                self.change(&charge, decline)?;
                charge
            }
            None => self.charge(&intent, at, decline)?,
        };
        self.emit("charge.failed", &charge, at);
        self.change(&intent, |fields| {
            fields.set("status", "requires_payment_method");
            fields.set(
                "last_payment_error",
                json!({
                    "type": "card_error", "code": "card_declined", "charge": charge,
                    "message": "Your card was declined."
                }),
            );
        })?;
        self.emit("payment_intent.payment_failed", &intent, at);
        if let (Some(session), Some(_)) = (&target.session, &in_flight) {
            self.emit("checkout.session.async_payment_failed", session, at);
        }
        Ok(())
    }

    /// Authorises without capturing: the intent is `requires_capture`.
    pub(crate) fn authorise(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.open_target(id)?;
        let intent = self.confirm(&target, at)?;
        let charge = self.charge(&intent, at, |charge| {
            charge.set("status", "succeeded");
            charge.set("paid", true);
        })?;
        self.emit("charge.succeeded", &charge, at);
        let amount = self.require(&intent, Kind::Intent)?.int("amount");
        self.change(&intent, |fields| {
            fields.set("status", "requires_capture");
            fields.set("capture_method", "manual");
            fields.set("amount_capturable", amount);
        })?;
        self.emit("payment_intent.amount_capturable_updated", &intent, at);
        self.complete_session(&target, &intent, "unpaid", at)
    }

    /// Captures the authorised amount or a part of it, in addition to what was captured before; the rest is released.
    pub(crate) fn capture(&mut self, id: &str, amount: i64, at: i64) -> Result<(), Refusal> {
        if self.get(id).is_some_and(|found| found.kind == Kind::Charge) {
            self.settle(id, amount, at)?;
            self.emit("charge.captured", id, at);
            return self.refund_release(id, at);
        }
        let target = self.target(id)?;
        let intent = self.intent_that_is(&target, "requires_capture")?;
        let charge = self.latest_charge(&intent)?;
        let captured = self.require(&intent, Kind::Intent)?.int("amount_received") + amount;
        self.settle(&charge, captured, at)?;
        self.emit("charge.captured", &charge, at);
        self.refund_release(&charge, at)?;
        self.succeed_intent(&intent, captured, at)?;
        match target.session {
            Some(session) => self.change(&session, |fields| fields.set("payment_status", "paid")),
            None => Ok(()),
        }
    }

    /// Completes a session with nothing due: no intent, `no_payment_required`.
    pub(crate) fn complete_free(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        let Some(session) = &target.session else {
            return Err(Refusal::invalid(format!(
                "\"{id}\" has no checkout session"
            )));
        };
        self.require_open(session)?;
        self.finish_session(session, "no_payment_required", at)
    }

    fn open_target(&self, id: &str) -> Result<Target, Refusal> {
        let target = self.target(id)?;
        if let Some(session) = &target.session {
            self.require_open(session)?;
        }
        Ok(target)
    }

    /// Returns the target's intent, ready to be charged.
    fn confirm(&mut self, target: &Target, at: i64) -> Result<String, Refusal> {
        let intent = self.ensure_intent(target, at)?;
        let status = self.require(&intent, Kind::Intent)?.text("status");
        match status {
            Some(status @ ("succeeded" | "canceled" | "processing" | "requires_capture")) => {
                let message = format!("\"{intent}\" is {status} and cannot be confirmed");
                Err(Refusal::conflict(message))
            }
            _ => Ok(intent),
        }
    }

    fn succeed_intent(&mut self, intent: &str, received: i64, at: i64) -> Result<(), Refusal> {
        self.change(intent, |fields| {
            fields.set("status", "succeeded");
            fields.set("amount_received", received);
            fields.set("amount_capturable", 0);
            fields.set("last_payment_error", Value::Null);
        })?;
        self.plans.remove(intent);
        self.emit("payment_intent.succeeded", intent, at);
        Ok(())
    }

    fn complete_session(
        &mut self,
        target: &Target,
        intent: &str,
        payment_status: &str,
        at: i64,
    ) -> Result<(), Refusal> {
        let Some(session) = &target.session else {
            return Ok(());
        };
        self.change(session, |fields| fields.set("payment_intent", intent))?;
        self.finish_session(session, payment_status, at)
    }

    fn complete_without_intent(&mut self, session: &str, at: i64) -> Result<(), Refusal> {
        let setup = self.require(session, Kind::Session)?.text("mode") == Some("setup");
        if setup {
            let setup_intent = self.ids.object("seti_1");
            self.change(session, |fields| fields.set("setup_intent", setup_intent))?;
            return self.finish_session(session, "no_payment_required", at);
        }
        self.subscribe(session, at)
    }

    pub(crate) fn finish_session(
        &mut self,
        session: &str,
        payment_status: &str,
        at: i64,
    ) -> Result<(), Refusal> {
        self.change(session, |fields| {
            fields.set("status", "complete");
            fields.set("payment_status", payment_status);
            fields.set("url", Value::Null);
            fields.restore("customer_details");
        })?;
        self.plans.remove(session);
        self.emit("checkout.session.completed", session, at);
        Ok(())
    }

    pub(crate) fn intent_that_is(&self, target: &Target, status: &str) -> Result<String, Refusal> {
        let intent = target.intent.as_deref();
        let intent = intent.ok_or_else(|| Refusal::conflict("there is no payment intent yet"))?;
        let actual = self.require(intent, Kind::Intent)?.text("status");
        if actual == Some(status) {
            return Ok(intent.to_owned());
        }
        let actual = actual.unwrap_or("without a status");
        let message = format!("\"{intent}\" is {actual}, not {status}");
        Err(Refusal::conflict(message))
    }
}
