//! Evidence about one payment, and how long it has waited for its invoice.

use crate::domain::evidence::{Evidence, StripePayment};

/// What Stripe says of one payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaymentEvidence<'a> {
    pub(crate) evidence: &'a [Evidence],
    /// Seconds since it was first heard of.
    pub(crate) waited: i64,
    /// The invoice that said of its money until it was deleted.
    pub(crate) former: Option<Former<'a>>,
}

/// An invoice that is not there any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Former<'a> {
    pub(crate) invoice: &'a str,
    /// What people called it.
    pub(crate) label: &'a str,
}

impl<'a> PaymentEvidence<'a> {
    /// Whatever it names had all the time to come.
    pub(crate) fn at_last(evidence: &'a [Evidence]) -> Self {
        Self {
            evidence,
            waited: i64::MAX,
            former: None,
        }
    }

    pub(crate) fn payment(&self) -> Option<&'a StripePayment> {
        self.evidence.iter().find_map(|finding| match finding {
            Evidence::Payment(payment) => Some(payment),
            _ => None,
        })
    }
}
