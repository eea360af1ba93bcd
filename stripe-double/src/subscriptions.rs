//! The first payment of a subscription: a session without an intent, whose Stripe Invoice the intent pays.

use crate::builders::Intent;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use crate::stripe_invoices::StripeInvoice;
use serde_json::Map;

impl Store {
    /// Pays a session in mode `subscription`: it names its Stripe Invoice, an intent pays that, and neither session nor
    /// intent names the other.
    pub(crate) fn subscribe(&mut self, session: &str, at: i64) -> Result<(), Refusal> {
        let record = self.require(session, Kind::Session)?;
        let (amount, livemode) = (record.int("amount_total"), record.livemode);
        let account = record.account.to_string();
        let plan = self.plans.remove(session);
        let mut intent: Intent = plan.map_or_else(|| Intent::new(amount, "usd"), |plan| *plan);
        intent.created = Some(at);
        intent.description = Some("Subscription creation".into());
        // `subscription_data.metadata` becomes the subscription's, not the intent's.
        intent.metadata = Map::new();
        let mut bill = StripeInvoice::of_subscription(amount, intent.currency.clone());
        bill.created = Some(at);
        bill.customer = intent.customer.clone();
        bill.livemode = livemode;
        bill.account = Some(account);
        bill.from_balance = intent.from_balance;
        let invoice = self.bill(bill)?;
        let subscription = self.require(&invoice, Kind::Invoice)?;
        let subscription = subscription.get("parent").and_then(|parent| {
            let named = parent.pointer("/subscription_details/subscription")?;
            named.as_str().map(str::to_owned)
        });
        self.pay_bill_by(&invoice, intent, at)?;
        self.change(session, |fields| {
            fields.set("subscription", subscription);
            fields.set("invoice", invoice);
        })?;
        self.finish_session(session, "paid", at)
    }

    /// Returns the intent that paid the Stripe Invoice of a session.
    pub(crate) fn intent_of_invoice(&self, invoice: &str) -> Option<String> {
        let payments = self.payments_of_invoice(invoice);
        let mut intents = payments.iter().filter_map(|id| {
            let intent = self.get(id)?.get("payment")?.get("payment_intent")?;
            intent.as_str().map(str::to_owned)
        });
        intents.next_back()
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
}
