//! Converts Stripe's JSON into evidence.
//!
//! A documented field that is missing or of another type is an error. An unknown status is not: it becomes
//! [`PaymentState::Unknown`].

use serde_json::Value;

use super::client::now_micros;
use super::error::StripeError;
use super::fields::{amount, expect_object, flag, id_of, integer, text};
use super::reductions;
use super::returns::Refunded;
use super::settled;
use crate::domain::evidence::{Gratuity, PaymentState, SessionSide, StripePayment};
use crate::domain::identity::PaymentIds;
use crate::domain::money::{Currency, Money};

/// What to read beside the amounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The metadata key that contains the gratuity.
    pub(crate) gratuity_key: Option<String>,
    /// The metadata key that names the invoice.
    pub(crate) invoice_key: Option<String>,
    /// Whether a session's `client_reference_id` also names the invoice.
    pub(crate) client_reference: bool,
    /// Whether the API version counts the released part of an authorisation as refunded.
    pub(crate) release_is_refund: bool,
    /// Whether the application's payments are known to come by Stripe Invoices: then it is asked which one an intent paid.
    pub(crate) stripe_invoices: bool,
    /// Paths of values that the application's payment rows store: `payment_intent.description`, `metadata.project`.
    pub(crate) attributes: Vec<String>,
}

/// A session, its intent and the latest charge, as far as known.
#[derive(Clone, Copy, Default)]
struct PaymentObjects<'a> {
    session: Option<&'a Value>,
    intent: Option<&'a Value>,
    charge: Option<&'a Value>,
}

/// Reads an answer to `GET /v1/checkout/sessions/{id}?expand[]=payment_intent.latest_charge`.
/// Source: <https://docs.stripe.com/api/checkout/sessions/object>.
pub(crate) fn read_session(
    session: &Value,
    reading: &Reading,
    request_id: Option<String>,
) -> Result<StripePayment, StripeError> {
    expect_object(session, "checkout.session")?;
    let intent = expanded(session, "payment_intent")?;
    let objects = PaymentObjects {
        session: Some(session),
        intent,
        charge: intent.map(latest_charge).transpose()?.flatten(),
    };
    let state = match intent {
        Some(intent) => combined_state(intent_state(intent)?, session)?,
        None => session_state(session)?,
    };
    assemble(objects, state, reading, request_id)
}

/// Reads an answer to `GET /v1/payment_intents/{id}?expand[]=latest_charge`.
/// Source: <https://docs.stripe.com/api/payment_intents/object>.
pub(crate) fn read_intent(
    intent: &Value,
    reading: &Reading,
    request_id: Option<String>,
) -> Result<StripePayment, StripeError> {
    expect_object(intent, "payment_intent")?;
    let objects = PaymentObjects {
        session: None,
        intent: Some(intent),
        charge: latest_charge(intent)?,
    };
    assemble(objects, intent_state(intent)?, reading, request_id)
}

/// Reads an answer to `GET /v1/charges/{id}` for a charge without an intent.
/// Source: <https://docs.stripe.com/api/charges/object>.
pub(crate) fn read_charge(
    charge: &Value,
    reading: &Reading,
    request_id: Option<String>,
) -> Result<StripePayment, StripeError> {
    expect_object(charge, "charge")?;
    let objects = PaymentObjects {
        charge: Some(charge),
        ..PaymentObjects::default()
    };
    let state = match text(charge, "status")? {
        "succeeded" if !flag(charge, "captured")? => match charge.get("refunded") {
            // Before 2025-03-31, a cancelled authorisation counts as refunded.
            Some(Value::Bool(true)) => PaymentState::Never("released".to_owned()),
            _ => PaymentState::Waiting("succeeded, not captured".to_owned()),
        },
        "succeeded" => received(charge, "amount_captured")?,
        "pending" => PaymentState::Waiting("pending".to_owned()),
        "failed" => PaymentState::Never("failed".to_owned()),
        other => unknown("charge status", other),
    };
    assemble(objects, state, reading, request_id)
}

/// Reads the object in an event, in which nothing is expanded: a session, intent or charge. Returns `None` for a
/// refund or a dispute, which do not contain the amount received, for a session that does not name its payment, and
/// for a paid session that names no invoice: its intent, which the event does not contain, may name one.
///
/// The evidence is as old as the event, `created` (seconds since 1970). Events of the same second have no known
/// order, so none of them takes back a refund.
pub(crate) fn read_snapshot(
    object: &Value,
    created: i64,
    reading: &Reading,
) -> Result<Option<StripePayment>, StripeError> {
    if stripe_invoice(object).is_some() {
        return Ok(None);
    }
    let payment = read_unexpanded(object, reading)?;
    let payment = payment.filter(|payment| !lacks_intent(object, payment));
    Ok(payment.map(|payment| StripePayment {
        as_of: created.saturating_mul(1_000_000).min(now_micros()),
        tells_returns: false,
        ..payment
    }))
}

