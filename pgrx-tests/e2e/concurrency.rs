//! Concurrent calls: two of `sync_invoice`, two sweeps, and the application's own webhook handler for the same payment.

mod ages;
mod claims;
mod entry_points;
mod races;
mod replay;

use std::time::Duration;

use postgres::Client;
use serde_json::json;

use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::{attempt, attempt_json, refusal};
use crate::harness::{Shop, wait_until};

/// What makes one payment per intent sure where nobody locks the invoice: a
/// unique index. Without the foreign key, whose check locks the invoice as well.
const UNIQUE_BY_INTENT: &str = "
    alter table payments drop constraint payments_invoice_id_fkey;
    create unique index on payments (stripe_payment_intent)";

fn insert_payment(sale: &Sale) -> String {
    format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        values ('{}', 'Webhook', 'Paid', 100, '{}')",
        sale.invoice, sale.intent
    )
}

fn set_paid(sale: &Sale) -> String {
    format!(
        "update invoices
        set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0, paid_date = now()
        where id = '{}'",
        sale.invoice
    )
}

fn wait_for_a_waiting_session(observer: &mut Client) {
    wait_until("a session waits for a lock", || {
        let waiting: i64 = observer
            .query_one(
                "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'",
                &[],
            )
            .expect("the view is read")
            .get(0);
        waiting > 0
    });
}

fn payments_of(shop: &mut Shop, sale: &Sale) -> String {
    shop.text(&format!(
        "select string_agg(payment_name, ',') from payments where invoice_id = '{}'",
        sale.invoice
    ))
    .unwrap_or_default()
}

#[test]
fn a_button_waits_for_a_handler_that_has_locked_the_invoice_and_finds_its_payment() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let mut handler = shop.connect();
    let mut button = shop.connect();
    handler
        .batch_execute(&format!(
            "begin; select from invoices where id = '{}' for update; {}",
            sale.invoice,
            insert_payment(&sale)
        ))
        .expect("the handler begins");

    let call = sale.sync();
    let answer = std::thread::scope(|scope| {
        let pressed = scope.spawn(move || attempt_json(&mut button, &call));
        wait_for_a_waiting_session(&mut shop.db);
        handler
            .batch_execute(&format!("{}; commit", set_paid(&sale)))
            .expect("the handler ends");
        pressed.join().expect("no panic")
    })
    .expect("the button works");

    assert_eq!(answer["success"], json!(true));
    assert_eq!(answer["fixed"], json!(0), "nothing was left to do");
    assert_eq!(payments_of(&mut shop, &sale), "Webhook");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_conflict_on_a_unique_index_is_taken_for_the_payment_that_it_is() {
    let mut shop = Shop::open();
    shop.execute(UNIQUE_BY_INTENT);
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let mut handler = shop.connect();
    let mut button = shop.connect();
    handler
        .batch_execute(&format!("begin; {}", insert_payment(&sale)))
        .expect("the handler begins");

    let call = sale.sync();
    let answer = std::thread::scope(|scope| {
        let pressed = scope.spawn(move || attempt_json(&mut button, &call));
        // It has seen no payment, and waits for the handler's at the index.
        wait_for_a_waiting_session(&mut shop.db);
        handler.batch_execute("commit").expect("the handler ends");
        pressed.join().expect("no panic")
    })
    .expect("the button works");

    assert_eq!(payments_of(&mut shop, &sale), "Webhook");
    assert_eq!(
        answer["fixed"],
        json!(1),
        "the invoice's amounts: {answer:#}"
    );
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

/// The handler has the payment and wants the invoice, the button the other way
/// round: PostgreSQL ends one of the two.
fn deadlock(who_gives_way: &str) {
    let mut shop = Shop::open();
    shop.execute(UNIQUE_BY_INTENT);
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let mut handler = shop.connect();
    let mut button = shop.connect();
    let (early, late) = (
        "set deadlock_timeout = '2s'",
        "set deadlock_timeout = '60s'",
    );
    let button_gives_way = who_gives_way == "button";
    let (of_button, of_handler) = if button_gives_way {
        (early, late)
    } else {
        (late, early)
    };
    attempt(&mut button, of_button).expect("it is set");
    attempt(&mut handler, of_handler).expect("it is set");
    handler
        .batch_execute(&format!("begin; {}", insert_payment(&sale)))
        .expect("the handler begins");

    let call = sale.sync();
    let (handled, answer) = std::thread::scope(|scope| {
        let pressed = scope.spawn(move || attempt_json(&mut button, &call));
        wait_for_a_waiting_session(&mut shop.db);
        let handled = attempt(&mut handler, &format!("{}; commit", set_paid(&sale)));
        let _ = handler.batch_execute("rollback");
        (handled, pressed.join().expect("no panic"))
    });

    let answer = answer.expect("the button works");
    assert_eq!(answer["issues"], json!(0), "{answer:#}");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    if button_gives_way {
        handled.expect("the handler was let through");
        assert_eq!(payments_of(&mut shop, &sale), "Webhook");
    } else {
        assert_eq!(handled.expect_err("it gave way").sqlstate, "40P01");
        assert_eq!(payments_of(&mut shop, &sale), "Stripe payment");
    }
}

#[test]
fn a_deadlock_that_ends_the_handler_leaves_the_buttons_payment() {
    deadlock("handler");
}

#[test]
fn a_deadlock_that_ends_the_buttons_attempt_is_tried_again_and_no_issue() {
    deadlock("button");
}

#[test]
fn a_second_sweep_returns_at_once_and_a_button_does_not_wait() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 2);
    shop.stripe.set_latency(Duration::from_secs(4));
    let mut first = shop.connect();
    let mut button = shop.connect();

    let report = std::thread::scope(|scope| {
        let sweeping = scope.spawn(move || attempt_json(&mut first, "invoice_sync.sweep()"));
        let stripe = &shop.stripe;
        wait_until("the first sweep asks", || stripe.count_of("/v1/") >= 1);
        let asked = stripe.count_of("/v1/");
        // It waits on; all others are answered at once.
        stripe.set_latency(Duration::ZERO);

        let second = attempt_json(&mut shop.db, "invoice_sync.sweep()").expect("it answers");
        assert_eq!(second["skipped"], json!(true), "{second:#}");
        assert_eq!(second["success"], json!(true));
        assert_eq!(second["runId"], json!(null), "no row for what was not done");
        assert_eq!(shop.stripe.count_of("/v1/"), asked, "it asked nothing");

        attempt(
            &mut shop.db,
            "begin; select from invoices for update nowait; commit",
        )
        .expect("no row is locked while a request is in flight");
        let dry = attempt_json(&mut shop.db, "invoice_sync.sweep(dry_run => true)");
        assert_eq!(dry.expect("it answers")["fixed"], json!(2), "it may look");
        let pressed = attempt_json(&mut button, &sales[0].sync()).expect("it answers");
        assert_eq!(pressed["fixed"], json!(1), "the button does not wait");
        assert!(
            !sweeping.is_finished(),
            "all that, while the first was at work"
        );
        sweeping.join().expect("no panic").expect("it sweeps")
    });

    assert_eq!(report["skipped"], json!(null));
    assert_eq!(report["fixed"], json!(1), "the other was done already");
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some("2".to_owned())
    );
    assert_eq!(
        shop.sweep()["skipped"],
        json!(null),
        "the turn was given back"
    );
}

