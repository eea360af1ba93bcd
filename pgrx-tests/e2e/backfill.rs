//! Backfills book the payments in Stripe's lists of a period, whether or not an invoice stores their ids.

use std::time::Duration;

use stripe_double::{Action, Checkout, Dispute, Fault, Intent, Refund};

use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt};
use crate::harness::{Shop, wait_until};

const DAY: i64 = 24 * 60 * 60;

/// A shop whose sales are older than anything that events tell of.
fn old_shop(sales: usize) -> Shop {
    let mut shop = Shop::open();
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 90 * DAY);
    for n in 0..sales {
        let id = format!("7d8e6b50-0000-4000-8000-{n:012}");
        // Half of them know nothing of their payment but what its metadata says.
        let session = shop
            .stripe
            .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", &id))
            .pay()
            .session_id();
        let stored = if n % 2 == 0 { session } else { String::new() };
        shop.execute(&format!(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
            values ('{id}', 'INV-{n}', 'Ann', 'Sent', 100, 100, nullif('{stored}', ''))"
        ));
    }
    shop.stripe.set_clock(now);
    shop
}

fn paid(shop: &mut Shop) -> String {
    shop.text("select format('%s %s', count(*) filter (where invoice_status = 'Paid'), (select count(*) from payments)) from invoices")
        .expect("it is counted")
}

fn since(days: i64) -> String {
    format!("now() - interval '{days} days'")
}

#[test]
fn everything_that_was_paid_is_booked_once_by_a_few_pages() {
    let mut shop = old_shop(150);
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 2 * DAY);
    shop.stripe.intent(Intent::new(5_000, "usd")).pay();
    for _ in 0..100 {
        shop.stripe.checkout(Checkout::new(5_000, "usd"));
    }
    shop.stripe.set_clock(now);
    shop.execute(&format!("call invoice_sync.backfill({})", since(100)));
    assert_eq!(paid(&mut shop), "150 150");
    // Two pages of complete sessions, two of intents, two of charges, and one of Stripe Invoices.
    assert_eq!(
        shop.text("select format('%s %s %s', kind, success, stripe_requests) from invoice_sync.recent_runs limit 1"),
        Some("backfill t 7".into())
    );
    assert_eq!(
        shop.texts("select format('%s %s %s %s', list, share_done, objects, repaired) from invoice_sync.progress"),
        [
            Some("checkout_sessions 1 150 150".to_owned()),
            Some("payment_intents 1 151 0".to_owned()),
            Some("charges 1 151 0".to_owned()),
            Some("invoices 1 0 0".to_owned())
        ]
    );
    shop.execute(&format!("call invoice_sync.backfill({})", since(100)));
    assert_eq!(paid(&mut shop), "150 150");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_session_that_is_paid_once_the_sessions_were_read_is_found_by_its_intent() {
    let mut shop = Shop::open();
    shop.execute("insert into invoices (invoice_number, customer, invoice_status, total_amount) values ('INV-1', 'Ann', 'Sent', 100)");
    let named = Checkout::new(10_000, "usd").metadata("invoice_id", "INV-1");
    let session = shop.stripe.checkout(named);
    let held = Fault::new(Action::Hold).on_path("/v1/checkout/sessions");
    shop.stripe.fault(held);
    let mut caller = Server::main().connect(shop.name(), "postgres");
    let call = format!("call invoice_sync.backfill({})", since(1));
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| attempt(&mut caller, &call));
        wait_until("the sessions were read", || shop.stripe.held() == 1);
        session.pay();
        shop.stripe.release_held();
        filling.join().expect("no panic").expect("it is done");
    });
    assert_eq!(paid(&mut shop), "1 1");
}

#[test]
fn what_is_older_than_asked_for_is_left_alone() {
    let mut shop = old_shop(3);
    shop.execute(&format!("call invoice_sync.backfill({})", since(30)));
    assert_eq!(paid(&mut shop), "0 0");
}