/// Returns whether money was received of which only the intent, which was not read, may name the invoice.
fn lacks_intent(object: &Value, payment: &StripePayment) -> bool {
    let is_session = text(object, "object").is_ok_and(|object| object == "checkout.session");
    is_session
        && payment.ids.intent.is_some()
        && payment.invoice_references.is_empty()
        && matches!(payment.state, PaymentState::Received(_))
}

/// Reads a session, intent or charge whose nested objects are ids. Returns `None` for another object.
pub(crate) fn read_unexpanded(
    object: &Value,
    reading: &Reading,
) -> Result<Option<StripePayment>, StripeError> {
    let without = |field: &str| {
        let mut bare = object.clone();
        if let Some(fields) = bare.as_object_mut() {
            fields.insert(field.to_owned(), Value::Null);
        }
        bare
    };
    let id = |field: &str| object.get(field).and_then(id_of).map(str::to_owned);
    let payment = match text(object, "object")? {
        "checkout.session" => {
            let mut payment = read_session(&without("payment_intent"), reading, None)?;
            payment.ids.intent = id("payment_intent");
            payment.is_unsettled =
                payment.ids.intent.is_some() && settled::is_awaited(None, &reading.attributes);
            Some(payment)
        }
        "payment_intent" => {
            let mut payment = read_intent(&without("latest_charge"), reading, None)?;
            payment.ids.charge = id("latest_charge");
            Some(payment)
        }
        "charge" => Some(read_charge(object, reading, None)?),
        _ => None,
    };
    Ok(payment)
}

/// Returns the intent that a charge belongs to.
pub(crate) fn intent_of_charge(charge: &Value) -> Option<&str> {
    charge.get("payment_intent").and_then(id_of)
}

/// Returns whether the charge of this payment was ever disputed, so that its disputes must be requested.
pub(crate) fn is_disputed(answer: &Value) -> Result<bool, StripeError> {
    match charge_and_intent(answer).0 {
        None => Ok(false),
        Some(charge) => flag(charge, "disputed"),
    }
}

/// Returns what the charge of this payment states as refunded; `None` without a charge.
pub(super) fn refunded(answer: &Value, reading: &Reading) -> Result<Option<Refunded>, StripeError> {
    let (charge, intent) = charge_and_intent(answer);
    charge
        .map(|charge| refunded_of(charge, intent, reading))
        .transpose()
}

/// Returns the Stripe Invoice by which a session was paid that names no intent.
pub(super) fn stripe_invoice(answer: &Value) -> Option<&str> {
    let is_session = answer.get("object")?.as_str()? == "checkout.session";
    let is_paid = answer.get("payment_status")?.as_str()? == "paid";
    let named = answer.get("payment_intent").and_then(id_of);
    let has_price = answer.get("amount_total").and_then(Value::as_i64) != Some(0);
    if !is_session || !is_paid || !has_price || named.is_some() {
        return None;
    }
    answer.get("invoice").and_then(id_of)
}

/// Returns the latest charge and the intent of a session, an intent or a charge, as far as they are expanded.
fn charge_and_intent(answer: &Value) -> (Option<&Value>, Option<&Value>) {
    let intent = match answer.get("object").and_then(Value::as_str) {
        Some("checkout.session") => answer.get("payment_intent"),
        Some("payment_intent") => Some(answer),
        _ => return (Some(answer), None),
    };
    let charge = intent.and_then(|intent| intent.get("latest_charge"));
    (charge.filter(|charge| charge.is_object()), intent)
}

fn refunded_of(
    charge: &Value,
    intent: Option<&Value>,
    reading: &Reading,
) -> Result<Refunded, StripeError> {
    let capturable = intent.and_then(|intent| intent.get("amount_capturable")?.as_i64());
    Refunded::of(charge, capturable.unwrap_or(0), reading.release_is_refund)
}

