//! One payment that paid several Stripe Invoices.

use stripe_double::{Intent, Purchase, StripeInvoice};

use super::case::{Case, Entry, Scene};

/// A payment of 100 for two Stripe Invoices over 60 and 40, each of which an invoice stores.
fn arrange(scene: &mut Scene) -> Purchase {
    let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
    for (number, row, cents) in [(1, "Sent 60", 6_000), (2, "Sent 40", 4_000)] {
        let billed = scene
            .stripe()
            .stripe_invoice(StripeInvoice::new(cents, "usd"));
        billed.pay_by(&paid, cents);
        scene.invoice(number, row, Some(&billed.id()), None);
    }
    paid
}

#[test]
fn a_payment_of_several_stripe_invoices_is_booked_for_none_of_them_as_a_whole() {
    Case::new(
        "one payment of 100 paid two Stripe Invoices, over 60 and 40, that two invoices store",
        |scene| drop(arrange(scene)),
        &["Sent 0.00 60.00", "Sent 0.00 40.00"],
    )
    .issues(&["unlinked_payment", "unlinked_payment"])
    // A backfill reads payments, and the intent does not name the Stripe Invoices.
    .entries(&[
        Entry::Button,
        Entry::Feed,
        Entry::DueCheck,
        Entry::Webhook,
        Entry::WebhookReversed,
    ])
    .check();
}

#[test]
fn its_parts_that_the_books_have_are_confirmed() {
    Case::new(
        "one payment of 100 paid two Stripe Invoices, and each invoice has a row of its part",
        |scene| {
            let paid = arrange(scene);
            scene.payment(1, "Pending 60", None, Some(&paid.intent_id()));
            scene.payment(2, "Pending 40", None, Some(&paid.intent_id()));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 40.00 0.00",
            "Paid 40.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    // A check asks about the payment for each of the invoices, and where the older answer is the second to be acted on, it
    // is asked for again in the next sweep.
    .at_rest_after(3)
    .entries(&[
        Entry::Button,
        Entry::Feed,
        Entry::Backfill,
        Entry::Webhook,
        Entry::WebhookReversed,
    ])
    .check();
}
