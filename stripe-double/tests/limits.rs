//! Limits of rate and concurrency, connections, and the record of requests.

mod common;

use common::{agent, ask, get, raw_get, start, start_with};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use stripe_double::{Action, Config, Double, Fault};

/// Waits until a condition is true; fails if it does not become true in time.
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "not reached: {what}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

fn hanging(double: &Double, requests: u64) -> Vec<TcpStream> {
    double.fault(Fault::new(Action::Hang).times(requests));
    let before = double.requests().len();
    let streams = (0..requests)
        .map(|_| raw_get(double, "/v1/events"))
        .collect();
    let all = before + usize::try_from(requests).unwrap();
    wait_until("the requests hang", || {
        double.requests().len() == all && double.faults_left() == 0
    });
    streams
}

#[test]
fn each_endpoint_has_a_rate_limit_of_its_own() {
    let double = start_with(Config {
        endpoint_rate_limit: Some(2),
        ..Config::default()
    });
    let ask = |path: &str| get(&double, path).status;
    for path in [
        "/v1/charges",
        "/v1/charges/ch_1",
        "/v1/invoices",
        "/v1/invoice_payments",
    ] {
        let answers: Vec<u16> = (0..3).map(|_| ask(path)).collect();
        assert!(!answers[..2].contains(&429), "{path}: {answers:?}");
    }
    let answers: Vec<u16> = (0..9)
        .map(|n| ask(&format!("/v1/refunds/re_{n}")))
        .collect();
    assert!(answers.contains(&429), "whatever the id: {answers:?}");
}

#[test]
fn requests_above_the_rate_limit_are_refused() {
    let double = start_with(Config {
        rate_limit: Some(3),
        ..Config::default()
    });
    let began = Instant::now();
    let answers: Vec<_> = (0..20).map(|_| get(&double, "/v1/events")).collect();
    let refilled = began.elapsed().as_secs_f64() * 3.0;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(
        good >= 3,
        "a second's worth is let through at once, not {good}"
    );
    assert!(
        f64::from(u32::try_from(good).unwrap()) <= 4.0 + refilled,
        "{good} were let through"
    );
    let refused = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("one was refused");
    assert_eq!(refused.error("code"), "rate_limit");
    assert_eq!(
        refused.header("stripe-rate-limited-reason"),
        Some("global-rate")
    );
    wait_until("the bucket fills again", || {
        get(&double, "/v1/events").status == 200
    });
}

#[test]
fn requests_above_the_concurrency_limit_are_refused() {
    let double = start();
    double.set_max_concurrency(Some(1));
    let _hanging = hanging(&double, 1);
    let refused = get(&double, "/v1/events");
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("stripe-rate-limited-reason"),
        Some("global-concurrency")
    );
    double.set_max_concurrency(None);
    assert_eq!(get(&double, "/v1/events").status, 200);
}

#[test]
fn the_peak_counts_concurrent_requests() {
    let double = start();
    (0..3).for_each(|_| drop(get(&double, "/v1/events")));
    assert_eq!(
        double.peak_in_flight(),
        1,
        "one after the other is one at a time"
    );
    let _hanging = hanging(&double, 8);
    assert_eq!(double.peak_in_flight(), 8);
}

#[test]
fn a_connection_is_kept_and_reused() {
    let double = start();
    let agent = agent();
    let headers = [("authorization", "Bearer sk_test_double")];
    for _ in 0..10 {
        assert_eq!(
            ask(&agent, &double, "/v1/events", &headers).unwrap().status,
            200
        );
    }
    assert_eq!(double.connections(), 1);
    let closing = [headers[0], ("connection", "close")];
    ask(&agent, &double, "/v1/events", &closing).unwrap();
    ask(&agent, &double, "/v1/events", &headers).unwrap();
    assert_eq!(double.connections(), 2, "close closes");
}

#[test]
fn requests_are_recorded_and_counted() {
    let double = start();
    get(&double, "/v1/events?limit=3&created[gte]=5");
    get(&double, "/v1/charges/ch_none");
    let seen = double.requests();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("GET", "/v1/events")
    );
    assert_eq!(seen[0].param("limit").as_deref(), Some("3"));
    assert_eq!(
        seen[0].header("authorization"),
        Some("Bearer sk_test_double")
    );
    assert_eq!((seen[0].status, seen[1].status), (Some(200), Some(404)));
    assert!(seen[0].arrived <= seen[1].arrived);
    assert_eq!(double.count_of("/v1/charges"), 1);
    assert_eq!(double.counts_by_path()["GET /v1/charges/:id"], 1);
    double.reset_requests();
    assert!(double.requests().is_empty());
    assert_eq!(double.count_of("/"), 0);
}

#[test]
fn invalid_http_is_refused_and_the_double_continues() {
    use std::io::Write;
    let double = start();
    let mut stream = TcpStream::connect(("127.0.0.1", double.port())).unwrap();
    stream.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").unwrap();
    let sent = common::read_all(stream).unwrap();
    assert!(
        sent.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&sent)
    );
    assert_eq!(get(&double, "/v1/events").status, 200);
}

#[test]
fn a_double_stops_at_once_with_open_connections() {
    use std::io::Read;
    let double = start();
    let mut kept = raw_get(&double, "/v1/events");
    assert!(kept.read(&mut [0; 4096]).unwrap() > 0, "it answers");
    let stopping = Instant::now();
    drop(double);
    assert!(
        stopping.elapsed() < Duration::from_secs(2),
        "it waited for a kept connection"
    );
    common::read_all(kept).expect("the connection is closed in order");
}

#[test]
fn a_stopped_double_frees_its_port() {
    let double = start();
    let port = double.port();
    get(&double, "/v1/events");
    drop(double);
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens any more");
    let again = Double::start(Config {
        port,
        ..Config::default()
    });
    let again = again.expect("the port can be taken again");
    assert_eq!(get(&again, "/v1/events").status, 200);
}
