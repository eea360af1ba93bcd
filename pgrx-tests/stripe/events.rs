//! The list of events, page by page.

use stripe_double::{Action, Checkout, Config, Double, EventDelay, Fault};

use super::super::client::Client;
use super::super::error::StripeError;
use super::super::events::{Page, of_feed, read_page};
use super::{client, double};
use crate::domain::feed::Request;
use crate::pg::Stop;

const NOW: i64 = 1_750_000_000;

/// A stand-in with a fixed clock, so that all events have the same second.
fn frozen() -> Double {
    Double::start(Config {
        clock: Some(NOW),
        ..Config::default()
    })
    .expect("the stand-in starts")
}

/// Expires `count` sessions, with one relevant event each.
fn expire(double: &Double, count: usize) {
    for _ in 0..count {
        double.checkout(Checkout::new(100, "usd")).expire();
    }
}

fn read(client: &Client, request: &Request) -> Page {
    read_page(client, request, &Stop::new()).unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// Requests the newest events, back to a time.
fn since(since: i64) -> Request {
    Request::Before { event: None, since }
}

/// Requests the events before this one.
fn older(event: String, since: i64) -> Request {
    Request::Before {
        event: Some(event),
        since,
    }
}

fn ids(page: &Page) -> Vec<String> {
    page.events.iter().map(|event| event.id.clone()).collect()
}

/// Returns the relevant events, the newest first.
fn happened(double: &Double) -> Vec<String> {
    let events = double.events();
    let relevant = events.iter().rev().filter(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        of_feed().contains(&kind)
    });
    relevant
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Reads forward from `cursor`, page by page. Returns the ids, the oldest first.
fn follow(client: &Client, mut cursor: String) -> Vec<String> {
    let mut followed = Vec::new();
    loop {
        let page = read(client, &Request::After(cursor.clone()));
        followed.extend(ids(&page).into_iter().rev());
        match followed.last() {
            Some(newest) if page.has_more => cursor.clone_from(newest),
            _ => return followed,
        }
    }
}

#[test]
fn paging_forward_returns_each_newer_event_once() {
    let double = frozen();
    let client = client(&double);
    expire(&double, 251);
    let happened = happened(&double);
    let (oldest, newer) = happened.split_last().expect("there are some");
    double.reset_requests();

    let followed = follow(&client, oldest.clone());

    assert_eq!(double.requests().len(), 3);
    assert!(followed.iter().eq(newer.iter().rev()));
}

#[test]
fn paging_back_returns_each_event_since_a_time_once() {
    let double = frozen();
    let client = client(&double);
    expire(&double, 3);
    double.advance_clock(10);
    expire(&double, 150);
    let later = NOW + 5;

    let first = read(&client, &since(later));
    let oldest = ids(&first).pop().expect("a full page");
    let second = read(&client, &older(oldest, later));

    assert_eq!((first.has_more, second.has_more), (true, false));
    let walked = [ids(&first), ids(&second)].concat();
    assert_eq!(walked, happened(&double)[..150]);
}

#[test]
fn only_relevant_types_are_requested_on_every_page() {
    let double = frozen();
    let client = client(&double);
    let paid = double.checkout(Checkout::new(100, "usd")).pay();
    double.emit("customer.created", &paid.session_id());
    expire(&double, 1);
    let event = happened(&double).remove(0);
    double.reset_requests();

    let newest = read(&client, &since(0));
    read(&client, &older(event.clone(), 0));
    read(&client, &Request::After(event));

    assert_eq!(ids(&newest), happened(&double));
    for seen in double.requests() {
        assert_eq!(
            seen.query.matches("types").count(),
            of_feed().len(),
            "{seen:?}"
        );
        assert_eq!(seen.param("limit").as_deref(), Some("100"));
    }
}

#[test]
fn a_page_contains_stripes_time() {
    let double = frozen();
    double.advance_clock(86_400);
    let page = read(&client(&double), &since(NOW));
    assert_eq!(page.stripe_time, Some(NOW + 86_400));
    assert_eq!((page.events.len(), page.has_more), (0, false));
}

#[test]
fn a_deleted_cursor_event_has_an_error_of_its_own() {
    let double = frozen();
    let client = client(&double);
    expire(&double, 1);
    let event = happened(&double).remove(0);
    double.advance_clock(31 * 86_400);

    for request in [
        Request::After(event.clone()),
        older(event, NOW),
        Request::After("evt_unheard_of".to_owned()),
    ] {
        let error = read_page(&client, &request, &Stop::new()).unwrap_err();
        assert!(
            matches!(error, StripeError::CursorGone { .. }),
            "{request:?}: {error:?}"
        );
    }
}

#[test]
fn an_event_listed_late_is_missing_after_the_cursor() {
    let double = frozen();
    let client = client(&double);
    expire(&double, 1);
    let cursor = happened(&double).remove(0);
    double.set_event_delay(EventDelay::Held);
    expire(&double, 1);
    double.set_event_delay(EventDelay::None);
    expire(&double, 1);

    let seen = follow(&client, cursor.clone());
    double.release_events();

    assert_eq!(seen.len(), 1, "the newest");
    let late = happened(&double).remove(1);
    assert!(!follow(&client, seen[0].clone()).contains(&late));
    assert!(
        follow(&client, cursor).contains(&late),
        "an overlap finds it"
    );
}

#[test]
fn a_failed_page_is_retried() {
    let double = frozen();
    let client = client(&double);
    expire(&double, 150);
    let happened = happened(&double);
    let (oldest, newer) = happened.split_last().expect("there are some");
    double.fault(Fault::new(Action::Status(503)).on_path("/v1/events").nth(2));

    let followed = follow(&client, oldest.clone());

    assert!(followed.iter().eq(newer.iter().rev()));
    assert_eq!(client.retries(), 1);
}

#[test]
fn a_malformed_list_is_an_error() {
    let double = double();
    double.fault(Fault::new(Action::OversizedBody(20)));
    let error = read_page(&client(&double), &since(0), &Stop::new()).unwrap_err();
    assert!(matches!(error, StripeError::Malformed { .. }), "{error:?}");
}
