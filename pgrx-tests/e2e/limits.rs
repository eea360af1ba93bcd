//! The limit of requests per second, for all sessions of a database together.

use std::time::{Duration, Instant};

use postgres::Client;
use stripe_double::{Action, Config, Double, Fault, Intent};

use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json};
use crate::harness::{DEFAULT_TABLES, Shop, wait_until};

pub(crate) const PER_SECOND: usize = 20;

/// What goes through at once: a quarter of that.
const BURST: usize = PER_SECOND / 4;

/// A burst and nearly three seconds' worth.
pub(crate) const CALLS: usize = 3 * PER_SECOND;

/// As many sessions at once, each asking Stripe again and again.
pub(crate) fn ask_in(sessions: Vec<Client>, expression: &str) {
    let each = CALLS / sessions.len();
    std::thread::scope(|threads| {
        for mut session in sessions {
            threads.spawn(move || {
                for _ in 0..each {
                    attempt_json(&mut session, expression).expect("Stripe is asked");
                }
            });
        }
    });
}

/// When each request arrived.
fn arrived(stripe: &Double) -> Vec<Instant> {
    stripe.requests().iter().map(|seen| seen.arrived).collect()
}

/// In no period did more requests arrive than a burst, what the rate
/// allows meanwhile, and one of each session that was held up on its way. A slow
/// machine only makes fewer.
pub(crate) fn assert_kept_to_the_rate(arrived: &[Instant], sessions: usize) {
    assert_eq!(arrived.len(), CALLS);
    for (first, from) in arrived.iter().enumerate() {
        for (last, to) in arrived.iter().enumerate().skip(first) {
            let earned = (*to - *from).as_secs_f64() * PER_SECOND as f64;
            let allowed = BURST as f64 + earned + sessions as f64;
            let count = last - first + 1;
            assert!(
                count as f64 <= allowed,
                "{count} requests within {:?}",
                *to - *from
            );
        }
    }
}

#[test]
fn sessions_together_keep_to_the_rate() {
    let mut shop = Shop::open();
    shop.configure("requests_per_second", &PER_SECOND.to_string());
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "create role clerk_of_limits login; select invoice_sync.grant_access('clerk_of_limits')",
    );
    shop.stripe.reset_requests();

    let sessions = vec![
        shop.connect(),
        shop.connect_as("clerk_of_limits"),
        shop.connect(),
    ];
    ask_in(sessions, &sale.sync());

    assert_kept_to_the_rate(&arrived(&shop.stripe), 3);
    shop.execute("drop owned by clerk_of_limits; drop role clerk_of_limits");
}

#[test]
fn no_endpoint_of_a_live_account_is_asked_more_often_than_stripe_allows() {
    let stripe = Double::start(Config {
        rate_limit: Some(100),
        endpoint_rate_limit: Some(25),
        ..Config::default()
    });
    let mut shop = Shop::with(stripe.expect("the stand-in starts"), DEFAULT_TABLES);
    shop.use_key("sk_live_double");
    shop.configure("requests_per_second", "0");
    shop.configure("http_concurrency", "32");
    shop.skip_look_back();
    const SALES: usize = 50;
    for number in 0..SALES {
        let intent = Intent::new(10_000, "usd").live();
        let intent = shop.stripe.intent(intent).pay().intent_id();
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_payment_intent)
            values ('INV-{number}', 'Customer', 'Sent', 100, '{intent}')"
        ));
    }
    // Every intent has to be asked for by itself.
    let useless = Fault::new(Action::InvalidJson).always();
    let charges = "data.latest_charge.balance_transaction";
    shop.stripe.fault(useless.on_object(charges));
    shop.stripe.reset_requests();

    shop.execute("call invoice_sync.run_sweep()");

    let paid = shop.text("select count(*) from invoices where invoice_status = 'Paid'");
    assert_eq!(paid, Some(SALES.to_string()));
    let requests = shop.stripe.requests();
    let refused = requests.iter().filter(|it| it.status == Some(429));
    assert_eq!(refused.count(), 0);
    let singles = requests.iter();
    let singles = singles.filter(|it| it.path.starts_with("/v1/payment_intents/pi_"));
    assert_eq!(singles.count(), SALES);
}

#[test]
fn where_nothing_may_be_written_requests_are_made_all_the_same() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.stripe.reset_requests();

    shop.execute("begin read only");
    let report = shop.json(&format!(
        "invoice_sync.sync_invoice('{}', dry_run => true)",
        sale.invoice
    ));
    shop.execute("commit");

    assert_eq!(report["success"], true, "{report:#}");
    assert_eq!(shop.stripe.requests().len(), 1);
    assert_eq!(published(&mut shop.db), 0, "nothing was shared");
}

