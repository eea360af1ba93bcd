//! The first payment of a subscription: a session without an intent, whose Stripe Invoice the intent pays.

use crate::builders::Intent;
use crate::fields::Fields;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use serde_json::{Map, Value, json};
use std::sync::Arc;

impl Store {
    /// Pays a session in mode `subscription`: it names its Stripe Invoice, an intent pays that, and neither session nor
    /// intent names the other.
    pub(crate) fn subscribe(&mut self, session: &str, at: i64) -> Result<(), Refusal> {
        let record = self.require(session, Kind::Session)?;
        let (amount, livemode) = (record.int("amount_total"), record.livemode);
        let account = Arc::clone(&record.account);
        let plan = self.plans.remove(session);
        let mut intent: Intent = plan.map_or_else(|| Intent::new(amount, "usd"), |plan| *plan);
        intent.created = Some(at);
        intent.description = Some("Subscription creation".into());
        // `subscription_data.metadata` becomes the subscription's, not the intent's.
        intent.metadata = Map::new();
        let currency = intent.currency.clone();
        let customer = intent.customer.clone();
        let invoice = self.ids.object("in_1");
        let subscription = self.ids.object("sub_1");
        let from_balance = intent.from_balance.clamp(0, amount);
        intent.amount = amount - from_balance;
        // Where the balance pays all, there is no payment.
        let received = match intent.amount {
            0 => 0,
            _ => self.pay_invoice(&invoice, intent, at)?,
        };
        let mut fields = Fields::default();
        fields.set("id", invoice.as_str());
        fields.set("created", at);
        fields.set("currency", currency);
        fields.set("customer", customer);
        fields.set("livemode", livemode);
        for due in ["amount_due", "amount_paid"] {
            fields.set(due, received);
        }
        for price in ["subtotal", "total"] {
            fields.set(price, received + from_balance);
        }
        fields.set("starting_balance", -from_balance);
        fields.set(
            "parent",
            json!({
                "quote_details": Value::Null,
                "subscription_details": { "metadata": {}, "subscription": subscription },
                "type": "subscription_details"
            }),
        );
        self.add(Kind::Invoice, &invoice, at, livemode, account, fields)?;
        self.emit("invoice.paid", &invoice, at);
        self.change(session, |fields| {
            fields.set("subscription", subscription);
            fields.set("invoice", invoice);
        })?;
        self.finish_session(session, "paid", at)
    }

    /// Pays a Stripe Invoice by an intent. Returns the amount received.
    fn pay_invoice(&mut self, invoice: &str, intent: Intent, at: i64) -> Result<i64, Refusal> {
        let intent = self.create_intent(intent)?;
        self.pay(&intent, None, at)?;
        let paid = self.require(&intent, Kind::Intent)?;
        let (received, livemode) = (paid.int("amount_received"), paid.livemode);
        let account = Arc::clone(&paid.account);
        let currency = paid.get("currency").cloned().unwrap_or_default();
        let id = self.ids.object("inpay_1");
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("amount_paid", received);
        fields.set("amount_requested", received);
        fields.set("created", at);
        fields.set("currency", currency);
        fields.set("invoice", invoice);
        fields.set("livemode", livemode);
        fields.set(
            "payment",
            json!({ "payment_intent": intent, "type": "payment_intent" }),
        );
        self.add(Kind::InvoicePayment, &id, at, livemode, account, fields)?;
        Ok(received)
    }

    /// Returns the intent that paid the Stripe Invoice of a session.
    pub(crate) fn intent_of_invoice(&self, invoice: &str) -> Option<String> {
        let payments = self.payments_of_invoice(invoice);
        let payment = self.get(payments.first()?)?.get("payment")?;
        let intent = payment.get("payment_intent")?;
        intent.as_str().map(str::to_owned)
    }

    /// Returns the ids of the Invoice Payments of a Stripe Invoice, the oldest first.
    pub(crate) fn payments_of_invoice(&self, invoice: &str) -> Vec<String> {
        let places = self.places(Kind::InvoicePayment).into_iter();
        let ids = places.flat_map(|places| places.values());
        let of_this = |id: &&String| {
            self.get(id)
                .is_some_and(|payment| payment.text("invoice") == Some(invoice))
        };
        ids.filter(of_this).cloned().collect()
    }

    /// Gives an invoice the fields that it had before 2025-03-31. Source:
    /// <https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices>.
    pub(crate) fn with_single_payment(&self, invoice: &mut Map<String, Value>) {
        let id = invoice
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let intent = self.intent_of_invoice(id);
        let charge = intent.as_deref().and_then(|id| self.latest_charge(id).ok());
        invoice.insert("payment_intent".into(), intent.into());
        invoice.insert("charge".into(), charge.into());
        invoice.insert("paid".into(), true.into());
    }
}
