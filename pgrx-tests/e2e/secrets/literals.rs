//! Literal keys are refused wherever other roles could see them, and accepted in the configuration file of a server that
//! preloads the library.

use std::process::Command;

use serde_json::json;
use stripe_double::{Checkout, Config, Double, Key};

use super::{Guarded, error_text, random};
use crate::harness::DEFAULT_TABLES;
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json, refusal};

fn literal() -> String {
    format!("sk_live_literal{:016x}", random())
}

#[test]
fn a_literal_in_a_statement_is_refused_and_not_repeated() {
    let mut guarded = Guarded::open();
    let name = guarded.shop.name().to_owned();
    let secret = literal();
    let (mut session, notices) = Server::main().connect_listening(&name, "postgres");
    attempt(&mut session, "load 'invoice_sync'").expect("a superuser may");
    for setting in ["stripe_api_key", "stripe_webhook_secret", "resend_api_key"] {
        for statement in [
            format!("set invoice_sync.{setting} = '{secret}'"),
            format!("begin; set local invoice_sync.{setting} = '{secret}'"),
            format!("select set_config('invoice_sync.{setting}', '{secret}', false)"),
            format!(
                "do $$ begin perform set_config('invoice_sync.{setting}', '{secret}', true); end $$"
            ),
            format!("alter database {name} set invoice_sync.{setting} = '{secret}'"),
            format!(
                "alter role {} set invoice_sync.{setting} = '{secret}'",
                guarded.operator
            ),
            format!("alter role all set invoice_sync.{setting} = '{secret}'"),
            format!("alter system set invoice_sync.{setting} = '{secret}'"),
            format!(
                "create function leak() returns int language sql
                set invoice_sync.{setting} = '{secret}' as 'select 1'"
            ),
        ] {
            let error = refusal(&mut session, &statement);
            assert_eq!(error.sqlstate, "22023", "{statement}: {error:?}");
            assert!(error_text(&error).contains("file:/"), "{error:?}");
            assert!(!error_text(&error).contains(&secret), "{error:?}");
            let _ = session.batch_execute("rollback");
        }
    }
    assert!(!notices.text().contains(&secret));
    assert!(
        !Server::main().log_text().contains(&secret),
        "in the server's log"
    );
    let stored = guarded
        .shop
        .text("select string_agg(setconfig::text, ' ') from pg_db_role_setting");
    assert!(!stored.unwrap_or_default().contains(&secret));
}

#[test]
fn a_literal_that_was_stored_before_the_library_was_loaded_is_not_used() {
    let mut guarded = Guarded::open();
    guarded.shop.not_at_rest("no key may be used");
    let sale = Sale::unbooked(&mut guarded.shop, "INV-1");
    let name = guarded.shop.name().to_owned();
    let secret = literal();
    // A session without the library takes it for anything: PostgreSQL cannot know.
    guarded.shop.execute(&format!(
        "alter database {name} set invoice_sync.stripe_api_key = '{secret}'"
    ));
    let (mut session, notices) = Server::main().connect_listening(&name, "postgres");
    let error = attempt_json(&mut session, &sale.sync()).expect_err("there is no key");
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(
        notices.text().contains("Consider this secret compromised"),
        "{}",
        notices.text()
    );
    assert!(!notices.text().contains(&secret), "{}", notices.text());
    assert!(guarded.shop.stripe.requests().is_empty());
}

