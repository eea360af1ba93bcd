//! The control API.

mod common;

use common::{delete, get, get_with, post, start, start_with};
use serde_json::{Value, json};
use stripe_double::{Config, Double};

fn post_control(double: &Double, path: &str, body: Value) -> Value {
    let answer = post(double, &format!("/_double/{path}"), &[], &body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[test]
fn checkouts_are_created_with_their_outcome() {
    let double = start();
    let cases = [
        ("open", "open", "unpaid"),
        ("paid", "complete", "paid"),
        ("processing", "complete", "unpaid"),
        ("async_succeeded", "complete", "paid"),
        ("expired", "expired", "unpaid"),
        ("no_payment_required", "complete", "no_payment_required"),
        ("requires_capture", "complete", "unpaid"),
    ];
    let checkouts: Vec<Value> = cases
        .iter()
        .map(|(outcome, ..)| json!({ "amount": 700, "currency": "eur", "outcome": outcome }))
        .collect();
    let made = post_control(&double, "checkouts", json!(checkouts));
    for (case, made) in cases.iter().zip(made["data"].as_array().unwrap()) {
        let path = format!(
            "/v1/checkout/sessions/{}",
            made["session"].as_str().unwrap()
        );
        let seen = get(&double, &path).body;
        assert_eq!(seen["status"], case.1, "{}", case.0);
        assert_eq!(seen["payment_status"], case.2, "{}", case.0);
        assert_eq!(seen["payment_intent"], made["intent"], "{}", case.0);
    }
}

#[test]
fn a_checkout_accepts_all_fields() {
    let double = start();
    double.set_clock(1_700_000_000);
    let made = post_control(
        &double,
        "checkouts",
        json!({
            "id": "cs_live_x", "intent_id": "pi_x", "charge_id": "ch_x", "amount": 1_000,
            "currency": "gbp", "livemode": true, "created_ago": 600, "outcome": "paid",
            "amount_received": 900, "metadata": { "invoice_id": "7" }, "client_reference_id": "7",
            "intent_metadata": { "gratuity_amount": "1.00" },
            "refund": { "id": "re_x", "amount": 100, "status": "pending" },
            "dispute": { "id": "du_x", "status": "under_review" }
        }),
    );
    let expected = json!({
        "session": "cs_live_x", "intent": "pi_x", "charge": "ch_x", "refund": "re_x", "dispute": "du_x"
    });
    assert_eq!(made, expected);
    let session = double.object("cs_live_x").unwrap();
    assert_eq!(session["created"], 1_699_999_400);
    assert_eq!(session["livemode"], true);
    let charge = double.object("ch_x").unwrap();
    assert_eq!(
        charge["created"], 1_699_999_400,
        "the outcome is as old as the checkout"
    );
    assert_eq!(charge["amount_refunded"], 100);
    assert_eq!(charge["disputed"], true);
    assert_eq!(
        double.object("pi_x").unwrap()["metadata"],
        json!({ "gratuity_amount": "1.00" })
    );
    assert_eq!(double.object("du_x").unwrap()["status"], "under_review");
}

#[test]
fn intents_actions_and_fields_work_over_http() {
    let double = start();
    post_control(
        &double,
        "intents",
        json!({ "id": "pi_x", "amount": 500, "metadata": { "invoice_id": "7" } }),
    );
    let paid = post_control(&double, "actions", json!({ "action": "pay", "id": "pi_x" }));
    assert_eq!(paid["intent"], "pi_x");
    let refund = post_control(
        &double,
        "actions",
        json!({ "action": "refund", "id": "pi_x", "amount": 200 }),
    );
    let update = json!({ "action": "update_refund", "id": refund["id"], "status": "failed" });
    post_control(&double, "actions", update);
    let charge = paid["charge"].as_str().unwrap();
    assert_eq!(double.object(charge).unwrap()["amount_refunded"], 0);
    let changed = post_control(&double, "objects/pi_x", json!({ "status": "teleported" }));
    assert_eq!(changed["status"], "teleported");
    assert_eq!(
        get(&double, "/v1/payment_intents/pi_x").body["status"],
        "teleported"
    );
    assert_eq!(delete(&double, "/_double/objects/pi_x").status, 200);
    assert_eq!(get(&double, "/v1/payment_intents/pi_x").status, 404);
}

#[test]
fn invalid_control_requests_are_refused() {
    let double = start();
    let post = |path: &str, body: Value| {
        let answer = post(&double, &format!("/_double/{path}"), &[], &body);
        (answer.status, answer.error("message").to_owned())
    };
    let (status, message) = post("checkouts", json!({ "amuont": 5 }));
    assert_eq!(
        (status, message.as_str()),
        (400, "unknown field \"amuont\"")
    );
    let (status, message) = post("checkouts", json!([{ "amount": 5 }, { "amount": "5" }]));
    assert_eq!(
        (status, message.as_str()),
        (400, "[1]: \"amount\" must be a whole number")
    );
    assert_eq!(
        post("actions", json!({ "action": "pay", "id": "pi_none" })).0,
        404
    );
    post_control(&double, "intents", json!({ "id": "pi_x", "amount": 5 }));
    assert_eq!(post("intents", json!({ "id": "pi_x", "amount": 5 })).0, 409);
    assert_eq!(post("faults", json!({ "action": "explode" })).0, 400);
    assert_eq!(post("nowhere", json!({})).0, 404);
}

#[test]
fn faults_latency_clock_and_limits_are_set_over_http() {
    let double = start();
    post_control(
        &double,
        "faults",
        json!([
            { "action": "status", "status": 503, "path": "/v1/events", "times": 2, "should_retry": true },
            { "action": "rate_limited", "path": "/v1/charges", "retry_after": 3 }
        ]),
    );
    let failed = get(&double, "/v1/events");
    assert_eq!(
        (failed.status, failed.header("stripe-should-retry")),
        (503, Some("true"))
    );
    assert_eq!(get(&double, "/v1/charges").header("retry-after"), Some("3"));
    assert_eq!(delete(&double, "/_double/faults").status, 200);
    assert_eq!(get(&double, "/v1/events").status, 200);
    assert_eq!(
        post_control(&double, "clock", json!({ "at": 1_000 }))["now"],
        1_000
    );
    assert_eq!(
        post_control(&double, "clock", json!({ "advance": 5 }))["now"],
        1_005
    );
    assert_eq!(double.now(), 1_005);
    post_control(&double, "latency", json!({ "ms": 1 }));
    post_control(&double, "limits", json!({ "max_concurrency": 0 }));
    assert_eq!(get(&double, "/v1/events").status, 429);
    let stats = get(&double, "/_double/stats").body;
    assert_eq!(stats["requests"], 4);
    assert_eq!(stats["by_path"]["GET /v1/events"], 3);
    let requests = get(&double, "/_double/requests").body;
    assert_eq!(requests["data"][0]["status"], 503);
    delete(&double, "/_double/requests");
    assert_eq!(get(&double, "/_double/stats").body["requests"], 0);
}

#[test]
fn events_are_held_and_released_over_http() {
    let double = start();
    post_control(&double, "event-delay", json!({ "held": true }));
    post_control(
        &double,
        "checkouts",
        json!({ "amount": 5, "outcome": "expired" }),
    );
    assert!(get(&double, "/v1/events").ids().is_empty());
    assert_eq!(
        get(&double, "/_double/events").types(),
        ["checkout.session.expired"]
    );
    post_control(&double, "actions", json!({ "action": "release_events" }));
    assert_eq!(
        get(&double, "/v1/events").types(),
        ["checkout.session.expired"]
    );
}

#[test]
fn many_objects_are_created_and_listed_in_reasonable_time() {
    let double = start_with(Config {
        noise_events: false,
        ..Config::default()
    });
    let checkout = json!({ "amount": 500, "outcome": "paid", "metadata": { "invoice_id": "7" } });
    let checkouts = vec![checkout; 2_000];
    let made = post_control(&double, "checkouts", json!(checkouts));
    assert_eq!(made["data"].as_array().unwrap().len(), 2_000);
    let intent = made["data"][1_000]["intent"].as_str().unwrap();
    let found = get(
        &double,
        &format!("/v1/checkout/sessions?payment_intent={intent}"),
    );
    assert_eq!(
        found.ids(),
        [made["data"][1_000]["session"].as_str().unwrap()]
    );
}

#[test]
fn the_control_api_needs_no_key() {
    let double = start();
    assert_eq!(get_with(&double, "/_double/stats", &[]).status, 200);
    assert!(
        double.requests().is_empty(),
        "requests to the control API are not recorded"
    );
}
