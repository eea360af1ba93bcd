//! Errors between the extension and Stripe, and their messages.

mod answers;
mod patience;
mod retries;

use serde_json::{Value, json};
use stripe_double::{Action, Config, Double, Fault, Key};

use crate::harness::sale::Sale;
use crate::harness::server::{attempt_json, refusal};
use crate::harness::{DEFAULT_TABLES, Shop};

/// Every request meets this.
fn always(action: Action) -> Fault {
    Fault::new(action).always()
}

fn unreachable_issues(shop: &mut Shop) -> Vec<Option<String>> {
    shop.texts("select state from invoice_sync.issue where kind = 'stripe_unreachable' order by id")
}

fn port_where_nobody_listens() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}

#[test]
fn an_unknown_invoice_is_p0002_and_stripe_is_not_asked() {
    let mut shop = Shop::open();
    let unknown = shop
        .error("select invoice_sync.sync_invoice('00000000-0000-0000-0000-000000000000'::uuid)");
    assert_eq!(unknown.sqlstate, "P0002");
    assert!(
        unknown.message.contains("00000000-0000"),
        "{}",
        unknown.message
    );
    assert!(unknown.hint.contains("primary key"), "{}", unknown.hint);

    let no_uuid = shop.error("select invoice_sync.sync_invoice('INV-1')");
    assert_eq!(no_uuid.sqlstate, "22P02");
    let null = shop.error("select invoice_sync.sync_invoice(null::text)");
    assert_eq!(null.sqlstate, "22004");
    assert!(shop.stripe.requests().is_empty());
    assert_eq!(
        shop.text("select count(*) from invoice_sync.run"),
        Some("0".into())
    );
}

#[test]
fn without_a_key_nothing_is_called_and_what_needs_no_stripe_is_done() {
    let mut shop = Shop::open();
    shop.not_at_rest("there is no key");
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "insert into invoices (invoice_number, customer, total_amount, invoice_status)
        values ('CASH-1', 'Customer', 50, 'Sent');
        insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 50 from invoices where invoice_number = 'CASH-1'",
    );
    let name = shop.name().to_owned();
    shop.execute(&format!(
        "alter database {name} reset invoice_sync.stripe_api_key"
    ));
    shop.db = shop.connect();

    let error = shop.error(&format!("select {}", sale.sync()));
    assert_eq!(error.sqlstate, "55000");
    assert!(
        error.hint.contains("invoice_sync.stripe_api_key"),
        "{}",
        error.hint
    );

    let report = shop.sweep();
    assert_eq!(report["success"], json!(false));
    assert_eq!(report["error"]["sqlstate"], json!("55000"), "{report:#}");
    assert_eq!(report["fixed"], json!(1), "the one paid in cash");
    assert_eq!(
        shop.text("select invoice_status from invoices where invoice_number = 'CASH-1'"),
        Some("Paid".into())
    );
    assert_eq!(
        shop.text(
            "select (not success and error ->> 'sqlstate' = '55000')::text from invoice_sync.run"
        ),
        Some("true".into())
    );
    let summary = shop.text("select summary from invoice_sync.open_issues");
    assert_eq!(
        summary.as_deref(),
        Some(
            "Stripe could not be asked, so payments may be missing from the books (for details, run invoice_sync.doctor()): no Stripe API key is set."
        )
    );
    assert!(shop.stripe.requests().is_empty(), "nothing was called");
}

#[test]
fn a_rejected_key_stops_a_sweep_at_once_and_the_issue_ends_with_a_good_one() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 100);
    shop.use_key("sk_test_revoked");

    let error = shop.error(&format!("select {}", sales[0].sync()));
    assert_eq!(error.sqlstate, "28000");
    assert!(error.detail.contains("Invalid API Key"), "{}", error.detail);

    shop.stripe.reset_requests();
    let report = shop.sweep();
    let asked = shop.stripe.requests().len();
    assert!(
        (1..=8).contains(&asked),
        "{asked} requests for 100 invoices"
    );
    assert_eq!(report["success"], json!(false));
    assert_eq!(report["error"]["sqlstate"], json!("28000"));
    assert_eq!(report["fixed"], json!(0));
    assert_eq!(unreachable_issues(&mut shop), [Some("open".into())]);

    shop.sweep();
    assert_eq!(
        shop.texts("select times_seen from invoice_sync.issue"),
        [Some("2".to_owned())],
        "one issue, however long it lasts"
    );

    shop.use_key(crate::harness::KEY);
    let report = shop.sweep();
    assert_eq!(report["success"], json!(true));
    assert_eq!(report["fixed"], json!(100));
    assert_eq!(unreachable_issues(&mut shop), [Some("resolved".into())]);
}

