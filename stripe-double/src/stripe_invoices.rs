//! Stripe Invoices: how they are made, paid, voided and written off.
//!
//! Source: <https://docs.stripe.com/invoicing/overview#invoice-statuses>.

use crate::builders::Intent;
use crate::fields::Fields;
use crate::lock::lock;
use crate::objects::Kind;
use crate::purchase::{Purchase, accept};
use crate::state::Shared;
use crate::store::{Refusal, Store};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A Stripe Invoice to create, finalized and open. Amounts are in Stripe's smallest unit of the currency.
#[derive(Clone, Debug)]
pub struct StripeInvoice {
    total: i64,
    currency: String,
    metadata: Map<String, Value>,
    /// The metadata of its subscription, if it has one.
    subscription: Option<Map<String, Value>>,
    billing_reason: &'static str,
    pub(crate) customer: Option<String>,
    pub(crate) created: Option<i64>,
    pub(crate) livemode: bool,
    pub(crate) account: Option<String>,
    pub(crate) from_balance: i64,
}

impl StripeInvoice {
    /// Creates one that belongs to no subscription.
    pub fn new(total: i64, currency: impl Into<String>) -> Self {
        StripeInvoice {
            total,
            currency: currency.into(),
            metadata: Map::new(),
            subscription: None,
            billing_reason: "manual",
            customer: None,
            created: None,
            livemode: false,
            account: None,
            from_balance: 0,
        }
    }

    /// Creates the first one of a subscription.
    pub fn of_subscription(total: i64, currency: impl Into<String>) -> Self {
        StripeInvoice {
            subscription: Some(Map::new()),
            billing_reason: "subscription_create",
            ..Self::new(total, currency)
        }
    }

    /// Creates one that renews a subscription.
    pub fn renewal(total: i64, currency: impl Into<String>) -> Self {
        StripeInvoice {
            billing_reason: "subscription_cycle",
            ..Self::of_subscription(total, currency)
        }
    }

    /// Adds an entry to its metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into().into());
        self
    }

    /// Adds an entry to the metadata of its subscription.
    pub fn subscription_metadata(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        let subscription = self.subscription.get_or_insert_default();
        subscription.insert(key.into(), value.into().into());
        self
    }

    /// Sets how much of it the customer's balance pays.
    pub fn from_balance(mut self, amount: i64) -> Self {
        self.from_balance = amount;
        self
    }

    /// Sets the time of creation (unix seconds); the default is now.
    pub fn created(mut self, at: i64) -> Self {
        self.created = Some(at);
        self
    }

    /// Creates it in live mode; the default is test mode.
    pub fn live(mut self) -> Self {
        self.livemode = true;
        self
    }

    /// Creates it on this connected account; the default is the platform's.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }
}

/// The handle of a Stripe Invoice. Operations emit Stripe's events; one that is invalid panics.
#[derive(Clone)]
pub struct Billed {
    shared: Arc<Shared>,
    id: String,
}

impl Billed {
    #[track_caller]
    pub(crate) fn create(shared: &Arc<Shared>, invoice: StripeInvoice) -> Self {
        let created = lock(&shared.store).bill(invoice);
        Billed {
            shared: Arc::clone(shared),
            id: accept(created),
        }
    }

    /// Returns its id.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// Pays what is due by card. Returns the payment.
    #[track_caller]
    pub fn pay(&self) -> Purchase {
        let intent = self.run(|store, id, at| {
            let due = store.require(id, Kind::Invoice)?.int("amount_remaining");
            store.pay_bill(id, due, at)
        });
        self.purchase(intent)
    }

    /// Pays a part by card. Returns the payment.
    #[track_caller]
    pub fn pay_part(&self, amount: i64) -> Purchase {
        let intent = self.run(|store, id, at| store.pay_bill(id, amount, at));
        self.purchase(intent)
    }

