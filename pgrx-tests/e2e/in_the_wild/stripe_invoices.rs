//! Stripe Invoices: which payments paid them, what else settles them, and how they name the application's invoices.

use stripe_double::{EventDelay, Key, Purchase, Refund, StripeInvoice};

use super::case::{Case, Entry, Scene, Unit};

const INVOICE_1: &str = "7d8e6b50-00a0-4000-8000-000000000001";

/// Those that hear of what an invoice stores: a backfill reads payments, and the intent of a Stripe Invoice does not name
/// it.
pub(super) const BY_STORED_ID: [Entry; 5] = [
    Entry::Button,
    Entry::Feed,
    Entry::DueCheck,
    Entry::Webhook,
    Entry::WebhookReversed,
];

fn bill() -> StripeInvoice {
    StripeInvoice::new(12_500, "usd")
}

/// A Stripe Invoice over 125 that INV-1, over 125, stores.
fn stored(scene: &mut Scene, settle: impl FnOnce(&stripe_double::Billed)) {
    let billed = scene.stripe().stripe_invoice(bill());
    settle(&billed);
    scene.invoice(1, "Sent 125", Some(&billed.id()), None);
}

/// The payment of a Stripe Invoice over 125.
fn paid(scene: &Scene) -> (String, Purchase) {
    let billed = scene.stripe().stripe_invoice(bill());
    let payment = billed.pay();
    (billed.id(), payment)
}

