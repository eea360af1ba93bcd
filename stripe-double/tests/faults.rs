//! The faults, and which requests they apply to.

mod common;

use common::{agent, ask, get, raw_get, read_all, start};
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};
use stripe_double::{Action, Checkout, Double, Fault, Intent};

fn statuses(double: &Double, paths: &[&str]) -> Vec<u16> {
    paths.iter().map(|path| get(double, path).status).collect()
}

/// Returns the body of a raw answer.
fn body_of(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    &answer[end.expect("a whole head was sent") + 4..]
}

fn content_length(answer: &[u8]) -> usize {
    let head = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let (_, rest) = head
        .split_once("content-length: ")
        .expect("a length is given");
    let length = rest.lines().next().unwrap_or_default();
    length.parse().expect("the length is a number")
}

#[test]
fn errors_have_stripes_format_and_the_requested_headers() {
    let double = start();
    double.fault(Fault::new(Action::RateLimited).retry_after(7));
    double.fault(Fault::new(Action::LockTimeout));
    double.fault(Fault::new(Action::Status(500)).should_retry("false"));
    double.fault(Fault::new(Action::Status(503)).should_retry("true"));
    let limited = get(&double, "/v1/events");
    assert_eq!((limited.status, limited.error("code")), (429, "rate_limit"));
    assert_eq!(limited.header("retry-after"), Some("7"));
    assert_eq!(limited.header("stripe-should-retry"), None);
    let locked = get(&double, "/v1/events");
    assert_eq!((locked.status, locked.error("code")), (429, "lock_timeout"));
    let failed = get(&double, "/v1/events");
    assert_eq!((failed.status, failed.error("type")), (500, "api_error"));
    assert_eq!(failed.header("stripe-should-retry"), Some("false"));
    let failed = get(&double, "/v1/events");
    assert_eq!(failed.status, 503);
    assert_eq!(failed.header("stripe-should-retry"), Some("true"));
    assert_eq!(
        get(&double, "/v1/events").status,
        200,
        "each befell one request"
    );
    let noted: Vec<_> = double.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(noted, [429, 429, 500, 503, 200].map(Some));
}

#[test]
fn a_fault_applies_only_to_matching_requests() {
    let double = start();
    let intent = double.intent(Intent::new(100, "usd")).intent_id();
    let path = format!("/v1/payment_intents/{intent}");
    let query = format!("/v1/charges?payment_intent={intent}");
    double.fault(
        Fault::new(Action::Status(500))
            .on_path("/v1/events")
            .times(2),
    );
    let asked = ["/v1/charges", "/v1/events", "/v1/events", "/v1/events"];
    assert_eq!(statuses(&double, &asked), [200, 500, 500, 200]);
    double.fault(Fault::new(Action::Status(500)).nth(2));
    assert_eq!(statuses(&double, &["/v1/events"; 3]), [200, 500, 200]);
    double.fault(Fault::new(Action::Status(500)).on_object(&intent).always());
    assert_eq!(
        statuses(&double, &["/v1/events", &path, &query, &path]),
        [200, 500, 500, 500]
    );
    double.clear_faults();
    assert_eq!(statuses(&double, &[&path]), [200]);
    double.fault(Fault::new(Action::Status(500)).on_method("POST"));
    assert_eq!(statuses(&double, &["/v1/events"]), [200]);
    assert_eq!(double.faults_left(), 1);
}

#[test]
fn a_reset_fault_resets_the_connection() {
    let double = start();
    double.fault(Fault::new(Action::Reset));
    let error = read_all(raw_get(&double, "/v1/events")).expect_err("the connection breaks");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(double.requests()[0].status, None);
}

