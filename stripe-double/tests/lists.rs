//! Lists: pages in both directions, filters, expansion.

mod common;

use common::{get, get_live, start};
use stripe_double::{Checkout, Dispute, Double, Intent, Refund};

/// Five intents, `pi_1` the oldest; `pi_2` to `pi_4` have the same second.
fn five_intents() -> Double {
    let double = start();
    for (number, created) in [(1, 100), (2, 200), (3, 200), (4, 200), (5, 300)] {
        double.intent(
            Intent::new(100, "usd")
                .id(format!("pi_{number}"))
                .created(created),
        );
    }
    double
}

fn page(double: &Double, query: &str) -> (Vec<String>, bool) {
    let answer = get(double, &format!("/v1/payment_intents?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["object"], "list");
    assert_eq!(answer.body["url"], "/v1/payment_intents");
    (answer.ids(), answer.body["has_more"].as_bool().unwrap())
}

fn ids(numbers: &[u32]) -> Vec<String> {
    numbers
        .iter()
        .map(|number| format!("pi_{number}"))
        .collect()
}

#[test]
fn starting_after_pages_to_older_objects() {
    let double = five_intents();
    assert_eq!(page(&double, "limit=2"), (ids(&[5, 4]), true));
    assert_eq!(
        page(&double, "limit=2&starting_after=pi_4"),
        (ids(&[3, 2]), true)
    );
    assert_eq!(
        page(&double, "limit=2&starting_after=pi_2"),
        (ids(&[1]), false)
    );
    assert_eq!(
        page(&double, "limit=2&starting_after=pi_1"),
        (vec![], false)
    );
}

#[test]
fn ending_before_pages_to_newer_objects_sorted_from_the_newest() {
    let double = five_intents();
    assert_eq!(
        page(&double, "limit=2&ending_before=pi_1"),
        (ids(&[3, 2]), true)
    );
    assert_eq!(
        page(&double, "limit=2&ending_before=pi_3"),
        (ids(&[5, 4]), false)
    );
    assert_eq!(page(&double, "limit=2&ending_before=pi_5"), (vec![], false));
}

#[test]
fn created_filters_a_list_with_a_cursor() {
    let double = five_intents();
    assert_eq!(
        page(&double, "created[gte]=200&created[lt]=300"),
        (ids(&[4, 3, 2]), false)
    );
    assert_eq!(page(&double, "created[gt]=200"), (ids(&[5]), false));
    assert_eq!(page(&double, "created%5Blte%5D=100"), (ids(&[1]), false));
    assert_eq!(page(&double, "created=200&limit=2"), (ids(&[4, 3]), true));
    let after = "created[gte]=200&starting_after=pi_4";
    assert_eq!(page(&double, after), (ids(&[3, 2]), false));
    assert_eq!(
        page(&double, "created[gte]=300&starting_after=pi_3"),
        (vec![], false)
    );
    assert_eq!(
        page(&double, "created[lte]=200&ending_before=pi_5"),
        (vec![], false)
    );
}

#[test]
fn a_page_has_ten_objects_by_default_and_at_most_a_hundred() {
    let double = start();
    for _ in 0..12 {
        double.intent(Intent::new(100, "usd"));
    }
    let (ids, more) = page(&double, "");
    assert_eq!((ids.len(), more), (10, true));
    for (limit, message) in [
        ("0", "This value must be greater than or equal to 1."),
        ("101", "This value must be less than or equal to 100."),
        ("ten", "Invalid integer: ten"),
    ] {
        let answer = get(&double, &format!("/v1/payment_intents?limit={limit}"));
        assert_eq!(answer.status, 400, "limit={limit}");
        assert_eq!(answer.error("message"), message);
        assert_eq!(answer.error("param"), "limit");
    }
}

#[test]
fn unknown_cursors_are_refused() {
    let double = five_intents();
    let answer = get(&double, "/v1/payment_intents?starting_after=pi_9");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error("code"), "resource_missing");
    assert_eq!(answer.error("param"), "starting_after");
    assert_eq!(answer.error("message"), "No such payment_intent: 'pi_9'");
    let both = "/v1/payment_intents?starting_after=pi_1&ending_before=pi_2";
    assert_eq!(get(&double, both).status, 400);
    let answer = get(&double, "/v1/payment_intents?created_at=4");
    assert_eq!(answer.error("code"), "parameter_unknown");
}

#[test]
fn sessions_are_found_by_intent_and_status() {
    let double = start();
    let open = double.checkout(Checkout::new(100, "usd"));
    let paid = double.checkout(Checkout::new(100, "usd")).pay();
    let of = |query: &str| get(&double, &format!("/v1/checkout/sessions?{query}")).ids();
    assert_eq!(
        of(&format!("payment_intent={}", paid.intent_id())),
        [paid.session_id()]
    );
    assert_eq!(of("status=open"), [open.session_id()]);
    assert_eq!(of("status=complete"), [paid.session_id()]);
    assert_eq!(of(""), [paid.session_id(), open.session_id()]);
    let unknown = get(&double, "/v1/checkout/sessions?payment_intent=pi_none");
    assert_eq!(
        (unknown.status, unknown.error("param")),
        (400, "payment_intent")
    );
}

#[test]
fn charges_refunds_and_disputes_are_found_by_their_parents() {
    let double = start();
    let other = double.checkout(Checkout::new(100, "usd")).pay();
    other.refund(Refund::of(10));
    let paid = double.checkout(Checkout::new(100, "usd")).fail().pay();
    let (first, second) = (paid.refund(Refund::of(10)), paid.refund(Refund::of(20)));
    let dispute = paid.dispute(Dispute::new("needs_response"));
    let (intent, charge) = (paid.intent_id(), paid.charge_id());
    let charges = get(&double, &format!("/v1/charges?payment_intent={intent}"));
    assert_eq!(charges.ids().len(), 2, "the declined and the good one");
    assert_eq!(charges.ids()[0], charge);
    let refunds = get(&double, &format!("/v1/refunds?charge={charge}"));
    assert_eq!(refunds.ids(), [second.clone(), first.clone()]);
    let walked = get(
        &double,
        &format!("/v1/refunds?charge={charge}&starting_after={second}"),
    );
    assert_eq!(walked.ids(), [first]);
    let disputes = get(&double, &format!("/v1/disputes?payment_intent={intent}"));
    assert_eq!(disputes.ids(), [dispute]);
}

#[test]
fn lists_expand_below_data() {
    let double = start();
    let paid = double.checkout(Checkout::new(100, "usd")).pay();
    let path = "/v1/checkout/sessions?expand[]=data.payment_intent.latest_charge";
    let seen = get(&double, path).body;
    let charge = &seen["data"][0]["payment_intent"]["latest_charge"];
    assert_eq!(charge["id"], paid.charge_id());
    let answer = get(&double, "/v1/checkout/sessions?expand[]=payment_intent");
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .error("message")
            .contains("'data.payment_intent' instead")
    );
}

#[test]
fn each_mode_and_account_lists_its_own() {
    let double = start();
    let test = double.checkout(Checkout::new(100, "usd"));
    let live = double.checkout(Checkout::new(100, "usd").live());
    let connected = double.checkout(Checkout::new(100, "usd").account("acct_other"));
    assert_eq!(
        get(&double, "/v1/checkout/sessions").ids(),
        [test.session_id()]
    );
    assert_eq!(
        get_live(&double, "/v1/checkout/sessions").ids(),
        [live.session_id()]
    );
    let headers = [
        ("authorization", "Bearer sk_test_double"),
        ("stripe-account", "acct_other"),
    ];
    let answer = common::get_with(&double, "/v1/checkout/sessions", &headers);
    assert_eq!(answer.ids(), [connected.session_id()]);
}