    /// Attaches a payment of which this much paid it. One payment may pay several Stripe Invoices.
    #[track_caller]
    pub fn pay_by(&self, payment: &Purchase, amount: i64) {
        let intent = payment.intent_id();
        self.run(|store, id, at| {
            let payment = json!({ "payment_intent": intent, "type": "payment_intent" });
            store.note_payment(id, "paid", amount, payment, at)
        });
    }

    /// Declines the card.
    #[track_caller]
    pub fn decline(&self) {
        self.run(Store::decline_bill);
    }

    /// Marks it as paid outside of Stripe.
    #[track_caller]
    pub fn pay_elsewhere(&self) {
        self.run(Store::pay_bill_elsewhere);
    }

    /// Voids it.
    #[track_caller]
    pub fn void(&self) {
        self.run(|store, id, at| store.close_bill(id, "void", "invoice.voided", at));
    }

    /// Revises it: it is void, and another one replaces it. Returns the revision.
    #[track_caller]
    pub fn revise(&self) -> Billed {
        Billed {
            shared: Arc::clone(&self.shared),
            id: self.run(|store, id, at| store.revise_bill(id, at)),
        }
    }

    /// Marks it as uncollectible.
    #[track_caller]
    pub fn write_off(&self) {
        self.run(|store, id, at| {
            store.close_bill(id, "uncollectible", "invoice.marked_uncollectible", at)
        });
    }

    /// Issues a credit note that lowers what is due.
    #[track_caller]
    pub fn credit(&self, amount: i64) {
        self.run(|store, id, at| store.credit_bill(id, amount, at));
    }

    #[track_caller]
    fn run<T>(&self, change: impl FnOnce(&mut Store, &str, i64) -> Result<T, Refusal>) -> T {
        let mut store = lock(&self.shared.store);
        let at = store.clock.now();
        let result = change(&mut store, &self.id, at);
        drop(store);
        accept(result)
    }

    fn purchase(&self, intent: String) -> Purchase {
        Purchase {
            shared: Arc::clone(&self.shared),
            id: intent,
            at: None,
        }
    }
}

impl Store {
    /// Creates a Stripe Invoice, of which the customer's balance pays its part at once. Returns its id.
    pub(crate) fn bill(&mut self, invoice: StripeInvoice) -> Result<String, Refusal> {
        let at = invoice.created.unwrap_or_else(|| self.clock.now());
        let id = self.ids.object("in_1");
        let account = match &invoice.account {
            Some(account) => account.as_str().into(),
            None => Arc::clone(&self.account),
        };
        let balance = invoice.from_balance.clamp(0, invoice.total);
        let due = invoice.total - balance;
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("created", at);
        fields.set("currency", invoice.currency);
        fields.set("customer", invoice.customer);
        fields.set("livemode", invoice.livemode);
        fields.set("metadata", invoice.metadata);
        fields.set("billing_reason", invoice.billing_reason);
        fields.set("status", "open");
        for price in ["subtotal", "total"] {
            fields.set(price, invoice.total);
        }
        for left in ["amount_due", "amount_remaining"] {
            fields.set(left, due);
        }
        fields.set("starting_balance", -balance);
        let subscription = invoice.subscription.map(|metadata| {
            let subscription = self.ids.object("sub_1");
            json!({
                "quote_details": Value::Null,
                "subscription_details": { "metadata": metadata, "subscription": subscription },
                "type": "subscription_details"
            })
        });
        fields.set("parent", subscription);
        self.add(Kind::Invoice, &id, at, invoice.livemode, account, fields)?;
        if due == 0 {
            self.settle_bill(&id, at)?;
        }
        Ok(id)
    }

    /// Pays a part of a Stripe Invoice by card. Returns the intent.
    pub(crate) fn pay_bill(&mut self, id: &str, amount: i64, at: i64) -> Result<String, Refusal> {
        let intent = self.intent_of_bill(id, amount, at)?;
        self.pay_bill_by(id, intent, at)
    }

