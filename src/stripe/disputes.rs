//! The disputes of a payment, and what they withhold.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::fields::{integer, text};
use crate::domain::evidence::{Dispute, Disputes, StripePayment};
use crate::domain::money::Currency;
use crate::pg::Stop;

/// Requests the disputes of a payment, because its charge only shows that there was one.
pub(super) fn of(
    client: &Client,
    payment: &StripePayment,
    stop: &Stop,
) -> Result<Disputes, StripeError> {
    let filter = match (&payment.ids.intent, &payment.ids.charge) {
        (Some(intent), _) => ("payment_intent", intent.as_str()),
        (None, Some(charge)) => ("charge", charge.as_str()),
        (None, None) => return Ok(Disputes::default()),
    };
    let page = client.get("/v1/disputes", &[filter, ("limit", "100")], stop)?;
    read_disputes(&page.body, payment.state.currency())
}

/// Reads a page of `GET /v1/disputes?payment_intent=…`. A dispute is over its own amount, usually in the currency of
/// the charge; in another one, its amount says nothing, and it counts as a dispute over the whole payment. One that was
/// prevented is lost with what was withdrawn for it and not put back: the network settled it for the customer.
///
/// Sources: <https://docs.stripe.com/api/disputes/object#dispute_object-amount>,
/// <https://docs.stripe.com/api/disputes/object#dispute_object-balance_transactions>,
/// <https://docs.stripe.com/api/disputes/object#dispute_object-payment_method_details-card-case_type>.
pub(crate) fn read_disputes(
    page: &Value,
    charged: Option<Currency>,
) -> Result<Disputes, StripeError> {
    let disputes = page
        .get("data")
        .and_then(Value::as_array)
        .ok_or_else(|| StripeError::missing("data"))?;
    let mut all = Disputes::default();
    for dispute in disputes {
        let amount = integer(dispute, "amount")?;
        let amount = match is_in(charged, dispute)? {
            true => amount,
            false => i64::MAX,
        };
        match text(dispute, "status")? {
            "prevented" => match withdrawn(dispute, charged)? {
                Withdrawn::Nothing => all.add(Dispute::Settled, amount),
                Withdrawn::InOwnCurrency(withdrawn) => all.add(Dispute::Lost, withdrawn),
                Withdrawn::InAnother => all.add(Dispute::Lost, amount),
            },
            status => all.add(Dispute::from_status(status), amount),
        }
    }
    Ok(all)
}

/// What was withdrawn for a dispute and not put back.
enum Withdrawn {
    Nothing,
    /// This much, in the currency of the charge.
    InOwnCurrency(i64),
    /// Something, in the currency of the account.
    InAnother,
}

fn withdrawn(dispute: &Value, charged: Option<Currency>) -> Result<Withdrawn, StripeError> {
    let moves = dispute
        .get("balance_transactions")
        .and_then(Value::as_array)
        .ok_or_else(|| StripeError::missing("balance_transactions"))?;
    let (mut sum, mut is_comparable) = (0_i64, true);
    for moved in moves {
        sum = sum.saturating_add(integer(moved, "amount")?);
        is_comparable &= is_in(charged, moved)?;
    }
    Ok(match sum {
        0.. => Withdrawn::Nothing,
        _ if is_comparable => Withdrawn::InOwnCurrency(sum.saturating_neg()),
        _ => Withdrawn::InAnother,
    })
}

/// Returns whether the amount of an object is in the currency of the charge.
fn is_in(charged: Option<Currency>, object: &Value) -> Result<bool, StripeError> {
    let currency = Currency::parse(text(object, "currency")?);
    Ok(currency.is_some() && currency == charged)
}
