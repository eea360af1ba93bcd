//! What objects are made of: a checkout, an intent without one, a refund, a dispute.

use serde_json::{Map, Value};

/// A checkout session to be opened. Amounts in the currency's minor units as Stripe counts them.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub(crate) id: Option<String>,
    pub(crate) mode: &'static str,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) early_intent: bool,
    pub(crate) metadata: Map<String, Value>,
    /// The payment that the session asks for; its metadata is the intent's.
    pub(crate) intent: Intent,
}

impl Checkout {
    /// A session in payment mode over this amount.
    pub fn new(amount: i64, currency: impl Into<String>) -> Self {
        Checkout {
            id: None,
            mode: "payment",
            client_reference_id: None,
            expires_at: None,
            early_intent: false,
            metadata: Map::new(),
            intent: Intent::new(amount, currency),
        }
    }

    /// A session that only stores a payment method: no amount, no payment intent.
    pub fn setup() -> Self {
        Checkout {
            mode: "setup",
            ..Checkout::new(0, "usd")
        }
    }

    /// A session that starts a subscription: paid through an invoice, no payment intent.
    pub fn subscription(amount: i64, currency: impl Into<String>) -> Self {
        Checkout {
            mode: "subscription",
            ..Checkout::new(amount, currency)
        }
    }

    /// The session's id instead of a generated one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The id that the payment intent gets once there is one.
    pub fn intent_id(mut self, id: impl Into<String>) -> Self {
        self.intent.id = Some(id.into());
        self
    }

    /// The id that the first charge gets.
    pub fn charge_id(mut self, id: impl Into<String>) -> Self {
        self.intent.charge_id = Some(id.into());
        self
    }

    /// One entry of the session's metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into().into());
        self
    }

    /// One entry of the intent's metadata (`payment_intent_data.metadata`), which charges inherit.
    pub fn intent_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.intent = self.intent.metadata(key, value);
        self
    }

    /// The application's own reference.
    pub fn client_reference_id(mut self, reference: impl Into<String>) -> Self {
        self.client_reference_id = Some(reference.into());
        self
    }

    /// The intent's and charge's description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.intent = self.intent.description(description);
        self
    }

    /// The customer's id (`cus_…`).
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.intent = self.intent.customer(customer);
        self
    }

    /// In live mode instead of test mode.
    pub fn live(mut self) -> Self {
        self.intent = self.intent.live();
        self
    }

    /// Created at this time (unix seconds) instead of now.
    pub fn created(mut self, at: i64) -> Self {
        self.intent = self.intent.created(at);
        self
    }

    /// Expires at this time (unix seconds) instead of 24 hours after its creation.
    pub fn expires_at(mut self, at: i64) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// On this connected account instead of the platform's.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.intent = self.intent.account(account);
        self
    }

    /// Has its payment intent from the start, as before API version 2022-08-01.
    pub fn early_intent(mut self) -> Self {
        self.early_intent = true;
        self
    }
}

/// A payment intent to be made without a checkout session. Amounts in minor units.
#[derive(Clone, Debug)]
pub struct Intent {
    pub(crate) id: Option<String>,
    pub(crate) charge_id: Option<String>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) livemode: bool,
    pub(crate) created: Option<i64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) description: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) account: Option<String>,
}

impl Intent {
    /// An intent over this amount.
    pub fn new(amount: i64, currency: impl Into<String>) -> Self {
        Intent {
            id: None,
            charge_id: None,
            amount,
            currency: currency.into(),
            livemode: false,
            created: None,
            metadata: Map::new(),
            description: None,
            customer: None,
            account: None,
        }
    }

    /// The intent's id instead of a generated one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The id that the first charge gets.
    pub fn charge_id(mut self, id: impl Into<String>) -> Self {
        self.charge_id = Some(id.into());
        self
    }

    /// One entry of the intent's metadata, which charges inherit.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into().into());
        self
    }

    /// The intent's and charge's description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The customer's id (`cus_…`).
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.customer = Some(customer.into());
        self
    }

    /// In live mode instead of test mode.
    pub fn live(mut self) -> Self {
        self.livemode = true;
        self
    }

    /// Created at this time (unix seconds) instead of now.
    pub fn created(mut self, at: i64) -> Self {
        self.created = Some(at);
        self
    }

    /// On this connected account instead of the platform's.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }
}

/// A refund of a charge.
#[derive(Clone, Debug, Default)]
pub struct Refund {
    pub(crate) id: Option<String>,
    pub(crate) amount: Option<i64>,
    pub(crate) status: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Refund {
    /// Of this amount in minor units.
    pub fn of(amount: i64) -> Self {
        Refund {
            amount: Some(amount),
            ..Refund::default()
        }
    }

    /// Of all that is left.
    pub fn whole() -> Self {
        Refund::default()
    }

    /// Its status instead of `succeeded`.
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// Its id instead of a generated one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Why, in Stripe's words (`requested_by_customer`).
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// A dispute of a charge.
#[derive(Clone, Debug)]
pub struct Dispute {
    pub(crate) id: Option<String>,
    pub(crate) amount: Option<i64>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

impl Dispute {
    /// With this status: `needs_response`, `warning_needs_response`, …
    pub fn new(status: impl Into<String>) -> Self {
        Dispute {
            id: None,
            amount: None,
            status: status.into(),
            reason: None,
        }
    }

    /// Of this amount in minor units instead of all that was captured.
    pub fn amount(mut self, amount: i64) -> Self {
        self.amount = Some(amount);
        self
    }

    /// Its id instead of a generated one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Why, in Stripe's words, instead of `fraudulent`.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// What a session's intent, or an intent's first charge, will be.
pub(crate) type Plan = Box<Intent>;
