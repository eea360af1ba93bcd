//! Many lookups at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stripe_double::{Action, Checkout, Config, Double, Fault, Purchase};

use super::super::client::Connection;
use super::super::cost::{Cost, Planned};
use super::super::error::StripeError;
use super::super::fetch::{Fetched, Fetching};
use super::super::lookups::Question;
use super::super::objects::Reading;
use super::{TEST_TIMEOUT, connection, double};
use crate::domain::evidence::Evidence;
use crate::pg::Running;
use crate::settings::Secret;

/// As [`super::super::fetch::fetch`], without checks for interrupts.
fn fetch(questions: Vec<Question>, connection: Connection) -> Fetched {
    fetch_until(Instant::now() + TEST_TIMEOUT, questions, connection)
}

fn fetch_until(deadline: Instant, questions: Vec<Question>, connection: Connection) -> Fetched {
    Fetching::start(questions, connection, Reading::default(), deadline)
        .expect("threads start")
        .collect(Running::next_without_server)
}

fn at_once(double: &Double, concurrency: usize) -> Connection {
    Connection {
        concurrency,
        ..connection(double)
    }
}

fn question<I: Into<String>>(invoice: impl ToString, ids: impl IntoIterator<Item = I>) -> Question {
    Question {
        about: invoice.to_string(),
        ids: ids.into_iter().map(Into::into).collect(),
        created: None,
        sessionless: BTreeSet::new(),
    }
}

fn sell(double: &Double, count: usize) -> Vec<Purchase> {
    (0..count)
        .map(|_| double.checkout(Checkout::new(5_000, "usd")).pay())
        .collect()
}

/// Adds enough newer sessions to fill the first page of a list.
fn add_newer_sessions(double: &Double) {
    for _ in 0..100 {
        double.checkout(Checkout::new(100, "usd"));
    }
}

fn by_session(sold: &[Purchase]) -> Vec<Question> {
    sold.iter()
        .enumerate()
        .map(|(n, sale)| question(n, [sale.session_id()]))
        .collect()
}

fn cost(list_pages: u64, from_lists: u64, singles: u64) -> Cost {
    Cost {
        requests: list_pages + singles,
        retries: 0,
        planned: Planned {
            list_pages,
            from_lists,
            singles,
        },
        own_requests: list_pages + singles,
        ..Cost::default()
    }
}

/// Returns how many findings have the error `NotAsked`.
fn not_asked(fetched: &Fetched) -> usize {
    fetched
        .findings
        .iter()
        .filter(|finding| finding.evidence == Err(StripeError::NotAsked))
        .count()
}

#[test]
fn findings_are_in_the_order_of_the_lookups() {
    let double = Double::start(Config {
        latency: Duration::from_millis(15),
        ..Config::default()
    })
    .expect("the stand-in starts");
    let sold = sell(&double, 24);
    add_newer_sessions(&double);

    let fetched = fetch(by_session(&sold), at_once(&double, 3));

    for (n, (finding, sale)) in fetched.findings.iter().zip(&sold).enumerate() {
        assert_eq!(finding.about, n.to_string());
        match finding.evidence.as_deref() {
            Ok([Evidence::Payment(payment)]) => {
                assert_eq!(payment.ids.session, Some(sale.session_id()));
            }
            other => panic!("invoice {n}: expected its payment, not {other:?}"),
        }
    }
    assert_eq!(fetched.findings.len(), 24);
    assert_eq!(
        fetched.cost,
        cost(1, 0, 24),
        "a page in vain, and one by one"
    );
    assert_eq!(double.peak_in_flight(), 3, "as many at once as allowed");
    assert!(double.connections() <= 3, "connections are used again");
}

#[test]
fn the_intent_of_a_session_costs_no_request() {
    let double = double();
    let sold = sell(&double, 1).remove(0);
    let ids = [sold.session_id(), sold.intent_id(), sold.charge_id()];

    let fetched = fetch(vec![question("1", ids)], at_once(&double, 1));

    assert_eq!(fetched.cost.requests, 1);
    assert_eq!(fetched.findings[0].evidence.as_ref().map(Vec::len), Ok(1));
}

#[test]
fn an_object_that_several_lookups_ask_about_is_requested_once() {
    let double = double();
    let sold = sell(&double, 2);
    let ids: Vec<String> = sold.iter().map(Purchase::session_id).collect();
    let fetched = fetch(
        vec![
            question("event", [&ids[0]]),
            question("invoice", ids.iter()),
            question("other event", [&ids[1]]),
        ],
        at_once(&double, 3),
    );
    assert_eq!(double.requests().len(), 2, "{:?}", double.requests());
    assert_eq!(fetched.cost, cost(0, 0, 2));
    let mut answers = fetched.findings.into_iter().map(|it| it.evidence.unwrap());
    let (event, invoice) = (answers.next().unwrap(), answers.next().unwrap());
    let other = answers.next().unwrap();
    assert_eq!(invoice, [event, other].concat(), "as old as each other");
}