#[test]
fn one_that_breaks_goes_on_where_it_broke() {
    let mut shop = old_shop(350);
    let third_page = Fault::new(Action::Status(400))
        .on_path("/v1/checkout/sessions")
        .nth(3);
    shop.stripe.fault(third_page);
    let error = shop.error(&format!("call invoice_sync.backfill({})", since(100)));
    assert_eq!(error.sqlstate, "08P01");
    assert!(error.hint.contains("backfill()"), "{error:?}");
    assert_eq!(paid(&mut shop), "200 200", "two pages are done");
    assert_eq!(
        shop.text("select format('%s %s', success, error is not null) from invoice_sync.recent_runs limit 1"),
        Some("f t".into())
    );
    shop.stripe.clear_faults();
    shop.stripe.reset_requests();
    shop.execute("call invoice_sync.backfill()");
    assert_eq!(paid(&mut shop), "350 350");
    assert_eq!(
        shop.stripe.requests().len(),
        2 + 4 + 4 + 1,
        "the two pages of sessions that were left, the intents, the charges, and Stripe Invoices"
    );
    let error = shop.error("call invoice_sync.backfill()");
    assert_eq!(error.sqlstate, "22023");
    assert!(error.message.contains("no unfinished"), "{error:?}");
}

#[test]
fn one_up_to_now_is_not_taken_for_an_unfinished_one_that_ends_earlier() {
    let mut shop = old_shop(3);
    let broken = Fault::new(Action::InvalidJson)
        .on_path("/v1/checkout/sessions")
        .always();
    shop.stripe.fault(broken);
    let from = "date_trunc('day', now()) - interval '120 days'";
    shop.error(&format!(
        "call invoice_sync.backfill({from}, now() - interval '100 days')"
    ));
    shop.stripe.clear_faults();
    for _ in 0..2 {
        shop.execute(&format!("call invoice_sync.backfill({from})"));
        assert_eq!(paid(&mut shop), "3 3");
    }
}

#[test]
fn run_sweep_does_not_fail_where_stripe_is_away_while_it_goes_on_with_one() {
    let mut shop = old_shop(150);
    let broken = || {
        Fault::new(Action::InvalidJson)
            .on_path("/v1/checkout/sessions")
            .always()
    };
    shop.stripe.fault(broken());
    shop.error(&format!("call invoice_sync.backfill({})", since(100)));
    shop.execute("call invoice_sync.run_sweep()");
    let ended = "select success from invoice_sync.recent_runs where kind = 'backfill' limit 1";
    assert_eq!(shop.text(ended).as_deref(), Some("false"));
    shop.stripe.clear_faults();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "150 150");
}

#[test]
fn clients_get_the_progress_and_a_wrong_call_is_refused() {
    let mut shop = old_shop(2);
    let (mut watcher, notices) = Server::main().connect_listening(shop.name(), "postgres");
    attempt(
        &mut watcher,
        &format!("call invoice_sync.backfill({})", since(100)),
    )
    .expect("it is done");
    let notice = notices.text();
    assert!(
        notice.contains("checkout_sessions: 2 read of 2, 100 % of the period; 2 invoices repaired"),
        "{notice}"
    );
    let backwards = shop.error("call invoice_sync.backfill(now(), now() - interval '1 day')");
    assert_eq!(backwards.sqlstate, "22023");
    let inside = shop.error("begin; call invoice_sync.backfill(now() - interval '1 day')");
    assert_eq!(inside.sqlstate, "2D000");
    shop.execute("rollback");
}

#[test]
fn a_long_one_reports_its_progress_every_few_seconds_and_the_view_agrees() {
    let mut shop = Shop::open();
    let now = shop.stripe.now();
    // A sale every two hours; of the thirty days the first half has none.
    for n in 0..180 {
        shop.stripe.set_clock(now - 15 * DAY + n * 2 * 60 * 60);
        shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    }
    shop.stripe.set_clock(now);
    shop.stripe.set_latency(Duration::from_millis(2_500));
    let (mut watcher, notices) = Server::main().connect_listening(shop.name(), "postgres");
    let call = format!("call invoice_sync.backfill({})", since(29));
    let progress = std::thread::scope(|scope| {
        let filling = scope.spawn(|| attempt(&mut watcher, &call));
        wait_until("there is news of the first page", || {
            notices.text().contains("checkout_sessions")
        });
        let progress = shop.text(
            "select format('%s of about %s, %s', objects, objects_expected, share_done between 0.2 and 0.4)
            from invoice_sync.progress where list = 'checkout_sessions'",
        );
        filling.join().expect("no panic").expect("it is done");
        progress
    });
    let notice = notices.text();
    let first = notice.lines().next().unwrap_or_default();
    assert!(
        first.contains("checkout_sessions: 100 read of about 3"),
        "{notice}"
    );
    assert!(first.contains(" s left"), "{notice}");
    assert!(
        notice.contains("checkout_sessions: 180 read of 180, 100 % of the period"),
        "{notice}"
    );
    let progress = progress.expect("there is a row");
    assert!(
        progress.starts_with("100 of about 3") && progress.ends_with(", t"),
        "{progress}"
    );
}

