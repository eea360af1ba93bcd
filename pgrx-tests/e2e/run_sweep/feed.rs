//! Reading the feed of events: its pages, gaps, and events that cannot be processed.

use serde_json::json;
use stripe_double::{Action, Checkout, Fault, Intent};

use super::run;
use crate::harness::sale::Sale;
use crate::harness::sender::{deliver, now};
use crate::harness::server::{Server, attempt};
use crate::harness::{Shop, wait_until};

const HOUR: i64 = 60 * 60;

/// A sale that only its events tell of, this long ago.
pub(crate) fn sell(shop: &mut Shop, number: usize, seconds_ago: i64) -> String {
    let id = format!("7d8e6b50-0000-4000-8000-{number:012}");
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
        values ('{id}', 'INV-{number}', 'Customer', 'Sent', 100)"
    ));
    let at = now() - seconds_ago;
    shop.stripe.set_clock(at);
    let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", id);
    let paid = shop.stripe.checkout(checkout).pay();
    shop.stripe.set_clock(now());
    paid.session_id()
}

pub(crate) fn paid(shop: &mut Shop) -> Vec<String> {
    let numbers =
        shop.texts("select invoice_number from invoices where invoice_status = 'Paid' order by 1");
    numbers.into_iter().flatten().collect()
}

#[test]
fn the_feed_is_first_read_a_day_back() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    sell(&mut shop, 1, 25 * HOUR);
    sell(&mut shop, 2, 23 * HOUR);
    run(&mut shop.db);
    assert_eq!(paid(&mut shop), ["INV-2"]);
}

#[test]
fn a_backlog_that_breaks_at_every_page_is_read_to_its_end_and_no_page_twice() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    const SALES: usize = 160;
    for number in 0..SALES {
        sell(&mut shop, number, 2 * HOUR);
    }
    // A page of the backlog a sweep: the first one asks for the newest, every
    // other one for what is newer than that, too.
    let mut sweeps = 0;
    while paid(&mut shop).len() < SALES {
        let good = if sweeps == 0 { 1 } else { 2 };
        let broken = Fault::new(Action::Status(500)).should_retry("false");
        shop.stripe
            .fault(broken.on_path("/v1/events").nth(good + 1));
        run(&mut shop.db);
        shop.stripe.clear_faults();
        sweeps += 1;
        assert!(
            sweeps < 20,
            "{} of {SALES} are found",
            paid(&mut shop).len()
        );
    }
    assert!(sweeps > 2, "it was more than two pages");

    let mut asked: Vec<String> = shop
        .stripe
        .requests()
        .iter()
        .filter(|seen| seen.path == "/v1/events" && seen.status == Some(200))
        .filter_map(|seen| seen.param("starting_after"))
        .collect();
    let pages = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), pages, "no page was read twice");
}

#[test]
fn events_that_nobody_read_for_30_days_are_reported() {
    for call in ["sweep", "run_sweep"] {
        let mut shop = Shop::open();
        sell(&mut shop, 1, 2 * HOUR);
        run(&mut shop.db);
        shop.execute(
            "update invoice_sync.feed
            set place = jsonb_build_object(
                'read_at', extract(epoch from now() - interval '40 days')::bigint,
                'anchor', jsonb_build_object('id', 'evt_long_gone',
                    'created', extract(epoch from now() - interval '41 days')::bigint))",
        );
        sell(&mut shop, 2, 29 * 24 * HOUR);
        let message = if call == "sweep" {
            shop.sweep()["message"].as_str().map(str::to_owned)
        } else {
            let (mut session, notices) = Server::main().connect_listening(shop.name(), "postgres");
            run(&mut session);
            Some(notices.text())
        };
        let message = message.expect("it says something");
        assert!(
            message.contains("Stripe no longer has the events of 242 hours"),
            "{message}"
        );
        assert!(message.contains("invoice_sync.progress"), "{message}");
        let remark = shop.text(
            "select remark from invoice_sync.run where kind = 'sweep' order by id desc limit 1",
        );
        let remark = remark.expect("the run's row says so, too");
        assert!(message.contains(&remark), "{remark}");
        assert_eq!(paid(&mut shop), ["INV-1", "INV-2"], "what is kept is read");
        assert!(
            !shop.sweep()["message"].to_string().contains("gone"),
            "it is reported once"
        );
    }
}

/// Nobody has read the feed for so many hours, and it has more than a page of events since.
fn nobody_read_for(shop: &mut Shop, hours: i64) {
    shop.skip_look_back();
    shop.execute(&format!(
        "update invoice_sync.feed set place = jsonb_build_object('read_at',
            extract(epoch from now() - interval '{hours} hours')::bigint)"
    ));
    // Old enough to continue from.
    shop.stripe.set_clock(now() - HOUR);
    for _ in 0..60 {
        shop.stripe.intent(Intent::new(500, "usd")).pay();
    }
    shop.stripe.set_clock(now());
}

#[test]
fn a_gap_is_looked_through_though_the_reading_that_found_it_is_ended_after_a_page() {
    let mut shop = Shop::open();
    sell(&mut shop, 1, 45 * 24 * HOUR);
    nobody_read_for(&mut shop, 60 * 24);
    let hangs = Fault::new(Action::Hang).on_path("/v1/events").nth(2);
    shop.stripe.fault(hangs);
    let mut sweeping = shop.connect();
    let process: i32 = sweeping
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0);
    std::thread::scope(|scope| {
        let swept = scope.spawn(|| attempt(&mut sweeping, "call invoice_sync.run_sweep()"));
        wait_until(
            "the first page is stored and the second one asked for",
            || {
                let read = "select to_jsonb(count(*) > 0) from invoice_sync.feed
                where read_at > now() - interval '1 day'";
                shop.stripe.count_of("/v1/events") == 2 && shop.text(read) == Some("true".into())
            },
        );
        shop.execute(&format!("select pg_terminate_backend({process}, 10000)"));
        swept.join().expect("no panic").expect_err("it is ended");
    });
    shop.stripe.clear_faults();
    for _ in 0..2 {
        run(&mut shop.db);
    }
    assert_eq!(paid(&mut shop), ["INV-1"]);
}

