//! Payments by what replaced the object that is stored: the session that a recovery link makes of one that expired, the
//! revision of a Stripe Invoice, the charge of another card after one was declined.

use stripe_double::{Checkout, Intent, StripeInvoice};

use super::case::{Case, Entry, Scene, Unit};
use super::stripe_invoices::BY_STORED_ID;

#[test]
fn a_recovered_session_pays_the_invoice_that_stores_the_expired_one() {
    Case::new(
        "the customer pays by the recovery link of the session that expired",
        |scene| {
            let expired = scene
                .stripe()
                .checkout(Checkout::new(10_000, "usd"))
                .expire();
            scene.invoice(1, "Sent 100", Some(&expired.session_id()), None);
            expired.recover().pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    // The expired session does not tell of the one that was made from it.
    .entries(&Entry::BY_METADATA)
    .check();
}

/// The content of the event does not tell whether the intent names another invoice, so a sweep asks a minute later.
#[test]
fn what_the_event_of_a_recovered_session_contains_is_not_enough() {
    let mut scene = Scene::new(Unit::Major);
    let asks_nothing = "update invoice_sync.settings set stripe_fetch_on_webhook = false";
    scene.shop.execute(asks_nothing);
    let expired = scene
        .stripe()
        .checkout(Checkout::new(10_000, "usd"))
        .expire();
    scene.invoice(1, "Sent 100", Some(&expired.session_id()), None);
    expired.recover().pay();

    scene.enter(Entry::Webhook);
    assert_eq!(scene.books(), ["Sent 0.00 100.00"]);
    scene
        .shop
        .execute("update invoice_sync.event set next_attempt_at = now() where state = 'pending'");
    scene.enter(Entry::Feed);

    assert_eq!(scene.books(), ["Paid 100.00 0.00", "Paid 100.00 0.00"]);
    assert_eq!(scene.issues(), [""; 0]);
}

#[test]
fn a_revision_pays_the_invoice_that_stores_the_revised_stripe_invoice() {
    Case::new(
        "the Stripe Invoice that is stored was revised, and the revision is paid",
        |scene| {
            let revised = scene
                .stripe()
                .stripe_invoice(StripeInvoice::new(10_000, "usd"));
            scene.invoice(1, "Sent 100", Some(&revised.id()), None);
            revised.revise().pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "the Stripe Invoice that is stored was revised twice, and the last revision is paid",
        |scene| {
            let revised = scene
                .stripe()
                .stripe_invoice(StripeInvoice::new(10_000, "usd"));
            scene.invoice(1, "Sent 100", Some(&revised.id()), None);
            revised.revise().revise().pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
    Case::new(
        "the Stripe Invoice that is stored was revised, and the revision is void",
        |scene| {
            let revised = scene
                .stripe()
                .stripe_invoice(StripeInvoice::new(10_000, "usd"));
            scene.invoice(1, "Sent 100", Some(&revised.id()), None);
            revised.revise().void();
        },
        &["Sent 0.00 100.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn before_basil_a_revision_pays_as_well() {
    Case::new(
        "the Stripe Invoice that is stored was revised, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            let revised = scene
                .stripe()
                .stripe_invoice(StripeInvoice::new(10_000, "usd"));
            scene.invoice(1, "Sent 100", Some(&revised.id()), None);
            revised.revise().pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .entries(&BY_STORED_ID)
    .neighbour()
    .check();
}

#[test]
fn the_charge_of_a_declined_card_leads_to_the_payment_by_another() {
    Case::new(
        "the invoice stores the charge of a declined card, and another card pays the intent",
        |scene| {
            let sale = scene.stripe().intent(Intent::new(10_000, "usd")).fail();
            scene.invoice(1, "Sent 100", None, Some(&sale.charge_id()));
            sale.pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    // The intent does not tell of that charge: what is due leads to it.
    .entries(&[Entry::Button, Entry::Feed, Entry::DueCheck])
    .check();
}
