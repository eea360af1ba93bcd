//! What Stripe says later: an answer that is silent about what was known, a dispute that becomes worse, and why less
//! was paid than was owed.

use serde_json::{Value, json};
use stripe_double::{Checkout, Dispute, EventDelay, Intent, Purchase, Refund};

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

/// The first payment of a subscription over 125, of which the customer's balance pays a part, on an invoice over 125.
fn paid_from_balance(scene: &mut Scene, cents: i64) -> Purchase {
    let sale = Checkout::subscription(12_500, "usd").from_balance(cents);
    let paid = scene.stripe().checkout(sale).pay();
    scene.invoice(1, "Sent 125", Some(&paid.session_id()), None);
    paid
}

/// Sets fields of the Stripe Invoice of a subscription's session.
fn set_of_stripe_invoice(scene: &Scene, paid: &Purchase, fields: &[(&str, Value)]) {
    let session = scene
        .stripe()
        .object(&paid.session_id())
        .expect("a session");
    let invoice = session["invoice"].as_str().expect("a Stripe Invoice");
    for (field, value) in fields {
        scene.stripe().set(invoice, field, value.clone());
    }
}

#[test]
fn what_a_customer_s_balance_or_credit_paid_is_said() {
    Case::new(
        "a subscription of 125, of which the customer's balance pays 25",
        |scene| drop(paid_from_balance(scene, 2_500)),
        &["Partial 100.00 25.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .check();
    Case::new(
        "a subscription of 125, of which the customer's balance pays 25, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            paid_from_balance(scene, 2_500);
        },
        &["Partial 100.00 25.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .neighbour()
    .check();
    Case::new(
        "a subscription of 125 that the customer's balance pays",
        |scene| drop(paid_from_balance(scene, 12_500)),
        &["Sent 0.00 125.00"],
    )
    .issues(&["amount_mismatch"])
    .check();
    Case::new(
        "a subscription of 125, of which a credit note pays 10 and billing credits 15",
        |scene| {
            let paid = paid_from_balance(scene, 2_500);
            let credit = json!([
                { "amount": 1_500, "type": "credit_balance_transaction", "credit_balance_transaction": "cbtxn_1" },
                { "amount": 700, "type": "discount", "discount": "di_1" }
            ]);
            let fields = [
                ("starting_balance", json!(0)),
                ("pre_payment_credit_notes_amount", json!(1_000)),
                ("total_pretax_credit_amounts", credit),
            ];
            set_of_stripe_invoice(scene, &paid, &fields);
        },
        &["Partial 100.00 25.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .neighbour()
    .check();
    Case::new(
        "a subscription of 125 paid in full, which used none of the customer's balance",
        |scene| {
            let paid = paid_from_balance(scene, 0);
            let balances = [
                ("starting_balance", json!(-900)),
                ("ending_balance", json!(-900)),
            ];
            set_of_stripe_invoice(scene, &paid, &balances);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn a_person_accepts_the_amount_that_a_discount_or_balance_left() {
    type Way = (fn(&mut Scene), &'static str);
    let ways: [Way; 3] = [
        (discounted, "because of a discount of 10.00 USD"),
        (
            |scene| drop(paid_from_balance(scene, 2_500)),
            "because of a payment from the customer's balance of 25.00 USD",
        ),
        (
            |scene| drop(paid_from_balance(scene, 12_500)),
            "because of a payment from the customer's balance of 125.00 USD",
        ),
    ];
    for (arrange, reason) in ways {
        let mut scene = Scene::new(Unit::Major);
        arrange(&mut scene);
        scene.enter(Entry::Button);
        let summary = scene
            .shop
            .text("select summary from invoice_sync.open_issues");
        let summary = summary.expect("there is an issue");
        assert!(summary.contains(reason), "{summary}");
        scene.shop.execute(
            "select invoice_sync.resolve_issue(id, 'accept_amount') from invoice_sync.open_issues",
        );
        for entry in Entry::ALL {
            scene.enter(entry);
            assert_eq!(
                scene.issues(),
                Vec::<String>::new(),
                "{reason}, by {entry:?}"
            );
        }
    }
}

#[test]
fn after_the_currency_was_changed_a_former_payment_is_not_added_to_a_new_one() {
    for entry in [Entry::Feed, Entry::Webhook, Entry::WebhookReversed] {
        let mut scene = Scene::new(Unit::Major);
        let half = |scene: &Scene, currency: &str| {
            let sale = Intent::new(5_000, currency).metadata("invoice_id", Scene::key(1));
            scene.stripe().intent(sale).pay()
        };
        half(&scene, "usd");
        scene.invoice(1, "Sent 100", None, None);
        scene.enter(Entry::Feed);
        scene.shop.execute("update invoices set currency = 'EUR'");
        half(&scene, "eur");
        scene.enter(entry);
        scene.shop.sweep();
        let half_paid = ["Partial 50.00 50.00", "Paid 50.00 0.00", "Paid 50.00 0.00"];
        assert_eq!(scene.books(), half_paid, "{entry:?}");
        let issues = scene.issues();
        assert!(
            issues.contains(&"amount_mismatch".to_owned()),
            "{entry:?}: {issues:?}"
        );
    }
}
