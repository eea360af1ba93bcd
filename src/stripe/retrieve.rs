//! Retrieves single objects.

use super::client::Client;
use super::completion::OpenPoints;
use super::error::StripeError;
use super::invoices;
use super::objects::{self, Reading};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::identity::{ObjectKind, StripeId};
use crate::pg::Stop;

/// Requests one object and what its answer leaves open ([`OpenPoints`]). The session of an intent is requested
/// separately, see [`super::sessions`]. A session that names no intent may stand for several payments.
///
/// Makes no request if the prefix of a session's id shows another mode than the key's.
pub(crate) fn retrieve(
    client: &Client,
    id: &StripeId,
    reading: &Reading,
    stop: &Stop,
) -> Result<Vec<Evidence>, StripeError> {
    if let Some(finding) = of_other_mode(id, client.livemode()) {
        return Ok(vec![finding]);
    }
    match ask(client, id, reading, stop) {
        Ok(payments) => Ok(payments.into_iter().map(Evidence::Payment).collect()),
        Err(StripeError::NoSuchObject { message }) => Ok(vec![absence(id.clone(), message)]),
        Err(error) => Err(error),
    }
}

/// Returns what is known about a stored id without a request: that it is not a Stripe id, or of the other mode than
/// the key, whose mode is `ours`.
pub(crate) fn known_without_request(text: &str, ours: Option<bool>) -> Option<Evidence> {
    match StripeId::parse(text) {
        Some(id) => of_other_mode(&id, ours),
        None => Some(Evidence::NotAnId {
            text: text.to_owned(),
        }),
    }
}

fn of_other_mode(id: &StripeId, ours: Option<bool>) -> Option<Evidence> {
    is_of_other_mode(id, ours).then(|| Evidence::OtherMode {
        id: id.clone(),
        message: "recognized by the prefix of its id".to_owned(),
    })
}

/// Returns whether the id's prefix shows another mode than the key's.
pub(super) fn is_of_other_mode(id: &StripeId, ours: Option<bool>) -> bool {
    matches!((id.livemode(), ours), (Some(theirs), Some(ours)) if theirs != ours)
}

pub(super) fn ask(
    client: &Client,
    id: &StripeId,
    reading: &Reading,
    stop: &Stop,
) -> Result<Vec<StripePayment>, StripeError> {
    let answer = match id.kind() {
        ObjectKind::CheckoutSession => {
            let path = format!("/v1/checkout/sessions/{id}");
            client.get_with_charge(&path, &[], "payment_intent.latest_charge", stop)?
        }
        ObjectKind::PaymentIntent => {
            let path = format!("/v1/payment_intents/{id}");
            client.get_with_charge(&path, &[], "latest_charge", stop)?
        }
        ObjectKind::StripeInvoice => {
            let ask = |payment: &StripeId| ask(client, payment, reading, stop);
            return invoices::retrieve(id, client, reading, stop, ask);
        }
        ObjectKind::Charge => {
            let path = format!("/v1/charges/{id}");
            let answer = client.get_with_charge(&path, &[], "", stop)?;
            let intent = objects::intent_of_charge(&answer.body).and_then(StripeId::parse);
            match intent {
                Some(intent) => {
                    let mut payments = ask(client, &intent, reading, stop)?;
                    for payment in &mut payments {
                        // Another one than the latest was declined.
                        if payment.ids.charge.as_deref() != Some(id.as_str()) {
                            payment.former_ids.push(id.as_str().to_owned());
                        }
                    }
                    return Ok(payments);
                }
                None => answer,
            }
        }
    };
    let request_id = answer.request_id.clone();
    let mut payment = match id.kind() {
        ObjectKind::CheckoutSession => objects::read_session(&answer.body, reading, request_id)?,
        ObjectKind::Charge => objects::read_charge(&answer.body, reading, request_id)?,
        _ => objects::read_intent(&answer.body, reading, request_id)?,
    };
    payment.as_of = answer.asked_at;
    let open = OpenPoints::of(&answer.body, reading)?;
    complete(payment, &open, client, reading, stop)
}

/// Completes a payment of which an answer leaves this open: usually the same one, or the payments that came by a
/// session.
pub(super) fn complete(
    payment: StripePayment,
    open: &OpenPoints,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
) -> Result<Vec<StripePayment>, StripeError> {
    let payment = open.complete(payment, client, stop)?;
    match &open.stripe_invoice {
        Some(invoice) => {
            let ask = |id: &StripeId| ask(client, id, reading, stop);
            invoices::payments_of(invoice, payment, client, reading, stop, ask)
        }
        None => Ok(vec![payment]),
    }
}

/// Converts a 404 into evidence. If Stripe's message says that a similar object exists in the other mode, the
/// evidence is about the mode.
fn absence(id: StripeId, message: String) -> Evidence {
    if message.contains("a similar object exists in") {
        Evidence::OtherMode { id, message }
    } else {
        Evidence::Missing { id, message }
    }
}
