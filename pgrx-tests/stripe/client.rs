//! What the client sends: headers and retries, and no request to another host.

use std::process::Command;
use std::time::{Duration, Instant};

use stripe_double::{Action, Checkout, Config, Double, Fault};

use super::super::client::{Client, Connection};
use super::super::error::StripeError;
use super::{KEY, TEST_TIMEOUT, client, connection, double, get};
use crate::pg::Stop;
use crate::settings::Secret;

fn paid_session(double: &Double) -> String {
    double
        .checkout(Checkout::new(5_000, "usd"))
        .pay()
        .session_id()
}

fn session_path(double: &Double) -> String {
    format!("/v1/checkout/sessions/{}", paid_session(double))
}

#[test]
fn the_headers_contain_key_and_version() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);

    let answer = client
        .get(&path, &[("expand[]", "payment_intent")], &Stop::new())
        .expect("the stand-in knows the session");

    let seen = double.requests().pop().expect("a request");
    assert_eq!((seen.method.as_str(), &seen.path), ("GET", &path));
    assert_eq!(seen.param("expand[]").as_deref(), Some("payment_intent"));
    let bearer = format!("Bearer {KEY}");
    assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
    assert_eq!(seen.header("stripe-version"), Some("2026-07-29.dahlia"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("stripe-account"), None);
    let agent = seen.header("user-agent").unwrap_or_default();
    assert!(agent.starts_with("invoice_sync/"), "{agent}");
    assert!(seen.body.is_empty());
    assert_eq!(answer.body["object"], "checkout.session");
    let request_id = answer.request_id.expect("the Request-Id is kept");
    assert!(request_id.starts_with("req_"), "{request_id}");
    assert_eq!((client.requests(), client.retries()), (1, 0));
}

#[test]
fn another_version_and_a_connected_account_are_sent() {
    let double = double();
    let id = double
        .checkout(Checkout::new(5_000, "usd").account("acct_branch"))
        .pay()
        .session_id();
    let connection = Connection {
        version: "2025-03-31.basil".to_owned(),
        account: Some("acct_branch".to_owned()),
        ..connection(&double)
    };
    let client = Client::new(connection, Instant::now() + TEST_TIMEOUT);

    let answer = get(&client, &format!("/v1/checkout/sessions/{id}"));

    assert_eq!(answer.expect("it is that account's").body["id"], id);
    let seen = double.requests().pop().expect("a request");
    assert_eq!(seen.header("stripe-account"), Some("acct_branch"));
    assert_eq!(seen.header("stripe-version"), Some("2025-03-31.basil"));
}

#[test]
fn connections_are_reused() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);
    for _ in 0..5 {
        get(&client, &path).expect("an answer");
    }
    assert_eq!(double.connections(), 1);
}

/// A firewall that forgets a connection drops what is sent on it, so that no answer comes and no error.
#[test]
fn a_call_on_a_dead_connection_of_an_earlier_call_has_time_for_another_one() {
    for action in [Action::Hang, Action::Reset, Action::CloseBeforeAnswer] {
        let double = double();
        let path = session_path(&double);
        let of_a_webhook = || {
            let budget = Duration::from_secs(4);
            Client::of_one_thread(connection(&double), Instant::now() + budget)
        };
        get(&of_a_webhook(), &path).expect("an answer");
        get(&of_a_webhook(), &path).expect("an answer");
        assert_eq!(double.connections(), 1, "it is used again");
        double.fault(Fault::new(action.clone()));

        let client = of_a_webhook();
        get(&client, &path).unwrap_or_else(|error| panic!("{action:?}: {error}"));

        assert_eq!((client.requests(), client.retries()), (2, 1), "{action:?}");
        assert_eq!(double.connections(), 2, "{action:?}");
    }
}

#[test]
fn transient_failures_are_retried_and_counted() {
    for action in [
        Action::Status(500),
        Action::RateLimited,
        Action::LockTimeout,
        Action::Status(409),
        Action::Html(502),
        Action::Reset,
        Action::CloseBeforeAnswer,
        Action::TruncatedBody,
    ] {
        let double = double();
        let path = session_path(&double);
        let client = client(&double);
        double.fault(Fault::new(action.clone()));

        get(&client, &path).unwrap_or_else(|error| panic!("{action:?}: {error}"));

        assert_eq!((client.requests(), client.retries()), (2, 1), "{action:?}");
        assert_eq!(double.requests().len(), 2, "{action:?}");
    }
}

#[test]
fn should_retry_false_prevents_a_retry() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);
    double.fault(Fault::new(Action::Status(503)).should_retry("false"));

    let error = get(&client, &path).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert_eq!((client.requests(), client.retries()), (1, 0));
}

