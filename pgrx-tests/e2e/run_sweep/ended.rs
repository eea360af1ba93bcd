//! A sweep that is cancelled, and the next one.

use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use stripe_double::{Action, Fault};

use super::{DOZE, last_run, run, useless_lists};
use crate::harness::sale::Sale;
use crate::harness::server::attempt;
use crate::harness::{Shop, SqlError, wait_until};

const SALES: usize = 20;

fn pid(client: &mut Client) -> i32 {
    let row = client.query_one("select pg_backend_pid()", &[]);
    row.expect("a session has a process").get(0)
}

/// Where a sweep waits when it is ended: for the feed, for a page of a list, for
/// an object.
fn waits() -> [Vec<Fault>; 3] {
    let hang = || Fault::new(Action::Hang).always();
    [
        vec![hang().on_path("/v1/events")],
        vec![hang().on_path("/v1/checkout/sessions")],
        vec![useless_lists(), hang().on_path("/v1/checkout/sessions/")],
    ]
}

fn shop_with_faults(faults: Vec<Fault>) -> Shop {
    let mut shop = Shop::open();
    Sale::many(&mut shop, SALES);
    faults
        .into_iter()
        .for_each(|fault| shop.stripe.fault(fault));
    shop
}

/// Sweeps until Stripe hangs, and lets it be ended.
fn end(shop: &Shop, sweeping: &mut Client, end: impl FnOnce(i32)) -> Result<(), postgres::Error> {
    let process = pid(sweeping);
    shop.stripe.reset_requests();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sweeping.batch_execute("call invoice_sync.run_sweep()"));
        wait_until("a request hangs for which there is a fault", || {
            let requests = shop.stripe.requests();
            let unanswered = |path: &str| {
                let seen = requests.iter().filter(|seen| seen.status.is_none());
                seen.filter(|seen| seen.path.starts_with(path)).count() > 0
            };
            unanswered("/v1/events") || unanswered("/v1/checkout")
        });
        end(process);
        running.join().expect("no panic")
    })
}

fn assert_all_is_repaired_by(shop: &mut Shop, session: &mut Client, how: &str) {
    shop.stripe.clear_faults();
    run(session);
    let wanted = Some(SALES.to_string());
    assert_eq!(shop.text("select count(*) from payments"), wanted, "{how}");
    assert_eq!(
        shop.text(
            "select error ->> 'message' from invoice_sync.run
            where not success and finished_at is not null order by id desc limit 1"
        ),
        Some("it was ended before it was done; the next run went on from there".to_owned()),
        "{how}"
    );
    assert_eq!(last_run(shop)["success"], true, "{how}");
}

#[test]
fn after_cancel_the_same_session_goes_on() {
    for faults in waits() {
        let how = format!("{faults:?}");
        let mut shop = shop_with_faults(faults);
        let mut sweeping = shop.connect();
        let mut witness = shop.connect();
        let error = end(&shop, &mut sweeping, |process| {
            witness
                .execute("select pg_cancel_backend($1)", &[&process])
                .expect("a superuser may");
        });
        let error = SqlError::from(&error.expect_err("it is canceled"));
        assert_eq!(error.sqlstate, "57014", "{how}: {error:?}");
        let held: i64 = sweeping
            .query_one(
                "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'object'",
                &[],
            )
            .expect("the session lives")
            .get(0);
        assert_eq!(held, 0, "{how}: the lock is given back");
        assert_all_is_repaired_by(&mut shop, &mut sweeping, &how);
    }
}

#[test]
fn after_a_statement_timeout_another_session_goes_on() {
    let mut shop = shop_with_faults(Vec::new());
    shop.execute(DOZE);
    let mut sweeping = shop.connect();
    let error = attempt(
        &mut sweeping,
        "set statement_timeout = '2s'; call invoice_sync.run_sweep()",
    );
    // Two statements in one message are one transaction, where it is refused.
    assert_eq!(error.expect_err("it is refused").sqlstate, "2D000");
    attempt(&mut sweeping, "set statement_timeout = '2s'").expect("it is set");
    let error = attempt(&mut sweeping, "call invoice_sync.run_sweep()");
    assert_eq!(error.expect_err("it takes too long").sqlstate, "57014");
    shop.execute("drop trigger doze on payments");
    let mut other = shop.connect();
    assert_all_is_repaired_by(&mut shop, &mut other, "statement_timeout");
    attempt(&mut sweeping, "reset statement_timeout").expect("the session lives");
    run(&mut sweeping);
}

/// Such as the two minutes of Supabase's role postgres, which pg_cron's jobs run as.
#[test]
fn a_sweep_that_waits_for_stripe_ends_in_order_before_a_statement_timeout() {
    let hang = Fault::new(Action::Hang).always();
    let mut shop = shop_with_faults(vec![hang.on_path("/v1/checkout/sessions")]);
    shop.skip_look_back();
    let mut session = shop.connect();
    for call in [
        "call invoice_sync.run_sweep()",
        "select invoice_sync.sweep()",
    ] {
        attempt(&mut session, "set statement_timeout = '4s'").expect("it is set");
        attempt(&mut session, call).expect("it ends before");
        let last = last_run(&mut shop);
        assert!(last["finished_at"].is_string(), "{call}: {last}");
    }
    shop.stripe.clear_faults();
    run(&mut session);
    let all = Some(SALES.to_string());
    assert_eq!(shop.text("select count(*) from payments"), all);
}

#[test]
fn a_sweep_whose_time_is_over_before_it_has_read_all_events_does_not_say_that_stripe_cannot_be_asked()
 {
    let mut shop = Shop::open();
    shop.skip_look_back();
    Sale::many(&mut shop, 300);
    shop.stripe.set_latency(Duration::from_secs(1));

    shop.execute("call invoice_sync.run_sweep('8 seconds')");

    let last = last_run(&mut shop);
    assert_eq!(
        (&last["success"], &last["error"]),
        (&json!(true), &Value::Null),
        "{last}"
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    let pages = shop.stripe.count_of("/v1/events");
    assert!((2..10).contains(&pages), "{pages} of at least 10");
    shop.stripe.set_latency(Duration::ZERO);
    run(&mut shop.db);
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some("300".into())
    );
}

#[test]
fn after_the_end_of_its_session_another_one_goes_on() {
    for faults in waits() {
        let how = format!("{faults:?}");
        let mut shop = shop_with_faults(faults);
        let mut sweeping = shop.connect();
        let mut other = shop.connect();
        end(&shop, &mut sweeping, |process| {
            other
                .execute("select pg_terminate_backend($1, 10000)", &[&process])
                .expect("a superuser may");
        })
        .expect_err("it is ended");
        assert_all_is_repaired_by(&mut shop, &mut other, &how);
    }
}

/// Killed when all was read, before its row said so: no later run continues it.
#[test]
fn the_row_of_a_backfill_that_ended_with_its_server_is_closed_by_the_next_sweep() {
    let mut shop = Shop::open();
    Sale::named(&mut shop, "INV-1");
    let mut session = shop.connect();
    attempt(
        &mut session,
        "call invoice_sync.backfill(now() - interval '1 day')",
    )
    .expect("it reads");
    shop.execute(
        "update invoice_sync.run set finished_at = null, success = false where kind = 'backfill'",
    );
    let ended = "select error ->> 'sqlstate' from invoice_sync.run where kind = 'backfill'";
    assert_eq!(shop.texts(ended), [None], "there is one, which is open");
    run(&mut session);
    assert_eq!(shop.texts(ended), [Some("57P01".to_owned())]);
}