fn assemble(
    objects: PaymentObjects,
    state: PaymentState,
    reading: &Reading,
    request_id: Option<String>,
) -> Result<StripePayment, StripeError> {
    let livemode = objects
        .session
        .or(objects.intent)
        .or(objects.charge)
        .map(|object| flag(object, "livemode"))
        .transpose()?;
    let refunded = match objects.charge {
        Some(charge) => refunded_of(charge, objects.intent, reading)?.least(),
        None => 0,
    };
    let ids = PaymentIds {
        session: objects.session.and_then(id_of).map(str::to_owned),
        intent: objects
            .intent
            .and_then(id_of)
            .or_else(|| objects.charge.and_then(intent_of_charge))
            .map(str::to_owned),
        charge: objects.charge.and_then(id_of).map(str::to_owned),
        // Since 2025-03-31, only a session names it.
        stripe_invoice: [objects.session, objects.intent, objects.charge]
            .into_iter()
            .flatten()
            .find_map(|object| object.get("invoice").and_then(id_of))
            .map(str::to_owned),
    };
    // Every session's payment has an intent here, so a payment without an intent has no session.
    let session_side = match (&ids.session, &ids.intent) {
        (None, Some(_)) => SessionSide::Unread,
        _ => SessionSide::Read,
    };
    let has_charge = ids.intent.is_some() || ids.charge.is_some();
    Ok(StripePayment {
        is_unsettled: has_charge && settled::is_awaited(objects.charge, &reading.attributes),
        ids,
        former_ids: origins(objects.session),
        state,
        as_of: 0,
        tells_returns: objects.charge.is_some(),
        refunded,
        dispute: None,
        withheld: 0,
        session_side,
        livemode,
        gratuity: gratuity(objects, reading),
        invoice_references: invoice_references(objects, reading),
        is_renewal_of_named: false,
        invoice_was_read: false,
        received_at: received_at(objects)?,
        balance_transaction: objects
            .charge
            .and_then(|charge| id_of(charge.get("balance_transaction")?))
            .map(str::to_owned),
        net: settled::net(objects.charge),
        reductions: reductions::of_payment(objects.session, objects.intent),
        attributes: reading
            .attributes
            .iter()
            .filter_map(|path| Some((path.clone(), attribute(objects, path)?)))
            .collect(),
        request_id,
    })
}

/// Returns what the customer made this session from: a session that expired, by its recovery link, or a payment link.
/// Sources: <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-recovered_from>,
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-payment_link>.
fn origins(session: Option<&Value>) -> Vec<String> {
    let origin = |field: &&str| session?.get(*field).and_then(id_of).map(str::to_owned);
    ["recovered_from", "payment_link"]
        .iter()
        .filter_map(origin)
        .collect()
}

/// Returns when the money came: when it was added to Stripe's balance, if the answer contains that, because a card may
/// be charged days after it was authorised, and a bank debit take days to succeed.
/// Source: <https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-created>.
fn received_at(objects: PaymentObjects) -> Result<Option<i64>, StripeError> {
    let settled = objects.charge.and_then(|it| it.get("balance_transaction"));
    let settled = settled.filter(|transaction| transaction.is_object());
    let dated = settled
        .or(objects.charge)
        .or(objects.intent)
        .or(objects.session);
    dated.map(|object| integer(object, "created")).transpose()
}

/// Source: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
fn intent_state(intent: &Value) -> Result<PaymentState, StripeError> {
    Ok(match text(intent, "status")? {
        "succeeded" => received(intent, "amount_received")?,
        // A part was captured; the rest may still be, or was released when the authorisation expired or was canceled:
        // https://docs.stripe.com/payments/multicapture
        "requires_capture" | "canceled"
            if integer(intent, "amount_received").is_ok_and(|it| it > 0) =>
        {
            received(intent, "amount_received")?
        }
        "canceled" => PaymentState::Never("canceled".to_owned()),
        "requires_action" if is_instructed(intent) => {
            PaymentState::Waiting(PaymentState::INSTRUCTED.to_owned())
        }
        waiting @ ("requires_payment_method"
        | "requires_confirmation"
        | "requires_action"
        | "processing"
        | "requires_capture") => PaymentState::Waiting(waiting.to_owned()),
        other => unknown("payment intent status", other),
    })
}

/// Returns whether the customer has what it takes to pay within days: a voucher, an account to transfer to, or small
/// deposits that prove the account. Anything else, such as 3-D Secure, the customer does at once or not at all.
/// Source: <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action-type>.
fn is_instructed(intent: &Value) -> bool {
    let action = intent.pointer("/next_action/type").and_then(Value::as_str);
    action.is_some_and(|action| {
        let is_voucher = action.ends_with("_display_details");
        is_voucher
            || matches!(
                action,
                "display_bank_transfer_instructions" | "verify_with_microdeposits"
            )
    })
}

/// Combines the state of the intent with its session. The intent decides; an expired session only closes a payment
/// that was not begun.
fn combined_state(state: PaymentState, session: &Value) -> Result<PaymentState, StripeError> {
    let begun = |status: &str| {
        matches!(
            status,
            "processing" | "requires_capture" | PaymentState::INSTRUCTED
        )
    };
    match state {
        PaymentState::Waiting(status) if !begun(&status) => match session_state(session)? {
            PaymentState::Never(why) => Ok(PaymentState::Never(why)),
            unknown @ PaymentState::Unknown { .. } => Ok(unknown),
            _ => Ok(PaymentState::Waiting(status)),
        },
        decided => Ok(decided),
    }
}

