//! A sweep beside other writers of the same rows: the application, a webhook, a backfill.

use std::collections::BTreeMap;

use postgres::Client;
use stripe_double::{Action, Checkout, Fault};

use super::{run, useless_lists};
use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::{attempt, attempt_json};
use crate::harness::{Shop, SqlError, wait_until};

const CALL: &str = "call invoice_sync.run_sweep()";

fn lock(client: &mut Client, invoice: &str) {
    let statement = format!("begin; select from invoices where id::text = '{invoice}' for update");
    attempt(client, &statement).expect("nobody else has it");
}

fn wait_until_so_many_wait(observer: &mut Client, sessions: i64) {
    wait_until("sessions wait for locks", || {
        let waiting: i64 = observer
            .query_one(
                "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'",
                &[],
            )
            .expect("the view is read")
            .get(0);
        waiting >= sessions
    });
}

/// The event of the first sale.
fn completed(shop: &Shop) -> String {
    let events = shop.stripe.events();
    let completed = events
        .iter()
        .find(|event| event["type"] == "checkout.session.completed");
    completed.expect("there is one").to_string()
}

fn paid(shop: &mut Shop) -> String {
    shop.text("select count(*) from invoices where invoice_status = 'Paid'")
        .expect("a number")
}

/// Paid by hand, and open by mistake: what the rows alone tell.
fn open_by_mistake(shop: &mut Shop, count: usize) {
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        select 'LOCAL-' || n, 'Customer', 'Sent', 100 from generate_series(1, {count}) n;
        insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 100 from invoices where invoice_number like 'LOCAL-%';
        update invoice_sync.settings set local_check_budget_ms = 10000"
    ));
}

#[test]
fn a_sweep_and_a_webhook_at_one_event_let_each_other_pass() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set webhook_budget_ms = 20000");
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let completed = completed(&shop);
    let (mut holder, mut sweeping, mut webhook) = (shop.connect(), shop.connect(), shop.connect());
    lock(&mut holder, &sale.invoice);
    // If one had to give way, it would be the sweep.
    attempt(&mut webhook, "set deadlock_timeout = '60s'").expect("it is set");
    attempt(&mut sweeping, "set deadlock_timeout = '100ms'").expect("it is set");

    std::thread::scope(|scope| {
        let swept = scope.spawn(|| attempt(&mut sweeping, CALL));
        wait_until_so_many_wait(&mut shop.db, 1);
        // It has the event, and stands in line for the invoice behind the sweep.
        let delivered = scope.spawn(|| deliver(&mut webhook, &completed));
        wait_until_so_many_wait(&mut shop.db, 2);
        attempt(&mut holder, "commit").expect("it ends");
        swept.join().expect("no panic").expect("the sweep is done");
        delivered.join().expect("no panic").expect("it is taken in");
    });

    let booked = shop.text("select count(*) from payments");
    assert_eq!(booked, Some("1".into()));
    // The event of its charge is not stored, because the intent has its own.
    let states = shop.texts("select distinct state from invoice_sync.event");
    assert_eq!(states, [Some("done".to_owned())]);
}

#[test]
fn while_it_waits_for_an_invoice_all_else_is_committed() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    open_by_mistake(&mut shop, 1_100);
    let last = shop.text("select max(id::text) from invoices where invoice_number like 'LOCAL-%'");
    let mut holder = shop.connect();
    lock(&mut holder, &last.expect("there is one"));
    let mut sweeping = shop.connect();

    std::thread::scope(|scope| {
        let swept = scope.spawn(|| attempt(&mut sweeping, CALL));
        wait_until_so_many_wait(&mut shop.db, 1);
        let paid = paid(&mut shop);
        let free = shop
            .rows("select from invoices for update skip locked")
            .len();
        attempt(&mut holder, "commit").expect("it ends");
        swept.join().expect("no panic").expect("it is done");
        assert_eq!(paid, "1102", "all but the one that is waited for");
        assert_eq!(free, 1_102, "and none of them is locked");
    });
    assert_eq!(paid(&mut shop), "1103");
}

#[test]
fn an_invoice_that_stays_locked_is_put_off_and_the_sweep_ends() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 5);
    let mut holder = shop.connect();
    lock(&mut holder, &sales[2].invoice);
    let mut sweeping = shop.connect();
    attempt(
        &mut sweeping,
        "set lock_timeout = '200ms'; set statement_timeout = '20s'",
    )
    .expect("they are set");
    attempt(&mut sweeping, CALL).expect("it does not wait for ever");
    assert_eq!(paid(&mut shop), "4");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    attempt(&mut holder, "commit").expect("it ends");
    run(&mut sweeping);
    assert_eq!(paid(&mut shop), "5", "it is still due");
}