#[test]
fn one_snapshot_for_a_whole_transaction_is_refused() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    for level in ["repeatable read", "serializable"] {
        for call in ["invoice_sync.sweep()", &sale.sync()] {
            let begin = format!("begin isolation level {level}");
            attempt(&mut shop.db, &begin).expect("it begins");
            let error = refusal(&mut shop.db, &format!("select {call}"));
            assert_eq!(error.sqlstate, "0A000", "{level}: {call}: {error:?}");
            assert!(error.hint.contains("READ COMMITTED"), "{error:?}");
            attempt(&mut shop.db, "rollback").expect("it ends");
        }
        attempt(
            &mut shop.db,
            &format!(
                "begin isolation level {level}; select invoice_sync.sweep(dry_run => true);
                select invoice_sync.sync_invoice('{}', dry_run => true); commit",
                sale.invoice
            ),
        )
        .expect("what writes nothing may");
    }
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some("0".to_owned())
    );
}

#[test]
fn a_default_of_one_snapshot_for_a_whole_transaction_stops_neither_procedures_nor_webhooks() {
    for level in ["repeatable read", "serializable"] {
        let mut shop = Shop::with_webhooks();
        let name = shop.name().to_owned();
        shop.execute(&format!(
            "alter database {name} set default_transaction_isolation = '{level}'"
        ));
        let mut session = shop.connect();
        Sale::named(&mut shop, "INV-1");
        let event = shop.stripe.events().pop().expect("it was paid").to_string();
        let answer = deliver(&mut session, &event).expect("it is stored");
        assert_eq!(answer["result"], json!("stored, to be processed later"));
        let payments = "select count(*)::text from payments";
        assert_eq!(shop.text(payments), Some("0".to_owned()));

        attempt(&mut session, "call invoice_sync.run_sweep()").expect("it sets the level");
        assert_eq!(shop.text(payments), Some("1".to_owned()), "{level}");
        attempt(&mut session, "call invoice_sync.backfill('2020-01-01')").expect("it does, too");

        // Only its own transactions: the session's have the level that they had.
        let after = session
            .query_one("show transaction_isolation", &[])
            .expect("a setting");
        assert_eq!(after.get::<_, String>(0), level);
    }
}
