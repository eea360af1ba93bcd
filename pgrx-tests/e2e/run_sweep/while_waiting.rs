//! While a sweep waits for Stripe, it holds no lock that others wait for, and no snapshot.

use std::time::{Duration, Instant};

use postgres::Client;
use stripe_double::{Action, Double, Fault, Intent};

use super::useless_lists;
use crate::harness::sale::Sale;
use crate::harness::{Shop, wait_until};

const LATENCY: Duration = Duration::from_millis(900);

/// Who asked for something this long ago is waiting for it by now.
const SURELY_WAITING: Duration = Duration::from_millis(300);

/// What a session holds at a moment: its snapshot, its transaction's number, its
/// locks; but for the lock on its own virtual transaction, which everybody has.
const HELD: &str = "
    select array_remove(array[
               'snapshot ' || a.backend_xmin::text, 'transaction ' || a.backend_xid::text], null)
           || array(select concat_ws(' ', l.locktype, l.mode, l.relation::regclass)
                    from pg_locks l
                    where l.pid = a.pid and l.locktype <> 'virtualxid'
                    order by 1)
    from pg_stat_activity a
    where a.pid = $1";

/// The lock by which one sweep works at a time.
const ITS_TURN: &str = "object ExclusiveLock";

fn held(observer: &mut Client, process: i32) -> Vec<String> {
    let row = observer.query_one(HELD, &[&process]);
    row.expect("the session is there").get(0)
}

fn pid(client: &mut Client) -> i32 {
    let row = client.query_one("select pg_backend_pid()", &[]);
    row.expect("a session has a process").get(0)
}

/// The request that has been under way longest: its path, and when it arrived.
fn longest_waiting(stripe: &Double) -> Option<(String, Instant)> {
    let requests = stripe.requests().into_iter();
    let waiting = requests.filter(|seen| seen.status.is_none());
    waiting
        .map(|seen| (seen.path, seen.arrived))
        .min_by_key(|(_, arrived)| *arrived)
}

/// What `statement` holds whenever it surely waits, and for what it waits then.
fn watch(shop: &mut Shop, statement: &str) -> Vec<(String, Vec<String>)> {
    let mut sweeping = shop.connect();
    let process = pid(&mut sweeping);
    let (stripe, observer) = (&shop.stripe, &mut shop.db);
    stripe.reset_requests();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sweeping.batch_execute(statement));
        let mut samples = Vec::new();
        while !running.is_finished() {
            let before = longest_waiting(stripe);
            if let Some((path, arrived)) = before.clone()
                && arrived.elapsed() >= SURELY_WAITING
            {
                let held = held(observer, process);
                if longest_waiting(stripe) == before {
                    samples.push((path, held));
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = running.join().expect("no panic");
        ended.unwrap_or_else(|error| panic!("{}", crate::harness::tell(&error)));
        samples
    })
}

/// Few enough that all their answers are one portion: while one is missing,
/// nothing is written. Two objects are not worth a list.
fn slow_shop() -> Shop {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 40);
    for number in 0..2 {
        let paid = shop.stripe.intent(Intent::new(10_000, "usd")).pay();
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, total_amount, stripe_payment_intent)
            values ('PI-{number}', 'Customer', 100, '{}')",
            paid.intent_id()
        ));
    }
    shop.stripe.set_latency(LATENCY);
    shop
}

#[test]
fn while_it_waits_it_has_no_snapshot_and_no_lock_but_its_turn() {
    let mut shop = slow_shop();
    let samples = watch(&mut shop, "call invoice_sync.run_sweep()");

    let unquiet = samples.iter().find(|(_, held)| *held != [ITS_TURN]);
    assert_eq!(unquiet, None, "of {} samples", samples.len());
    for wait in [
        "/v1/events",
        "/v1/checkout/sessions",
        "/v1/payment_intents/pi_",
    ] {
        let of_it = samples.iter().filter(|(path, _)| path.starts_with(wait));
        assert!(of_it.count() >= 5, "it was watched waiting for {wait}");
    }
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some("42".into())
    );
}

#[test]
fn the_same_watch_sees_what_sweep_holds_in_its_callers_transaction() {
    let mut shop = slow_shop();
    let samples = watch(&mut shop, "select invoice_sync.sweep()");
    let holds = |what: &str| {
        let mut all = samples.iter().flat_map(|(_, held)| held);
        all.any(|held| held.starts_with(what))
    };
    assert!(holds("snapshot"), "{samples:#?}");
    assert!(holds("relation AccessShareLock invoices"), "{samples:#?}");
}

#[test]
fn between_two_portions_it_holds_nothing_of_the_first() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 230);
    shop.stripe.fault(useless_lists());
    let last = Fault::new(Action::Hang).always();
    shop.stripe.fault(last.on_object(&sales[0].session));
    let mut sweeping = shop.connect();
    let process = pid(&mut sweeping);
    let mut canceling = shop.connect();

    let samples: Vec<Vec<String>> = std::thread::scope(|scope| {
        let running = scope.spawn(|| sweeping.batch_execute("call invoice_sync.run_sweep()"));
        wait_until(
            "all but the last were answered and a portion is written",
            || shop.text("select count(*) >= 200 from payments") == Some("true".into()),
        );
        let samples = (0..50).map(|_| held(&mut shop.db, process)).collect();
        canceling
            .execute("select pg_cancel_backend($1)", &[&process])
            .expect("a superuser may");
        running.join().expect("no panic").expect_err("it is ended");
        samples
    });

    assert!(
        samples.iter().all(|held| *held == [ITS_TURN]),
        "{samples:#?}"
    );
}