    /// As [`Self::pay_bill`], what is due, by this intent.
    pub(crate) fn pay_bill_by(
        &mut self,
        id: &str,
        mut intent: Intent,
        at: i64,
    ) -> Result<String, Refusal> {
        let due = self.require(id, Kind::Invoice)?.int("amount_remaining");
        intent.amount = intent.amount.min(due);
        if intent.amount == 0 {
            return Ok(String::new());
        }
        self.require_unpaid(id)?;
        let intent = self.create_intent(intent)?;
        self.pay(&intent, None, at)?;
        let received = self.require(&intent, Kind::Intent)?.int("amount_received");
        let payment = json!({ "payment_intent": intent, "type": "payment_intent" });
        self.note_payment(id, "paid", received, payment, at)?;
        Ok(intent)
    }

    fn decline_bill(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        self.require_unpaid(id)?;
        let due = self.require(id, Kind::Invoice)?.int("amount_remaining");
        let intent = self.intent_of_bill(id, due, at)?;
        let intent = self.create_intent(intent)?;
        self.fail(&intent, at)?;
        let payment = json!({ "payment_intent": intent, "type": "payment_intent" });
        self.note_payment(id, "open", 0, payment, at)?;
        self.emit("invoice.payment_failed", id, at);
        Ok(())
    }

    fn pay_bill_elsewhere(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        self.require_unpaid(id)?;
        let due = self.require(id, Kind::Invoice)?.int("amount_remaining");
        let record = self.ids.object("pr_1");
        let payment = json!({ "payment_record": record, "type": "payment_record" });
        self.note_payment(id, "paid", due, payment, at)
    }

    pub(crate) fn close_bill(
        &mut self,
        id: &str,
        status: &'static str,
        event: &'static str,
        at: i64,
    ) -> Result<(), Refusal> {
        self.require_unpaid(id)?;
        self.change(id, |fields| fields.set("status", status))?;
        self.emit(event, id, at);
        Ok(())
    }

    fn credit_bill(&mut self, id: &str, amount: i64, at: i64) -> Result<(), Refusal> {
        self.require_unpaid(id)?;
        let invoice = self.require(id, Kind::Invoice)?;
        let left = invoice.int("amount_remaining") - amount;
        let due = invoice.int("amount_due") - amount;
        let credited = invoice.int("pre_payment_credit_notes_amount") + amount;
        let (livemode, account) = (invoice.livemode, Arc::clone(&invoice.account));
        let note = self.ids.object("cn_1");
        let mut fields = Fields::default();
        fields.set("id", note.as_str());
        fields.set("created", at);
        fields.set("invoice", id);
        fields.set("livemode", livemode);
        for sum in ["amount", "total", "pre_payment_amount"] {
            fields.set(sum, amount);
        }
        self.add(Kind::CreditNote, &note, at, livemode, account, fields)?;
        self.change(id, |fields| {
            fields.set("amount_remaining", left);
            fields.set("amount_due", due);
            fields.set("pre_payment_credit_notes_amount", credited);
        })?;
        self.emit("credit_note.created", &note, at);
        match left {
            0 => self.settle_bill(id, at),
            _ => Ok(()),
        }
    }

    /// Adds an Invoice Payment; `invoice.paid` follows if nothing is left.
    fn note_payment(
        &mut self,
        invoice: &str,
        status: &'static str,
        paid: i64,
        payment: Value,
        at: i64,
    ) -> Result<(), Refusal> {
        let record = self.require(invoice, Kind::Invoice)?;
        let (livemode, account) = (record.livemode, Arc::clone(&record.account));
        let currency = record.get("currency").cloned().unwrap_or_default();
        let left = record.int("amount_remaining") - paid;
        let all = record.int("amount_paid") + paid;
        let id = self.ids.object("inpay_1");
        let mut fields = Fields::default();
        fields.set("id", id.as_str());
        fields.set("amount_paid", paid);
        fields.set("amount_requested", paid);
        fields.set("created", at);
        fields.set("currency", currency);
        fields.set("invoice", invoice);
        fields.set("livemode", livemode);
        fields.set("payment", payment);
        fields.set("status", status);
        self.add(Kind::InvoicePayment, &id, at, livemode, account, fields)?;
        if status != "paid" {
            return Ok(());
        }
        self.change(invoice, |fields| {
            fields.set("amount_remaining", left);
            fields.set("amount_paid", all);
        })?;
        if !crate::store::is_before_basil(&self.api_version) {
            self.emit("invoice_payment.paid", &id, at);
        }
        match left {
            0 => self.settle_bill(invoice, at),
            _ => Ok(()),
        }
    }

