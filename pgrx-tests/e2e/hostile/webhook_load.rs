//! Callers of the webhook who do not have Stripe's secret are refused at little cost.

use std::time::{Duration, Instant};

use postgres::Client;

use crate::harness::sender::{SECRET, deliver_signed, now};
use crate::harness::server::{Server, refusal};
use crate::harness::{Shop, wait_until};

/// A role of the shop's own that may deliver webhooks and nothing else.
fn stranger(shop: &mut Shop) -> (String, Client) {
    let role = format!("stranger_of_{}", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}', 'webhook')"
    ));
    let session = shop.connect_as(&role);
    (role, session)
}

/// The form of `handle_webhook` that a gateway calls.
fn post(session: &mut Client, body: &str, signature: &str) -> String {
    let headers = serde_json::json!({ "stripe-signature": signature }).to_string();
    let mut request = session.transaction().expect("begins");
    request
        .execute(
            "select set_config('request.headers', $1, true)",
            &[&headers],
        )
        .expect("the gateway sets it");
    let error = request
        .query(
            "select invoice_sync.handle_webhook($1::text::json)",
            &[&body],
        )
        .expect_err("nobody signed it");
    error
        .code()
        .map_or_else(String::new, |code| code.code().to_owned())
}

fn forged(signatures: usize) -> String {
    format!(
        "t={}{}",
        now(),
        format!(",v1={}", "0".repeat(64)).repeat(signatures)
    )
}

/// The shortest of some: a busy machine makes them longer, never shorter.
fn shortest(mut work: impl FnMut()) -> Duration {
    let times = (0..7).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    times.min().expect("there are some")
}

#[test]
fn ten_thousand_signatures_of_ten_megabytes_cost_no_more_than_hashing_them_twice() {
    let mut shop = Shop::with_webhooks();
    shop.execute(
        "create table bodies (body bytea);
        insert into bodies values (convert_to(repeat('x', 10000000), 'UTF8'))",
    );
    let header = forged(10_000);
    let mut session = shop.connect();
    // Both in the server, of the same body: by PostgreSQL's own function, and by ours.
    let twice = shortest(|| {
        for _ in 0..2 {
            shop.execute("select sha256(body) from bodies");
        }
    });
    let refused = shortest(|| {
        let call = "select invoice_sync.handle_webhook(body, $1::text) from bodies";
        let error = session
            .query(call, &[&header])
            .expect_err("nobody signed it");
        let code = error.code().map(|code| code.code());
        assert_eq!(code, Some("22023"), "{error}");
    });
    println!("refused in {refused:?}; hashing twice takes {twice:?}");
    assert!(
        refused < twice,
        "refused in {refused:?}, hashing twice takes {twice:?}"
    );
}

/// A shop with so many secrets that comparing one body with all of them takes minutes, and that body.
fn shop_with_work_for_minutes() -> Shop {
    let mut shop = Shop::open();
    shop.use_secret("stripe_webhook_secret", &"s,".repeat(2_000));
    let setting = "select current_setting('invoice_sync.stripe_webhook_secret')";
    let file = shop.text(setting).expect("it was set");
    shop.configure("stripe_webhook_secret", &vec![file; 20].join(","));
    shop.execute(
        "create table bodies (body bytea);
        insert into bodies values (convert_to(repeat('x', 1024 * 1024), 'UTF8'))",
    );
    shop
}

fn check_forged() -> String {
    format!(
        "select invoice_sync.handle_webhook(body, '{}') from bodies",
        forged(1)
    )
}

/// How long a process has computed, in hundredths of a second (proc(5): utime).
fn computed(process: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(") ").expect("the name comes first");
    let utime = fields.split(' ').nth(11).expect("it has it");
    utime.parse().expect("a number")
}

