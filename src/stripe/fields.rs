//! Reads fields of Stripe's objects.

use serde_json::Value;

use crate::stripe::error::StripeError;

/// Returns the id of a nested object, expanded or not.
pub(super) fn id_of(object: &Value) -> Option<&str> {
    object.as_str().or_else(|| object.get("id")?.as_str())
}

pub(super) fn expect_object(object: &Value, wanted: &str) -> Result<(), StripeError> {
    match text(object, "object")? {
        found if found == wanted => Ok(()),
        found => Err(StripeError::Malformed {
            what: format!("a {found} instead of a {wanted}"),
        }),
    }
}

/// Fails with [`StripeError::Malformed`] if the object has no such text.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> Result<&'a str, StripeError> {
    object
        .get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| StripeError::missing(field))
}

pub(super) fn integer(object: &Value, field: &str) -> Result<i64, StripeError> {
    object
        .get(field)
        .and_then(Value::as_i64)
        .ok_or_else(|| StripeError::missing(field))
}

/// Returns an amount that is never negative. Fails with [`StripeError::Malformed`] for one that is.
pub(super) fn amount(object: &Value, field: &str) -> Result<i64, StripeError> {
    match integer(object, field)? {
        negative @ ..0 => Err(StripeError::Malformed {
            what: format!("\"{field}\" is {negative}, which is less than 0"),
        }),
        amount => Ok(amount),
    }
}

pub(super) fn flag(object: &Value, field: &str) -> Result<bool, StripeError> {
    object
        .get(field)
        .and_then(Value::as_bool)
        .ok_or_else(|| StripeError::missing(field))
}
