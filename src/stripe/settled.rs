//! What Stripe's balance says of a charge, once its money is settled.

use serde_json::Value;

use crate::domain::evidence::is_late;

/// Returns what Stripe added to the balance, less its fee, in the currency of the charge.
/// Source: <https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-net>.
pub(super) fn net(charge: Option<&Value>) -> Option<i64> {
    in_own_currency(charge)?.get("net")?.as_i64()
}

/// Returns the balance transaction, unless Stripe converted the money: its amounts are in the currency of the balance.
pub(super) fn in_own_currency(charge: Option<&Value>) -> Option<&Value> {
    let charge = charge?;
    let settled = charge.get("balance_transaction")?;
    let is_comparable = settled.get("currency")? == charge.get("currency")?;
    Some(settled).filter(|_| is_comparable)
}

/// Returns whether there is no balance transaction yet, or the charge was not read, and values of it are wanted. Stripe
/// creates it up to an hour after the payment, if the capture is asynchronous. An id is one that the key may not read.
/// Source: <https://docs.stripe.com/payments/payment-intents/asynchronous-capture>.
pub(super) fn is_awaited(charge: Option<&Value>, wanted: &[String]) -> bool {
    let settled = charge.and_then(|charge| charge.get("balance_transaction"));
    settled.is_none_or(Value::is_null) && wanted.iter().any(|path| is_late(path))
}
