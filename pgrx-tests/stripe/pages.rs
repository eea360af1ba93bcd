//! Pages of lists whose answer does not come whole.

use std::time::{Duration, Instant};

use stripe_double::{Action, Checkout, Double, Fault};

use super::super::client::{Client, Connection};
use super::super::error::StripeError;
use super::super::events::{Page, read_page};
use super::{TEST_TIMEOUT, client, connection, double};
use crate::domain::feed::Request;
use crate::pg::Stop;

/// A body that no answer may have.
const TOO_LARGE: Action = Action::OversizedBody(5 * 1024 * 1024);

/// A stand-in with this many expired sessions.
fn with_events(count: usize) -> Double {
    let double = double();
    for _ in 0..count {
        double.checkout(Checkout::new(100, "usd")).expire();
    }
    double
}

fn newest() -> Request {
    Request::Before {
        event: None,
        since: 0,
    }
}

fn read(client: &Client, request: &Request) -> Result<Page, StripeError> {
    read_page(client, request, &Stop::new())
}

/// Returns the sizes of the pages that were requested.
fn sizes(double: &Double) -> Vec<String> {
    let requests = double.requests().into_iter();
    requests.filter_map(|it| it.param("limit")).collect()
}

#[test]
fn a_page_that_does_not_come_whole_is_requested_smaller() {
    for action in [
        TOO_LARGE,
        Action::InvalidJson,
        Action::TruncatedBody,
        Action::Hang,
    ] {
        let double = with_events(7);
        let client = Client::new(
            Connection {
                timeout: Duration::from_millis(300),
                ..connection(&double)
            },
            Instant::now() + TEST_TIMEOUT,
        );
        double.fault(Fault::new(action.clone()).limit_above(5).always());

        let page = read(&client, &newest()).unwrap_or_else(|error| panic!("{action:?}: {error}"));

        assert_eq!(page.marks.len(), 5, "{action:?}");
        assert!(page.has_more, "{action:?}");
        assert_eq!(sizes(&double), ["100", "25", "5"], "{action:?}");
        assert_eq!((client.requests(), client.retries()), (3, 2), "{action:?}");
    }
}

#[test]
fn smaller_pages_lead_to_the_end_of_a_list_and_miss_nothing() {
    let double = with_events(60);
    let client = client(&double);
    double.fault(Fault::new(TOO_LARGE).limit_above(25).always());
    let (mut request, mut found) = (newest(), Vec::new());
    loop {
        let page = read(&client, &request).expect("it is read");
        found.extend(page.marks.iter().map(|mark| mark.id.clone()));
        let Some(last) = page.marks.last().filter(|_| page.has_more) else {
            break;
        };
        request = Request::Before {
            event: Some(last.id.clone()),
            since: 0,
        };
    }
    let mut each = found.clone();
    each.dedup();
    assert_eq!((found.len(), each.len()), (60, 60));
}

#[test]
fn one_object_that_does_not_come_whole_is_an_error() {
    let double = with_events(2);
    let client = client(&double);
    double.fault(Fault::new(TOO_LARGE).always());

    let error = read(&client, &newest()).unwrap_err();

    assert!(matches!(error, StripeError::Malformed { .. }), "{error}");
    assert_eq!(sizes(&double), ["100", "25", "5", "1"]);
}

#[test]
fn what_says_nothing_of_the_size_leaves_it() {
    let double = with_events(2);
    let client = client(&double);
    double.fault(Fault::new(Action::Status(503)));
    double.fault(Fault::new(Action::Reset));

    read(&client, &newest()).expect("it is read");

    assert_eq!(sizes(&double), ["100", "100", "100"]);
}

#[test]
fn a_page_keeps_to_the_deadline() {
    let double = with_events(2);
    let deadline = Instant::now() + Duration::from_millis(300);
    let client = Client::new(connection(&double), deadline);
    double.fault(Fault::new(Action::Hang).always());

    let error = read(&client, &newest()).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert_eq!(sizes(&double), ["100"]);
}
