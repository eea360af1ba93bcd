//! The key of the settings cannot be used: accounts with keys of their own are asked all the same.

use serde_json::json;
use stripe_double::{Action, Fault, Key};

use super::feeds::lost_payment;
use super::{ONE, TWO, books, checkout, invoice, shop};
use crate::harness::{KEY, Shop};

/// The key of account one; account two is asked with that of the settings.
const KEY_OF_ONE: &str = "sk_test_one";

/// Creates a shop with a lost payment in each account, and one more in account one that only its feed knows. Returns
/// the books once all are found.
fn shop_of_lost_payments() -> (Shop, Vec<String>) {
    let mut shop = shop();
    shop.skip_look_back();
    shop.stripe.accept_key(Key::new(KEY_OF_ONE).of_account(ONE));
    let reference = shop.store_secret("api_key", KEY_OF_ONE);
    shop.execute(&format!(
        "update invoice_sync.stripe_account set api_key = '{reference}' where account = '{ONE}'"
    ));
    let mut expected = Vec::new();
    for (number, account) in [("INV-0", None), ("INV-1", Some(ONE)), ("INV-2", Some(TWO))] {
        let checkout = match account {
            Some(account) => checkout().account(account),
            None => checkout(),
        };
        let sold = shop.stripe.checkout(checkout).pay();
        invoice(&mut shop, number, account, Some(&sold.session_id()));
        expected.push(format!("{number} Paid 100.00 {}", sold.intent_id()));
    }
    expected.push(lost_payment(&mut shop, "INV-3", Some(ONE)));
    (shop, expected)
}

/// The books while the key of the settings cannot be used.
fn only_of_account_one(expected: &[String]) -> Vec<String> {
    let mut books = expected.to_vec();
    books[0] = "INV-0 Sent 0.00".to_owned();
    books[2] = "INV-2 Sent 0.00".to_owned();
    books
}

/// Which accounts cannot be asked, and why.
fn outages(shop: &mut Shop) -> Vec<String> {
    let found = shop.texts(
        "select concat_ws(' ', coalesce(object, 'own'), evidence ->> 'sqlstate') from invoice_sync.open_issues
        where kind = 'stripe_unreachable' order by 1",
    );
    found.into_iter().flatten().collect()
}

/// Everything is found once the key serves again.
fn recover(shop: &mut Shop, expected: &[String]) {
    shop.age(7200);
    shop.sweep();
    assert_eq!(books(shop), expected);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_rejected_key_stops_no_account_with_a_key_of_its_own() {
    let (mut shop, expected) = shop_of_lost_payments();
    shop.use_key("sk_test_revoked");
    shop.stripe.reset_requests();

    let report = shop.sweep();

    assert_eq!(books(&mut shop), only_of_account_one(&expected));
    assert_eq!(report["success"], json!(false));
    assert_eq!(report["error"]["sqlstate"], json!("28000"), "{report}");
    assert_eq!(outages(&mut shop), ["own 28000"]);
    let status = shop.text("select last_sweep_success || ' ' || summary from invoice_sync.status");
    assert!(
        status.as_deref().is_some_and(|it| it.starts_with("false ")),
        "{status:?}"
    );
    let requests = shop.stripe.requests().into_iter();
    let with_header = requests.filter(|seen| seen.header("stripe-account").is_some());
    assert_eq!(with_header.count(), 0, "account two needs the rejected key");

    // What account one answers says nothing of the key of the settings.
    shop.sweep();
    assert_eq!(outages(&mut shop), ["own 28000"]);
    shop.use_key(KEY);
    recover(&mut shop, &expected);
}

#[test]
fn a_feed_that_cannot_be_read_stops_no_account_with_a_key_of_its_own() {
    let (mut shop, expected) = shop_of_lost_payments();
    // The feed of the key's own account is the first.
    let first = Fault::new(Action::Status(503)).on_path("/v1/events").nth(1);
    shop.stripe.fault(first.should_retry("false"));

    shop.sweep();

    assert_eq!(books(&mut shop), only_of_account_one(&expected));
    assert_eq!(outages(&mut shop), ["own 08006"]);
    shop.stripe.clear_faults();
    recover(&mut shop, &expected);
}

#[test]
fn a_feed_that_stripe_refuses_stops_nothing_else() {
    let (mut shop, expected) = shop_of_lost_payments();
    let first = Fault::new(Action::Status(400)).on_path("/v1/events").nth(1);
    shop.stripe.fault(first);

    shop.sweep();

    assert_eq!(books(&mut shop), expected);
    assert_eq!(outages(&mut shop), ["own 08P01"]);
    shop.stripe.clear_faults();
    recover(&mut shop, &expected);
}

#[test]
fn a_key_that_cannot_be_read_stops_no_account_with_a_key_of_its_own() {
    let (mut shop, expected) = shop_of_lost_payments();
    shop.configure("stripe_api_key", "file:/there/is/none");

    shop.sweep();

    let mut found = only_of_account_one(&expected);
    // Feeds wait for the key.
    found[3] = "INV-3 Sent 0.00".to_owned();
    assert_eq!(books(&mut shop), found);
    assert_eq!(outages(&mut shop).len(), 1, "{:?}", shop.open_issues());
    shop.use_key(KEY);
    recover(&mut shop, &expected);
}

#[test]
fn where_nothing_of_stripe_can_be_reached_one_issue_says_so() {
    let (mut shop, expected) = shop_of_lost_payments();
    shop.stripe.fault(Fault::new(Action::Reset).always());

    shop.sweep();

    assert_eq!(books(&mut shop).len(), expected.len());
    assert_eq!(outages(&mut shop), ["own 08006"]);
    shop.stripe.clear_faults();
    recover(&mut shop, &expected);
}
