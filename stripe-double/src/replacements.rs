//! What replaces an object that cannot be paid any more: the session that a recovery link makes of one that expired, and the
//! revision of a Stripe Invoice.
//!
//! Sources: <https://docs.stripe.com/payments/checkout/abandoned-carts>,
//! <https://docs.stripe.com/invoicing/invoice-edits>.

use crate::builders::Checkout;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use crate::stripe_invoices::StripeInvoice;
use serde_json::{Map, Value, json};

impl Store {
    /// Makes a copy of a session that expired, as its recovery link does. Returns its id.
    pub(crate) fn recover(&mut self, id: &str, at: i64) -> Result<String, Refusal> {
        let expired = self.require(id, Kind::Session)?;
        if expired.text("status") != Some("expired") {
            return Err(Refusal::conflict(format!("\"{id}\" has not expired")));
        }
        let mut checkout = Checkout::new(expired.int("amount_total"), "usd");
        checkout.client_reference_id = expired.text("client_reference_id").map(str::to_owned);
        checkout.metadata = object(expired.get("metadata"));
        if let Some(plan) = self.plans.get(id) {
            checkout.intent = (**plan).clone();
        }
        checkout.intent.created = Some(at);
        let copy = self.open_checkout(checkout)?;
        self.change(&copy, |fields| fields.set("recovered_from", id))?;
        Ok(copy)
    }

    /// Revises an open Stripe Invoice: the revision has its price, but not its metadata, and the revised one is void.
    /// Returns the revision's id.
    pub(crate) fn revise_bill(&mut self, id: &str, at: i64) -> Result<String, Refusal> {
        let revised = self.require(id, Kind::Invoice)?;
        let currency = revised.text("currency").unwrap_or("usd").to_owned();
        let mut bill = StripeInvoice::new(revised.int("total"), currency);
        bill.created = Some(at);
        bill.livemode = revised.livemode;
        bill.account = Some(revised.account.to_string());
        let mut earlier = vec![id.to_owned()];
        while let Some(origin) = earlier.last().and_then(|it| self.origin_of_bill(it)) {
            earlier.push(origin);
        }
        let revision = self.bill(bill)?;
        self.change(&revision, |fields| {
            fields.set(
                "from_invoice",
                json!({ "action": "revision", "invoice": id }),
            );
        })?;
        for bill in earlier {
            self.change(&bill, |fields| {
                fields.set("latest_revision", revision.as_str());
            })?;
        }
        self.close_bill(id, "void", "invoice.voided", at)?;
        Ok(revision)
    }

    fn origin_of_bill(&self, id: &str) -> Option<String> {
        let origin = self.get(id)?.get("from_invoice")?.get("invoice")?;
        origin.as_str().map(str::to_owned)
    }
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}
