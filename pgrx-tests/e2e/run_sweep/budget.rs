//! The monthly budget of requests: each is counted, and near its end only urgent ones are made.

use serde_json::json;
use stripe_double::{Action, Checkout, Fault};

use super::{last_run, run};
use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::{attempt, refusal};
use crate::harness::{Shop, wait_until};

const DAY: i64 = 24 * 60 * 60;

/// What the month has used, as the next sweep knows it.
fn used(shop: &mut Shop) -> i64 {
    shop.sweep()["monthlyReads"]["used"]
        .as_i64()
        .expect("a budget is set")
}

#[test]
fn webhooks_failed_buttons_and_sweeps_that_were_ended_count() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set monthly_read_budget = 100000");
    let sale = Sale::unbooked(&mut shop, "INV-1");
    run(&mut shop.db);
    shop.stripe.reset_requests();
    let before = used(&mut shop);

    let mut events = shop.stripe.events().into_iter();
    let mut event = events
        .find(|event| event["type"] == "payment_intent.succeeded")
        .expect("there is one");
    event["id"] = json!("evt_another");
    // Each in a session of its own, which is over when the next sweep counts.
    deliver(&mut shop.connect(), &event.to_string()).expect("it is taken in");
    assert_eq!(last_run(&mut shop)["stripe_requests"], json!(1));
    let failing = Fault::new(Action::Status(500))
        .should_retry("false")
        .always();
    shop.stripe.fault(failing.on_path("/v1/checkout"));
    let error = refusal(&mut shop.connect(), &format!("select {}", sale.sync()));
    assert_eq!(error.sqlstate, "08006");
    shop.stripe.clear_faults();

    shop.stripe
        .fault(Fault::new(Action::Hang).always().on_path("/v1/checkout"));
    shop.make_all_due();
    shop.execute("delete from payments");
    let mut sweeping = shop.connect();
    let process: i32 = sweeping
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0);
    std::thread::scope(|scope| {
        let asked = shop.stripe.count_of("/v1/checkout");
        let swept = scope.spawn(|| sweeping.batch_execute("call invoice_sync.run_sweep()"));
        wait_until("it waits", || shop.stripe.count_of("/v1/checkout") > asked);
        attempt(
            &mut shop.db,
            &format!("select pg_terminate_backend({process}, 10000)"),
        )
        .expect("a superuser may");
        swept.join().expect("no panic").expect_err("it is ended");
    });
    shop.stripe.clear_faults();
    let sent = i64::try_from(shop.stripe.count_of("/v1/")).expect("few");
    let counted = used(&mut shop) - before;
    // The one that hung when its session was ended is nobody's to count.
    assert_eq!(counted, sent - 1);
}

#[test]
fn what_a_month_has_used_stands_in_the_row_of_a_scheduled_sweep() {
    let mut shop = Shop::open();
    shop.execute("update invoice_sync.settings set monthly_read_budget = 10000");
    run(&mut shop.db);
    run(&mut shop.db);
    let reads = last_run(&mut shop)["monthly_reads"].clone();
    assert_eq!(reads["budget"], json!(10_000));
    assert_eq!(reads["used"], json!(1), "the first one's");
    assert!(reads["forecast"].is_number(), "{reads}");
}

#[test]
fn without_requests_left_nothing_due_is_touched_and_what_rows_show_is_done() {
    let mut shop = Shop::open();
    for number in 0..20 {
        let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ('INV-{number}', 'Customer', 'Sent', 100, '{}')",
            open.session_id()
        ));
    }
    run(&mut shop.db);
    shop.execute("update invoice_sync.invoice_check set next_check_at = now() - interval '1 hour'");
    shop.execute("update invoice_sync.settings set monthly_read_budget = 1");
    // Never asked about, and paid in cash besides.
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('CASH', 'Customer', 'Sent', 100, '{}');
        insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 100 from invoices where invoice_number = 'CASH'",
        open.session_id()
    ));
    let cash = "(select id::text from invoices where invoice_number = 'CASH')";
    let rows = &format!(
        "select md5(string_agg(k::text || xmin::text, ',' order by invoice_id))
        from invoice_sync.invoice_check k where invoice_id <> {cash}"
    );
    let before = shop.text(rows);
    shop.stripe.reset_requests();
    run(&mut shop.db);
    assert_eq!(shop.stripe.count_of("/v1/"), 1, "the feed's");
    assert_eq!(shop.text(rows), before);
    assert_eq!(
        shop.text("select invoice_status from invoices where invoice_number = 'CASH'"),
        Some("Paid".into())
    );
    let due = format!(
        "select next_check_at <= now() from invoice_sync.invoice_check where invoice_id = {cash}"
    );
    assert_eq!(shop.text(&due), Some("true".into()), "its turn comes");
}

#[test]
fn a_backfill_waits_for_requests_and_goes_on_when_a_person_asks_for_it() {
    let mut shop = Shop::open();
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 90 * DAY);
    Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set stripe_session_id = null");
    shop.stripe.set_clock(now);
    shop.execute(
        "update invoice_sync.settings set monthly_read_budget = 1;
        insert into invoice_sync.backfill (since, until, list)
        values (now() - interval '100 days', now(), 'payment_intents')",
    );
    shop.stripe.reset_requests();
    run(&mut shop.db);
    assert_eq!(shop.stripe.count_of("/v1/payment_intents"), 0);
    shop.execute("call invoice_sync.backfill()");
    assert_eq!(shop.stripe.count_of("/v1/payment_intents"), 1);
}