#[test]
fn a_gap_of_some_hours_is_looked_through_though_the_second_page_fails() {
    let mut shop = Shop::open();
    sell(&mut shop, 1, 30 * 24 * HOUR + 3 * HOUR);
    nobody_read_for(&mut shop, 30 * 24 + 6);
    let broken = Fault::new(Action::Status(500)).should_retry("false");
    shop.stripe.fault(broken.on_path("/v1/events").nth(2));
    for _ in 0..2 {
        run(&mut shop.db);
        shop.stripe.clear_faults();
    }
    assert_eq!(paid(&mut shop), ["INV-1"]);
}

#[test]
fn an_event_that_fails_again_and_again_is_an_issue_until_it_works() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let session = sell(&mut shop, 1, HOUR);
    shop.stripe
        .fault(Fault::new(Action::Html(200)).always().on_object(&session));
    for attempt in 1..=8 {
        assert_eq!(
            shop.open_issues(),
            Vec::<String>::new(),
            "before attempt {attempt}"
        );
        run(&mut shop.db);
        shop.execute(
            "update invoice_sync.event set next_attempt_at = now() where state = 'pending'",
        );
    }
    assert_eq!(shop.open_issues(), ["event_failing -"]);
    run(&mut shop.db);
    assert_eq!(shop.open_issues(), ["event_failing -"], "it is one issue");

    shop.stripe.clear_faults();
    shop.execute("update invoice_sync.event set next_attempt_at = now() where state = 'pending'");
    run(&mut shop.db);
    assert_eq!(paid(&mut shop), ["INV-1"]);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn an_event_that_cannot_be_read_is_reported_and_keeps_no_other_away() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    sell(&mut shop, 1, 3 * HOUR);
    sell(&mut shop, 2, 2 * HOUR);
    sell(&mut shop, 3, HOUR);
    let events = shop.stripe.events();
    let spoilt = events
        .iter()
        .filter(|event| event["type"] == "checkout.session.completed")
        .nth(1);
    let spoilt = spoilt.expect("there is one")["id"]
        .as_str()
        .expect("a text");
    shop.stripe.remove_field(spoilt, "livemode");
    run(&mut shop.db);
    assert_eq!(
        shop.text(
            "select format('%s %s', success, stripe_errors) from invoice_sync.run order by id desc limit 1"
        ),
        Some("t 1".into())
    );
    let paid = paid(&mut shop);
    assert!(
        paid.contains(&"INV-1".into()) && paid.contains(&"INV-3".into()),
        "{paid:?}"
    );
    assert_eq!(
        shop.text(
            "select evidence ->> 'event' from invoice_sync.issue where kind = 'event_failing'"
        ),
        Some(spoilt.to_owned())
    );
    // The feed goes on from there.
    sell(&mut shop, 4, 0);
    run(&mut shop.db);
    assert!(self::paid(&mut shop).contains(&"INV-4".into()));
}

#[test]
fn a_delivery_that_works_in_the_end_resolves_the_issue_of_its_event() {
    let mut shop = Shop::with_webhooks();
    shop.skip_look_back();
    let session = sell(&mut shop, 1, HOUR);
    shop.stripe
        .fault(Fault::new(Action::Html(200)).always().on_object(&session));
    for _ in 0..8 {
        run(&mut shop.db);
        shop.execute(
            "update invoice_sync.event set next_attempt_at = now() where state = 'pending'",
        );
    }
    assert_eq!(shop.open_issues(), ["event_failing -"]);
    shop.stripe.clear_faults();
    // The issue may report either of the two.
    shop.deliver_all(&["checkout.session.completed", "payment_intent.succeeded"]);
    assert_eq!(paid(&mut shop), ["INV-1"]);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn an_event_that_was_not_ours_is_acted_on_when_it_comes_again_and_is() {
    let mut shop = Shop::with_webhooks();
    sell(&mut shop, 1, HOUR);
    let events = shop.stripe.events().into_iter();
    let event = events
        .filter(|event| event["type"] == "checkout.session.completed")
        .map(|mut event| {
            event["account"] = json!("acct_other");
            event.to_string()
        })
        .next()
        .expect("there is one");
    let first = deliver(&mut shop.db, &event).expect("it is taken in");
    assert_eq!(first["result"], "ignored");
    shop.configure("stripe_account", "acct_other");
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    let second = deliver(&mut shop.db, &event).expect("it is taken in");
    assert_eq!(second["result"], "processed", "{second}");
    assert_eq!(paid(&mut shop), ["INV-1"]);
}

#[test]
fn with_nothing_new_there_is_one_request() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    run(&mut shop.db);
    for call in [
        "call invoice_sync.run_sweep()",
        "select invoice_sync.sweep()",
    ] {
        shop.stripe.reset_requests();
        shop.execute(call);
        assert_eq!(shop.stripe.count_of("/v1/"), 1, "{call}");
        assert_eq!(
            shop.json(
                "to_jsonb(stripe_requests) from invoice_sync.recent_runs order by id desc limit 1"
            ),
            json!(1),
            "{call}"
        );
    }
}
