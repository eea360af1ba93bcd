//! The list of events: what is emitted, in which order, and when it becomes visible.

mod common;

use common::{get, start, start_with};
use std::time::{Duration, Instant};
use stripe_double::{Checkout, Config, Dispute, Double, EventDelay, Intent, Refund};

/// A double that emits only the events that the product processes.
fn without_noise() -> Double {
    start_with(Config {
        noise_events: false,
        ..Config::default()
    })
}

fn types(double: &Double) -> Vec<String> {
    let mut types = get(double, "/v1/events?limit=100").types();
    types.reverse();
    types
}

#[test]
fn each_change_emits_what_stripe_would() {
    type Change = fn(&Double);
    let cases: [(Change, &[&str]); 8] = [
        (
            |double| drop(double.checkout(Checkout::new(100, "usd")).pay()),
            &["payment_intent.succeeded", "checkout.session.completed"],
        ),
        (
            |double| {
                drop(
                    double
                        .checkout(Checkout::new(100, "usd"))
                        .process()
                        .succeed(),
                )
            },
            &[
                "checkout.session.completed",
                "payment_intent.succeeded",
                "checkout.session.async_payment_succeeded",
            ],
        ),
        (
            |double| drop(double.checkout(Checkout::new(100, "usd")).process().fail()),
            &[
                "checkout.session.completed",
                "payment_intent.payment_failed",
                "checkout.session.async_payment_failed",
            ],
        ),
        (
            |double| drop(double.checkout(Checkout::new(100, "usd")).fail()),
            &["payment_intent.payment_failed"],
        ),
        (
            |double| drop(double.checkout(Checkout::new(100, "usd")).expire()),
            &["checkout.session.expired"],
        ),
        (
            |double| drop(double.intent(Intent::new(100, "usd")).cancel()),
            &["payment_intent.canceled"],
        ),
        (
            |double| {
                let paid = double.intent(Intent::new(100, "usd")).pay();
                let refund = paid.refund(Refund::of(10).status("pending"));
                double.update_refund(&refund, "failed");
            },
            &[
                "payment_intent.succeeded",
                "charge.refunded",
                "refund.created",
                "refund.updated",
                "charge.refund.updated",
                "refund.failed",
            ],
        ),
        (
            |double| {
                let paid = double.intent(Intent::new(100, "usd")).pay();
                let dispute = paid.dispute(Dispute::new("needs_response"));
                double.update_dispute(&dispute, "lost");
            },
            &[
                "payment_intent.succeeded",
                "charge.dispute.created",
                "charge.dispute.updated",
                "charge.dispute.closed",
            ],
        ),
    ];
    for (change, expected) in cases {
        let double = without_noise();
        change(&double);
        assert_eq!(types(&double), expected);
    }
}

#[test]
fn noise_is_emitted_unless_turned_off() {
    let double = start();
    double.checkout(Checkout::new(100, "usd")).pay();
    let types = types(&double);
    assert!(
        types.contains(&"payment_intent.created".into()),
        "{types:?}"
    );
    assert!(types.contains(&"charge.succeeded".into()), "{types:?}");
}

#[test]
fn an_event_contains_the_object_as_it_was() {
    let double = without_noise();
    let paid = double.intent(Intent::new(100, "usd")).pay();
    double.set(&paid.intent_id(), "status", "teleported");
    paid.refund(Refund::of(40));
    let events = get(&double, "/v1/events").body;
    let succeeded = &events["data"][2];
    assert_eq!(succeeded["type"], "payment_intent.succeeded");
    assert_eq!(succeeded["object"], "event");
    assert_eq!(succeeded["data"]["object"]["status"], "succeeded");
    assert_eq!(succeeded["livemode"], false);
    let refunded = &events["data"][1]["data"];
    assert_eq!(refunded["object"]["amount_refunded"], 40);
    assert_eq!(refunded["previous_attributes"]["amount_refunded"], 0);
}

#[test]
fn events_of_one_second_are_ordered_and_paged_without_loss() {
    let double = start_with(Config {
        clock: Some(1_700_000_000),
        ..Config::default()
    });
    for _ in 0..5 {
        double.checkout(Checkout::new(100, "usd")).pay();
    }
    let all = get(&double, "/v1/events?limit=100");
    assert_eq!(all.ids().len(), 20);
    let data = all.body["data"].as_array().unwrap();
    assert!(data.iter().all(|event| event["created"] == 1_700_000_000));
    let mut walked = Vec::new();
    let mut cursor = all.ids().pop().unwrap();
    loop {
        let page = get(
            &double,
            &format!("/v1/events?limit=3&ending_before={cursor}"),
        );
        let Some(newest) = page.ids().first().cloned() else {
            break;
        };
        walked.splice(0..0, page.ids());
        cursor = newest;
    }
    assert_eq!(
        walked,
        all.ids()[..19],
        "walking forward from the oldest finds all others"
    );
}

