//! Renewals of subscriptions: each pays an invoice of its own, or none.

use stripe_double::{Checkout, Refund, StripeInvoice};

use super::case::{Case, Entry, Scene, Unit};
use super::stripe_invoices::BY_STORED_ID;

const INVOICE_1: &str = "7d8e6b50-00a0-4000-8000-000000000001";

/// Renews a subscription that names INV-1.
fn renew(scene: &Scene) -> String {
    let renewal =
        StripeInvoice::renewal(12_500, "usd").subscription_metadata("invoice_id", INVOICE_1);
    let billed = scene.stripe().stripe_invoice(renewal);
    billed.pay();
    billed.id()
}

#[test]
fn renewals_of_a_subscription_pay_an_invoice_each() {
    Case::new(
        "two renewals of a subscription, each with an invoice that stores its Stripe Invoice",
        |scene| {
            let renewals = [renew(scene), renew(scene)];
            for (number, renewal) in (1..).zip(renewals) {
                scene.invoice(number, "Sent 125", Some(&renewal), None);
            }
        },
        &[
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
            "Paid 125.00 0.00",
        ],
    )
    .entries(&BY_STORED_ID)
    .check();
    Case::new(
        "a subscription names its first invoice, which is paid, and is renewed",
        |scene| {
            let first = StripeInvoice::of_subscription(12_500, "usd");
            let first = scene.stripe().stripe_invoice(first);
            let payment = first.pay();
            scene.invoice(1, "Paid 125", Some(&first.id()), None);
            scene.payment(1, "Paid 125", None, Some(&payment.intent_id()));
            renew(scene);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .issues(&["unlinked_payment"])
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "a subscription names its first invoice, whose payment was refunded, and is renewed",
        |scene| {
            let first = StripeInvoice::of_subscription(12_500, "usd");
            let first = scene.stripe().stripe_invoice(first);
            let payment = first.pay();
            payment.refund(Refund::whole());
            scene.invoice(1, "Paid 125", Some(&first.id()), None);
            scene.payment(1, "Refunded 125", None, Some(&payment.intent_id()));
            renew(scene);
        },
        &["Paid 125.00 0.00", "Refunded 125.00 0.00"],
    )
    .issues(&["refunded", "unlinked_payment"])
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
    Case::new(
        "a subscription pays an invoice of 250 in two renewals",
        |scene| {
            renew(scene);
            renew(scene);
            scene.invoice(1, "Sent 250", None, None);
        },
        &["Paid 250.00 0.00", "Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
}

/// What was stored when the trial began is a session by which nothing had to be paid.
#[test]
fn the_first_payment_after_a_trial_pays_the_invoice_that_its_subscription_names() {
    for entry in Entry::BY_METADATA {
        let mut scene = Scene::new(Unit::Major);
        let trial = scene.stripe().checkout(Checkout::subscription(0, "usd"));
        let trial = trial.complete_free();
        scene.invoice(1, "Sent 125", Some(&trial.session_id()), None);
        scene.enter(Entry::Feed);
        assert_eq!(scene.books(), ["Sent 0.00 125.00"]);

        renew(&scene);
        scene.enter(entry);
        let paid = ["Paid 125.00 0.00", "Paid 125.00 0.00"];
        assert_eq!(scene.books(), paid, "{entry:?}");
        assert_eq!(scene.issues(), [""; 0], "{entry:?}");

        renew(&scene);
        scene.enter(entry);
        assert_eq!(scene.books(), paid, "{entry:?}");
        assert_eq!(scene.issues(), ["unlinked_payment"], "{entry:?}");
    }
}

#[test]
fn a_person_links_a_renewal_to_the_invoice_that_it_names() {
    let mut scene = Scene::new(Unit::Major);
    let first = StripeInvoice::of_subscription(12_500, "usd");
    let first = scene.stripe().stripe_invoice(first);
    let payment = first.pay();
    scene.invoice(1, "Paid 125", Some(&first.id()), None);
    scene.payment(1, "Paid 125", None, Some(&payment.intent_id()));
    renew(&scene);
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["unlinked_payment"]);
    let issue = "select id::text from invoice_sync.open_issues where kind = 'unlinked_payment'";
    let issue = scene.shop.text(issue).expect("an issue");
    let done = scene.shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'link_payment', null, '{{\"invoice_id\": \"{INVOICE_1}\"}}')"
    ));
    assert_eq!(done["resolved"], true, "{done}");
    let both = ["Paid 250.00 0.00", "Paid 125.00 0.00", "Paid 125.00 0.00"];
    assert_eq!(scene.books(), both);
    assert_eq!(scene.issues(), ["overpaid"]);
}