#[test]
fn a_text_that_is_no_id_is_reported_and_the_rest_looked_up() {
    let double = double();
    let sold = sell(&double, 2);
    let ids = [
        "sub_123".to_owned(),
        sold[0].session_id(),
        "cs_test_missing".to_owned(),
        sold[1].intent_id(),
    ];

    let fetched = fetch(vec![question("1", ids)], at_once(&double, 2));

    let evidence = fetched.findings[0].evidence.as_ref().expect("all is known");
    assert!(matches!(&evidence[0], Evidence::NotAnId { text } if text == "sub_123"));
    assert!(matches!(&evidence[1], Evidence::Payment(_)));
    assert!(matches!(&evidence[2], Evidence::Missing { .. }));
    assert!(matches!(&evidence[3], Evidence::Payment(_)));
    // One more request for the session of the intent.
    assert_eq!(fetched.cost.requests, 4);
}

#[test]
fn a_rejected_key_costs_no_more_requests_than_run_at_once() {
    let double = double();
    let sold = sell(&double, 9);
    for limit in [1, 4] {
        double.reset_requests();
        let connection = Connection {
            key: Secret::for_tests("sk_test_revoked"),
            ..at_once(&double, limit)
        };

        let fetched = fetch(by_session(&sold), connection);

        let asked = double.requests().len();
        assert!(
            (1..=limit).contains(&asked),
            "{asked} requests at {limit} at once"
        );
        assert_eq!(not_asked(&fetched), 9 - asked);
        assert!(
            matches!(fetched.cost.fatal, Some(StripeError::RejectedKey { .. })),
            "{:?}",
            fetched.cost.fatal
        );
    }
}

/// Fails without retries, so that no test waits for them.
fn outage() -> Fault {
    Fault::new(Action::Status(503)).should_retry("false")
}

#[test]
fn five_unreachable_in_a_row_end_the_fetch() {
    let double = double();
    let sold = sell(&double, 20);
    double.fault(outage().always());

    let fetched = fetch(by_session(&sold), at_once(&double, 1));

    assert_eq!(fetched.cost.requests, 5);
    assert_eq!(
        fetched.cost.planned.list_pages, 1,
        "one of them was a list's"
    );
    assert_eq!(not_asked(&fetched), 16);
    assert!(
        matches!(fetched.cost.fatal, Some(StripeError::Unreachable { .. })),
        "{:?}",
        fetched.cost.fatal
    );
}

#[test]
fn failures_with_answers_between_them_do_not_end_the_fetch() {
    let double = double();
    let sold = sell(&double, 20);
    add_newer_sessions(&double);
    for sale in sold.iter().enumerate().filter(|(n, _)| n % 5 != 4) {
        double.fault(outage().on_object(sale.1.session_id()).always());
    }

    let fetched = fetch(by_session(&sold), at_once(&double, 1));

    assert_eq!(fetched.cost.fatal, None);
    assert_eq!(fetched.cost.requests, 21);
    let known = fetched
        .findings
        .iter()
        .filter(|finding| finding.evidence.is_ok());
    assert_eq!(known.count(), 4, "each fifth was answered");
}

#[test]
fn a_malformed_answer_affects_only_its_own_lookup() {
    let double = double();
    let sold = sell(&double, 12);
    for sale in &sold[..10] {
        double.remove_field(&sale.intent_id(), "status");
    }

    let fetched = fetch(by_session(&sold), at_once(&double, 1));

    assert_eq!(fetched.cost.fatal, None);
    let errors = fetched
        .findings
        .iter()
        .filter(|finding| matches!(finding.evidence, Err(StripeError::Malformed { .. })));
    assert_eq!(errors.count(), 10);
    assert!(fetched.findings[11].evidence.is_ok());
}

#[test]
fn a_lookup_with_one_failed_request_fails() {
    let double = double();
    let sold = sell(&double, 2);
    double.fault(outage().on_object(sold[1].intent_id()));
    let both = question("1", [sold[0].session_id(), sold[1].intent_id()]);

    let fetched = fetch(vec![both], at_once(&double, 1));

    assert!(
        matches!(
            fetched.findings[0].evidence,
            Err(StripeError::Unreachable { .. })
        ),
        "nothing is decided on a part: {:?}",
        fetched.findings[0].evidence
    );
}

#[test]
fn nothing_is_requested_after_the_deadline() {
    let double = double();
    let sold = sell(&double, 6);

    let fetched = fetch_until(Instant::now(), by_session(&sold), at_once(&double, 2));

    assert_eq!(not_asked(&fetched), 6);
    assert_eq!((fetched.cost.requests, double.requests().len()), (0, 0));
}