#[test]
fn without_a_limit_of_the_callers_a_lock_is_waited_for_some_seconds_at_the_most() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let mut holder = shop.connect();
    lock(&mut holder, &sale.invoice);
    shop.execute("set statement_timeout = '60s'");
    shop.execute(CALL);
    shop.execute("select invoice_sync.sweep()");
    assert_eq!(
        shop.text("select current_setting('lock_timeout')"),
        Some("0".into()),
        "the caller has what it had"
    );
    attempt(&mut holder, "commit").expect("it ends");
    shop.sweep();
    assert_eq!(paid(&mut shop), "1");
}

#[test]
fn sweep_locks_no_invoice_while_a_request_is_in_flight() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 230);
    shop.stripe.fault(useless_lists());
    let last = Fault::new(Action::Hang).always();
    shop.stripe.fault(last.on_object(&sales[0].session));
    let mut sweeping = shop.connect();
    let mut canceling = shop.connect();
    let process: i32 = sweeping
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0);
    std::thread::scope(|scope| {
        let swept = scope.spawn(|| attempt_json(&mut sweeping, "invoice_sync.sweep()"));
        wait_until("all but one are answered", || {
            let requests = shop.stripe.requests();
            let answered = requests.iter().filter(|seen| seen.status == Some(200));
            answered
                .filter(|seen| seen.path.contains("cs_test"))
                .count()
                == 229
        });
        // Had it begun to write, it would be done with a portion soon.
        let mut free = Vec::new();
        for _ in 0..50 {
            free.push(
                shop.rows("select from invoices for update skip locked")
                    .len(),
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        canceling
            .execute("select pg_cancel_backend($1)", &[&process])
            .expect("a superuser may");
        swept.join().expect("no panic").expect_err("it is ended");
        assert_eq!(free, [230; 50]);
    });
}

#[test]
fn a_delivery_of_an_event_that_a_running_sweep_has_read_is_answered_in_time() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set webhook_budget_ms = 200");
    Sale::unbooked(&mut shop, "INV-1");
    let event = completed(&shop);
    let mut sweeping = shop.connect();
    attempt(&mut sweeping, "begin; select invoice_sync.sweep()").expect("it sweeps");
    attempt(&mut shop.db, "set statement_timeout = '20s'").expect("it is set");
    let error = deliver(&mut shop.db, &event).expect_err("nobody knows how the sweep ends");
    assert_eq!(error.sqlstate, "58000", "Stripe comes again: {error:?}");
    attempt(&mut sweeping, "rollback").expect("it ends");
    deliver(&mut shop.db, &event).expect("it is taken in");
}

/// In an order of its own: the later invoice's check first.
#[test]
fn who_locks_the_ledger_the_other_way_round_does_not_end_a_sweep() {
    for call in [CALL, "call invoice_sync.backfill(now() - interval '1 day')"] {
        let mut shop = Shop::open();
        let mut invoices: Vec<String> = Sale::many(&mut shop, 4)
            .into_iter()
            .map(|sale| sale.invoice)
            .collect();
        invoices.sort();
        // Known, and asked about again.
        shop.execute(
            "insert into invoice_sync.invoice_check (invoice_id, stored_ids)
            select id::text, '{}' from invoices",
        );
        let touch = |client: &mut Client, invoice: &str| -> Result<(), SqlError> {
            let set = "update invoice_sync.invoice_check set back_off = null";
            attempt(client, &format!("{set} where invoice_id = '{invoice}'"))
        };
        let (mut other, mut sweeping) = (shop.connect(), shop.connect());
        attempt(&mut other, "set deadlock_timeout = '60s'; begin").expect("it begins");
        attempt(&mut sweeping, "set deadlock_timeout = '100ms'").expect("it is set");
        // After the questions were begun: the answers wait for this.
        let latency = Fault::new(Action::Latency(std::time::Duration::from_secs(2)));
        shop.stripe.fault(latency.on_path("/v1/checkout"));
        std::thread::scope(|scope| {
            let swept = scope.spawn(|| attempt(&mut sweeping, call));
            wait_until("Stripe is asked", || {
                shop.stripe.count_of("/v1/checkout") > 0
            });
            touch(&mut other, &invoices[3]).expect("nobody has it");
            wait_until_so_many_wait(&mut shop.db, 1);
            touch(&mut other, &invoices[0]).expect("the sweep gave way");
            attempt(&mut other, "commit").expect("it ends");
            let swept = swept.join().expect("no panic");
            swept.unwrap_or_else(|error| panic!("{call}: {error:?}"));
        });
        run(&mut sweeping);
        assert_eq!(paid(&mut shop), "4", "{call}");
    }
}

