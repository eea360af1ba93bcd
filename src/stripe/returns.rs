//! How much of a charge was refunded, without what its authorisation released.
//!
//! Before API version 2025-03-31, the part of an authorisation that was not captured counted as refunded, with a refund
//! of its own. Source:
//! <https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow>.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::fields::amount;
use super::lists::read_list;
use crate::pg::Stop;

/// The refunded amount that a charge states, in Stripe's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refunded {
    /// None of it was released.
    Certain(i64),
    /// It may contain what was released: the charge's refunds show it.
    Unclear(UnclearRefunds),
}

/// A refunded amount that may contain what was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnclearRefunds {
    charge: String,
    stated: i64,
    released: i64,
    /// Whether a release is among the refunds.
    release_is_refund: bool,
}

impl Refunded {
    /// Reads it from a charge. `capturable` is what may still be captured, which is not released yet;
    /// `release_is_refund` tells the behaviour of the API version, for charges whose balance transaction does not.
    pub(super) fn of(
        charge: &Value,
        capturable: i64,
        release_is_refund: bool,
    ) -> Result<Self, StripeError> {
        let integer = |field: &str| charge.get(field).and_then(Value::as_i64);
        let stated = amount(charge, "amount_refunded")?;
        // Old API versions have no amount_captured.
        let (Some(authorised), Some(captured)) = (integer("amount"), integer("amount_captured"))
        else {
            return Ok(Self::Certain(stated));
        };
        let released = authorised
            .saturating_sub(captured)
            .saturating_sub(capturable);
        if released <= 0 || stated < released {
            return Ok(Self::Certain(stated));
        }
        if stated > captured {
            return Ok(Self::Certain(stated - released));
        }
        let charge_id = charge.get("id").and_then(Value::as_str);
        Ok(Self::Unclear(UnclearRefunds {
            charge: charge_id.unwrap_or_default().to_owned(),
            stated,
            released,
            release_is_refund: settled_in_full(charge, authorised, captured)
                .unwrap_or(release_is_refund),
        }))
    }

    /// Returns the least that was refunded.
    pub(super) fn least(&self) -> i64 {
        match self {
            Self::Certain(refunded) => *refunded,
            Self::Unclear(unclear) => unclear.stated - unclear.released,
        }
    }
}

/// Returns whether the whole authorised amount was settled although only a part was captured, as it was where a release
/// is a refund; `None` if the charge's balance transaction does not tell.
fn settled_in_full(charge: &Value, amount: i64, captured: i64) -> Option<bool> {
    let settled = charge.get("balance_transaction")?;
    if settled.get("currency")? != charge.get("currency")? {
        return None;
    }
    let settled = settled.get("amount")?.as_i64()?;
    match settled {
        _ if settled == amount => Some(true),
        _ if settled == captured => Some(false),
        _ => None,
    }
}

impl UnclearRefunds {
    /// Requests the refunds of the charge. Returns how much was refunded.
    pub(super) fn resolve(&self, client: &Client, stop: &Stop) -> Result<i64, StripeError> {
        let query = [("charge", self.charge.as_str()), ("limit", "100")];
        let page = read_list(client.get("/v1/refunds", &query, stop)?)?;
        Ok(self.refunded(listed(&page.objects)))
    }

    /// Returns how much was refunded if the charge's refunds come to `listed`.
    fn refunded(&self, listed: i64) -> i64 {
        let release_is_listed = listed >= self.stated;
        if release_is_listed && self.release_is_refund {
            self.stated - self.released
        } else {
            listed.min(self.stated)
        }
    }
}

/// Returns the sum of the refunds that did not fail.
fn listed(refunds: &[Value]) -> i64 {
    let counts = |refund: &&Value| {
        let status = refund.get("status").and_then(Value::as_str);
        !matches!(status, Some("failed" | "canceled"))
    };
    let amounts = refunds.iter().filter(counts);
    amounts
        .filter_map(|refund| amount(refund, "amount").ok())
        .fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Refunded, UnclearRefunds};

    fn charge(captured: i64, refunded: i64) -> Value {
        json!({
            "id": "ch_1", "amount": 10_000, "amount_captured": captured, "amount_refunded": refunded,
            "currency": "usd", "balance_transaction": "txn_1",
        })
    }

    fn unclear(charge: &Value, is_old: bool) -> UnclearRefunds {
        match Refunded::of(charge, 0, is_old) {
            Ok(Refunded::Unclear(unclear)) => unclear,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_contain_a_release_is_certain() {
        for (captured, refunded, capturable, expected) in [
            (10_000, 2_500, 0, 2_500),
            (6_000, 0, 0, 0),
            (6_000, 3_999, 0, 3_999),
            // More than was captured.
            (2_000, 8_000, 0, 0),
            (2_000, 9_000, 0, 1_000),
            // Nothing is released yet.
            (7_000, 5_000, 3_000, 5_000),
            // Cancelled before it was captured.
            (0, 10_000, 0, 0),
        ] {
            for is_old in [false, true] {
                assert_eq!(
                    Refunded::of(&charge(captured, refunded), capturable, is_old),
                    Ok(Refunded::Certain(expected)),
                    "captured {captured}, refunded {refunded}, capturable {capturable}"
                );
            }
        }
        let mut without = charge(0, 500);
        without.as_object_mut().unwrap().remove("amount_captured");
        assert_eq!(Refunded::of(&without, 0, true), Ok(Refunded::Certain(500)));
        without.as_object_mut().unwrap().remove("amount_refunded");
        assert!(Refunded::of(&without, 0, true).is_err());
    }

    #[test]
    fn the_refunds_show_what_was_released() {
        for (stated, is_old, listed, expected) in [
            // The release is a refund of its own, or it is none.
            (4_000, true, 4_000, 0),
            (5_000, true, 5_000, 1_000),
            (4_000, true, 0, 0),
            (5_000, true, 1_000, 1_000),
            (4_000, false, 4_000, 4_000),
            (5_000, false, 5_000, 5_000),
            (4_000, false, 0, 0),
            (5_000, false, 1_000, 1_000),
            // A refund that is not in the charge yet.
            (4_000, false, 6_000, 4_000),
        ] {
            let unclear = unclear(&charge(6_000, stated), is_old);
            assert_eq!(
                unclear.refunded(listed),
                expected,
                "stated {stated}, listed {listed}, old {is_old}"
            );
            assert_eq!(Refunded::Unclear(unclear).least(), stated - 4_000);
        }
    }

    #[test]
    fn a_balance_transaction_goes_before_the_api_version() {
        for (settled, currency, is_old, expected) in [
            (10_000, "usd", false, true),
            (6_000, "usd", true, false),
            (9_999, "usd", true, true),
            (10_000, "eur", false, false),
        ] {
            let mut charge = charge(6_000, 4_000);
            charge["balance_transaction"] = json!({ "amount": settled, "currency": currency });
            assert_eq!(
                unclear(&charge, is_old).release_is_refund,
                expected,
                "{settled} {currency}"
            );
        }
    }
}