#[test]
fn a_check_of_signatures_ends_where_it_is_cancelled() {
    let mut shop = shop_with_work_for_minutes();
    let mut session = shop.connect();
    // The first call of a session loads the library.
    assert!(deliver_signed(&mut session, "{}", "").is_err());
    let id: i32 = session
        .query_one("select pg_backend_pid()", &[])
        .expect("it lives")
        .get(0);
    let before = computed(id);
    let check =
        std::thread::spawn(move || (refusal(&mut session, &check_forged()), Instant::now()));
    // What comes before the hashing takes nothing like it.
    wait_until("it has hashed for a second", || {
        computed(id) >= before + 100
    });

    let cancelled = Instant::now();
    shop.execute(&format!("select pg_cancel_backend({id})"));

    wait_until("it ends, with minutes of work left", || check.is_finished());
    let (error, ended) = check.join().expect("the thread lives");
    println!(
        "the check ended {:?} after it was cancelled",
        ended - cancelled
    );
    assert_eq!(
        (error.sqlstate.as_str(), error.detail.as_str()),
        ("57014", ""),
        "{error:?}"
    );
}

#[test]
fn a_check_of_signatures_ends_where_its_time_is_over() {
    let shop = shop_with_work_for_minutes();
    let mut session = shop.connect();
    let check = std::thread::spawn(move || {
        session
            .batch_execute("set statement_timeout = '2s'")
            .expect("anybody may");
        refusal(&mut session, &check_forged())
    });
    wait_until("it ends, with minutes of work left", || check.is_finished());
    let error = check.join().expect("the thread lives");
    assert_eq!(
        (error.sqlstate.as_str(), error.detail.as_str()),
        ("57014", ""),
        "{error:?}"
    );
}

#[test]
fn refused_webhooks_do_not_fill_the_log_and_do_not_spell_the_secret() {
    let mut shop = Shop::with_webhooks();
    let (role, mut session) = stranger(&mut shop);
    for _ in 0..300 {
        assert_eq!(post(&mut session, "{}", &forged(1)), "22023");
    }
    drop(session);
    let log = Server::main().log_text();
    let mark = format!("{role}@{} ", shop.name());
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&mark)).collect();
    let all = lines.join("\n");
    assert!(
        all.contains("a webhook was refused"),
        "the log says it: {all}"
    );
    // 5 a minute, in two minutes if it comes so, each with its context and its statement.
    assert!(
        lines.len() <= 2 * 5 * 6,
        "{} lines for 300 refusals",
        lines.len()
    );
    let ending = &SECRET[SECRET.len() - 4..];
    let tellings = all.matches(&format!("…{ending}")).count();
    assert!(
        (1..=2).contains(&tellings),
        "once an hour, not {tellings} times: {all}"
    );
    shop.execute(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn with_no_secret_the_log_is_not_filled_either() {
    let mut shop = Shop::open();
    let (role, mut session) = stranger(&mut shop);
    for _ in 0..100 {
        assert_eq!(post(&mut session, "{}", &forged(1)), "55000");
    }
    let log = Server::main().log_text();
    let mark = format!("{role}@{} ", shop.name());
    let lines = log.lines().filter(|line| line.contains(&mark)).count();
    assert!(
        (1..=2 * 5 * 6).contains(&lines),
        "{lines} lines for 100 refusals"
    );
    drop(session);
    shop.execute(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn an_error_after_a_refusal_that_was_caught_is_logged_as_ever() {
    let mut shop = Shop::with_webhooks();
    shop.execute(
        "create function refused() returns void language plpgsql as $$ begin
            for n in 1..20 loop
                begin perform invoice_sync.handle_webhook('{}'::text, '');
                exception when invalid_parameter_value then null; end;
            end loop;
        end $$",
    );
    shop.execute("select refused()");
    let error = shop.error("do $$ begin raise 'what the operator must see'; end $$");
    assert_eq!(error.message, "what the operator must see");
    let log = Server::main().log_text();
    let mark = format!("@{} ", shop.name());
    assert!(log.lines().any(|line| line.contains(&mark)
        && line.contains("ERROR:  what the operator must see")));
}
