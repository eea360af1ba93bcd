//! To which account requests go, and with which key.

use serde_json::json;
use stripe_double::Key;

use super::{
    ONE, TWO, books, checkout, deliver_by, deliver_event, event, invoice, own_endpoint, shop,
};
use crate::harness::Shop;

#[test]
fn requests_go_to_the_account_of_the_invoice_and_one_that_is_revoked_stops_no_other() {
    let mut shop = shop();
    let mut expected = Vec::new();
    for (number, account) in [("INV-0", None), ("INV-1", Some(ONE)), ("INV-2", Some(TWO))] {
        let mut checkout = checkout();
        if let Some(account) = account {
            checkout = checkout.account(account);
        }
        let sold = shop.stripe.checkout(checkout).pay();
        invoice(&mut shop, number, account, Some(&sold.session_id()));
        expected.push(match account {
            Some(ONE) => "INV-1 Sent 0.00".to_owned(),
            _ => format!("{number} Paid 100.00 {}", sold.intent_id()),
        });
    }
    shop.stripe.revoke(ONE);
    shop.sweep();
    assert_eq!(books(&mut shop), expected);
    let error = shop.error(
        "select invoice_sync.sync_invoice(id::text) from invoices where invoice_number = 'INV-1'",
    );
    assert_eq!(error.sqlstate, "28000", "{error:?}");
    let issues = "select kind || ' ' || coalesce(object, '') from invoice_sync.open_issues";
    assert_eq!(
        shop.texts(issues),
        [Some("stripe_unreachable acct_one".into())]
    );

    shop.stripe.restore(ONE);
    shop.age(3600);
    shop.sweep();
    assert_eq!(
        shop.texts("select invoice_status from invoices"),
        vec![Some("Paid".into()); 3]
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn an_account_with_a_key_of_its_own_is_asked_with_it_and_without_a_header() {
    let mut shop = shop();
    shop.stripe
        .accept_key(Key::new("sk_test_one").of_account(ONE));
    let key = shop.store_secret("api_key", "sk_test_one");
    shop.execute(&format!(
        "update invoice_sync.stripe_account set api_key = '{key}' where account = '{ONE}'"
    ));
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    let id = invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    shop.stripe.reset_requests();
    shop.sync(&id);
    assert_eq!(
        books(&mut shop),
        [format!("INV-1 Paid 100.00 {}", sold.intent_id())]
    );
}

#[test]
fn an_account_that_nobody_named_is_not_asked() {
    let mut shop = shop();
    let sold = shop
        .stripe
        .checkout(checkout().account("acct_nobody"))
        .pay();
    invoice(
        &mut shop,
        "INV-1",
        Some("acct_nobody"),
        Some(&sold.session_id()),
    );
    let error = shop.error("select invoice_sync.sync_invoice(id::text) from invoices");
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.hint.contains("stripe_account"), "{error:?}");
    assert_eq!(shop.stripe.count_of("/v1/checkout"), 0);
    shop.not_at_rest("an account is not named");
}

#[test]
fn destination_charges_live_on_the_platform_and_fees_change_nothing() {
    let mut shop = shop();
    let destination = shop.stripe.checkout(checkout()).pay();
    let direct = shop.stripe.checkout(checkout().account(ONE)).pay();
    let platform = &destination.intent_id();
    for (field, value) in [
        ("application_fee_amount", json!(1_000)),
        ("transfer_data", json!({ "destination": ONE })),
        ("on_behalf_of", json!(ONE)),
    ] {
        shop.stripe.set(platform, field, value);
    }
    shop.stripe
        .set(&direct.intent_id(), "application_fee_amount", 1_000);
    invoice(&mut shop, "INV-1", None, Some(&destination.session_id()));
    invoice(&mut shop, "INV-2", Some(ONE), Some(&direct.session_id()));
    for session in [destination.session_id(), direct.session_id()] {
        let event = event(&shop, "checkout.session.completed", &session);
        assert_eq!(deliver_event(&mut shop, &event), json!("processed"));
    }
    assert_eq!(
        books(&mut shop),
        [
            format!("INV-1 Paid 100.00 {platform}"),
            format!("INV-2 Paid 100.00 {}", direct.intent_id()),
        ]
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

/// Creates a shop without a key of its own; account one has one.
fn shop_of_own_keys(key: &str) -> Shop {
    let mut shop = shop();
    shop.stripe.accept_key(Key::new(key).of_account(ONE));
    let reference = shop.store_secret("api_key", key);
    shop.execute(&format!(
        "update invoice_sync.stripe_account set api_key = '{reference}' where account = '{ONE}';
        delete from invoice_sync.stripe_account where account = '{TWO}'"
    ));
    shop
}

#[test]
fn accounts_with_keys_of_their_own_need_no_key_beside_them() {
    let mut shop = shop_of_own_keys("sk_test_one");
    shop.configure("stripe_api_key", "");
    own_endpoint(&mut shop, ONE, "whsec_of_account_one");
    let [by_button, by_webhook, by_sweep, by_feed] =
        ["INV-1", "INV-2", "INV-3", "INV-4"].map(|number| {
            let stored = number != "INV-4";
            let sold = shop
                .stripe
                .checkout(checkout().account(ONE).metadata("invoice_id", number))
                .pay();
            let session = sold.session_id();
            let id = invoice(
                &mut shop,
                number,
                Some(ONE),
                stored.then_some(session.as_str()),
            );
            (
                id,
                session,
                format!("{number} Paid 100.00 {}", sold.intent_id()),
            )
        });
    shop.sync(&by_button.0);
    let mut event = event(&shop, "checkout.session.completed", &by_webhook.1);
    event.as_object_mut().expect("an event").remove("account");
    assert_eq!(
        deliver_by(&mut shop, "whsec_of_account_one", &event),
        json!("processed")
    );
    assert_eq!(
        books(&mut shop)[..2],
        [by_button.2.clone(), by_webhook.2.clone()]
    );
    shop.sweep();
    let expected = [by_button.2, by_webhook.2, by_sweep.2, by_feed.2];
    assert_eq!(books(&mut shop), expected);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    let key = shop.text("select ok::text || ' ' || detail from invoice_sync.doctor() where \"check\" = 'Stripe key'");
    assert!(
        key.clone().is_some_and(|it| it.starts_with("true ")),
        "{key:?}"
    );
    // An invoice of the account of no key says so.
    let id = invoice(&mut shop, "INV-5", None, Some("cs_test_5"));
    let error = shop.error(&format!("select invoice_sync.sync_invoice('{id}')"));
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert_eq!(error.message, "no Stripe API key is set");
    shop.not_at_rest("without a key, no sweep makes the one request of its own account");
}

#[test]
fn a_key_of_the_other_mode_is_used_only_for_an_account_that_is_named_for_it() {
    let mut shop = shop_of_own_keys("sk_live_one");
    shop.skip_look_back();
    let sold = shop.stripe.checkout(checkout().account(ONE).live()).pay();
    let id = invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    let error = shop.error(&format!("select invoice_sync.sync_invoice('{id}')"));
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.detail.contains("other mode"), "{error:?}");
    shop.sweep();
    assert_eq!(books(&mut shop), ["INV-1 Sent 0.00"]);
    let issues = "select kind || ' ' || coalesce(object, '') from invoice_sync.open_issues";
    assert_eq!(
        shop.texts(issues),
        [Some("stripe_unreachable acct_one".into())]
    );
    // Whoever says that the account is of live mode gets its payments.
    shop.execute("update invoice_sync.stripe_account set livemode = true");
    shop.age(3600);
    shop.sweep();
    assert_eq!(
        books(&mut shop),
        [format!("INV-1 Paid 100.00 {}", sold.intent_id())]
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    // Events of the other mode are not acted on.
    shop.execute("update invoice_sync.stripe_account set livemode = false");
    let event = event(&shop, "checkout.session.completed", &sold.session_id());
    assert_eq!(deliver_event(&mut shop, &event), json!("ignored"));
    shop.not_at_rest("the account is named for the wrong mode");
}