/// A shop with three invoices that are open by mistake, the session that has locked one of them, and an impatient one.
fn with_one_of_three_locked() -> (Shop, Client, Client) {
    let mut shop = Shop::open();
    open_by_mistake(&mut shop, 3);
    let one = shop.text("select max(id::text) from invoices");
    let mut holder = shop.connect();
    lock(&mut holder, &one.expect("there is one"));
    let mut sweeping = shop.connect();
    attempt(&mut sweeping, "set lock_timeout = '200ms'").expect("it is set");
    (shop, holder, sweeping)
}

#[test]
fn an_invoice_that_is_wrong_by_its_rows_alone_is_repaired_once_it_is_unlocked() {
    let (mut shop, mut holder, mut sweeping) = with_one_of_three_locked();
    for _ in 0..2 {
        run(&mut sweeping);
        assert_eq!(paid(&mut shop), "2");
    }
    attempt(&mut holder, "commit").expect("it ends");
    run(&mut sweeping);
    assert_eq!(paid(&mut shop), "3");
}

#[test]
fn what_is_due_by_its_rows_stays_due_until_a_sweep_has_decided_about_it() {
    let (mut shop, mut holder, mut sweeping) = with_one_of_three_locked();
    run(&mut sweeping);
    attempt(&mut holder, "rollback").expect("it ends");
    assert_eq!(paid(&mut shop), "2");

    // It has selected the invoice, and waits for Stripe's answer about another one.
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let hangs = Fault::new(Action::Hang).always();
    shop.stripe.fault(hangs.on_path("/v1/checkout"));
    let process: i32 = sweeping
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0);
    std::thread::scope(|scope| {
        let swept = scope.spawn(|| sweeping.batch_execute(CALL));
        wait_until("Stripe is asked", || {
            shop.stripe.count_of("/v1/checkout") > 0
        });
        shop.execute(&format!("select pg_terminate_backend({process}, 10000)"));
        swept.join().expect("no panic").expect_err("it is ended");
    });
    shop.stripe.clear_faults();
    run(&mut shop.db);
    let number = format!(
        "select invoice_status from invoices where id = '{}'",
        sale.invoice
    );
    assert_eq!(shop.text(&number), Some("Paid".into()));
    assert_eq!(paid(&mut shop), "4");
}

#[test]
fn one_locked_issue_keeps_no_other_from_being_raised() {
    let mut shop = Shop::open();
    let paid_without_payment = |shop: &mut Shop, number: &str| {
        let id: String = shop.rows(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount)
            values ('{number}', 'Customer', 'Paid', 100) returning id::text"
        ))[0]
            .get(0);
        id
    };
    let first = paid_without_payment(&mut shop, "INV-1");
    run(&mut shop.db);
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);
    for number in 2..=9 {
        paid_without_payment(&mut shop, &format!("INV-{number}"));
    }
    let mut holder = shop.connect();
    attempt(
        &mut holder,
        &format!("begin; select invoice_sync.sync_invoice('{first}')"),
    )
    .expect("nobody else has it");
    let mut sweeping = shop.connect();
    attempt(&mut sweeping, "set lock_timeout = '200ms'").expect("it is set");
    run(&mut sweeping);
    let all: Vec<String> = (1..=9)
        .map(|number| format!("paid_without_payment INV-{number}"))
        .collect();
    assert_eq!(shop.open_issues(), all, "though the first one is locked");
    attempt(&mut holder, "rollback").expect("it ends");
    run(&mut sweeping);
    assert_eq!(shop.open_issues(), all);
}

/// How often each object was asked for by itself.
fn asked_for(shop: &Shop) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for seen in shop.stripe.requests() {
        if let Some(session) = seen.path.strip_prefix("/v1/checkout/sessions/") {
            *asked.entry(session.to_owned()).or_default() += 1;
        }
    }
    asked
}

