//! The payments of a Stripe Invoice. A session in mode `subscription` names its Stripe Invoice and no intent; the intent
//! that paid it is the payment.
//!
//! Sources: <https://docs.stripe.com/api/invoice-payment/object>,
//! <https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices>.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::lists::read_list;
use super::reductions;
use crate::domain::evidence::{Gratuity, PaymentState, StripePayment};
use crate::domain::identity::StripeId;
use crate::domain::money::Money;
use crate::domain::reductions::Reductions;
use crate::pg::Stop;

/// Returns the payments by which a session's Stripe Invoice was paid, with what the session says of them; `ask`
/// requests one of them. If the key may not read them, the session stays the only thing that is known of the payment.
pub(super) fn payments_of(
    invoice: &str,
    session: StripePayment,
    client: &Client,
    stop: &Stop,
    ask: impl Fn(&StripeId) -> Result<Vec<StripePayment>, StripeError>,
) -> Result<Vec<StripePayment>, StripeError> {
    match read_payments(invoice, &session, client, stop, ask) {
        Err(
            StripeError::Forbidden { .. }
            | StripeError::Refused { .. }
            | StripeError::NoSuchObject { .. },
        ) => Ok(vec![session]),
        other => other,
    }
}

fn read_payments(
    invoice: &str,
    session: &StripePayment,
    client: &Client,
    stop: &Stop,
    ask: impl Fn(&StripeId) -> Result<Vec<StripePayment>, StripeError>,
) -> Result<Vec<StripePayment>, StripeError> {
    let (ids, mut stripe_invoice) = if client.is_before_basil() {
        let answer = client.get(&format!("/v1/invoices/{invoice}"), &[], stop)?;
        let named = ["payment_intent", "charge"].map(|field| answer.body.get(field)?.as_str());
        let id = named.into_iter().flatten().find_map(StripeId::parse);
        (Vec::from_iter(id), Some(answer.body))
    } else {
        let query = [
            ("invoice", invoice),
            ("status", "paid"),
            ("limit", "100"),
            ("expand[]", "data.invoice"),
        ];
        let page = read_list(client.get("/v1/invoice_payments", &query, stop)?)?;
        let stripe_invoice = page.objects.first().and_then(|it| it.get("invoice"));
        let stripe_invoice = stripe_invoice.filter(|it| it.is_object()).cloned();
        let ids = page.objects.iter().filter_map(payment_id).collect();
        (ids, stripe_invoice)
    };
    if ids.is_empty() && stripe_invoice.is_none() {
        let answer = client.get(&format!("/v1/invoices/{invoice}"), &[], stop)?;
        stripe_invoice = Some(answer.body);
    }
    let mut session = session.clone();
    if let Some(stripe_invoice) = &stripe_invoice {
        session.reductions = session
            .reductions
            .merge(reductions::of_invoice(stripe_invoice));
    }
    let mut payments = Vec::new();
    for id in &ids {
        let mut of_session = session.clone();
        if !payments.is_empty() {
            // The session states one gratuity for all of them, and the invoice one credit.
            of_session.gratuity = Gratuity::None;
            of_session.reductions = Reductions::default();
        }
        for payment in ask(id)? {
            payments.push(payment.with_session(of_session.clone()));
        }
    }
    if payments.is_empty() {
        let paid = stripe_invoice.as_ref().and_then(|it| it.get("amount_paid"));
        payments.push(paid_without_payment(session, paid)?);
    }
    Ok(payments)
}

/// Returns the payment of a Stripe Invoice that nothing paid through Stripe: settled by a customer's balance, or paid
/// elsewhere and marked as paid.
fn paid_without_payment(
    mut session: StripePayment,
    paid: Option<&Value>,
) -> Result<StripePayment, StripeError> {
    let paid = paid
        .and_then(Value::as_i64)
        .ok_or_else(|| StripeError::missing("amount_paid"))?;
    if let PaymentState::Received(total) = &session.state {
        session.state = PaymentState::Received(Money::new(paid.min(total.minor), total.currency));
    }
    Ok(session)
}

/// Returns the intent or the charge of an Invoice Payment.
fn payment_id(payment: &Value) -> Option<StripeId> {
    let named = payment.get("payment")?;
    let id = |field: &str| named.get(field)?.as_str().and_then(StripeId::parse);
    id("payment_intent").or_else(|| id("charge"))
}