#[test]
fn a_retry_after_of_more_than_a_minute_ends_the_request() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);
    double.fault(Fault::new(Action::RateLimited).retry_after(61));
    let begun = Instant::now();

    let error = get(&client, &path).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert_eq!(client.requests(), 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn retry_after_is_respected() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);
    double.fault(Fault::new(Action::RateLimited).retry_after(1));

    get(&client, &path).expect("the second try is let through");

    let arrived: Vec<Instant> = double.requests().iter().map(|seen| seen.arrived).collect();
    let waited = arrived[1] - arrived[0];
    assert!(waited >= Duration::from_secs(1), "only {waited:?}");
}

#[test]
fn a_hanging_request_ends_after_the_timeout() {
    let double = double();
    let path = session_path(&double);
    let connection = Connection {
        timeout: Duration::from_millis(150),
        ..connection(&double)
    };
    let client = Client::new(connection, Instant::now() + TEST_TIMEOUT);
    double.fault(Fault::new(Action::Hang));

    get(&client, &path).expect("the second try is answered");

    assert_eq!((client.requests(), client.retries()), (2, 1));
}

#[test]
fn no_attempt_takes_longer_than_the_time_left() {
    let double = double();
    let path = session_path(&double);
    let begun = Instant::now();
    let client = Client::new(connection(&double), begun + Duration::from_millis(200));
    double.fault(Fault::new(Action::Hang).always());

    let error = get(&client, &path).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert_eq!(
        client.requests(),
        1,
        "no retry is begun without time for it"
    );
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "its own time-out is 5 s: {took:?}"
    );
}

#[test]
fn a_slow_body_ends_after_the_timeout() {
    let double = double();
    let path = session_path(&double);
    let begun = Instant::now();
    let client = Client::new(connection(&double), begun + Duration::from_millis(300));
    let slow = Action::SlowBody {
        piece: 1,
        pause: Duration::from_millis(20),
    };
    double.fault(Fault::new(slow).always());

    let error = get(&client, &path).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn nothing_is_sent_after_the_deadline_or_a_stop() {
    let double = double();
    let path = session_path(&double);

    let late = Client::new(connection(&double), Instant::now());
    assert_eq!(get(&late, &path).unwrap_err(), StripeError::NotAsked);

    let stop = Stop::new();
    stop.set();
    let ended = client(&double).get(&path, &[], &stop);
    assert_eq!(ended.unwrap_err(), StripeError::NotAsked);

    assert_eq!(double.requests().len(), 0);
}

#[test]
fn a_stop_ends_the_wait_for_a_retry() {
    let double = double();
    let path = session_path(&double);
    let client = client(&double);
    double.fault(Fault::new(Action::RateLimited).retry_after(15).always());
    let stop = Stop::new();
    let begun = Instant::now();

    let error = std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.set();
        });
        client.get(&path, &[], &stop).unwrap_err()
    });

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!((client.requests(), client.retries()), (1, 0));
}

#[test]
fn redirects_are_not_followed() {
    let double = double();
    let elsewhere = super::double();
    let path = session_path(&double);
    let client = client(&double);
    double.fault(Fault::new(Action::Redirect(format!(
        "{}{path}",
        elsewhere.url()
    ))));

    let error = get(&client, &path).unwrap_err();

    assert_eq!(
        error,
        StripeError::Malformed {
            what: "it answers with a redirect (302), which is not followed".to_owned()
        }
    );
    assert_eq!(elsewhere.connections(), 0, "the key went nowhere else");
    assert_eq!(client.requests(), 1);
}

/// All threads of a process share its environment, so this runs the test again in a process of its own, with a proxy
/// that would record a request.
#[test]
fn a_proxy_in_the_environment_is_ignored() {
    let proxy = double();
    let program = std::env::current_exe().expect("the tests are a program");
    let mut child = Command::new(program);
    child.args([
        "--exact",
        "stripe::tests::client::the_headers_contain_key_and_version",
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, proxy.url());
        child.env(name.to_ascii_lowercase(), proxy.url());
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");

    let output = child.output().expect("the test runs");

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "that test was run: {said}");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn a_key_with_an_unknown_prefix_has_no_mode() {
    let of_key = |key: &str| {
        let connection = Connection {
            key: Secret::for_tests(key),
            base: "http://127.0.0.1:1".to_owned(),
            ..connection(&Double::start(Config::default()).expect("the stand-in starts"))
        };
        Client::new(connection, Instant::now()).livemode()
    };
    let table = [
        ("sk_test_1", Some(false)),
        ("rk_test_1", Some(false)),
        ("sk_live_1", Some(true)),
        ("rk_live_1", Some(true)),
        ("sk_1", None),
        ("pk_live_1", None),
    ];
    for (key, livemode) in table {
        assert_eq!(of_key(key), livemode, "{key}");
    }
}
