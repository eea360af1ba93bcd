//! Requests what an answer about a payment leaves open: its disputes and its refunds.

use serde_json::Value;

use super::client::Client;
use super::disputes;
use super::error::StripeError;
use super::objects::{self, Reading};
use super::returns::{Refunded, UnclearRefunds};
use crate::domain::evidence::StripePayment;
use crate::pg::Stop;

/// What an answer leaves open; each takes a further request.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenPoints {
    /// The charge only shows that there was a dispute.
    disputed: bool,
    /// The charge's sum may contain what was released.
    unclear_refunds: Option<UnclearRefunds>,
    /// The Stripe Invoice that a session's intents paid; the session names none of them.
    pub(super) stripe_invoice: Option<String>,
}

impl OpenPoints {
    /// Reads them from a session, an intent or a charge whose nested objects are expanded.
    pub(super) fn of(answer: &Value, reading: &Reading) -> Result<Self, StripeError> {
        let unclear_refunds = match objects::refunded(answer, reading)? {
            Some(Refunded::Unclear(unclear)) => Some(unclear),
            Some(Refunded::Certain(_)) | None => None,
        };
        Ok(Self {
            disputed: objects::is_disputed(answer)?,
            unclear_refunds,
            stripe_invoice: objects::stripe_invoice(answer).map(str::to_owned),
        })
    }

    pub(crate) fn is_none(&self) -> bool {
        !self.disputed && self.unclear_refunds.is_none() && self.stripe_invoice.is_none()
    }

    /// Adds the disputes and what was refunded to the payment.
    pub(super) fn complete(
        &self,
        mut payment: StripePayment,
        client: &Client,
        stop: &Stop,
    ) -> Result<StripePayment, StripeError> {
        if self.disputed {
            let disputes = disputes::of(client, &payment, stop)?;
            payment = payment.with_disputes(disputes);
        }
        if let Some(unclear) = &self.unclear_refunds {
            payment.refunded = unclear.resolve(client, stop)?;
        }
        Ok(payment)
    }
}