/// A standby has the number of the segment of another server, and its sessions may ask Stripe for months.
#[test]
fn where_nothing_may_be_written_no_memory_is_left() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let call = format!(
        "invoice_sync.sync_invoice('{}', dry_run => true)",
        sale.invoice
    );
    let process = shop.text("select pg_backend_pid()").expect("it has one");
    let segments = || {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"));
        let maps = maps.expect("the server is ours");
        maps.matches("/dev/shm/PostgreSQL.").count()
    };
    shop.execute("begin read only");
    shop.json(&call);
    let before = segments();
    for _ in 0..5 {
        shop.json(&call);
    }
    assert_eq!(segments(), before);
    shop.execute("commit");
    shop.json(&call);
    assert_eq!(segments(), before + 1, "here it may be");
}

#[test]
fn memory_of_another_start_of_the_server_is_not_attached() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.json(&sale.sync());
    let ours = published(&mut shop.db);
    // The mark of the start is the lower half, the handle the upper one.
    let (other_start, other_handle) = (ours ^ 1, ours ^ (1 << 60));

    for stale in [other_start, other_handle, 0] {
        shop.execute(&format!(
            "select setval('invoice_sync.limiter_segment', {stale})"
        ));
        let mut other = shop.connect();
        attempt_json(&mut other, &sale.sync()).expect("Stripe is asked");
        let renewed = published(&mut shop.db);

        assert_ne!(renewed, stale);
        assert_eq!(renewed as u32, ours as u32, "of this start");
        assert_ne!(renewed, ours, "and new");
    }
}

#[test]
fn shared_memory_goes_with_the_last_session_that_uses_it() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let mut first = shop.connect();
    let mut second = shop.connect();
    for session in [&mut first, &mut second] {
        attempt_json(session, &sale.sync()).expect("Stripe is asked");
    }
    let handle = published(&mut shop.db).cast_unsigned() >> 32;
    let segment = format!("/dev/shm/PostgreSQL.{handle}");
    let exists = || std::fs::exists(&segment).expect("the directory can be read");

    drop(first);
    attempt_json(&mut second, &sale.sync()).expect("Stripe is asked");
    assert!(exists(), "one session still uses it");
    drop(second);
    wait_until("it is gone", || !exists());
}

/// The value of the sequence, which changes with every start of the server.
fn published(db: &mut Client) -> i64 {
    db.query_one("select last_value from invoice_sync.limiter_segment", &[])
        .expect("the owner may read it")
        .get(0)
}

#[test]
fn after_a_restart_and_a_crash_the_rate_is_shared_anew() {
    let stripe = Double::start(Config::default()).expect("the stand-in starts");
    let server = Server::start("limits", &[]);
    let connect = || server.connect("postgres", "postgres");
    let mut db = connect();
    let path = format!("{}/stripe-key", server.data.display());
    attempt(&mut db, DEFAULT_TABLES).expect("the tables are made");
    attempt(
        &mut db,
        &format!(
            "create extension invoice_sync;
            copy (select 'sk_test_double') to program 'umask 077; cat > {path}';
            alter database postgres set invoice_sync.stripe_api_base = '{}';
            alter database postgres set invoice_sync.stripe_api_key = 'file:{path}';
            alter database postgres set invoice_sync.requests_per_second = {PER_SECOND};
            insert into invoices (id, invoice_number, customer, total_amount, stripe_session_id)
            values ('00000000-0000-0000-0000-000000000001', 'INV-1', 'C', 1, 'cs_test_a1nobodyknowsit')",
            stripe.url()
        ),
    )
    .expect("all is set up");
    let ask = || {
        stripe.reset_requests();
        ask_in(
            vec![connect(), connect()],
            "invoice_sync.sync_invoice('00000000-0000-0000-0000-000000000001')",
        );
        assert_kept_to_the_rate(&arrived(&stripe), 2);
        published(&mut connect())
    };

    let at_first = ask();
    assert_ne!(at_first, 0, "there is shared memory");
    server.restart();
    let after_restart = ask();
    assert_ne!(at_first, after_restart);

    kill_a_backend(&server);
    let after_crash = ask();
    assert_ne!(after_restart, after_crash);
}

/// Its death makes the server begin anew, with its memory. Until the server has
/// noticed, which it shows by ending every other session, it takes new ones as before.
fn kill_a_backend(server: &Server) {
    let mut victim = server.connect("postgres", "postgres");
    let pid: i32 = victim
        .query_one("select pg_backend_pid()", &[])
        .expect("it knows itself")
        .get(0);
    let mut bystander = server.connect("postgres", "postgres");
    let _ = bystander.batch_execute(&format!("copy (select 1) to program 'kill -9 {pid}'"));
    wait_until("the server ends all sessions", || {
        bystander.is_valid(Duration::from_secs(1)).is_err()
    });
    server.connect_again("postgres", "postgres");
}
