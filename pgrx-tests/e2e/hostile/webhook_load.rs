//! Whoever reaches the webhook: without Stripe's secret, nothing is to be had but a refusal.

use std::time::{Duration, Instant};

use postgres::Client;
use sha2::{Digest, Sha256};

use crate::harness::Shop;
use crate::harness::sender::{SECRET, deliver_signed, now};
use crate::harness::server::Server;

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

#[test]
fn ten_thousand_signatures_of_ten_megabytes_cost_no_more_than_hashing_them_twice() {
    let mut shop = Shop::with_webhooks();
    let body = vec![b'x'; 10_000_000];
    shop.execute(
        "create table told (body bytea);
        insert into told values (convert_to(repeat('x', 10000000), 'UTF8'))",
    );
    let hashing = Instant::now();
    for _ in 0..2 {
        std::hint::black_box(Sha256::digest(&body));
    }
    let twice = hashing.elapsed();
    let header = forged(10_000);
    let call = "select invoice_sync.handle_webhook(body, $1::text) from told";
    // The first call of a session loads the library.
    assert!(deliver_signed(&mut shop.db, "{}", "").is_err());
    let refusing = Instant::now();
    let error = shop
        .db
        .query(call, &[&header])
        .expect_err("nobody signed it");
    let took = refusing.elapsed();
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("22023"),
        "{error}"
    );
    // Unless both are built alike, the fixed cost of a call is allowed for.
    assert!(
        took < twice + Duration::from_millis(250),
        "refused in {took:?}, and hashing twice takes {twice:?}"
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
        "the operator is told: {all}"
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