#[test]
fn a_sweep_and_a_backfill_do_not_wait_for_each_other_and_two_backfills_do_not_meet() {
    let mut shop = old_shop(1);
    Sale::unbooked(&mut shop, "INV-new");
    shop.stripe
        .fault(Fault::new(Action::Hang).on_path("/v1/checkout/sessions"));
    let mut other = shop.connect();
    let row = other.query_one("select pg_backend_pid()", &[]);
    let process: i32 = row.expect("a session has a process").get(0);
    let call = format!("call invoice_sync.backfill({})", since(100));
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| attempt(&mut other, &call));
        let stripe = &shop.stripe;
        wait_until("the first one asks", || {
            stripe.count_of("/v1/checkout/sessions") > 0
        });
        let error = shop.error(&call);
        assert_eq!(error.sqlstate, "55000");
        assert!(error.hint.contains("progress"), "{error:?}");
        shop.execute("call invoice_sync.run_sweep()");
        shop.execute(&format!("select pg_cancel_backend({process})"));
        running.join().expect("no panic")
    });
    assert_eq!(
        ended.expect_err("it was at work until then").sqlstate,
        "57014"
    );
    assert_eq!(
        shop.text("select invoice_status from invoices where invoice_number = 'INV-new'"),
        Some("Paid".into())
    );
}

#[test]
fn time_whose_events_are_gone_is_looked_through_by_the_next_run_sweep() {
    let mut shop = old_shop(3);
    shop.execute(
        "insert into invoice_sync.feed (whose, place, read_at)
        select 'test', jsonb_build_object('read_at', extract(epoch from t.t)::bigint, 'anchor', null, 'backlog', null), t.t
        from (select now() - interval '100 days') t (t)",
    );
    // None of them stores its payment's id, and no event tells of it.
    shop.execute("update invoices set stripe_session_id = null");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "3 3");
    assert_eq!(
        shop.text(
            "select format('%s %s', count(*), bool_and(share_done = 1)) from invoice_sync.progress"
        ),
        Some("5 t".into())
    );
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(
        shop.text("select count(*) from invoice_sync.run where kind = 'backfill'"),
        Some("1".into())
    );
}

/// The feed was last read so many days ago.
fn nobody_read_for(shop: &mut Shop, days: i64) {
    shop.execute(&format!(
        "insert into invoice_sync.feed (whose, place, read_at)
        select 'test', jsonb_build_object('read_at', extract(epoch from t.t)::bigint, 'anchor', null, 'backlog', null), t.t
        from (select now() - interval '{days} days') t (t)
        on conflict (whose) do update set place = excluded.place, read_at = excluded.read_at"
    ));
}

fn open_invoice(shop: &mut Shop, number: usize, stored_intent: &str) -> String {
    let id = format!("7d8e6b50-0000-4000-8000-{number:012}");
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due, stripe_payment_intent)
        values ('{id}', 'INV-{number}', 'Ann', 'Sent', 100, 100, nullif('{stored_intent}', ''))"
    ));
    id
}

#[test]
fn in_a_gap_it_counts_when_money_moved_and_not_when_the_payment_was_begun() {
    let mut shop = Shop::open();
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 70 * DAY);
    let named = |id: &str| Intent::new(10_000, "usd").metadata("invoice_id", id);
    let id = open_invoice(&mut shop, 1, "");
    let begun = shop.stripe.intent(named(&id));
    // Booked long ago, and given back or disputed while nobody looked.
    let booked: Vec<_> = (2..=3)
        .map(|number| {
            let paid = shop.stripe.intent(Intent::new(10_000, "usd")).pay();
            open_invoice(&mut shop, number, &paid.intent_id());
            paid
        })
        .collect();
    shop.stripe.set_clock(now);
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "2 2");
    shop.stripe.set_clock(now - 50 * DAY);
    begun.pay();
    booked[0].refund(Refund::whole());
    booked[1].dispute(Dispute::new("needs_response"));
    shop.stripe.set_clock(now);

    nobody_read_for(&mut shop, 60);
    // Its lists tell of what the next sweep asks about.
    shop.execute("call invoice_sync.run_sweep(); ");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "3 3");
    assert_eq!(shop.open_issues(), ["disputed INV-3", "refunded INV-2"]);
}

