//! Which requests are authorised, and the errors of those that are not.

mod common;

use common::{get, get_live, get_with, start, start_with};
use std::collections::HashSet;
use stripe_double::{Checkout, Config, Intent, Key};

#[test]
fn requests_without_a_known_key_are_refused() {
    let double = start();
    let none = get_with(&double, "/v1/events", &[]);
    assert_eq!(
        (none.status, none.error("type")),
        (401, "invalid_request_error")
    );
    let headers = [("authorization", "Bearer sk_test_0123abcd")];
    let unknown = get_with(&double, "/v1/events", &headers);
    assert_eq!(unknown.status, 401);
    assert_eq!(
        unknown.error("message"),
        "Invalid API Key provided: sk_test_****abcd"
    );
}

#[test]
fn a_missing_permission_is_named() {
    let double = start_with(Config {
        keys: vec![Key::new("rk_test_double").without("rak_charge_read")],
        ..Config::default()
    });
    let paid = double.intent(Intent::new(100, "usd")).pay();
    let path = format!("/v1/payment_intents/{}", paid.intent_id());
    let headers = [("authorization", "Bearer rk_test_double")];
    assert_eq!(get_with(&double, &path, &headers).status, 200);
    for path in [
        format!("{path}?expand[]=latest_charge"),
        "/v1/charges".into(),
    ] {
        let refused = get_with(&double, &path, &headers);
        assert_eq!(refused.status, 403, "{path}");
        let message = refused.error("message");
        assert!(
            message.contains("Having the 'rak_charge_read' permission"),
            "{message}"
        );
        assert!(message.contains("on account 'acct_double'"), "{message}");
    }
}

#[test]
fn objects_of_the_other_mode_are_missing_with_a_hint() {
    let double = start();
    let test = double.intent(Intent::new(100, "usd").id("pi_test"));
    let live = double.checkout(Checkout::new(100, "usd").live());
    assert!(live.session_id().starts_with("cs_live_a1"));
    let path = format!("/v1/checkout/sessions/{}", live.session_id());
    assert_eq!(get_live(&double, &path).body["livemode"], true);
    let missing = get(&double, &path);
    assert_eq!(
        (missing.status, missing.error("code")),
        (404, "resource_missing")
    );
    let expected = format!(
        "No such checkout.session: '{}'; a similar object exists in live mode, but a test mode key was \
         used to make this request.",
        live.session_id()
    );
    assert_eq!(missing.error("message"), expected);
    let missing = get_live(
        &double,
        &format!("/v1/payment_intents/{}", test.intent_id()),
    );
    let expected = "No such payment_intent: 'pi_test'; a similar object exists in test mode, but a live \
                    mode key was used to make this request.";
    assert_eq!(missing.error("message"), expected);
}

#[test]
fn missing_objects_and_urls_have_stripes_error_format() {
    let double = start();
    let missing = get(&double, "/v1/charges/ch_none");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.error("message"), "No such charge: 'ch_none'");
    assert_eq!(missing.error("param"), "id");
    assert_eq!(
        missing.error("doc_url"),
        "https://stripe.com/docs/error-codes/resource-missing"
    );
    let request = missing.header("request-id").unwrap();
    assert!(missing.error("request_log_url").contains(request));
    let unknown = get(&double, "/v1/teapots");
    assert_eq!(unknown.status, 404);
    assert!(
        unknown
            .error("message")
            .starts_with("Unrecognized request URL (GET: /v1/teapots)")
    );
    let session = double.checkout(Checkout::new(100, "usd")).session_id();
    let wrong_kind = get(&double, &format!("/v1/payment_intents/{session}"));
    assert_eq!(wrong_kind.status, 404);
}

#[test]
fn each_answer_has_its_own_request_id_and_the_requested_version() {
    let double = start();
    let ids: HashSet<String> = (0..20)
        .map(|_| {
            get(&double, "/v1/events")
                .header("request-id")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(|id| id.starts_with("req_")));
    let headers = [
        ("authorization", "Bearer sk_test_double"),
        ("stripe-version", "2025-03-31.basil"),
    ];
    let answer = get_with(&double, "/v1/events", &headers);
    assert_eq!(answer.header("stripe-version"), Some("2025-03-31.basil"));
    let seen = double.requests().pop().unwrap();
    assert_eq!(seen.header("stripe-version"), Some("2025-03-31.basil"));
}

#[test]
fn a_connected_account_must_be_known() {
    let double = start_with(Config {
        connected_accounts: vec!["acct_known".into()],
        ..Config::default()
    });
    let of = |account| {
        let headers = [
            ("authorization", "Bearer sk_test_double"),
            ("stripe-account", account),
        ];
        get_with(&double, "/v1/account", &headers)
    };
    assert_eq!(of("acct_known").body["id"], "acct_known");
    let refused = of("acct_strange");
    assert_eq!(
        (refused.status, refused.error("code")),
        (403, "account_invalid")
    );
}