#[test]
fn a_permission_that_a_restricted_key_lacks_is_named() {
    let stripe = Double::start(Config {
        keys: vec![Key::new("rk_test_restricted").without("rak_charge_read")],
        ..Config::default()
    })
    .expect("the stand-in starts");
    let mut shop = Shop::with(stripe, DEFAULT_TABLES);
    shop.not_at_rest("the key lacks a permission");
    shop.use_key("rk_test_restricted");
    let sales = Sale::many(&mut shop, 20);

    let error = shop.error(&format!("select {}", sales[0].sync()));
    assert_eq!(error.sqlstate, "28000");
    assert!(error.detail.contains("rak_charge_read"), "{}", error.detail);

    shop.stripe.reset_requests();
    let report = shop.sweep();
    assert!(
        shop.stripe.requests().len() <= 1 + 8,
        "the feed, and then at most http_concurrency questions"
    );
    assert_eq!(report["success"], json!(false));
    let detail = report["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("rak_charge_read"), "{report:#}");
    assert!(
        shop.text("select evidence ->> 'detail' from invoice_sync.open_issues")
            .is_some_and(|detail| detail.contains("rak_charge_read")),
        "the issue names it, too"
    );
}

#[test]
fn a_stripe_that_cannot_be_reached_is_08006_and_fails_even_a_sweep_of_one() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let reachable = shop.stripe.url();
    let closed = format!("http://127.0.0.1:{}", port_where_nobody_listens());
    shop.configure("stripe_api_base", &closed);

    let error = shop.error(&format!("select {}", sale.sync()));
    assert_eq!(error.sqlstate, "08006");
    assert!(error.hint.contains("Nothing was changed"), "{}", error.hint);

    let report = shop.sweep();
    assert_eq!(report["success"], json!(false), "{report:#}");
    assert_eq!(report["error"]["sqlstate"], json!("08006"));
    assert_eq!(report["stats"]["stripeErrors"], json!(1));
    assert_eq!(unreachable_issues(&mut shop), [Some("open".into())]);

    shop.configure("stripe_api_base", &reachable);
    assert_eq!(shop.sweep()["fixed"], json!(1), "it was not given up");
    assert_eq!(unreachable_issues(&mut shop), [Some("resolved".into())]);
}

/// Every object has to be asked for by itself.
fn useless_lists() -> Fault {
    always(Action::InvalidJson).on_object("data.payment_intent.latest_charge.balance_transaction")
}

#[test]
fn one_question_that_fails_keeps_nobody_else_from_being_repaired() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 10);
    shop.stripe.fault(useless_lists());
    shop.stripe
        .fault(always(Action::Html(200)).on_object(&sales[3].session));

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(9));
    assert_eq!(report["stats"]["stripeErrors"], json!(1));
    assert_eq!(
        report["details"]["stripeErrors"][0]["invoiceId"],
        json!(sales[3].invoice)
    );
    assert!(unreachable_issues(&mut shop).is_empty());

    shop.stripe.clear_faults();
    assert_eq!(shop.sweep()["fixed"], json!(1), "its turn came again");
}

#[test]
fn a_button_that_fails_leaves_no_trace() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let before = shop.dump();
    shop.stripe.fault(always(Action::InvalidJson));
    refusal(&mut shop.db, &format!("select {}", sale.sync()));
    let after = shop.dump();
    // Numbers of runs are not given back.
    let without_numbers = |dump: String| -> Vec<String> {
        dump.lines()
            .filter(|line| !line.contains("setval"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(without_numbers(before), without_numbers(after));

    shop.stripe.clear_faults();
    let answer: Value = attempt_json(&mut shop.db, &sale.sync()).expect("it works again");
    assert_eq!(answer["fixed"], json!(1));
}
