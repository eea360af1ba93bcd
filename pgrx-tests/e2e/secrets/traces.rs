//! After a day's work with failures, the key is in no answer, table, view or log.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use stripe_double::{Action, Config, Double, Fault};

use super::{Guarded, error_text};
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json};
use crate::harness::wait_until;

/// A server that puts the request's own `Authorization` into everything it
/// says, in Stripe's shape and in Resend's. They do not; whoever stands between might.
fn start_echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let said = request
                .lines()
                .find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("authorization").then_some(value)
                })
                .unwrap_or_default();
            let (status, body) = match number % 5 {
                0 => (
                    "401 Unauthorized",
                    format!(r#"{{"error":{{"message":"{said}"}},"message":"{said}"}}"#),
                ),
                1 => (
                    "403 Forbidden",
                    format!(r#"{{"error":{{"message":"{said}"}},"message":"{said}"}}"#),
                ),
                2 => (
                    "400 Bad Request",
                    format!(r#"{{"error":{{"message":"{said}"}},"message":"{said}"}}"#),
                ),
                3 => (
                    "404 Not Found",
                    format!(r#"{{"error":{{"code":"resource_missing","message":"{said}"}}}}"#),
                ),
                _ => ("200 OK", format!(r#"{{"object":"{said}"}}"#)),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRequest-Id: {said}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn the_key_is_in_no_answer_no_table_no_view_and_no_log() {
    let mut guarded = Guarded::open();
    let key = guarded.key.clone();
    let operator = guarded.operator.clone();
    // The operator's statements and all that is said about them go to the log.
    guarded.shop.execute(&format!(
        "alter role {operator} set log_statement = 'all';
        alter role {operator} set log_min_messages = 'debug5';
        alter role {operator} set log_error_verbosity = 'verbose';
        alter role {operator} set log_min_duration_statement = 0"
    ));
    let sales = Sale::many(&mut guarded.shop, 6);
    let mut heard = String::new();
    let mut note = |what: Result<serde_json::Value, crate::harness::SqlError>| {
        heard += &match what {
            Ok(answer) => answer.to_string(),
            Err(error) => error_text(&error),
        };
        heard += "\n";
    };

    let work = |guarded: &Guarded, note: &mut dyn FnMut(_)| {
        let (mut session, notices) =
            Server::main().connect_listening(guarded.shop.name(), &guarded.operator);
        let _ = attempt(&mut session, "set client_min_messages = 'debug5'");
        note(attempt_json(&mut session, &sales[0].sync()));
        note(attempt_json(&mut session, "invoice_sync.sweep()"));
        note(attempt_json(
            &mut session,
            "invoice_sync.sweep(dry_run => true)",
        ));
        note(attempt_json(
            &mut session,
            "invoice_sync.sync_invoice('nobody')",
        ));
        note(attempt_json(
            &mut session,
            "to_jsonb(current_setting('invoice_sync.stripe_api_key'))",
        ));
        note(Ok(serde_json::Value::String(notices.text())));
    };

    let examine = |guarded: &Guarded, note: &mut dyn FnMut(_)| {
        note(attempt_json(
            &mut guarded.as_operator(),
            "jsonb_agg(to_jsonb(d)) from invoice_sync.doctor() d",
        ));
    };

    let faults = [
        Fault::new(Action::Html(200)),
        Fault::new(Action::InvalidJson),
        Fault::new(Action::Redirect(guarded.evil.url())),
        Fault::new(Action::Status(500)).should_retry("false"),
        Fault::new(Action::OversizedBody(5_000_000)),
        Fault::new(Action::TruncatedBody),
    ];
    for fault in faults {
        guarded.shop.stripe.clear_faults();
        guarded.shop.stripe.fault(fault);
        work(&guarded, &mut note);
        examine(&guarded, &mut note);
    }
    guarded.shop.stripe.clear_faults();
    work(&guarded, &mut note);
    examine(&guarded, &mut note);
    let right = guarded.shop.stripe.url();
    // One who does not know the key, one who repeats it, and nobody.
    let stranger = Double::start(Config::default()).expect("the stand-in starts");
    for base in [
        stranger.url(),
        start_echo(),
        "http://127.0.0.1:1".to_owned(),
    ] {
        guarded.shop.configure("stripe_api_base", &base);
        examine(&guarded, &mut note);
        for _ in 0..5 {
            let number = super::random();
            Sale::unbooked(&mut guarded.shop, &format!("INV-{number}"));
            work(&guarded, &mut note);
        }
    }
    guarded.shop.configure("stripe_api_base", &right);

    // What others see while a request is in flight.
    guarded.shop.stripe.set_latency(Duration::from_millis(500));
    guarded.shop.stripe.reset_requests();
    let mut session = guarded.as_operator();
    let call = sales[1].sync();
    std::thread::scope(|scope| {
        scope.spawn(move || attempt_json(&mut session, &call));
        let stripe = &guarded.shop.stripe;
        wait_until("Stripe is asked", || stripe.count_of("/v1/") > 0);
        let seen = guarded
            .shop
            .db
            .query_one(
                "select coalesce(jsonb_agg(to_jsonb(a)), '[]') from pg_stat_activity a where datname = current_database()",
                &[],
            )
            .map(|row| row.get(0))
            .map_err(|error| crate::harness::SqlError::from(&error));
        note(seen);
    });

    for view in [
        "recent_runs",
        "changes",
        "open_issues",
        "paid_without_payment",
        "stripe_without_payment",
        "status",
        "metrics",
    ] {
        note(attempt_json(
            &mut guarded.as_operator(),
            &format!("coalesce(jsonb_agg(to_jsonb(v)), '[]') from invoice_sync.{view} v"),
        ));
    }
    note(attempt_json(
        &mut guarded.as_operator(),
        "coalesce(jsonb_agg(to_jsonb(s)), '[]') from pg_db_role_setting s",
    ));

    assert!(
        heard.contains("28000") || heard.contains("rejects the API key"),
        "{heard}"
    );
    assert!(
        heard.contains("Bearer ********"),
        "the echo was heard: {heard}"
    );
    assert!(!heard.contains(&key), "in what was error_text");
    assert!(!guarded.shop.dump().contains(&key), "in the database");
    let log = Server::main().log_text();
    assert!(log.contains(&operator), "the operator's work is in the log");
    let line = log.lines().find(|line| line.contains(&key));
    // The superuser's own words wrote the key file; nobody else's hold the key.
    assert_eq!(line, None, "in the server's log");
    assert_eq!(guarded.evil.connections(), 0);
}

#[test]
fn the_e_mail_key_is_in_no_answer_no_table_no_view_and_no_log() {
    let mut guarded = Guarded::open();
    let key = format!("re_guarded{:016x}", super::random());
    let path = guarded.write_file("resend", &key, "600");
    guarded
        .shop
        .configure("resend_api_key", &format!("file:{path}"));
    guarded.shop.execute(&format!(
        "alter role {} set log_statement = 'all'; alter role {0} set log_min_messages = 'debug5';
        update invoice_sync.settings set alert_sender = 'a@example.com', alert_recipients = '{{b@example.com}}';
        insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-1', 'Customer', 'Paid', 100, 100);
        select invoice_sync.sweep()",
        guarded.operator
    ));
    let mut heard = String::new();
    // One who does not know the key, one who repeats it, and nobody.
    let stranger = guarded.evil.url();
    let echo = start_echo();
    for base in [
        &stranger,
        &echo,
        &echo,
        &echo,
        &echo,
        &echo,
        "http://127.0.0.1:1",
    ] {
        guarded.shop.configure("resend_api_base", base);
        guarded
            .shop
            .execute("update invoice_sync.alert set next_attempt_at = now() - interval '1 second'");
        let (mut session, notices) =
            Server::main().connect_listening(guarded.shop.name(), &guarded.operator);
        let answer = attempt_json(&mut session, "invoice_sync.send_alerts()");
        heard += &format!("{answer:?} {}", notices.text());
        let error = attempt_json(
            &mut session,
            "to_jsonb(last_error) from invoice_sync.alerts",
        );
        heard += &format!("{error:?}");
    }
    assert!(
        heard.contains("Bearer ********"),
        "the echo was heard: {heard}"
    );
    assert!(!heard.contains(&key), "in what was error_text");
    assert!(!guarded.shop.dump().contains(&key), "in the database");
    let log = Server::main().log_text();
    assert_eq!(
        log.lines().find(|line| line.contains(&key)),
        None,
        "in the log"
    );
}
