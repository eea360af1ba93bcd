//! Refunds and disputes, and their effect on the charge.

mod common;

use common::{get, start, start_with};
use serde_json::{Value, json};
use stripe_double::{Checkout, Config, Dispute, Double, Intent, Refund};

fn charge(double: &Double, id: &str) -> Value {
    get(double, &format!("/v1/charges/{id}")).body
}

#[test]
fn refunds_count_until_they_fail_or_are_canceled() {
    let double = start();
    let paid = double.checkout(Checkout::new(10_000, "usd")).pay();
    let refunded = |amount: i64, whole: bool| {
        let seen = charge(&double, &paid.charge_id());
        assert_eq!(seen["amount_refunded"], amount);
        assert_eq!(seen["refunded"], whole);
    };
    let pending = paid.refund(Refund::of(3_000).status("pending"));
    refunded(3_000, false);
    double.update_refund(&pending, "failed");
    refunded(0, false);
    paid.refund(Refund::of(4_000).status("canceled"));
    refunded(0, false);
    let part = paid.refund(Refund::of(6_000));
    refunded(6_000, false);
    paid.refund(Refund::whole());
    refunded(10_000, true);
    double.update_refund(&part, "canceled");
    refunded(4_000, false);
    let seen = get(&double, &format!("/v1/refunds/{part}")).body;
    assert_eq!(seen["status"], "canceled");
    assert_eq!(seen["charge"], paid.charge_id());
    let path = format!("/v1/charges/{}?expand[]=refunds", paid.charge_id());
    let seen = get(&double, &path).body;
    assert_eq!(seen["refunds"]["data"].as_array().unwrap().len(), 4);
}

#[test]
#[should_panic(expected = "cannot be refunded of 1000 left")]
fn a_refund_cannot_exceed_the_captured_amount() {
    let double = start();
    double
        .checkout(Checkout::new(1_000, "usd"))
        .pay()
        .refund(Refund::of(1_001));
}

#[test]
fn a_charge_stays_disputed_after_the_dispute() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    assert_eq!(charge(&double, &paid.charge_id())["disputed"], false);
    let dispute = paid.dispute(Dispute::new("needs_response").reason("product_not_received"));
    let seen = get(&double, &format!("/v1/disputes/{dispute}")).body;
    assert_eq!(seen["amount"], 5_000);
    assert_eq!(seen["reason"], "product_not_received");
    assert_eq!(seen["payment_intent"], paid.intent_id());
    assert_eq!(seen["balance_transactions"][0]["net"], -6_500);
    double.update_dispute(&dispute, "won");
    let seen = get(&double, &format!("/v1/disputes/{dispute}")).body;
    assert_eq!(seen["status"], "won");
    assert_eq!(seen["balance_transactions"].as_array().unwrap().len(), 2);
    assert_eq!(charge(&double, &paid.charge_id())["disputed"], true);
}

#[test]
fn an_inquiry_withdraws_no_money() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    let inquiry = paid.dispute(Dispute::new("warning_needs_response"));
    let seen = double.object(&inquiry).unwrap();
    assert_eq!(seen["balance_transactions"], json!([]));
    assert_eq!(seen["is_charge_refundable"], true);
}

#[test]
fn a_prevented_dispute_withdraws_money_only_by_a_resolution() {
    let double = start();
    let paid = double.checkout(Checkout::new(5_000, "usd")).pay();
    let blocked = paid.dispute(Dispute::new("prevented"));
    let resolved = paid.dispute(Dispute::new("prevented").resolution());
    let inquiry = paid.dispute(Dispute::new("warning_needs_response").resolution());
    double.update_dispute(&inquiry, "prevented");
    let moved = |id: &str| {
        let seen = double.object(id).unwrap();
        let moves = seen["balance_transactions"].as_array().unwrap().iter();
        moves.filter_map(|it| it["amount"].as_i64()).sum::<i64>()
    };
    assert_eq!(moved(&blocked), 0);
    assert_eq!(moved(&resolved), -5_000);
    assert_eq!(moved(&inquiry), -5_000);
    let details = &double.object(&resolved).unwrap()["payment_method_details"];
    assert_eq!(details["card"]["case_type"], "resolution");
}

#[test]
fn what_was_captured_of_a_canceled_intent_can_be_refunded() {
    let double = start();
    let held = double.intent(Intent::new(4_000, "usd")).authorise();
    let kept = held.capture_part(2_500).cancel();
    let seen = get(
        &double,
        &format!("/v1/payment_intents/{}", kept.intent_id()),
    )
    .body;
    assert_eq!(seen["status"], "canceled");
    assert_eq!(seen["amount_received"], 2_500);
    kept.refund(Refund::of(500));
    assert_eq!(charge(&double, &kept.charge_id())["amount_refunded"], 500);
}

#[test]
fn a_release_counts_as_refunded_if_so_configured() {
    let double = start_with(Config {
        release_counts_as_refunded: true,
        ..Config::default()
    });
    let held = double
        .intent(Intent::new(4_000, "usd"))
        .authorise()
        .capture(2_500);
    let seen = charge(&double, &held.charge_id());
    assert_eq!(
        (&seen["amount_refunded"], &seen["refunded"]),
        (&json!(1_500), &json!(false))
    );
    held.refund(Refund::of(500));
    assert_eq!(charge(&double, &held.charge_id())["amount_refunded"], 2_000);
}
