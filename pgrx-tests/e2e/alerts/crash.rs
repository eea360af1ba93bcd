//! A backend that is terminated between sending a mail and its commit.

use std::process::Command;

use stripe_double::{Config, Double};

use super::RESEND_KEY;
use crate::harness::server::{Server, attempt, attempt_json};
use crate::harness::{DEFAULT_TABLES, wait_until};

#[test]
fn a_kill_between_sending_and_commit_makes_no_second_mail() {
    let resend = Double::start(Config::default()).expect("the stand-in starts");
    let base = resend.url();
    let server = Server::start(
        "kill",
        &[
            ("shared_preload_libraries", "invoice_sync"),
            ("invoice_sync.resend_api_key", RESEND_KEY),
            ("invoice_sync.resend_api_base", &base),
        ],
    );
    let mut session = server.connect("postgres", "postgres");
    for step in [
        DEFAULT_TABLES,
        "create extension invoice_sync",
        "update invoice_sync.settings set alert_sender = 'books@example.com', alert_recipients = '{ann@example.com}'",
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-1', 'Customer', 'Paid', 100, 100)",
        "select invoice_sync.sweep()",
        "begin",
        "select invoice_sync.send_alerts()",
    ] {
        attempt(&mut session, step).unwrap_or_else(|error| panic!("{step}: {error:?}"));
    }
    assert_eq!(resend.emails().len(), 1, "Resend has taken it");
    let pid: i32 = session
        .query_one("select pg_backend_pid()", &[])
        .expect("it answers")
        .get(0);

    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));

    // After the start, and once more after the crash.
    wait_until("the server has recovered", || {
        let log = server.log_text();
        log.matches("ready to accept connections").count() == 2
    });
    let mut session = server.connect("postgres", "postgres");
    let reported = attempt_json(&mut session, "invoice_sync.send_alerts()").expect("it sends");
    assert_eq!(
        reported["sent"], 1,
        "nobody here knows that it was sent: {reported}"
    );
    let requests = resend.requests();
    let keys: Vec<_> = requests
        .iter()
        .map(|seen| seen.header("idempotency-key"))
        .collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert!(
        keys[0].is_some_and(|key| key.starts_with("invoice_sync/")),
        "{keys:?}"
    );
    assert_eq!(resend.emails().len(), 1, "by the key Resend knows it");
}
