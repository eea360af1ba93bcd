//! What Stripe says later: an answer that is silent about what was known, a dispute that becomes worse, and why less
//! was paid than was owed.

use serde_json::{Value, json};
use stripe_double::{Checkout, Dispute, EventDelay, Intent, Refund};

use super::case::{Case, Entry, Scene, Unit};
use crate::harness::sender::deliver;

/// A booked payment over 100, with its invoice; whatever happened to it before it was booked.
fn booked(before: impl FnOnce(&Scene, &str)) -> (Scene, String) {
    let mut scene = Scene::new(Unit::Major);
    scene.stripe().set_event_delay(EventDelay::Held);
    let intent = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
    let intent = intent.intent_id();
    before(&scene, &intent);
    scene.invoice(1, "Sent 100", None, Some(&intent));
    scene.enter(Entry::Button);
    (scene, intent)
}

#[test]
fn a_silent_answer_takes_nothing_back() {
    let (mut scene, intent) = booked(|scene, intent| {
        scene.stripe().refund(intent, Refund::of(1_000));
        let dispute = Dispute::new("lost").amount(3_000);
        scene.stripe().dispute(intent, dispute);
    });
    let books = ["Partial 60.00 40.00", "Paid 100.00 0.00"];
    let issues = ["disputed", "partially_refunded"];
    assert_eq!(scene.books(), books);
    assert_eq!(scene.issues(), issues);
    let before = scene.shop.dump_of(&["invoices", "payments"]);

    scene.stripe().set(&intent, "latest_charge", Value::Null);
    scene.stripe().emit("payment_intent.succeeded", &intent);
    for entry in Entry::ALL {
        scene.enter(entry);
        assert_eq!(scene.issues(), issues, "by {entry:?}");
        let after = scene.shop.dump_of(&["invoices", "payments"]);
        assert_eq!(after, before, "by {entry:?}");
    }
}

/// Delivers the newest event of this type.
fn deliver_newest(scene: &mut Scene, kind: &str) {
    let events = scene.stripe().events();
    let newest = events.iter().rev().find(|event| event["type"] == kind);
    let newest = newest.unwrap_or_else(|| panic!("Stripe has sent no {kind}"));
    deliver(&mut scene.shop.db, &newest.to_string()).expect("it is stored");
}

fn severity(scene: &mut Scene) -> Option<String> {
    scene
        .shop
        .text("select severity from invoice_sync.open_issues where kind = 'disputed'")
}

#[test]
fn every_event_of_a_dispute_is_heard() {
    for kind in ["charge.dispute.updated", "charge.dispute.funds_withdrawn"] {
        let (mut scene, intent) = booked(|_, _| {});
        let inquiry = Dispute::new("warning_needs_response");
        let dispute = scene.stripe().dispute(&intent, inquiry);
        deliver_newest(&mut scene, "charge.dispute.created");
        assert_eq!(severity(&mut scene).as_deref(), Some("notice"), "{kind}");

        scene.stripe().update_dispute(&dispute, "needs_response");
        deliver_newest(&mut scene, kind);
        assert_eq!(severity(&mut scene).as_deref(), Some("critical"), "{kind}");
        let books = ["Paid 100.00 0.00", "Disputed 100.00 0.00"];
        assert_eq!(scene.books(), books, "{kind}");

        scene.stripe().update_dispute(&dispute, "won");
        deliver_newest(&mut scene, "charge.dispute.funds_reinstated");
        assert_eq!(scene.issues(), Vec::<String>::new(), "{kind}");
        let books = ["Paid 100.00 0.00", "Paid 100.00 0.00"];
        assert_eq!(scene.books(), books, "{kind}");
    }
}

/// A person decides that nothing has to be done about the open issue of this kind.
fn ignore(scene: &mut Scene, kind: &str) {
    scene.shop.execute(&format!(
        "select invoice_sync.resolve_issue(id, 'ignore') from invoice_sync.open_issues where kind = '{kind}'"
    ));
    assert_eq!(scene.issues(), Vec::<String>::new(), "{kind} is settled");
    scene.stripe().release_events();
    scene.shop.sweep();
    assert_eq!(scene.issues(), Vec::<String>::new(), "{kind} stays settled");
}

#[test]
fn worse_facts_than_those_that_a_person_settled_open_the_issue_again() {
    let (mut scene, intent) = booked(|scene, intent| {
        let dispute = Dispute::new("lost").amount(3_000);
        scene.stripe().dispute(intent, dispute);
    });
    ignore(&mut scene, "disputed");
    let more = Dispute::new("lost").amount(2_000);
    scene.stripe().dispute(&intent, more);
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["disputed"]);
    ignore(&mut scene, "disputed");

    scene.stripe().refund(&intent, Refund::of(1_000));
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["partially_refunded"]);
    ignore(&mut scene, "partially_refunded");
    scene.stripe().refund(&intent, Refund::of(1_500));
    scene.enter(Entry::Feed);
    assert_eq!(scene.issues(), ["partially_refunded"]);
}

/// A session with a discount of 10 on an invoice over 100.
fn discounted(scene: &mut Scene) {
    let sale = scene.stripe().checkout(Checkout::new(9_000, "usd")).pay();
    let session = sale.session_id();
    let details = json!({ "amount_discount": 1_000, "amount_shipping": 0, "amount_tax": 0 });
    scene.stripe().set(&session, "total_details", details);
    scene.invoice(1, "Sent 100", Some(&session), None);
}

#[test]
fn a_discount_at_stripe_is_said() {
    Case::new(
        "an invoice over 100, paid with a discount of 10",
        discounted,
        &["Partial 90.00 10.00", "Paid 90.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .check();
    Case::new(
        "an invoice over 90, paid with a discount of 10 that its total contains",
        |scene| {
            discounted(scene);
            let total = scene.stored("90");
            scene.shop.execute(&format!(
                "update invoices set total_amount = {total}, balance_due = {total}"
            ));
        },
        &["Paid 90.00 0.00", "Paid 90.00 0.00"],
    )
    .check();
}

#[test]
fn a_person_accepts_the_amount_that_a_discount_left() {
    let mut scene = Scene::new(Unit::Major);
    discounted(&mut scene);
    scene.enter(Entry::Button);
    let summary = scene
        .shop
        .text("select summary from invoice_sync.open_issues");
    let summary = summary.expect("there is an issue");
    assert!(
        summary.contains("because of a discount of 10.00 USD"),
        "{summary}"
    );
    scene.shop.execute(
        "select invoice_sync.resolve_issue(id, 'accept_amount') from invoice_sync.open_issues",
    );
    for entry in Entry::ALL {
        scene.enter(entry);
        assert_eq!(scene.issues(), Vec::<String>::new(), "by {entry:?}");
    }
}