#[test]
fn a_stored_stripe_invoice_leads_to_its_payment() {
    Case::new(
        "an invoice stores its Stripe Invoice, which a card paid",
        |scene| stored(scene, |billed| drop(billed.pay())),
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "an invoice stores its Stripe Invoice in the column of intents",
        |scene| {
            let (invoice, _) = paid(scene);
            scene.invoice(1, "Sent 125", None, Some(&invoice));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "a pending row stores the Stripe Invoice",
        |scene| {
            let (invoice, _) = paid(scene);
            scene.invoice(1, "Sent 125", None, None);
            scene.payment(1, "Pending 125", Some(&invoice), None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "an invoice stores its Stripe Invoice, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            stored(scene, |billed| drop(billed.pay()));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
}

#[test]
fn a_row_with_the_stripe_invoice_and_one_with_its_intent_are_one_payment() {
    Case::new(
        "an invoice stores its Stripe Invoice, a row the intent",
        |scene| {
            let (invoice, payment) = paid(scene);
            scene.invoice(1, "Paid 125", Some(&invoice), None);
            scene.payment(1, "Paid 125", None, Some(&payment.intent_id()));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .check();
    Case::new(
        "a row stores the Stripe Invoice, the invoice the intent",
        |scene| {
            let (invoice, payment) = paid(scene);
            scene.invoice(1, "Sent 125", None, Some(&payment.intent_id()));
            scene.payment(1, "Paid 125", Some(&invoice), None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "25 is refunded of the payment of a Stripe Invoice that a row stores",
        |scene| {
            let (invoice, payment) = paid(scene);
            payment.refund(Refund::of(2_500));
            scene.invoice(1, "Sent 125", Some(&invoice), None);
            scene.payment(1, "Pending 125", Some(&invoice), None);
        },
        &["Partial 100.00 25.00", "Paid 125.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
}

#[test]
fn metadata_of_a_stripe_invoice_or_its_subscription_name_the_invoice() {
    Case::new(
        "the metadata of a Stripe Invoice name the invoice",
        |scene| {
            let billed = bill().metadata("invoice_id", INVOICE_1);
            scene.stripe().stripe_invoice(billed).pay();
            scene.invoice(1, "Sent 125", None, None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "the metadata of a subscription name the invoice",
        |scene| {
            let billed = StripeInvoice::of_subscription(12_500, "usd")
                .subscription_metadata("invoice_id", INVOICE_1);
            scene.stripe().stripe_invoice(billed).pay();
            scene.invoice(1, "Sent 125", None, None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "the metadata of a subscription name the invoice, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            let billed = StripeInvoice::of_subscription(12_500, "usd")
                .subscription_metadata("invoice_id", INVOICE_1);
            scene.stripe().stripe_invoice(billed).pay();
            scene.invoice(1, "Sent 125", None, None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
    Case::new(
        "a Stripe Invoice names one invoice, its subscription another",
        |scene| {
            let billed = StripeInvoice::renewal(12_500, "usd")
                .metadata("invoice_id", Scene::key(2))
                .subscription_metadata("invoice_id", INVOICE_1);
            scene.stripe().stripe_invoice(billed).pay();
            scene.invoice(1, "Sent 125", None, None);
            scene.invoice(2, "Sent 125", None, None);
        },
        &["Sent 0.00 125.00", "Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
}

#[test]
fn what_no_card_or_bank_paid_is_not_booked() {
    Case::new(
        "the customer's balance pays 25 of a Stripe Invoice of 125",
        |scene| {
            let billed = scene.stripe().stripe_invoice(bill().from_balance(2_500));
            billed.pay();
            scene.invoice(1, "Sent 125", Some(&billed.id()), None);
        },
        &["Partial 100.00 25.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "the customer's balance pays a Stripe Invoice of 125",
        |scene| {
            let billed = scene.stripe().stripe_invoice(bill().from_balance(12_500));
            scene.invoice(1, "Sent 125", Some(&billed.id()), None);
        },
        &["Sent 0.00 125.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "a credit note lowers a Stripe Invoice of 125 by 25",
        |scene| {
            stored(scene, |billed| {
                billed.credit(2_500);
                billed.pay();
            });
        },
        &["Partial 100.00 25.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "a Stripe Invoice is marked as paid outside of Stripe",
        |scene| stored(scene, |billed| billed.pay_elsewhere()),
        &["Sent 0.00 125.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "a Stripe Invoice is marked as paid outside of Stripe, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            stored(scene, |billed| {
                billed.decline();
                billed.pay_elsewhere();
            });
        },
        &["Sent 0.00 125.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "50 of a Stripe Invoice of 125 is paid by card, the rest outside of Stripe",
        |scene| {
            stored(scene, |billed| {
                billed.pay_part(5_000);
                billed.pay_elsewhere();
            });
        },
        &["Partial 50.00 75.00", "Paid 50.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "a Stripe Invoice over 0",
        |scene| {
            let billed = scene.stripe().stripe_invoice(StripeInvoice::new(0, "usd"));
            scene.invoice(1, "Sent 125", Some(&billed.id()), None);
        },
        &["Sent 0.00 125.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
}

#[test]
fn a_stripe_invoice_that_is_not_paid_brings_nothing() {
    Case::new(
        "a Stripe Invoice is void",
        |scene| stored(scene, |billed| billed.void()),
        &["Sent 0.00 125.00"],
    )
    .check();
    Case::new(
        "a Stripe Invoice is written off",
        |scene| stored(scene, |billed| billed.write_off()),
        &["Sent 0.00 125.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "a Stripe Invoice is written off, and paid all the same",
        |scene| {
            stored(scene, |billed| {
                billed.write_off();
                billed.pay();
            });
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "the card for a Stripe Invoice is declined",
        |scene| stored(scene, |billed| billed.decline()),
        &["Sent 0.00 125.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "the card for a Stripe Invoice is declined twice, and another one pays it",
        |scene| {
            stored(scene, |billed| {
                billed.decline();
                billed.decline();
                billed.pay();
            });
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
}

#[test]
fn several_payments_of_a_stripe_invoice_have_a_row_each() {
    Case::new(
        "a Stripe Invoice of 125 is paid by 50 and 75",
        |scene| {
            stored(scene, |billed| {
                billed.pay_part(5_000);
                billed.pay();
            });
        },
        &["Paid 125.00 0.00", "Paid 50.00 0.00", "Paid 75.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "50 of a Stripe Invoice of 125 is paid",
        |scene| stored(scene, |billed| drop(billed.pay_part(5_000))),
        &["Partial 50.00 75.00", "Paid 50.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "a row of 125 stores a Stripe Invoice that was paid by 50 and 75",
        |scene| {
            let billed = scene.stripe().stripe_invoice(bill());
            billed.pay_part(5_000);
            billed.pay();
            scene.invoice(1, "Sent 125", Some(&billed.id()), None);
            scene.payment(1, "Paid 125", Some(&billed.id()), None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "25 is refunded of a Stripe Invoice that was paid by 50 and 75 and has one row",
        |scene| {
            let billed = scene.stripe().stripe_invoice(bill());
            billed.pay_part(5_000).refund(Refund::of(2_500));
            billed.pay();
            scene.invoice(1, "Sent 125", Some(&billed.id()), None);
            scene.payment(1, "Paid 125", Some(&billed.id()), None);
        },
        &["Partial 100.00 25.00", "Paid 125.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .entries(&[Entry::Button])
    .check();
    Case::new(
        "a row of 125 stores a Stripe Invoice of which 50 and 25 were paid",
        |scene| {
            let billed = scene.stripe().stripe_invoice(bill());
            billed.pay_part(5_000);
            billed.pay_part(2_500);
            scene.invoice(1, "Paid 125", None, Some(&billed.id()));
            scene.payment(1, "Pending 125", Some(&billed.id()), None);
            scene.payment(1, "Paid 125", None, None);
        },
        &[
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
            "Pending 125.00 0.00",
        ],
    )
    .issues(&["amount_mismatch"])
    .entries(&[Entry::Button])
    .neighbour()
    .check();
}

/// INV-1 stores a paid Stripe Invoice, which the key may not read, and INV-2 the intent of another.
fn without_permission(scene: &mut Scene) {
    scene.use_key(Key::new("rk_test_1").without("rak_invoice_read"));
    stored(scene, |billed| drop(billed.pay()));
    let (_, other) = paid(scene);
    scene.invoice(2, "Sent 125", None, Some(&other.intent_id()));
}

#[test]
fn a_key_that_reads_no_stripe_invoices_keeps_no_other_payment_away() {
    Case::new(
        "a stored Stripe Invoice, and a key that may not read invoices: its events name the intent",
        without_permission,
        &[
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
        ],
    )
    .entries(&[Entry::Feed, Entry::Webhook, Entry::WebhookReversed])
    .neighbour()
    .check();
    let mut scene = Scene::new(Unit::Major);
    scene.stripe().set_event_delay(EventDelay::Held);
    without_permission(&mut scene);
    scene.enter(Entry::Button);
    let only_the_other = ["Sent 0.00 125.00", "Paid 125.00 0.00", "Paid 125.00 0.00"];
    assert_eq!(scene.books(), only_the_other);
    scene.enter(Entry::DueCheck);
    assert_eq!(scene.books(), only_the_other);
    assert_eq!(scene.issues(), Vec::<String>::new());
    scene.enter(Entry::Feed);
    assert_eq!(scene.books().first().unwrap(), "Paid 125.00 0.00");
}
