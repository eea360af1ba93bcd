//! A stored id that Stripe does not know, beside one that it knows.

use stripe_double::{Intent, StripeInvoice};

use super::case::{Case, Entry, Scene};

/// Those that ask for all that an invoice stores. A webhook asks about its payment only.
const BY_STORED_ID: [Entry; 3] = [Entry::Button, Entry::Feed, Entry::DueCheck];

/// An invoice over 100 that stores this Stripe Invoice and an intent that was paid.
fn beside_a_paid_intent(scene: &mut Scene, stripe_invoice: &str) {
    let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
    scene.invoice(1, "Sent 100", Some(stripe_invoice), Some(&paid.intent_id()));
}

const PAID: &[&str] = &["Paid 100.00 0.00", "Paid 100.00 0.00"];

#[test]
fn a_stripe_invoice_that_is_gone_keeps_no_payment_away() {
    Case::new(
        "an invoice stores a Stripe Invoice that Stripe does not know, and a paid intent",
        |scene| beside_a_paid_intent(scene, "in_gone"),
        PAID,
    )
    .issues(&["stripe_object_missing"])
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "an invoice stores a Stripe Invoice of the other mode, and a paid intent",
        |scene| {
            let live = StripeInvoice::new(10_000, "usd").live();
            let live = scene.stripe().stripe_invoice(live).id();
            beside_a_paid_intent(scene, &live);
        },
        PAID,
    )
    .issues(&["livemode_mismatch"])
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
}
