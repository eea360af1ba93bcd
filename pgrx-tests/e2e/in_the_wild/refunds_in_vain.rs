//! Refunds that failed, or of which Stripe never heard, and that rows of the application state: the money is still there, or
//! went back otherwise. A person is told; nothing is changed.

use stripe_double::{Intent, Refund};

use super::case::{Case, Entry, Scene, Unit};

#[test]
fn a_row_that_says_refunded_while_stripe_has_the_money_is_told() {
    Case::new(
        "a row says refunded, and the refund failed",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            paid.refund(Refund::whole().status("failed"));
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
            scene.payment(1, "Refunded 100", None, Some(&paid.intent_id()));
        },
        &["Sent 0.00 100.00", "Refunded 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    // A booked payment is not due.
    .entries(&[
        Entry::Button,
        Entry::Feed,
        Entry::Backfill,
        Entry::Webhook,
        Entry::WebhookReversed,
    ])
    .check();
    Case::new(
        "a row says refunded, and 40 of 100 was refunded",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            paid.refund(Refund::of(4_000));
            scene.invoice(1, "Paid 100", None, Some(&paid.intent_id()));
            scene.payment(1, "Refunded 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Refunded 100.00 0.00"],
    )
    .issues(&["amount_mismatch", "partially_refunded"])
    .entries(&[Entry::Button, Entry::Feed])
    .neighbour()
    .check();
    Case::new(
        "a row says refunded, and the payment was refunded in full",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            paid.refund(Refund::whole());
            scene.invoice(1, "Paid 100", None, Some(&paid.intent_id()));
            scene.payment(1, "Refunded 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Refunded 100.00 0.00"],
    )
    .issues(&["refunded"])
    .entries(&[Entry::Button, Entry::Feed])
    .neighbour()
    .check();
}

/// A paid intent of which 40 of 100 is refunded, and a row of -40 with the refund's id.
fn refunded_by_row(scene: &mut Scene) -> String {
    let sale = Intent::new(10_000, "usd").metadata("invoice_id", Scene::key(1));
    let paid = scene.stripe().intent(sale).pay();
    let refund = paid.refund(Refund::of(4_000).status("pending"));
    scene.invoice(1, "Sent 100", None, None);
    scene.payment(1, "Paid 100", None, Some(&paid.intent_id()));
    scene.payment(1, "Paid -40", None, Some(&refund));
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["partially_refunded"]);
    refund
}

#[test]
fn the_row_of_a_refund_that_fails_is_told_until_it_is_gone() {
    let mut scene = Scene::new(Unit::Major);
    let refund = refunded_by_row(&mut scene);

    scene.stripe().update_refund(&refund, "failed");
    let books = [
        "Partial 60.00 40.00",
        "Paid -40.00 0.00",
        "Paid 100.00 0.00",
    ];
    for entry in [Entry::Feed, Entry::Button, Entry::Backfill, Entry::Feed] {
        scene.enter(entry);
        assert_eq!(scene.books(), books, "{entry:?}");
        assert_eq!(scene.issues(), ["amount_mismatch"], "{entry:?}");
    }
    assert_eq!(
        scene
            .shop
            .text("select summary from invoice_sync.open_issues"),
        Some(format!(
            "The books say that 40.00 USD of {} of invoice INV-1 went back, but at Stripe it was 0.00 USD. If a refund failed, correct the payment, or refund it again; if the money went back otherwise, accept the amount (accept_amount).",
            scene
                .shop
                .text("select stripe_payment_intent from payments where total_amount > 0")
                .expect("an id")
        ))
    );

    scene
        .shop
        .execute("delete from payments where total_amount < 0");
    scene.enter(Entry::Button);
    assert_eq!(scene.books(), ["Paid 100.00 0.00", "Paid 100.00 0.00"]);
    assert_eq!(scene.issues(), [""; 0]);
}

#[test]
fn a_person_accepts_a_refund_that_was_given_otherwise() {
    let mut scene = Scene::new(Unit::Major);
    let refund = refunded_by_row(&mut scene);
    scene.stripe().update_refund(&refund, "canceled");
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["amount_mismatch"]);

    scene.shop.execute(
        "select invoice_sync.resolve_issue(id, 'accept_amount') from invoice_sync.open_issues",
    );
    for entry in [Entry::Button, Entry::Feed] {
        scene.enter(entry);
        assert_eq!(scene.issues(), [""; 0], "{entry:?}");
    }
}
