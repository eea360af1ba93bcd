//! Events of the endpoint of an organisation, which name their account in the context.

use serde_json::{Value, json};
use stripe_double::{Checkout, Config, Double};

use crate::harness::sender::{SECRET, deliver};
use crate::harness::{DEFAULT_TABLES, Shop};

const OTHER: &str = "acct_other";
const INVOICE: &str = "7d8e6b50-00a0-4000-8000-000000000001";

/// A shop with an invoice, and the event of a session of another account that names and paid it.
fn shop() -> (Shop, Value) {
    let stripe = Double::start(Config {
        connected_accounts: vec![OTHER.to_owned()],
        ..Config::default()
    });
    let mut shop = Shop::with(stripe.expect("the stand-in starts"), DEFAULT_TABLES);
    shop.use_secret("stripe_webhook_secret", SECRET);
    let sale = Checkout::new(10_000, "usd")
        .metadata("invoice_id", INVOICE)
        .account(OTHER);
    let sold = shop.stripe.checkout(sale).pay();
    shop.execute(&format!(
        "alter table invoices add account text;
        insert into invoices (id, invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('{INVOICE}', 'INV-1', 'Ann', 'Sent', 100, '{}')",
        sold.session_id()
    ));
    let mut events = shop.stripe.events().into_iter();
    let event = events.find(|event| event["type"] == "checkout.session.completed");
    (shop, event.expect("a session was completed"))
}

/// Delivers the event with this account and context. Returns the result.
fn deliver_with(shop: &mut Shop, event: &Value, id: &str, account: Value, context: Value) -> Value {
    let mut event = event.clone();
    event["id"] = json!(id);
    event["account"] = account;
    event["context"] = context;
    let answer = deliver(&mut shop.db, &event.to_string()).expect("it is stored");
    answer["result"].clone()
}

fn fetch_on_webhook(shop: &mut Shop, fetch: bool) {
    shop.execute(&format!(
        "update invoice_sync.settings set stripe_fetch_on_webhook = {fetch}"
    ));
}

fn books(shop: &mut Shop) -> Option<String> {
    shop.text(
        "select concat_ws(' ', invoice_status, (select count(*) from payments)) from invoices",
    )
}

#[test]
fn an_event_whose_context_is_an_account_that_nobody_named_is_stored_with_one_issue() {
    for fetch in [true, false] {
        let (mut shop, event) = shop();
        fetch_on_webhook(&mut shop, fetch);
        for (id, context) in [
            ("evt_1", OTHER),
            ("evt_2", "org_1/acct_other"),
            ("evt_3", "org_2"),
        ] {
            let result = deliver_with(&mut shop, &event, id, Value::Null, json!(context));
            assert_eq!(result, "ignored", "{context}, fetch {fetch}");
        }
        assert_eq!(books(&mut shop).as_deref(), Some("Sent 0"), "{fetch}");
        assert_eq!(
            shop.texts("select object from invoice_sync.open_issues order by 1"),
            [Some(OTHER.to_owned()), Some("org_2".to_owned())],
            "fetch {fetch}"
        );
        assert_eq!(
            shop.text("select count(*) from invoice_sync.event"),
            Some("3".into())
        );

        shop.configure("stripe_account", OTHER);
        shop.sweep();
        assert_eq!(books(&mut shop).as_deref(), Some("Paid 1"), "{fetch}");
    }
}

#[test]
fn an_event_whose_context_is_a_named_account_is_of_that_account() {
    for fetch in [true, false] {
        let (mut shop, event) = shop();
        fetch_on_webhook(&mut shop, fetch);
        shop.execute(&format!(
            "update invoice_sync.settings set invoice_account_column = 'account';
            insert into invoice_sync.stripe_account (account) values ('{OTHER}')"
        ));
        deliver_with(&mut shop, &event, "evt_1", Value::Null, json!(OTHER));
        assert_eq!(books(&mut shop).as_deref(), Some("Sent 0"), "of no account");
        shop.execute(&format!("update invoices set account = '{OTHER}'"));
        shop.stripe.reset_requests();
        deliver_with(&mut shop, &event, "evt_2", Value::Null, json!(OTHER));
        assert_eq!(books(&mut shop).as_deref(), Some("Paid 1"), "fetch {fetch}");
        let asked = shop.stripe.requests();
        assert_eq!(asked.is_empty(), !fetch, "fetch {fetch}: {asked:?}");
        let of_other = |it: &stripe_double::Seen| it.header("stripe-account") == Some(OTHER);
        assert!(asked.iter().all(of_other), "{asked:?}");
    }
}

#[test]
fn the_account_of_the_settings_is_the_own_one_in_a_context_too() {
    for (account, context) in [
        (Value::Null, json!(OTHER)),
        (Value::Null, json!("org_1/acct_other")),
        (json!(OTHER), json!("org_1/acct_third")),
    ] {
        for fetch in [true, false] {
            let (mut shop, event) = shop();
            fetch_on_webhook(&mut shop, fetch);
            shop.configure("stripe_account", OTHER);
            let result = deliver_with(&mut shop, &event, "evt_1", account.clone(), context.clone());
            assert_eq!(result, "processed", "{account} {context} {fetch}");
            assert_eq!(
                books(&mut shop).as_deref(),
                Some("Paid 1"),
                "{account} {context} {fetch}"
            );
        }
    }
}
