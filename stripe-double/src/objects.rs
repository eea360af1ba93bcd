//! The kinds of objects, and their rendering from templates.

use crate::fields::Fields;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The kinds of objects that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Session,
    Intent,
    Charge,
    Refund,
    Dispute,
    BalanceTransaction,
    Invoice,
    InvoicePayment,
    CreditNote,
    Event,
}

impl Kind {
    pub(crate) const ALL: [Kind; 10] = [
        Kind::Session,
        Kind::Intent,
        Kind::Charge,
        Kind::Refund,
        Kind::Dispute,
        Kind::BalanceTransaction,
        Kind::Invoice,
        Kind::InvoicePayment,
        Kind::CreditNote,
        Kind::Event,
    ];

    /// Returns Stripe's name, as in the field `object` and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Session => "checkout.session",
            Kind::Intent => "payment_intent",
            Kind::Charge => "charge",
            Kind::Refund => "refund",
            Kind::Dispute => "dispute",
            Kind::BalanceTransaction => "balance_transaction",
            Kind::Invoice => "invoice",
            Kind::InvoicePayment => "invoice_payment",
            Kind::CreditNote => "credit_note",
            Kind::Event => "event",
        }
    }

    pub(crate) fn list_path(self) -> &'static str {
        match self {
            Kind::Session => "/v1/checkout/sessions",
            Kind::Intent => "/v1/payment_intents",
            Kind::Charge => "/v1/charges",
            Kind::Refund => "/v1/refunds",
            Kind::Dispute => "/v1/disputes",
            Kind::BalanceTransaction => "/v1/balance_transactions",
            Kind::Invoice => "/v1/invoices",
            Kind::InvoicePayment => "/v1/invoice_payments",
            Kind::CreditNote => "/v1/credit_notes",
            Kind::Event => "/v1/events",
        }
    }

    /// Returns the name of the id in the path, as in Stripe's errors.
    pub(crate) fn id_param(self) -> &'static str {
        match self {
            Kind::Session => "session",
            Kind::Intent => "intent",
            Kind::Refund => "refund",
            Kind::Dispute => "dispute",
            Kind::Invoice => "invoice",
            Kind::InvoicePayment => "invoice_payment",
            Kind::Charge | Kind::BalanceTransaction | Kind::CreditNote | Kind::Event => "id",
        }
    }

    /// Returns the permission that a restricted key needs to read it; refunds need that of charges.
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Kind::Session => "rak_checkout_session_read",
            Kind::Intent => "rak_payment_intent_read",
            Kind::Charge | Kind::Refund => "rak_charge_read",
            Kind::Dispute => "rak_dispute_read",
            Kind::BalanceTransaction => "rak_balance_transaction_source_read",
            Kind::Invoice | Kind::InvoicePayment => "rak_invoice_read",
            Kind::CreditNote => "rak_credit_note_read",
            Kind::Event => "rak_event_read",
        }
    }

    pub(crate) fn template(self) -> &'static Map<String, Value> {
        match self {
            Kind::Session => &SESSION,
            Kind::Intent => &INTENT,
            Kind::Charge => &CHARGE,
            Kind::Refund => &REFUND,
            Kind::Dispute => &DISPUTE,
            Kind::BalanceTransaction => &BALANCE_TRANSACTION,
            Kind::Invoice => &INVOICE,
            Kind::InvoicePayment => &INVOICE_PAYMENT,
            Kind::CreditNote => &CREDIT_NOTE,
            Kind::Event => &EVENT,
        }
    }

    pub(crate) fn render(self, fields: &Fields) -> Map<String, Value> {
        let mut object = self.template().clone();
        fields.write_over(&mut object);
        object
    }
}

macro_rules! template {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Map<String, Value>> =
            LazyLock::new(|| parse(include_str!(concat!("templates/", $file, ".json"))));
    };
}

template!(SESSION, "checkout_session");
template!(INTENT, "payment_intent");
template!(CHARGE, "charge");
template!(REFUND, "refund");
template!(DISPUTE, "dispute");
template!(EVENT, "event");
template!(ACCOUNT, "account");
template!(BALANCE_TRANSACTION, "balance_transaction");
template!(INVOICE, "invoice");
template!(INVOICE_PAYMENT, "invoice_payment");
template!(CREDIT_NOTE, "credit_note");

fn parse(template: &str) -> Map<String, Value> {
    serde_json::from_str(template).expect("a template is a JSON object")
}

/// Returns the account as in `GET /v1/account`.
pub(crate) fn account(id: &str) -> Value {
    let mut account = ACCOUNT.clone();
    account.insert("id".into(), id.into());
    if let Some(Value::Object(list)) = account.get_mut("external_accounts") {
        let url = format!("/v1/accounts/{id}/external_accounts");
        list.insert("url".into(), url.into());
    }
    Value::Object(account)
}

/// Returns a balance transaction as in a dispute. `amount` and `fee` are in minor units.
pub(crate) fn dispute_transaction(
    id: String,
    dispute: &Fields,
    at: i64,
    amount: i64,
    fee: i64,
) -> Value {
    let mut moved = BALANCE_TRANSACTION.clone();
    let text = |name| dispute.find(name).flatten().cloned().unwrap_or(Value::Null);
    moved.insert("id".into(), id.into());
    moved.insert("amount".into(), amount.into());
    moved.insert("fee".into(), fee.into());
    moved.insert("net".into(), (amount - fee).into());
    moved.insert("available_on".into(), at.into());
    moved.insert("created".into(), at.into());
    moved.insert("currency".into(), text("currency"));
    moved.insert("source".into(), text("id"));
    moved.insert("type".into(), "adjustment".into());
    let category = if amount < 0 {
        "dispute"
    } else {
        "dispute_reversal"
    };
    moved.insert("reporting_category".into(), category.into());
    Value::Object(moved)
}