#[test]
fn events_are_filtered_by_type_and_delivery() {
    let double = without_noise();
    double.checkout(Checkout::new(100, "usd")).pay();
    double.set_pending_webhooks(1);
    double.checkout(Checkout::new(100, "usd")).expire();
    let of = |query: &str| get(&double, &format!("/v1/events?{query}"));
    let two = "types[]=checkout.session.expired&types[]=checkout.session.completed";
    assert_eq!(
        of(two).types(),
        ["checkout.session.expired", "checkout.session.completed"]
    );
    assert_eq!(
        of("type=payment_intent.succeeded").types(),
        ["payment_intent.succeeded"]
    );
    assert_eq!(of("type=checkout.*").types().len(), 2);
    let undelivered = of("delivery_success=false");
    assert_eq!(undelivered.types(), ["checkout.session.expired"]);
    assert_eq!(undelivered.body["data"][0]["pending_webhooks"], 1);
    assert_eq!(of("delivery_success=true").types().len(), 2);
    let many: String = (0..21)
        .map(|number| format!("types[]=a.{number}&"))
        .collect();
    assert_eq!(of(&many).status, 400, "21 types are one too many");
}

#[test]
fn an_event_can_appear_after_newer_ones() {
    let double = without_noise();
    double.set_event_delay(EventDelay::Held);
    double.checkout(Checkout::new(100, "usd")).expire();
    double.set_event_delay(EventDelay::None);
    double.intent(Intent::new(100, "usd")).cancel();
    assert_eq!(types(&double), ["payment_intent.canceled"]);
    let held = &double.events()[0];
    let path = format!("/v1/events/{}", held["id"].as_str().unwrap());
    assert_eq!(
        get(&double, &path).status,
        200,
        "by its id it is found at once"
    );
    double.release_events();
    assert_eq!(
        types(&double),
        ["checkout.session.expired", "payment_intent.canceled"]
    );
}

#[test]
fn an_event_can_appear_after_some_lists_or_some_time() {
    let double = without_noise();
    double.set_event_delay(EventDelay::Lists(2));
    double.checkout(Checkout::new(100, "usd")).expire();
    let counts: Vec<usize> = (0..3).map(|_| types(&double).len()).collect();
    assert_eq!(counts, [0, 0, 1]);

    let double = without_noise();
    let delay = Duration::from_millis(150);
    double.set_event_delay(EventDelay::For(delay));
    let happened = Instant::now();
    double.checkout(Checkout::new(100, "usd")).expire();
    while types(&double).is_empty() {
        assert!(
            happened.elapsed() < Duration::from_secs(5),
            "the event never appeared"
        );
    }
    assert!(happened.elapsed() >= delay, "the event appeared too soon");
}

#[test]
fn events_are_kept_for_thirty_days() {
    let double = without_noise();
    double.set_clock(1_700_000_000);
    double.checkout(Checkout::new(100, "usd")).expire();
    let id = get(&double, "/v1/events").ids().remove(0);
    double.advance_clock(30 * 86_400);
    assert_eq!(types(&double).len(), 1);
    double.advance_clock(1);
    assert_eq!(types(&double).len(), 0);
    assert_eq!(get(&double, &format!("/v1/events/{id}")).status, 404);
    let answer = get(&double, &format!("/v1/events?ending_before={id}"));
    assert_eq!(
        (answer.status, answer.error("code")),
        (400, "resource_missing")
    );
}

#[test]
fn events_of_connected_accounts_name_them() {
    let double = without_noise();
    double
        .checkout(Checkout::new(100, "usd").account("acct_other"))
        .expire();
    assert_eq!(
        types(&double).len(),
        0,
        "the platform's feed does not have them"
    );
    let headers = [
        ("authorization", "Bearer sk_test_double"),
        ("stripe-account", "acct_other"),
    ];
    let feed = common::get_with(&double, "/v1/events", &headers).body;
    assert_eq!(feed["data"][0]["account"], "acct_other");
}

#[test]
fn operations_can_be_in_the_past() {
    let double = without_noise();
    let paid = double.checkout(Checkout::new(100, "usd").created(1_600_000_000));
    paid.clone().at(1_600_000_100).pay();
    assert_eq!(types(&double).len(), 0, "their events are long forgotten");
    let charge = double.object(&paid.charge_id()).unwrap();
    assert_eq!(charge["created"], 1_600_000_100);
}

#[test]
fn what_has_happened_can_be_made_older() {
    let double = start();
    let intent = double.intent(Intent::new(100, "usd")).pay().intent_id();
    let day = 24 * 60 * 60;
    let created = |id: &str| {
        let object = double.object(id).expect("it is there");
        object["created"].as_i64().expect("a time")
    };
    let before = (created(&intent), double.events().len());
    double.age(day);
    assert_eq!((created(&intent) + day, double.events().len()), before);
    let event = &double.events()[0];
    assert_eq!(event["created"], event["data"]["object"]["created"]);
    let since = format!("/v1/events?created[gte]={}", before.0);
    assert_eq!(get(&double, &since).ids(), Vec::<String>::new());
    double.age(30 * day);
    assert_eq!(get(&double, "/v1/events").ids(), Vec::<String>::new());
}
