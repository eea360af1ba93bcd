//! Answers that do not come from Stripe's API.

use serde_json::json;
use stripe_double::{Action, Config, Double, Fault};

use super::always;
use crate::harness::Shop;
use crate::harness::sale::Sale;

#[test]
fn what_is_not_stripes_json_is_08p01_after_one_try_and_changes_nothing() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let cases = [
        (Action::Html(200), "not JSON"),
        (Action::InvalidJson, "not JSON"),
        (Action::OversizedBody(5 * 1024 * 1024), "larger than"),
        (Action::Html(418), "418"),
    ];
    for (action, words) in cases {
        shop.stripe.clear_faults();
        shop.stripe.reset_requests();
        shop.stripe.fault(always(action.clone()));
        let error = shop.error(&format!("select {}", sale.sync()));
        assert_eq!(error.sqlstate, "08P01", "{action:?}: {error:?}");
        assert!(error.detail.contains(words), "{action:?}: {error:?}");
        assert_eq!(shop.stripe.requests().len(), 1, "{action:?}");

        let report = shop.sweep();
        assert_eq!(report["success"], json!(false), "{action:?}: {report:#}");
        assert_eq!(
            report["stats"]["stripeErrors"],
            json!(2),
            "the feed, and the session that is due: {action:?}"
        );
        assert_eq!(report["fixed"], json!(0), "{action:?}");
    }
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));

    shop.stripe.clear_faults();
    let report = shop.sweep();
    assert_eq!(
        (&report["success"], &report["fixed"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_page_of_a_broken_gateway_and_half_an_answer_are_tried_again_and_08006() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    for action in [Action::Html(502), Action::TruncatedBody] {
        shop.stripe.clear_faults();
        shop.stripe.reset_requests();
        shop.stripe.fault(always(action.clone()));
        let error = shop.error(&format!("select {}", sale.sync()));
        assert_eq!(error.sqlstate, "08006", "{action:?}: {error:?}");
        assert_eq!(shop.stripe.requests().len(), 4, "{action:?}");
    }
}

#[test]
fn a_redirect_is_never_followed_and_takes_the_key_nowhere() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let elsewhere = Double::start(Config::default()).expect("the stand-in starts");
    let there = format!("{}/v1/checkout/sessions/{}", elsewhere.url(), sale.session);
    shop.stripe.fault(always(Action::Redirect(there)));

    let error = shop.error(&format!("select {}", sale.sync()));
    assert_eq!(error.sqlstate, "08P01");
    assert!(error.detail.contains("redirect (302)"), "{}", error.detail);
    assert_eq!(shop.stripe.requests().len(), 1, "nor is it tried again");
    let report = shop.sweep();
    assert_eq!(report["success"], json!(false), "{report:#}");

    assert_eq!(elsewhere.connections(), 0, "nobody went there");
}

#[test]
fn a_redirect_back_to_stripe_itself_is_not_followed_either() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let back = format!(
        "{}/v1/checkout/sessions/{}",
        shop.stripe.url(),
        sale.session
    );
    shop.stripe.fault(Fault::new(Action::Redirect(back)));
    let error = shop.error(&format!("select {}", sale.sync()));
    assert_eq!(error.sqlstate, "08P01");
    assert_eq!(shop.stripe.requests().len(), 1);
}

#[test]
fn requests_say_who_asks_and_for_which_version() {
    let mut shop = Shop::open();
    shop.configure("stripe_api_version", "2025-03-31.basil");
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sync(&sale.invoice);
    let seen = shop.stripe.requests();
    let first = seen.first().expect("one was sent");
    assert_eq!(first.method, "GET");
    assert_eq!(first.header("authorization"), Some("Bearer sk_test_double"));
    assert_eq!(first.header("stripe-version"), Some("2025-03-31.basil"));
    assert_eq!(first.header("stripe-account"), None);
    assert!(
        first
            .header("user-agent")
            .is_some_and(|agent| agent.starts_with("invoice_sync/"))
    );
}
