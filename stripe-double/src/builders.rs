//! Builders: a checkout, an intent without one, a refund, a dispute.

use serde_json::{Map, Value};

/// A checkout session to create. Amounts are in Stripe's smallest unit of the currency.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub(crate) id: Option<String>,
    pub(crate) mode: &'static str,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) payment_link: Option<String>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) early_intent: bool,
    pub(crate) metadata: Map<String, Value>,
    /// The payment that the session requests. Its metadata becomes the intent's.
    pub(crate) intent: Intent,
}

impl Checkout {
    /// Creates a session in payment mode with this amount.
    pub fn new(amount: i64, currency: impl Into<String>) -> Self {
        Checkout {
            id: None,
            mode: "payment",
            client_reference_id: None,
            payment_link: None,
            expires_at: None,
            early_intent: false,
            metadata: Map::new(),
            intent: Intent::new(amount, currency),
        }
    }

    /// Creates a session that only stores a payment method: no amount, no payment intent.
    pub fn setup() -> Self {
        Checkout {
            mode: "setup",
            ..Checkout::new(0, "usd")
        }
    }

    /// Creates a session that starts a subscription: paid through an invoice, no payment intent.
    pub fn subscription(amount: i64, currency: impl Into<String>) -> Self {
        Checkout {
            mode: "subscription",
            ..Checkout::new(amount, currency)
        }
    }

    /// Sets how much of a subscription's first invoice the customer's balance pays.
    pub fn from_balance(mut self, amount: i64) -> Self {
        self.intent.from_balance = amount;
        self
    }

    /// Sets the session's id; otherwise one is generated.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the id of the payment intent, for when it is created.
    pub fn intent_id(mut self, id: impl Into<String>) -> Self {
        self.intent.id = Some(id.into());
        self
    }

    /// Sets the id of the first charge.
    pub fn charge_id(mut self, id: impl Into<String>) -> Self {
        self.intent.charge_id = Some(id.into());
        self
    }

    /// Adds an entry to the session's metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into().into());
        self
    }

    /// Adds an entry to the intent's metadata (`payment_intent_data.metadata`), which charges inherit.
    pub fn intent_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.intent = self.intent.metadata(key, value);
        self
    }

    /// Sets the payment link that the session is made from.
    pub fn payment_link(mut self, link: impl Into<String>) -> Self {
        self.payment_link = Some(link.into());
        self
    }

    /// Sets the application's own reference.
    pub fn client_reference_id(mut self, reference: impl Into<String>) -> Self {
        self.client_reference_id = Some(reference.into());
        self
    }

    /// Sets the description of intent and charge.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.intent = self.intent.description(description);
        self
    }

    /// Sets the customer's id (`cus_…`).
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.intent = self.intent.customer(customer);
        self
    }

    /// Creates the session in live mode; the default is test mode.
    pub fn live(mut self) -> Self {
        self.intent = self.intent.live();
        self
    }

    /// Sets the time of creation (unix seconds); the default is now.
    pub fn created(mut self, at: i64) -> Self {
        self.intent = self.intent.created(at);
        self
    }

    /// Sets the time of expiry (unix seconds); the default is 24 hours after creation.
    pub fn expires_at(mut self, at: i64) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Creates the session on this connected account; the default is the platform's.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.intent = self.intent.account(account);
        self
    }

    /// Creates the payment intent with the session, as API versions before 2022-08-01 did.
    pub fn early_intent(mut self) -> Self {
        self.early_intent = true;
        self
    }
}

/// A payment intent to create without a checkout session. Amounts are in Stripe's smallest unit of the currency.
#[derive(Clone, Debug)]
pub struct Intent {
    pub(crate) id: Option<String>,
    pub(crate) charge_id: Option<String>,
    pub(crate) amount: i64,
    /// How much of an invoice's amount the customer's balance pays.
    pub(crate) from_balance: i64,
    pub(crate) currency: String,
    pub(crate) livemode: bool,
    pub(crate) created: Option<i64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) description: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) account: Option<String>,
}

impl Intent {
    /// Creates an intent with this amount.
    pub fn new(amount: i64, currency: impl Into<String>) -> Self {
        Intent {
            id: None,
            charge_id: None,
            amount,
            from_balance: 0,
            currency: currency.into(),
            livemode: false,
            created: None,
            metadata: Map::new(),
            description: None,
            customer: None,
            account: None,
        }
    }

    /// Sets the intent's id; otherwise one is generated.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the id of the first charge.
    pub fn charge_id(mut self, id: impl Into<String>) -> Self {
        self.charge_id = Some(id.into());
        self
    }

    /// Adds an entry to the intent's metadata, which charges inherit.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into().into());
        self
    }

    /// Sets the description of intent and charge.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the customer's id (`cus_…`).
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.customer = Some(customer.into());
        self
    }

    /// Creates the intent in live mode; the default is test mode.
    pub fn live(mut self) -> Self {
        self.livemode = true;
        self
    }

    /// Sets the time of creation (unix seconds); the default is now.
    pub fn created(mut self, at: i64) -> Self {
        self.created = Some(at);
        self
    }

    /// Creates the intent on this connected account; the default is the platform's.
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
    /// Refunds this amount in minor units.
    pub fn of(amount: i64) -> Self {
        Refund {
            amount: Some(amount),
            ..Refund::default()
        }
    }

    /// Refunds the rest of the charge.
    pub fn whole() -> Self {
        Refund::default()
    }

    /// Sets the status; the default is `succeeded`.
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// Sets the id; otherwise one is generated.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the reason, such as `requested_by_customer`.
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
    pub(crate) is_resolution: bool,
}

impl Dispute {
    /// Creates a dispute with this status: `needs_response`, `warning_needs_response`, …
    pub fn new(status: impl Into<String>) -> Self {
        Dispute {
            id: None,
            amount: None,
            status: status.into(),
            reason: None,
            is_resolution: false,
        }
    }

    /// Lets the network settle it for the customer by the merchant's rules (Visa's Rapid Dispute Resolution): if it is
    /// prevented, its funds are withdrawn. Source:
    /// <https://docs.stripe.com/api/disputes/object#dispute_object-payment_method_details-card-case_type>.
    pub fn resolution(mut self) -> Self {
        self.is_resolution = true;
        self
    }

    /// Sets the amount in minor units; the default is the captured amount.
    pub fn amount(mut self, amount: i64) -> Self {
        self.amount = Some(amount);
        self
    }

    /// Sets the id; otherwise one is generated.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the reason; the default is `fraudulent`.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// The intent and first charge to create later for a session or intent.
pub(crate) type Plan = Box<Intent>;
