//! `sync_invoice` and `explain` called by name through the gateway, as by the buttons of an admin page.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stripe_double::{Action, Fault};

use crate::harness::Shop;
use crate::harness::gateway::{Answer, Caller, WebShop};
use crate::harness::sale::Sale;

fn shop_with_a_sale() -> (WebShop, Sale) {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    (WebShop::open(shop), sale)
}

fn press(web: &WebShop, invoice: &str) -> Answer {
    let arguments = json!({ "invoice_id": invoice });
    web.call(Caller::Admin, "sync_invoice", &arguments)
}

#[test]
fn an_admin_repairs_an_invoice_by_its_id() {
    let (mut web, sale) = shop_with_a_sale();

    let answer = press(&web, &sale.invoice);

    assert_eq!(answer.status, 200, "{answer:?}");
    let report = answer.json();
    assert_eq!(report["success"], json!(true), "{report:#}");
    assert_eq!(report["fixed"], json!(1), "{report:#}");
    assert_eq!(
        web.shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
}

#[test]
fn an_unknown_invoice_is_p0002_and_a_404() {
    let (web, _) = shop_with_a_sale();
    let answer = press(&web, "7d8e6b50-0000-4000-8000-000000000001");
    assert_eq!((answer.status, answer.code().as_str()), (404, "P0002"));
    let message = answer.json()["message"].to_string();
    assert!(message.contains("does not exist"), "{answer:?}");
}

#[test]
fn what_is_no_id_is_22p02_and_a_400() {
    let (web, _) = shop_with_a_sale();
    for id in ["INV-1", "", "' or true --"] {
        let answer = press(&web, id);
        let seen = (answer.status, answer.code());
        assert_eq!(seen, (400, "22P02".to_owned()), "{id}: {answer:?}");
    }
}

#[test]
fn without_a_key_it_is_55000_and_a_503() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.not_at_rest("it has no key");
    shop.configure("stripe_api_key", "");
    let web = WebShop::open(shop);
    let answer = press(&web, &sale.invoice);
    assert_eq!((answer.status, answer.code().as_str()), (503, "55000"));
}

#[test]
fn a_key_that_stripe_rejects_is_28000_and_a_503() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.use_key("sk_test_revoked");
    let web = WebShop::open(shop);
    let answer = press(&web, &sale.invoice);
    assert_eq!((answer.status, answer.code().as_str()), (503, "28000"));
}

#[test]
fn a_stripe_that_cannot_be_reached_is_08006_and_a_503_within_six_seconds() {
    for action in [Action::Reset, Action::Hang] {
        let (web, sale) = shop_with_a_sale();
        web.shop.stripe.fault(Fault::new(action.clone()).always());
        let pressed = Instant::now();
        let answer = press(&web, &sale.invoice);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "08006"),
            "{action:?}: {answer:?}"
        );
        // A request that hangs takes ten seconds.
        assert!(pressed.elapsed() < Duration::from_secs(9), "{action:?}");
    }
}

#[test]
fn an_answer_of_stripes_that_cannot_be_used_is_08p01_and_a_503() {
    let (web, sale) = shop_with_a_sale();
    web.shop
        .stripe
        .fault(Fault::new(Action::InvalidJson).always());
    let answer = press(&web, &sale.invoice);
    assert_eq!((answer.status, answer.code().as_str()), (503, "08P01"));
}

#[test]
fn an_admin_is_told_why_an_invoice_is_as_it_is() {
    let (web, sale) = shop_with_a_sale();
    let ask = |caller, arguments| web.call(caller, "explain", &arguments);
    let from_memory = json!({ "invoice_id": sale.invoice });

    let answer = ask(Caller::Admin, from_memory.clone());

    assert_eq!(answer.status, 200, "{answer:?}");
    let lines = answer.json();
    assert_eq!(lines[0]["part"], "invoice", "{lines:#}");
    assert_eq!(lines[0]["what"], "id");
    assert_eq!(lines[0]["value"], json!(sale.invoice));
    let planned = |lines: &Value| {
        let lines = lines.as_array().expect("rows").iter();
        let line = lines.clone().find(|line| line["what"] == "would be done");
        line.expect("there is one")["value"].clone()
    };
    assert_eq!(planned(&lines), "nothing", "{lines:#}");
    let asked = ask(
        Caller::Admin,
        json!({ "invoice_id": sale.invoice, "ask": true }),
    );
    assert_eq!(
        planned(&asked.json()),
        json!(format!("payment {} of 100.00 USD recorded", sale.intent))
    );
    assert_eq!(ask(Caller::Customer, from_memory).status, 403);
    let unknown = json!({ "invoice_id": "7d8e6b50-0000-4000-8000-000000000001" });
    let answer = ask(Caller::Admin, unknown);
    assert_eq!((answer.status, answer.code().as_str()), (404, "P0002"));
    let number = ask(Caller::Admin, json!({ "invoice_id": "INV-1" }));
    assert_eq!((number.status, number.code().as_str()), (400, "22P02"));
}
