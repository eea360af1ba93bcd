//! The ids that answers are about.

use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::rules::Memory;

/// Returns all ids that a finding is about.
pub(super) fn ids_of(finding: &Evidence) -> impl Iterator<Item = &str> {
    let (former, asked_for) = match finding {
        Evidence::Payment(payment) => (payment.former_ids.as_slice(), None),
        Evidence::Missing { id, .. } | Evidence::OtherMode { id, .. } => {
            (&[][..], Some(id.as_str()))
        }
        Evidence::NotAnId { text } => (&[][..], Some(text.as_str())),
    };
    let former = former.iter().map(String::as_str);
    finding.payment_ids().chain(former).chain(asked_for)
}

/// Returns whether `id` is the Stripe Invoice of a payment whose answer does not contain what it says.
pub(super) fn lacks_invoice(finding: &Evidence, id: &str) -> bool {
    matches!(finding, Evidence::Payment(payment)
        if payment.ids.stripe_invoice.as_deref() == Some(id) && !payment.invoice_was_read)
}

/// Adds the Stripe Invoices that are known from earlier answers: an intent does not name its own.
pub(super) fn with_known_invoices(
    mut payments: Vec<StripePayment>,
    memory: &Memory,
) -> Vec<StripePayment> {
    for payment in &mut payments {
        if payment.ids.stripe_invoice.is_none()
            && let Some(known) = memory.of(&payment.ids)
        {
            payment
                .ids
                .stripe_invoice
                .clone_from(&known.ids.stripe_invoice);
        }
    }
    payments
}