#[test]
fn a_sweep_asks_once_about_each_invoice_whatever_another_session_has_locked() {
    let mut shop = Shop::open();
    shop.stripe.fault(useless_lists());
    for number in 0..20 {
        let session = shop.stripe.checkout(Checkout::new(10_000, "usd"));
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ('INV-{number}', 'Customer', 'Sent', 100, '{}')",
            session.session_id()
        ));
    }
    run(&mut shop.db);
    shop.make_all_due();
    let one = shop.text("select max(id::text) from invoices");
    let mut holder = shop.connect();
    let press = format!(
        "begin; select invoice_sync.sync_invoice('{}')",
        one.expect("there is one")
    );
    attempt(&mut holder, &press).expect("nobody else has it");
    shop.stripe.reset_requests();
    let mut sweeping = shop.connect();
    attempt(&mut sweeping, "set lock_timeout = '200ms'").expect("it is set");
    attempt(&mut sweeping, "call invoice_sync.run_sweep('40 seconds')").expect("it sweeps");
    let asked = asked_for(&shop);
    assert_eq!(asked.len(), 20, "{asked:?}");
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    // The answers about all others are on record.
    let due = "select count(*) from invoice_sync.invoice_check where next_check_at <= now()";
    assert_eq!(shop.text(due), Some("1".into()));
    attempt(&mut holder, "rollback").expect("it ends");
    run(&mut sweeping);
    assert_eq!(shop.text(due), Some("0".into()));
}

#[test]
fn a_sweep_asks_once_about_each_event_whatever_another_session_has_locked() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        sessions.push(paid.session_id());
    }
    shop.stripe.fault(useless_lists());
    for session in &sessions {
        let broken = Fault::new(Action::Html(200)).always();
        shop.stripe.fault(broken.on_object(session));
    }
    run(&mut shop.db);
    shop.stripe.clear_faults();
    shop.stripe.fault(useless_lists());
    shop.execute("update invoice_sync.event set next_attempt_at = now() where state = 'pending'");
    let mut holder = shop.connect();
    let hold = format!(
        "begin; select from invoice_sync.event where session_id = '{}' for update",
        sessions[2]
    );
    attempt(&mut holder, &hold).expect("nobody else has it");
    shop.stripe.reset_requests();
    attempt(&mut shop.db, "call invoice_sync.run_sweep('40 seconds')").expect("it sweeps");
    let asked = asked_for(&shop);
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    attempt(&mut holder, "rollback").expect("it ends");
    run(&mut shop.db);
    let pending = "select count(*) from invoice_sync.event where state = 'pending'";
    assert_eq!(shop.text(pending), Some("0".into()));
}

/// How a payment comes to an invoice.
#[derive(Clone, Copy, Debug)]
enum Door {
    Webhook,
    Sweep,
    Backfill,
}

#[test]
fn money_for_an_invoice_whose_deletion_commits_meanwhile_is_reported() {
    for door in [Door::Webhook, Door::Sweep, Door::Backfill] {
        let mut shop = Shop::with_webhooks();
        shop.skip_look_back();
        shop.execute("update invoice_sync.settings set webhook_budget_ms = 20000");
        let id = "7d8e6b50-0000-4000-8000-000000000001";
        shop.execute(&format!(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
            values ('{id}', 'INV-1', 'Customer', 'Sent', 100)"
        ));
        let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", id);
        shop.stripe.checkout(checkout).pay();
        let event = completed(&shop);
        let (mut deleting, mut working) = (shop.connect(), shop.connect());
        attempt(&mut deleting, "begin; delete from invoices").expect("nobody else has it");
        std::thread::scope(|scope| {
            let worked = scope.spawn(|| match door {
                Door::Webhook => deliver(&mut working, &event).map(|_| ()),
                Door::Sweep => attempt(&mut working, CALL),
                Door::Backfill => attempt(
                    &mut working,
                    "call invoice_sync.backfill(now() - interval '1 day')",
                ),
            });
            wait_until_so_many_wait(&mut shop.db, 1);
            attempt(&mut deleting, "commit").expect("it ends");
            let worked = worked.join().expect("no panic");
            worked.unwrap_or_else(|error| panic!("{door:?}: {error:?}"));
        });
        shop.age(2 * 60 * 60);
        run(&mut shop.db);
        assert_eq!(shop.open_issues(), ["unlinked_payment -"], "{door:?}");
    }
}
