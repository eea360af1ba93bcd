//! The charges of intents.

use crate::fields::Fields;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use serde_json::json;
use std::sync::Arc;

impl Store {
    /// Returns the charge for the id of a charge, an intent or a session.
    pub(crate) fn charge_of(&self, id: &str) -> Result<String, Refusal> {
        if self.get(id).is_some_and(|found| found.kind == Kind::Charge) {
            return Ok(id.to_owned());
        }
        match self.target(id)?.intent {
            Some(intent) => self.latest_charge(&intent),
            None => Err(Refusal::conflict(format!("\"{id}\" has no payment intent"))),
        }
    }

    /// Creates a charge of the intent's amount; `outcome` sets its result.
    pub(crate) fn charge(
        &mut self,
        intent: &str,
        at: i64,
        outcome: impl FnOnce(&mut Fields),
    ) -> Result<String, Refusal> {
        let planned = self.plans.get_mut(intent);
        let id = planned.and_then(|plan| plan.charge_id.take());
        let id = id.unwrap_or_else(|| self.ids.object("ch_3"));
        let method = self.ids.object("pm_1");
        let paid = self.require(intent, Kind::Intent)?;
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("created", at);
        fields.set("payment_intent", intent);
        fields.set("payment_method", method.as_str());
        for inherited in ["amount", "currency", "customer", "description", "metadata"] {
            fields.set(inherited, paid.get(inherited).cloned().unwrap_or_default());
        }
        fields.set("livemode", paid.livemode);
        outcome(&mut fields);
        if fields.find("status") == Some(Some(&json!("succeeded"))) {
            fields.set("receipt_url", receipt_url(&id));
        }
        let (livemode, account) = (paid.livemode, Arc::clone(&paid.account));
        self.add(Kind::Charge, &id, at, livemode, account, fields)?;
        let charge = id.clone();
        self.change(intent, |fields| {
            fields.set("latest_charge", charge);
            fields.set("payment_method", method);
        })?;
        Ok(id)
    }

    /// Returns the intent's latest charge.
    pub(crate) fn latest_charge(&self, intent: &str) -> Result<String, Refusal> {
        let charge = self.require(intent, Kind::Intent)?.text("latest_charge");
        let charge = charge.map(str::to_owned);
        charge.ok_or_else(|| Refusal::conflict(format!("\"{intent}\" has no charge")))
    }
}

/// The page of a charge's receipt.
pub(crate) fn receipt_url(charge: &str) -> String {
    format!("https://pay.stripe.com/receipts/payment/{charge}")
}
