//! Everything that waits for a Stripe that does not answer ends in time.

use std::time::{Duration, Instant};

use postgres::Client;
use serde_json::json;
use stripe_double::Action;

use super::{always, useless_lists};
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json};
use crate::harness::{Shop, wait_until};

/// No backend ended in a way that makes the server restart all of them.
fn assert_no_crash(witness: &mut Client) {
    attempt(witness, "select 1").expect("a session that was there before is still there");
    let log = Server::main().log_text();
    for sign in [
        "terminated by signal",
        "PANIC",
        "panicked at",
        "exited with exit code",
    ] {
        let found = log.lines().find(|line| line.contains(sign));
        assert_eq!(found, None, "in the server's log");
    }
}

/// Who waits for a request that hangs waits for ten seconds (`invoice_sync.http_timeout`). What ends sooner did not wait
/// for it, however busy the machine is.
const LESS_THAN_A_REQUEST: Duration = Duration::from_secs(9);

fn pid(client: &mut Client) -> i32 {
    let row = client.query_one("select pg_backend_pid()", &[]);
    row.expect("a session has a process").get(0)
}

#[test]
fn cancel_ends_a_sweep_in_time_and_the_next_one_works() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 20);
    let mut witness = shop.connect();
    let mut sweeping = shop.connect();
    let process = pid(&mut sweeping);

    for call in [
        "invoice_sync.sweep()",
        "invoice_sync.sweep(dry_run => true)",
    ] {
        shop.stripe.reset_requests();
        shop.stripe.fault(always(Action::Hang));
        let (took, error) = std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                let ended = attempt_json(&mut sweeping, call);
                (Instant::now(), ended.expect_err("it is canceled"))
            });
            let stripe = &shop.stripe;
            wait_until("Stripe is asked", || stripe.count_of("/v1/") > 0);
            let begun = Instant::now();
            witness
                .execute("select pg_cancel_backend($1)", &[&process])
                .expect("a superuser may");
            let (ended, error) = running.join().expect("no panic");
            (ended - begun, error)
        });
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        assert!(took < LESS_THAN_A_REQUEST, "{took:?}");
        shop.stripe.clear_faults();
    }

    let report = attempt_json(&mut sweeping, "invoice_sync.sweep()");
    assert_eq!(report.expect("the session lives")["fixed"], json!(20));
    assert_no_crash(&mut witness);
}

#[test]
fn terminate_ends_a_session_with_requests_in_flight_and_harms_no_other() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 30);
    let mut witness = shop.connect();
    // Hanging, and in the middle of answers that come.
    for round in 0..10 {
        shop.stripe.reset_requests();
        shop.stripe.fault(match round % 2 {
            0 => always(Action::Hang),
            _ => always(Action::SlowBody {
                piece: 200,
                pause: Duration::from_millis(5),
            }),
        });
        let mut sweeping = shop.connect();
        let process = pid(&mut sweeping);
        std::thread::scope(|scope| {
            let running = scope
                .spawn(|| sweeping.query_one("select invoice_sync.sweep(dry_run => true)", &[]));
            let stripe = &shop.stripe;
            wait_until("Stripe is asked", || stripe.count_of("/v1/") > 0);
            witness
                .execute("select pg_terminate_backend($1)", &[&process])
                .expect("a superuser may");
            running.join().expect("no panic").expect_err("it is ended");
        });
        wait_until("the process is gone", || {
            witness
                .query("select from pg_stat_activity where pid = $1", &[&process])
                .expect("the view is read")
                .is_empty()
        });
        shop.stripe.clear_faults();
    }
    assert_eq!(shop.sweep()["fixed"], json!(30));
    assert_no_crash(&mut witness);
}

#[test]
fn the_button_answers_within_six_seconds_whatever_stripe_does() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let slow = Action::SlowBody {
        piece: 1,
        pause: Duration::from_millis(100),
    };
    for action in [Action::Hang, slow, Action::Reset] {
        shop.stripe.clear_faults();
        shop.stripe.fault(always(action.clone()));
        let begun = Instant::now();
        let error = shop.error(&format!("select {}", sale.sync()));
        let took = begun.elapsed();
        assert_eq!(error.sqlstate, "08006", "{action:?}: {error:?}");
        assert!(took < LESS_THAN_A_REQUEST, "{action:?}: {took:?}");
    }
}

#[test]
fn max_duration_bounds_a_sweep_and_what_was_not_asked_is_asked_next_time() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 50);
    shop.stripe.fault(always(Action::Hang));

    let begun = Instant::now();
    let report = shop.json("invoice_sync.sweep(max_duration => '1 second')");
    let took = begun.elapsed();

    assert!(took < LESS_THAN_A_REQUEST, "{took:?}");
    assert_eq!(report["success"], json!(false), "{report:#}");
    assert_eq!(report["error"]["sqlstate"], json!("08006"));
    shop.stripe.clear_faults();
    let report = shop.sweep();
    assert_eq!(
        (&report["success"], &report["fixed"]),
        (&json!(true), &json!(50))
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_slow_stripe_and_little_time_repair_what_they_can() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 50);
    shop.configure("http_concurrency", "2");
    shop.stripe.fault(useless_lists());
    shop.stripe.set_latency(Duration::from_millis(200));

    let report = shop.json("invoice_sync.sweep(max_duration => '3 seconds')");

    let fixed = report["fixed"].as_i64().unwrap_or_default();
    assert!((1..50).contains(&fixed), "{fixed}");
    assert_eq!(
        report["success"],
        json!(true),
        "the rest is for the next sweep"
    );
    shop.stripe.set_latency(Duration::ZERO);
    assert_eq!(shop.sweep()["fixed"], json!(50 - fixed));
}
