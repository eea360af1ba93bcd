//! Single objects: their state after operations, and their expansion.

mod common;

use common::{get, start};
use serde_json::{Value, json};
use stripe_double::{Checkout, Double, Intent};

const EXPANDED: &str = "?expand[]=payment_intent.latest_charge";

fn session(double: &Double, id: &str) -> Value {
    get(double, &format!("/v1/checkout/sessions/{id}{EXPANDED}")).body
}

#[test]
fn an_open_session_has_no_intent() {
    let double = start();
    let open = double.checkout(Checkout::new(12_500, "usd").metadata("invoice_id", "42"));
    let seen = session(&double, &open.session_id());
    assert_eq!(seen["status"], "open");
    assert_eq!(seen["payment_status"], "unpaid");
    assert_eq!(seen["payment_intent"], Value::Null);
    assert_eq!(seen["metadata"], json!({ "invoice_id": "42" }));
    let lifetime = seen["expires_at"].as_i64().unwrap() - seen["created"].as_i64().unwrap();
    assert_eq!(lifetime, 86_400, "a session lives for 24 hours");
}

#[test]
fn an_early_intent_is_created_with_the_session() {
    let double = start();
    let open = double.checkout(
        Checkout::new(500, "eur")
            .intent_id("pi_early")
            .early_intent(),
    );
    let seen = session(&double, &open.session_id());
    assert_eq!(seen["payment_intent"]["id"], "pi_early");
    assert_eq!(seen["payment_intent"]["status"], "requires_payment_method");
}

#[test]
fn a_paid_session_shows_its_intent_and_charge_when_expanded() {
    let double = start();
    let paid = double
        .checkout(
            Checkout::new(12_500, "usd")
                .id("cs_test_paid")
                .intent_id("pi_paid")
                .charge_id("ch_paid")
                .intent_metadata("invoice_id", "42")
                .client_reference_id("42")
                .description("Invoice 42"),
        )
        .pay();
    assert_eq!(
        (paid.session_id(), paid.intent_id(), paid.charge_id()),
        ("cs_test_paid".into(), "pi_paid".into(), "ch_paid".into())
    );
    let seen = session(&double, "cs_test_paid");
    assert_eq!(seen["status"], "complete");
    assert_eq!(seen["payment_status"], "paid");
    assert_eq!(seen["client_reference_id"], "42");
    let intent = &seen["payment_intent"];
    assert_eq!(intent["status"], "succeeded");
    assert_eq!(intent["amount_received"], 12_500);
    assert_eq!(intent["metadata"], json!({ "invoice_id": "42" }));
    let charge = &intent["latest_charge"];
    assert_eq!(charge["amount_captured"], 12_500);
    assert_eq!(charge["metadata"], json!({ "invoice_id": "42" }));
    assert_eq!(
        charge["payment_intent"], "pi_paid",
        "not expanded: the id alone"
    );
    let plain = get(&double, "/v1/checkout/sessions/cs_test_paid").body;
    assert_eq!(plain["payment_intent"], "pi_paid");
}

#[test]
fn the_amount_received_may_differ_from_the_amount() {
    let double = start();
    let paid = double
        .checkout(Checkout::new(10_000, "usd"))
        .pay_receiving(7_500);
    let seen = session(&double, &paid.session_id());
    assert_eq!(seen["amount_total"], 10_000);
    assert_eq!(seen["payment_intent"]["amount"], 10_000);
    assert_eq!(seen["payment_intent"]["amount_received"], 7_500);
    assert_eq!(
        seen["payment_intent"]["latest_charge"]["amount_captured"],
        7_500
    );
}