#[test]
fn a_connection_can_close_before_the_answer() {
    let double = start();
    double.fault(Fault::new(Action::CloseBeforeAnswer));
    let sent = read_all(raw_get(&double, "/v1/events")).expect("it closes in order");
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
fn a_hanging_request_hangs_until_the_double_stops() {
    let double = start();
    double.fault(Fault::new(Action::Hang));
    let mut stream = raw_get(&double, "/v1/events");
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let error = stream.read(&mut [0]).expect_err("nothing comes");
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    assert_eq!(
        get(&double, "/v1/events").status,
        200,
        "others are answered meanwhile"
    );
    let stopping = Instant::now();
    drop(double);
    assert!(
        stopping.elapsed() < Duration::from_secs(2),
        "it stops although one hangs"
    );
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert_eq!(stream.read(&mut [0]).expect("the connection is closed"), 0);
}

#[test]
fn a_truncated_body_is_shorter_than_its_content_length() {
    let double = start();
    double.fault(Fault::new(Action::TruncatedBody));
    let sent = read_all(raw_get(&double, "/v1/events")).expect("it closes in order");
    assert!(content_length(&sent) > body_of(&sent).len());
    assert!(!body_of(&sent).is_empty(), "a part is sent");
}

#[test]
fn an_oversized_body_has_the_requested_size() {
    let double = start();
    double.fault(Fault::new(Action::OversizedBody(3_000_000)));
    let mut answer = agent()
        .get(format!("{}/v1/events", double.url()))
        .header("authorization", "Bearer sk_test_double")
        .call()
        .expect("an answer comes");
    let body = answer
        .body_mut()
        .with_config()
        .limit(4_000_000)
        .read_to_string();
    assert_eq!(body.expect("the body is whole").len(), 3_000_000);
}

#[test]
fn html_invalid_json_and_redirects_are_sent_as_requested() {
    let double = start();
    double.fault(Fault::new(Action::Html(200)));
    double.fault(Fault::new(Action::Html(502)));
    double.fault(Fault::new(Action::InvalidJson));
    double.fault(Fault::new(Action::Redirect(
        "http://127.0.0.1:1/elsewhere".into(),
    )));
    let page = get(&double, "/v1/events");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(get(&double, "/v1/events").status, 502);
    let broken = get(&double, "/v1/events");
    assert_eq!(broken.header("content-type"), Some("application/json"));
    assert!(broken.body.is_string(), "it parses: {}", broken.body);
    let moved = get(&double, "/v1/events");
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some("http://127.0.0.1:1/elsewhere"))
    );
}

#[test]
fn late_and_slow_answers_are_correct() {
    let double = start();
    double.checkout(Checkout::new(100, "usd"));
    let plain = get(&double, "/v1/checkout/sessions").body;
    let timed = |fault: Fault| {
        double.fault(fault);
        let asked = Instant::now();
        assert_eq!(get(&double, "/v1/checkout/sessions").body, plain);
        asked.elapsed()
    };
    let pause = Duration::from_millis(20);
    let slow = timed(Fault::new(Action::SlowBody { piece: 500, pause }));
    assert!(slow >= 4 * pause, "{slow:?}");
    let late = timed(Fault::new(Action::Latency(Duration::from_millis(100))));
    assert!(late >= Duration::from_millis(100), "{late:?}");
    double.set_latency(Duration::from_millis(100));
    let asked = Instant::now();
    get(&double, "/v1/events");
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_connection_continues_after_an_error_and_not_after_truncation() {
    let double = start();
    let agent = agent();
    let headers = [("authorization", "Bearer sk_test_double")];
    let status = || ask(&agent, &double, "/v1/events", &headers).map(|answer| answer.status);
    assert_eq!(status().unwrap(), 200);
    double.fault(Fault::new(Action::Status(500)));
    assert_eq!(status().unwrap(), 500);
    assert_eq!(status().unwrap(), 200);
    assert_eq!(double.connections(), 1, "one connection served them all");
    double.fault(Fault::new(Action::TruncatedBody));
    status().expect_err("half an answer is none");
    assert_eq!(status().unwrap(), 200);
    assert_eq!(double.connections(), 2);
}
