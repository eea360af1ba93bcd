//! Several Stripe accounts: each invoice's payments are asked for, heard of and booked in its own account only.

mod attacks;
mod feeds;
mod lists;
mod many;
mod operators;
mod outages;
mod rates;
mod requests;
mod ways;

use serde_json::{Value, json};
use stripe_double::{Checkout, Config, Double};

use crate::harness::sender::{SECRET, deliver, deliver_signed, now, signature};
use crate::harness::{DEFAULT_TABLES, Shop};

const ONE: &str = "acct_one";
const TWO: &str = "acct_two";

/// Creates a shop whose invoices have a column of the account; both accounts are named.
fn shop() -> Shop {
    let config = Config {
        connected_accounts: vec![ONE.to_owned(), TWO.to_owned()],
        ..Config::default()
    };
    let stripe = Double::start(config).expect("the stand-in starts");
    let mut shop = Shop::with(stripe, DEFAULT_TABLES);
    shop.use_secret("stripe_webhook_secret", SECRET);
    shop.execute(
        "alter table invoices add account text;
        update invoice_sync.settings set invoice_account_column = 'account'",
    );
    for account in [ONE, TWO] {
        name(&mut shop, account);
    }
    shop
}

fn name(shop: &mut Shop, account: &str) {
    shop.execute(&format!(
        "insert into invoice_sync.stripe_account (account) values ('{account}')"
    ));
}

/// Creates an invoice over 100.00 USD that belongs to this account and stores this session. Returns its id.
fn invoice(shop: &mut Shop, number: &str, account: Option<&str>, session: Option<&str>) -> String {
    shop.db
        .query_one(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, account,
                stripe_session_id)
            values ($1, 'Customer', 'Sent', 100, $2, $3) returning id::text",
            &[&number, &account, &session],
        )
        .expect("the invoice is inserted")
        .get(0)
}

/// A session over 100.00 USD.
fn checkout() -> Checkout {
    Checkout::new(10_000, "usd")
}

/// Returns the last event of this type about a session or intent.
fn event(shop: &Shop, kind: &str, object: &str) -> Value {
    let events = shop.stripe.events().into_iter();
    let mut events = events.filter(|it| it["type"] == kind && it["data"]["object"]["id"] == object);
    events.next_back().expect("Stripe has it")
}

/// Delivers an event as Stripe does by the platform's endpoint. Returns the result.
fn deliver_event(shop: &mut Shop, event: &Value) -> Value {
    let answer = deliver(&mut shop.db, &event.to_string()).expect("it is received");
    answer["result"].clone()
}

/// As [`deliver_event`], signed with another secret.
fn deliver_by(shop: &mut Shop, secret: &str, event: &Value) -> Value {
    let body = event.to_string();
    let signed = signature(secret, now(), &body);
    let answer = deliver_signed(&mut shop.db, &body, &signed).expect("it is received");
    answer["result"].clone()
}

/// Gives an account a webhook endpoint of its own.
fn own_endpoint(shop: &mut Shop, account: &str, secret: &str) {
    let reference = shop.store_secret("webhook_secret", secret);
    shop.execute(&format!(
        "update invoice_sync.stripe_account set webhook_secret = '{reference}' where account = '{account}'"
    ));
}

/// Returns the number and status of each invoice with what was booked for it.
fn books(shop: &mut Shop) -> Vec<String> {
    let rows = shop.texts(
        "select concat_ws(' ', i.invoice_number, i.invoice_status, round(i.amount_paid, 2),
            (select string_agg(p.stripe_payment_intent, ',') from payments p where p.invoice_id = i.id))
        from invoices i order by i.invoice_number",
    );
    rows.into_iter().flatten().collect()
}

/// Returns the open issues about nobody's money.
fn unlinked(shop: &mut Shop) -> Vec<String> {
    let rows = shop.texts(
        "select concat_ws(' ', object, evidence ->> 'account', evidence ->> 'invoices_of_another_account')
        from invoice_sync.open_issues where kind = 'unlinked_payment' order by 1",
    );
    rows.into_iter().flatten().collect()
}

#[test]
fn payments_of_each_account_are_booked_by_button_sweep_and_webhook() {
    let mut shop = shop();
    for account in [None, Some(ONE), Some(TWO)] {
        for (way, number) in ["button", "webhook", "webhook by name", "sweep"]
            .iter()
            .enumerate()
        {
            let number = format!("{}-{way}-{number}", account.unwrap_or("own"));
            let mut checkout = checkout().metadata("invoice_id", &number);
            if let Some(account) = account {
                checkout = checkout.account(account);
            }
            let sold = shop.stripe.checkout(checkout).pay();
            let session = sold.session_id();
            let stored = (way != 2).then_some(session.as_str());
            let id = invoice(&mut shop, &number, account, stored);
            match way {
                0 => drop(shop.sync(&id)),
                1 | 2 => {
                    let event = event(&shop, "checkout.session.completed", &session);
                    assert_eq!(deliver_event(&mut shop, &event), json!("processed"));
                }
                _ => drop(shop.sweep()),
            }
            let booked = format!("{number} Paid 100.00 {}", sold.intent_id());
            assert!(
                books(&mut shop).contains(&booked),
                "{booked}: {:?}",
                books(&mut shop)
            );
        }
    }
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    let remembered = shop.texts(
        "select distinct split_part(id, 'pi_', 1) from invoice_sync.stripe_payment order by 1",
    );
    assert_eq!(
        remembered.into_iter().flatten().collect::<Vec<_>>(),
        ["", "acct_one/", "acct_two/"]
    );
}

#[test]
fn an_account_with_an_endpoint_of_its_own_is_known_by_its_secret() {
    let mut shop = shop();
    own_endpoint(&mut shop, ONE, "whsec_of_account_one");
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    let mut event = event(&shop, "checkout.session.completed", &sold.session_id());
    // An endpoint of the account's own does not say whose event it is.
    event.as_object_mut().expect("an event").remove("account");
    assert_eq!(
        deliver_by(&mut shop, "whsec_of_account_one", &event),
        json!("processed")
    );
    assert_eq!(
        books(&mut shop),
        [format!("INV-1 Paid 100.00 {}", sold.intent_id())]
    );
    assert_eq!(
        shop.text("select account || ' ' || split_part(id, '/', 1) from invoice_sync.event"),
        Some("acct_one acct_one".into())
    );
}

#[test]
fn events_of_an_account_are_taken_up_once_it_is_named() {
    let mut shop = shop();
    let sold = shop.stripe.checkout(checkout().account("acct_late")).pay();
    invoice(
        &mut shop,
        "INV-1",
        Some("acct_late"),
        Some(&sold.session_id()),
    );
    for _ in 0..2 {
        let event = event(&shop, "checkout.session.completed", &sold.session_id());
        assert_eq!(deliver_event(&mut shop, &event), json!("ignored"));
    }
    assert_eq!(shop.open_issues().len(), 1, "{:?}", shop.open_issues());
    name(&mut shop, "acct_late");
    shop.sweep();
    assert_eq!(
        books(&mut shop),
        [format!("INV-1 Paid 100.00 {}", sold.intent_id())]
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_refund_in_an_account_reaches_its_invoice() {
    let mut shop = shop();
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    let id = invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    shop.sync(&id);
    shop.stripe
        .refund(&sold.intent_id(), stripe_double::Refund::of(10_000));
    shop.sync(&id);
    assert_eq!(
        shop.texts("select kind || ' ' || object from invoice_sync.open_issues"),
        [Some(format!("refunded acct_one/{}", sold.intent_id()))]
    );
}