#[test]
fn a_literal_of_a_server_that_always_has_the_library_works_and_is_not_shown() {
    let secret = literal();
    let later = literal();
    let stripe = Double::start(Config {
        keys: vec![Key::new(&secret)],
        ..Config::default()
    })
    .expect("the stand-in starts");
    let evil = Double::start(Config::default()).expect("the stand-in starts");
    let base = stripe.url();
    let server = Server::start(
        "literal",
        &[
            ("shared_preload_libraries", "invoice_sync"),
            ("invoice_sync.stripe_api_key", &secret),
            ("invoice_sync.stripe_api_base", &base),
        ],
    );
    let mut owner = server.connect("postgres", "postgres");
    attempt(&mut owner, DEFAULT_TABLES).expect("the tables are made");
    attempt(
        &mut owner,
        "create extension invoice_sync; create role plain login; select invoice_sync.grant_access('plain')",
    )
    .expect("all is set up");
    insert_sale(&mut owner, &stripe, "INV-1");
    let mut plain = server.connect("postgres", "plain");
    let report = attempt_json(&mut plain, "invoice_sync.sweep()").expect("it sweeps");
    assert_eq!(report["fixed"], json!(1), "{report:#}");

    for statement in [
        "show invoice_sync.stripe_api_key",
        "select current_setting('invoice_sync.stripe_api_key')",
        "set invoice_sync.stripe_api_base = 'http://127.0.0.1:1'",
        "alter role plain set invoice_sync.stripe_api_base = 'http://127.0.0.1:1'",
        "table pg_file_settings",
    ] {
        let error = refusal(&mut plain, statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
    let shown: String = owner
        .query_one("show invoice_sync.stripe_api_key", &[])
        .expect("a superuser may")
        .get(0);
    assert_eq!(shown, "********");
    let everything = attempt_json(&mut owner, "jsonb_agg(to_jsonb(s)) from pg_settings s")
        .expect("a superuser may")
        .to_string();
    assert!(!everything.contains(&secret), "in pg_settings");

    let mut config = server.config("postgres", "plain");
    let options = format!("-c invoice_sync.stripe_api_base={}", evil.url());
    let refused = config.options(&options).connect(postgres::NoTls);
    assert!(refused.is_err(), "a startup packet is not heard");

    // Another literal at a reload is not taken: PostgreSQL would log it. Its own
    // line about a changed file names the parameter only.
    append_to_configuration(
        &server,
        &format!("invoice_sync.stripe_api_key = '{later}'\n"),
    );
    attempt(&mut owner, "select pg_reload_conf()").expect("it reloads");
    crate::harness::wait_until("the reload is error_text", || {
        server.log_text().contains("does not accept this value")
    });
    let mut again = server.connect("postgres", "plain");
    insert_sale(&mut owner, &stripe, "INV-2");
    let report = attempt_json(&mut again, "invoice_sync.sweep()").expect("it sweeps");
    assert_eq!(report["fixed"], json!(1), "with the first key: {report:#}");
    let log = server.log_text();
    assert!(!log.contains(&secret), "the first key is in the log");
    assert!(!log.contains(&later), "the second key is in the log");
    assert_eq!(evil.connections(), 0);
}

fn insert_sale(owner: &mut postgres::Client, stripe: &Double, number: &str) {
    let paid = stripe.checkout(Checkout::new(10_000, "usd").live()).pay();
    let session = paid.session_id();
    attempt(
        owner,
        &format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ('{number}', 'C', 'Sent', 100, '{session}')"
        ),
    )
    .expect("the invoice is there");
}

fn append_to_configuration(server: &Server, line: &str) {
    use std::io::Write;
    std::fs::OpenOptions::new()
        .append(true)
        .open(server.data.join("postgresql.conf"))
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the test runs as root or as the server's user");
}

#[test]
fn no_proxy_is_taken_from_the_servers_environment() {
    let stripe = Double::start(Config::default()).expect("the stand-in starts");
    let proxy = Double::start(Config::default()).expect("the stand-in starts");
    let server = Server::start("proxy", &[]);
    restart_with_environment(&server, &proxy.url());
    let mut owner = server.connect("postgres", "postgres");
    let path = format!("{}/stripe-key", server.data.display());
    attempt(&mut owner, DEFAULT_TABLES).expect("the tables are made");
    attempt(
        &mut owner,
        &format!(
            "create extension invoice_sync;
            copy (select 'sk_test_double') to program 'umask 077; cat > {path}';
            alter database postgres set invoice_sync.stripe_api_base = '{}';
            alter database postgres set invoice_sync.stripe_api_key = 'file:{path}';
            insert into invoices (invoice_number, customer, total_amount, stripe_session_id)
            values ('INV-1', 'C', 1, 'cs_test_a1nobodyknowsit')",
            stripe.url()
        ),
    )
    .expect("all is set up");
    let mut session = server.connect("postgres", "postgres");

    let variable = attempt(
        &mut session,
        &format!(
            "create temp table found (word text);
            copy found from program 'echo $HTTP_PROXY $ALL_PROXY';
            do $$ begin assert (select word from found) = '{0} {0}'; end $$",
            proxy.url()
        ),
    );
    variable.expect("the server has the variables");
    attempt_json(&mut session, "invoice_sync.sweep()").expect("it sweeps");

    assert_eq!(stripe.requests().len(), 2, "the feed, and the session");
    assert_eq!(proxy.connections(), 0);
}

/// The server's own tool, with its own user, and an environment of ours.
fn restart_with_environment(server: &Server, proxy: &str) {
    let owner = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(&server.data).expect("the directory is there"),
    );
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={owner}"))
        .args([
            "--clear-groups",
            "env",
            "-i",
            "PATH=/usr/bin:/bin",
            "LANG=C.UTF-8",
        ])
        .args(
            [
                "HTTP_PROXY",
                "http_proxy",
                "HTTPS_PROXY",
                "https_proxy",
                "ALL_PROXY",
                "all_proxy",
            ]
            .map(|name| format!("{name}={proxy}")),
        )
        .arg(server.programs().join("pg_ctl"))
        .args(["-s", "-w", "-m", "fast", "restart", "-D"])
        .arg(&server.data)
        .arg("-l")
        .arg(&server.log)
        .current_dir("/");
    let output = command.output().expect("setpriv runs");
    assert!(
        output.status.success(),
        "pg_ctl: {} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