#[test]
fn a_gap_is_looked_through_once_however_long_the_feed_cannot_be_read() {
    let mut shop = old_shop(3);
    nobody_read_for(&mut shop, 100);
    let broken = Fault::new(Action::Status(500)).should_retry("false");
    shop.stripe.fault(broken.always().on_path("/v1/events"));
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "3 3", "by lists");
    for _ in 0..2 {
        shop.stripe.reset_requests();
        // A quarter of an hour later the gap is a little larger.
        shop.execute("update invoice_sync.backfill set until = until - interval '15 minutes'");
        shop.execute("call invoice_sync.run_sweep()");
        let lists = shop.stripe.count_of("/v1/") - shop.stripe.count_of("/v1/events");
        assert_eq!(lists, 0);
    }
    shop.stripe.clear_faults();
    shop.execute("call invoice_sync.run_sweep()");
    let rest =
        "select count(*) from invoice_sync.backfill where until - since < interval '20 days'";
    assert_eq!(
        shop.text(rest),
        Some("5".into()),
        "the rest, once it is read"
    );
}

#[test]
fn an_invoice_that_somebody_has_locked_is_done_by_the_next_sweep() {
    let mut shop = old_shop(2);
    // Found by what its payment's metadata says, and by nothing else.
    let id = "7d8e6b50-0000-4000-8000-000000000001";
    let mut holder = shop.connect();
    attempt(
        &mut holder,
        &format!("begin; select from invoices where id = '{id}' for update"),
    )
    .expect("nobody else has it");
    shop.execute("set lock_timeout = '200ms'");
    shop.execute(&format!("call invoice_sync.backfill({})", since(100)));
    assert_eq!(paid(&mut shop), "1 1");
    attempt(&mut holder, "commit").expect("it ends");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "2 2");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn an_intent_is_booked_by_its_session_where_a_row_waits_for_another_one() {
    let mut shop = Shop::open();
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 90 * DAY);
    let id = open_invoice(&mut shop, 1, "");
    let checkout = || {
        Checkout::new(10_000, "usd")
            .metadata("invoice_id", &id)
            .intent_metadata("invoice_id", &id)
    };
    let expired = shop.stripe.checkout(checkout()).expire().session_id();
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{id}', 'First try', 'Pending', 100, '{expired}')"
    ));
    // Its session was made before the time that is looked through, the intent in it.
    let paid_later = shop.stripe.checkout(checkout()).at(now - 80 * DAY).pay();
    shop.stripe
        .set(&paid_later.intent_id(), "created", now - 80 * DAY);
    shop.stripe.set_clock(now);
    shop.execute(&format!("call invoice_sync.backfill({})", since(85)));
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(
        shop.texts(
            "select format('%s %s', payment_status, stripe_session_id) from payments order by 1"
        ),
        [
            Some(format!("Paid {}", paid_later.session_id())),
            Some(format!("Pending {expired}")),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_kept_and_read_when_it_can_be() {
    let mut shop = old_shop(2);
    shop.execute("update invoices set stripe_session_id = null");
    let requests = shop.stripe.events();
    let intents: Vec<String> = requests
        .iter()
        .filter(|event| event["type"] == "payment_intent.succeeded")
        .filter_map(|event| Some(event["data"]["object"]["id"].as_str()?.to_owned()))
        .collect();
    for intent in &intents {
        shop.stripe.set(intent, "status", 17);
    }
    shop.execute(&format!("call invoice_sync.backfill({})", since(100)));
    assert_eq!(paid(&mut shop), "0 0");
    let why = shop.text(
        "select string_agg(distinct result, ', ') from invoice_sync.event where type = 'backfill'",
    );
    assert!(
        why.clone().is_some_and(|why| why.contains("status")),
        "{why:?}"
    );
    for intent in &intents {
        shop.stripe.set(intent, "status", "succeeded");
    }
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), "2 2");
}