#[test]
fn a_delayed_method_is_in_flight_until_it_succeeds_or_fails() {
    let double = start();
    let good = double.checkout(Checkout::new(900, "usd")).process();
    let seen = session(&double, &good.session_id());
    assert_eq!(
        (&seen["status"], &seen["payment_status"]),
        (&json!("complete"), &json!("unpaid"))
    );
    assert_eq!(seen["payment_intent"]["status"], "processing");
    assert_eq!(seen["payment_intent"]["amount_received"], 0);
    assert_eq!(seen["payment_intent"]["latest_charge"]["status"], "pending");
    let seen = session(&double, &good.succeed().session_id());
    assert_eq!(seen["payment_status"], "paid");
    assert_eq!(seen["payment_intent"]["amount_received"], 900);
    assert_eq!(
        seen["payment_intent"]["latest_charge"]["status"],
        "succeeded"
    );

    let bad = double.checkout(Checkout::new(900, "usd")).process().fail();
    let seen = session(&double, &bad.session_id());
    assert_eq!(seen["payment_status"], "unpaid");
    assert_eq!(seen["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(
        seen["payment_intent"]["last_payment_error"]["code"],
        "card_declined"
    );
    assert_eq!(seen["payment_intent"]["latest_charge"]["status"], "failed");
}

#[test]
fn a_declined_card_leaves_the_session_open() {
    let double = start();
    let tried = double.checkout(Checkout::new(900, "usd")).fail();
    let first = tried.charge_id();
    assert_eq!(session(&double, &tried.session_id())["status"], "open");
    let paid = tried.pay();
    assert_ne!(paid.charge_id(), first, "each try has a charge of its own");
    assert_eq!(
        session(&double, &paid.session_id())["payment_status"],
        "paid"
    );
}

#[test]
fn an_authorised_payment_can_be_captured_in_part() {
    let double = start();
    let held = double.checkout(Checkout::new(4_000, "usd")).authorise();
    let seen = session(&double, &held.session_id());
    assert_eq!(seen["payment_status"], "unpaid");
    assert_eq!(seen["payment_intent"]["status"], "requires_capture");
    assert_eq!(seen["payment_intent"]["amount_capturable"], 4_000);
    assert_eq!(seen["payment_intent"]["latest_charge"]["captured"], false);
    let seen = session(&double, &held.capture(2_500).session_id());
    assert_eq!(seen["payment_status"], "paid");
    assert_eq!(seen["payment_intent"]["amount_received"], 2_500);
    assert_eq!(
        seen["payment_intent"]["latest_charge"]["amount_refunded"],
        0
    );
}

#[test]
fn sessions_can_end_without_money() {
    let double = start();
    let expired = double
        .checkout(Checkout::new(900, "usd").early_intent())
        .expire();
    let seen = session(&double, &expired.session_id());
    assert_eq!(seen["status"], "expired");
    assert_eq!(seen["payment_intent"]["status"], "canceled");

    let free = double.checkout(Checkout::new(0, "usd")).complete_free();
    let seen = session(&double, &free.session_id());
    assert_eq!(seen["payment_status"], "no_payment_required");
    assert_eq!(seen["payment_intent"], Value::Null);

    let setup = double.checkout(Checkout::setup()).pay();
    let seen = session(&double, &setup.session_id());
    assert_eq!(seen["mode"], "setup");
    assert_eq!(seen["payment_status"], "no_payment_required");
    assert!(seen["setup_intent"].as_str().unwrap().starts_with("seti_"));

    let canceled = double.intent(Intent::new(900, "usd")).cancel();
    assert_eq!(
        double.object(&canceled.intent_id()).unwrap()["status"],
        "canceled"
    );
}

#[test]
fn a_subscription_is_paid_without_an_intent() {
    let double = start();
    let paid = double.checkout(Checkout::subscription(900, "usd")).pay();
    let seen = session(&double, &paid.session_id());
    assert_eq!(seen["payment_status"], "paid");
    assert_eq!(seen["payment_intent"], Value::Null);
    assert!(seen["subscription"].as_str().unwrap().starts_with("sub_"));
}

#[test]
#[should_panic(expected = "is complete, not open")]
fn a_session_is_paid_once() {
    let double = start();
    double.checkout(Checkout::new(1_000, "usd")).pay().pay();
}

#[test]
fn any_field_can_be_set_or_removed_and_any_object_deleted() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    double.set(&paid.intent_id(), "status", "teleported");
    double.remove_field(&paid.charge_id(), "refunded");
    let seen = session(&double, &paid.session_id());
    assert_eq!(seen["payment_intent"]["status"], "teleported");
    assert!(
        seen["payment_intent"]["latest_charge"]
            .get("refunded")
            .is_none()
    );
    let intent = paid.intent_id();
    double.delete(&intent);
    assert_eq!(
        get(&double, &format!("/v1/payment_intents/{intent}")).status,
        404
    );
    assert_eq!(
        session(&double, &paid.session_id())["payment_intent"],
        intent
    );
}

#[test]
fn objects_have_all_the_fields_of_stripes() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    let seen = session(&double, &paid.session_id());
    for field in [
        "amount_subtotal",
        "expires_at",
        "total_details",
        "livemode",
        "ui_mode",
        "url",
    ] {
        assert!(seen.get(field).is_some(), "a session lacks \"{field}\"");
    }
    for field in [
        "amount_capturable",
        "capture_method",
        "last_payment_error",
        "next_action",
    ] {
        let intent = &seen["payment_intent"];
        assert!(intent.get(field).is_some(), "an intent lacks \"{field}\"");
    }
    let account = get(&double, "/v1/account").body;
    assert_eq!(
        (&account["id"], &account["object"]),
        (&json!("acct_double"), &json!("account"))
    );
    assert!(
        account.get("livemode").is_none(),
        "accounts have no livemode"
    );
}

#[test]
fn fields_that_cannot_be_expanded_are_refused() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    let path = format!("/v1/checkout/sessions/{}", paid.session_id());
    let answer = get(&double, &format!("{path}?expand[]=metadata"));
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.error("message"),
        "This property cannot be expanded (metadata)."
    );
    let answer = get(&double, &format!("{path}?expand[]=a.b.c.d.e"));
    assert_eq!(answer.status, 400);
    assert!(answer.error("message").contains("more than 4 levels"));
}

#[test]
fn ids_are_the_same_in_every_run() {
    let ids = || {
        let double = start();
        let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
        (paid.session_id(), paid.intent_id(), paid.charge_id())
    };
    let (session, intent, charge) = ids();
    assert_eq!(ids(), (session.clone(), intent.clone(), charge.clone()));
    assert!(
        session.starts_with("cs_test_a1") && session.len() == 66,
        "{session}"
    );
    assert!(intent.starts_with("pi_3") && charge.starts_with("ch_3"));
}
