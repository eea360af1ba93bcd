//! Evidence about one payment, and how long it has waited for its invoice.

use crate::domain::evidence::{Evidence, StripePayment};

/// Stripe's answer about one payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaymentEvidence<'a> {
    pub(crate) evidence: &'a [Evidence],
    /// Seconds since the payment was first reported.
    pub(crate) waited: i64,
    /// The deleted invoice whose issues were about this payment.
    pub(crate) former: Option<Former<'a>>,
}

/// An invoice that no longer exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Former<'a> {
    pub(crate) invoice: &'a str,
    /// The number that people know it by.
    pub(crate) label: &'a str,
}

impl<'a> PaymentEvidence<'a> {
    /// Evidence whose grace period for the invoice counts as over.
    pub(crate) fn at_last(evidence: &'a [Evidence]) -> Self {
        Self {
            evidence,
            waited: i64::MAX,
            former: None,
        }
    }

    /// Returns the first payment.
    pub(crate) fn payment(&self) -> Option<&'a StripePayment> {
        self.payments().next()
    }

    /// Returns all payments: one Stripe Invoice may be paid by several.
    pub(crate) fn payments(&self) -> impl Iterator<Item = &'a StripePayment> + use<'a> {
        self.evidence.iter().filter_map(|finding| match finding {
            Evidence::Payment(payment) => Some(payment),
            _ => None,
        })
    }
}
