//! Payments of other shapes than a session with an intent and one capture.

mod common;

use common::*;
use serde_json::{Value, json};
use stripe_double::{Checkout, Config, HALF_SURROGATE, Intent, Refund, json_text};

fn types(double: &stripe_double::Double) -> Vec<String> {
    let events = double.events();
    let types = events.iter().filter_map(|event| event["type"].as_str());
    types.map(str::to_owned).collect()
}

#[test]
fn a_subscription_s_session_and_intent_are_tied_by_an_invoice_payment_alone() {
    let double = start();
    let paid = double.checkout(Checkout::subscription(900, "usd")).pay();
    let seen = double.object(&paid.session_id()).unwrap();
    let invoice = seen["invoice"].as_str().unwrap();
    let page = get(&double, &format!("/v1/invoice_payments?invoice={invoice}")).body;
    assert_eq!(page["data"][0]["status"], "paid");
    assert_eq!(
        page["data"][0]["payment"],
        json!({ "payment_intent": paid.intent_id(), "type": "payment_intent" })
    );
    let sessions = format!("/v1/checkout/sessions?payment_intent={}", paid.intent_id());
    assert_eq!(get(&double, &sessions).body["data"], json!([]));
    let seen = get(&double, &format!("/v1/invoices/{invoice}")).body;
    assert_eq!(seen["amount_paid"], 900);
    assert_eq!(seen.get("payment_intent"), None);
}

#[test]
fn before_basil_an_invoice_named_its_intent() {
    let double = start();
    double.set_api_version("2024-06-20");
    let paid = double.checkout(Checkout::subscription(900, "usd")).pay();
    let seen = double.object(&paid.session_id()).unwrap();
    let invoice = seen["invoice"].as_str().unwrap();
    let seen = get(&double, &format!("/v1/invoices/{invoice}")).body;
    assert_eq!(seen["payment_intent"], paid.intent_id());
    let page = get(&double, "/v1/invoice_payments");
    assert_eq!(page.status, 404);
}

#[test]
fn an_intent_may_be_captured_in_parts() {
    let double = start();
    let held = double.intent(Intent::new(10_000, "usd")).authorise();
    let held = held.capture_part(7_000);
    let seen = double.object(&held.intent_id()).unwrap();
    assert_eq!(
        [
            &seen["status"],
            &seen["amount_received"],
            &seen["amount_capturable"]
        ],
        [&json!("requires_capture"), &json!(7_000), &json!(3_000)]
    );
    let events = types(&double);
    assert_eq!(
        events.last().unwrap(),
        "payment_intent.amount_capturable_updated"
    );
    let whole = held.capture(3_000);
    let seen = double.object(&whole.intent_id()).unwrap();
    assert_eq!(
        [&seen["status"], &seen["amount_received"]],
        [&json!("succeeded"), &json!(10_000)]
    );
}

#[test]
fn a_charge_may_have_no_intent() {
    let double = start();
    let paid = double.charge(Intent::new(5_000, "usd").metadata("invoice_id", "42"));
    let seen = double.object(&paid.charge_id()).unwrap();
    assert_eq!(seen["payment_intent"], Value::Null);
    assert_eq!(seen["amount_captured"], 5_000);
    assert_eq!(types(&double), ["charge.succeeded"]);
    paid.refund(Refund::of(1_000));
    assert_eq!(
        double.object(&paid.charge_id()).unwrap()["amount_refunded"],
        1_000
    );
    let held = double.authorise_charge(Intent::new(5_000, "usd"));
    assert_eq!(double.object(&held.charge_id()).unwrap()["captured"], false);
    let held = held.capture(2_000);
    assert_eq!(double.object(&held.charge_id()).unwrap()["captured"], true);
}

#[test]
fn a_balance_transaction_is_made_when_the_money_comes() {
    let double = start();
    double.set_clock(1_700_000_000);
    let held = double.intent(Intent::new(10_000, "usd")).authorise();
    let charge = held.charge_id();
    assert_eq!(
        double.object(&charge).unwrap()["balance_transaction"],
        Value::Null
    );
    held.at(1_700_500_000).capture(10_000);
    let path = format!("/v1/charges/{charge}?expand[]=balance_transaction");
    let seen = get(&double, &path).body["balance_transaction"].clone();
    assert_eq!(
        [
            &seen["created"],
            &seen["amount"],
            &seen["fee"],
            &seen["net"]
        ],
        [
            &json!(1_700_500_000),
            &json!(10_000),
            &json!(290),
            &json!(9_710)
        ]
    );
}

#[test]
fn before_basil_a_release_was_a_refund() {
    let double = start_with(Config {
        api_version: "2024-06-20".into(),
        ..Config::default()
    });
    let held = double.intent(Intent::new(10_000, "usd")).authorise();
    let charge = held.capture(6_000).charge_id();
    let refunds = format!("/v1/refunds?charge={charge}");
    assert_eq!(get(&double, &refunds).body["data"][0]["amount"], 4_000);
    assert_eq!(double.object(&charge).unwrap()["amount_refunded"], 4_000);
    double.refund(&charge, Refund::of(1_000));
    assert_eq!(double.object(&charge).unwrap()["amount_refunded"], 5_000);
}

#[test]
fn half_a_surrogate_pair_is_sent_as_such() {
    let double = start();
    let note = format!("a{HALF_SURROGATE}b");
    let paid = double
        .checkout(Checkout::new(900, "usd").metadata("note", note))
        .pay();
    let seen = double.object(&paid.session_id()).unwrap();
    assert!(json_text(&seen).contains(r#""note":"a\ud83db""#));
}