/// Returns the state of a session without an intent: not begun, free of charge, a setup, or paid through another
/// object (the first invoice of a subscription).
fn session_state(session: &Value) -> Result<PaymentState, StripeError> {
    if text(session, "mode")? == "setup" {
        return Ok(PaymentState::NothingDue);
    }
    Ok(match text(session, "payment_status")? {
        "paid" => received(session, "amount_total")?,
        "no_payment_required" => PaymentState::NothingDue,
        "unpaid" => match text(session, "status")? {
            "expired" => PaymentState::Never("expired".to_owned()),
            "open" => PaymentState::Waiting("open".to_owned()),
            "complete" => PaymentState::Waiting(PaymentState::IN_FLIGHT.to_owned()),
            other => unknown("checkout session status", other),
        },
        other => unknown("checkout session payment_status", other),
    })
}

pub(super) fn unknown(field: &str, value: &str) -> PaymentState {
    PaymentState::Unknown {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn received(object: &Value, field: &str) -> Result<PaymentState, StripeError> {
    let minor = amount(object, field)?;
    let code = text(object, "currency")?;
    let currency = Currency::parse(code).ok_or_else(|| StripeError::Malformed {
        what: format!("currency \"{code}\" is not an ISO 4217 code"),
    })?;
    Ok(PaymentState::Received(Money::new(minor, currency)))
}

fn latest_charge(intent: &Value) -> Result<Option<&Value>, StripeError> {
    expanded(intent, "latest_charge")
}

/// Returns a field that was requested with `expand`: null or an object. An id means that Stripe did not expand it.
fn expanded<'a>(object: &'a Value, field: &str) -> Result<Option<&'a Value>, StripeError> {
    match object.get(field) {
        None => Err(StripeError::missing(field)),
        Some(Value::Null) => Ok(None),
        Some(inner @ Value::Object(_)) => Ok(Some(inner)),
        Some(_) => Err(StripeError::Malformed {
            what: format!("\"{field}\" was not expanded"),
        }),
    }
}

/// Metadata goes before the tip of a terminal.
/// Source: <https://docs.stripe.com/terminal/features/collecting-tips/overview>.
fn gratuity(trio: PaymentObjects, reading: &Reading) -> Gratuity {
    let tip = trio
        .intent
        .and_then(|intent| intent.pointer("/amount_details/tip/amount")?.as_i64())
        .filter(|tip| *tip != 0)
        .map_or(Gratuity::None, Gratuity::Tip);
    let keys = reading.gratuity_key.iter();
    keys.flat_map(|key| metadata(trio, key))
        .map(|said| Gratuity::Text(said.trim().to_owned()))
        .filter(|said| *said != Gratuity::Text(String::new()))
        .fold(tip, Gratuity::merge)
}

fn invoice_references(objects: PaymentObjects, reading: &Reading) -> Vec<String> {
    let named = reading.invoice_key.iter();
    let client = objects.session.filter(|_| reading.client_reference);
    let mut references: Vec<String> = named
        .flat_map(|key| metadata(objects, key))
        .chain(client.and_then(|session| session.get("client_reference_id")?.as_str()))
        .map(|reference| reference.trim().to_owned())
        .filter(|reference| !reference.is_empty())
        .collect();
    references.sort();
    references.dedup();
    references
}

/// Returns the invoices that metadata name.
pub(super) fn names(metadata: Option<&Value>, reading: &Reading) -> Vec<String> {
    let value = |key: &String| metadata?.get(key)?.as_str();
    let named = reading.invoice_key.as_ref().and_then(value);
    let named = named.map(|name| name.trim().to_owned());
    named.filter(|name| !name.is_empty()).into_iter().collect()
}

/// Returns the metadata of session and intent under one key. The charge's is used only without them, because it
/// repeats the intent's.
fn metadata<'a>(objects: PaymentObjects<'a>, key: &'a str) -> impl Iterator<Item = &'a str> {
    let own = objects.intent.is_none() && objects.session.is_none();
    [
        objects.intent,
        objects.session,
        objects.charge.filter(|_| own),
    ]
    .into_iter()
    .flatten()
    .filter_map(move |object| object.get("metadata")?.get(key)?.as_str())
}

/// Returns a value by its path: the object's name, then its fields.
fn attribute(objects: PaymentObjects, path: &str) -> Option<String> {
    let (head, rest) = path.split_once('.')?;
    if head == "metadata" {
        return metadata(objects, rest).next().map(str::to_owned);
    }
    let object = match head {
        "checkout_session" => objects.session,
        "payment_intent" => objects.intent,
        "charge" => objects.charge,
        "balance_transaction" => settled::in_own_currency(objects.charge),
        _ => None,
    }?;
    let value = rest
        .split('.')
        .try_fold(object, |value, field| value.get(field))?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