    fn settle_bill(&mut self, id: &str, at: i64) -> Result<(), Refusal> {
        self.change(id, |fields| fields.set("status", "paid"))?;
        self.emit("invoice.paid", id, at);
        Ok(())
    }

    fn require_unpaid(&self, id: &str) -> Result<(), Refusal> {
        match self.require(id, Kind::Invoice)?.text("status") {
            Some("open" | "uncollectible") => Ok(()),
            status => Err(Refusal::conflict(format!(
                "\"{id}\" is {}, not open",
                status.unwrap_or("without a status")
            ))),
        }
    }

    fn intent_of_bill(&self, id: &str, amount: i64, at: i64) -> Result<Intent, Refusal> {
        let record = self.require(id, Kind::Invoice)?;
        let mut intent = Intent::new(amount, record.text("currency").unwrap_or("usd"));
        intent.created = Some(at);
        intent.livemode = record.livemode;
        intent.account = Some(record.account.to_string());
        intent.customer = record.text("customer").map(str::to_owned);
        Ok(intent)
    }

    /// Gives an object the fields that it had before 2025-03-31. Source:
    /// <https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices>.
    pub(crate) fn as_before_basil(&self, kind: Kind, object: &mut Map<String, Value>) {
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = id.to_owned();
        match kind {
            Kind::Invoice => {
                let mut fields = Fields::default();
                self.name_single_payment(&id, &mut fields);
                fields.write_over(object);
                let parent = object.remove("parent").unwrap_or_default();
                let of_subscription = |field: &str| {
                    let details = parent.get("subscription_details")?;
                    details.get(field).cloned()
                };
                let metadata = of_subscription("metadata");
                let details = metadata.map(|metadata| json!({ "metadata": metadata }));
                object.insert("subscription_details".into(), details.into());
                let subscription = of_subscription("subscription");
                object.insert("subscription".into(), subscription.into());
            }
            Kind::Intent => {
                object.insert("invoice".into(), self.bill_of(&id).into());
            }
            _ => {}
        }
    }

    /// Sets the payment of a Stripe Invoice, as before 2025-03-31.
    pub(crate) fn name_single_payment(&self, id: &str, fields: &mut Fields) {
        let intent = self.intent_of_invoice(id);
        let charge = intent.as_deref().and_then(|id| self.latest_charge(id).ok());
        let payments = self.payments_of_invoice(id);
        let is_elsewhere = |id: &String| {
            let payment = self.get(id).and_then(|it| it.get("payment"));
            payment.is_some_and(|payment| payment.get("payment_record").is_some())
        };
        let is_paid = self.get(id).and_then(|it| it.text("status")) == Some("paid");
        fields.set("payment_intent", intent);
        fields.set("charge", charge);
        fields.set("paid", is_paid);
        fields.set("paid_out_of_band", payments.iter().any(is_elsewhere));
    }

    /// Returns the Stripe Invoice that an intent pays.
    fn bill_of(&self, intent: &str) -> Option<String> {
        let places = self.places(Kind::InvoicePayment)?;
        let payments = places.values().filter_map(|id| self.get(id));
        let mut of_this = payments.filter(|payment| {
            let named = payment.get("payment");
            let named = named.and_then(|it| it.get("payment_intent")?.as_str());
            named == Some(intent)
        });
        of_this.next()?.text("invoice").map(str::to_owned)
    }
}
