//! Settlement: captured charges and the balance transactions that carry their money.

use crate::builders::Intent;
use crate::charges::receipt_url;
use crate::fields::Fields;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use serde_json::{Value, json};
use std::sync::Arc;

/// Stripe's fee, in thousandths of the amount.
const FEE_PER_MILLE: i64 = 29;

/// The time until money is available, in seconds: two days.
const AVAILABLE_SECONDS: i64 = 2 * 24 * 3600;

impl Store {
    /// Marks a charge as paid, with this many minor units captured in all, and creates its balance transaction.
    pub(crate) fn settle(&mut self, charge: &str, captured: i64, at: i64) -> Result<(), Refusal> {
        let authorised = self.require(charge, Kind::Charge)?.int("amount");
        // Before 2025-03-31 a release was a refund, so the whole amount was settled first.
        let amount = match self.release_counts_as_refunded {
            true => authorised,
            false => captured,
        };
        let transaction = self.settled(charge, amount, at)?;
        self.change(charge, |fields| {
            fields.set("status", "succeeded");
            fields.set("paid", true);
            fields.set("captured", true);
            fields.set("amount_captured", captured);
            fields.set("balance_transaction", transaction);
            fields.set("receipt_url", receipt_url(charge));
        })
    }

    /// Captures a part of an authorisation and keeps the rest capturable (multicapture).
    pub(crate) fn capture_part(&mut self, id: &str, amount: i64, at: i64) -> Result<(), Refusal> {
        let target = self.target(id)?;
        let intent = self.intent_that_is(&target, "requires_capture")?;
        let charge = self.latest_charge(&intent)?;
        let held = self.require(&intent, Kind::Intent)?;
        let left = held.int("amount_capturable") - amount;
        if amount <= 0 || left <= 0 {
            let message = format!("{amount} is not a part of what \"{intent}\" can capture");
            return Err(Refusal::conflict(message));
        }
        let captured = held.int("amount_received") + amount;
        let transaction = self.settled(&charge, amount, at)?;
        self.change(&charge, |fields| {
            fields.set("amount_captured", captured);
            fields.set("balance_transaction", transaction);
        })?;
        self.change(&intent, |fields| {
            fields.set("amount_received", captured);
            fields.set("amount_capturable", left);
        })?;
        self.emit("payment_intent.amount_capturable_updated", &intent, at);
        Ok(())
    }

    /// Charges a card without a payment intent, as the Charges API does: captured at once, or only authorised.
    /// Returns the charge's id.
    pub(crate) fn charge_directly(
        &mut self,
        charge: Intent,
        capture: bool,
    ) -> Result<String, Refusal> {
        let at = charge.created.unwrap_or_else(|| self.clock.now());
        let id = match &charge.charge_id {
            Some(id) => id.clone(),
            None => self.ids.object("ch_1"),
        };
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("amount", charge.amount);
        fields.set("created", at);
        fields.set("currency", charge.currency.as_str());
        fields.set("customer", charge.customer.clone());
        fields.set("description", charge.description.clone());
        fields.set("livemode", charge.livemode);
        fields.set("metadata", charge.metadata.clone());
        fields.set("status", "succeeded");
        fields.set("paid", true);
        let account = self.account_of(&charge);
        self.add(Kind::Charge, &id, at, charge.livemode, account, fields)?;
        if capture {
            self.settle(&id, charge.amount, at)?;
        }
        self.emit("charge.succeeded", &id, at);
        Ok(id)
    }

    /// Shows the rest that a partial capture released as refunded, with a refund of its own, as API versions before
    /// 2025-03-31 did. Source:
    /// <https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow>.
    pub(crate) fn refund_release(&mut self, charge: &str, at: i64) -> Result<(), Refusal> {
        let record = self.require(charge, Kind::Charge)?;
        let released = record.int("amount") - record.int("amount_captured");
        if !self.release_counts_as_refunded || released <= 0 {
            return Ok(());
        }
        let (livemode, account) = (record.livemode, Arc::clone(&record.account));
        let mut fields = Fields::default();
        for inherited in ["currency", "payment_intent"] {
            let value = record.get(inherited).cloned().unwrap_or_default();
            fields.set(inherited, value);
        }
        let id = self.ids.object("re_3");
        fields.set("id", id.as_str());
        fields.set("amount", released);
        fields.set("charge", charge);
        fields.set("created", at);
        fields.set("status", "succeeded");
        self.add(Kind::Refund, &id, at, livemode, account, fields)?;
        self.releases.insert(id);
        self.change(charge, |fields| fields.set("amount_refunded", released))?;
        self.emit("charge.refunded", charge, at);
        Ok(())
    }

    /// Creates the balance transaction of an amount of a charge. Returns its id.
    fn settled(&mut self, charge: &str, amount: i64, at: i64) -> Result<String, Refusal> {
        let record = self.require(charge, Kind::Charge)?;
        let (livemode, account) = (record.livemode, Arc::clone(&record.account));
        let fee = amount * FEE_PER_MILLE / 1_000;
        let currency = record.get("currency").cloned().unwrap_or_default();
        let mut fields = Fields::default();
        let id = self.ids.object("txn_3");
        fields.set("id", id.as_str());
        fields.set("amount", amount);
        fields.set("available_on", at + AVAILABLE_SECONDS);
        fields.set("created", at);
        fields.set("currency", currency.clone());
        fields.set("fee", fee);
        fields.set(
            "fee_details",
            json!([{
                "amount": fee, "application": Value::Null, "currency": currency,
                "description": "Stripe processing fees", "type": "stripe_fee"
            }]),
        );
        fields.set("net", amount - fee);
        fields.set("source", charge);
        fields.set("status", "pending");
        self.add(Kind::BalanceTransaction, &id, at, livemode, account, fields)?;
        Ok(id)
    }
}
