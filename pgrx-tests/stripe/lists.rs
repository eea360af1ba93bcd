//! Lookups answered by pages of lists: the same evidence with fewer requests.

use std::collections::BTreeSet;
use std::time::Instant;

use stripe_double::{Action, Checkout, Dispute, Double, Fault, Intent, Purchase, Refund};

use super::super::client::Connection;
use super::super::cost::Planned;
use super::super::fetch::{Fetched, Fetching};
use super::super::lookups::Question;
use super::super::objects::Reading;
use super::super::retrieve::retrieve;
use super::{TEST_TIMEOUT, client, connection, double};
use crate::domain::evidence::{Evidence, PaymentState};
use crate::domain::identity::StripeId;
use crate::pg::{Running, Stop};

/// The second of the first sale.
const BEGUN: i64 = 1_750_000_000;

fn question(about: usize, ids: &[String]) -> Question {
    Question {
        about: about.to_string(),
        ids: ids.to_vec(),
        created: None,
        sessionless: BTreeSet::new(),
    }
}

fn start(double: &Double, questions: Vec<Question>) -> Fetching {
    let deadline = Instant::now() + TEST_TIMEOUT;
    Fetching::start(questions, connection(double), Reading::default(), deadline)
        .expect("threads start")
}

fn fetch(double: &Double, questions: Vec<Question>) -> Fetched {
    double.reset_requests();
    let fetched = start(double, questions).collect(Running::next_without_server);
    let asked = u64::try_from(double.requests().len()).expect("few");
    assert_eq!(fetched.cost.requests, asked, "each is counted");
    fetched
}

/// Sales with all outcomes, a minute apart.
fn sales(double: &Double, count: usize) -> Vec<Purchase> {
    (0..count)
        .map(|n| {
            let at = BEGUN + 60 * i64::try_from(n).expect("few");
            let opened = double
                .checkout(Checkout::new(5_000, "usd").created(at))
                .at(at + 10);
            match n % 5 {
                0 => opened,
                1 => opened.expire(),
                2 => opened.process(),
                3 => opened.complete_free(),
                _ => opened.pay(),
            }
        })
        .collect()
}

fn by_session(sold: &[Purchase]) -> Vec<Question> {
    sold.iter()
        .enumerate()
        .map(|(n, sale)| question(n, &[sale.session_id()]))
        .collect()
}

fn planned(fetched: &Fetched) -> (u64, u64, u64) {
    let Planned {
        list_pages,
        from_lists,
        singles,
    } = fetched.cost.planned;
    (list_pages, from_lists, singles)
}

/// Returns the evidence of a retrieval, without its request id.
fn retrieved(double: &Double, id: &str) -> Evidence {
    let id = StripeId::parse(id).expect("an id");
    let answer = retrieve(&client(double), &id, &Reading::default(), &Stop::new());
    without_request(answer.expect("an answer").remove(0))
}

fn without_request(mut evidence: Evidence) -> Evidence {
    if let Evidence::Payment(payment) = &mut evidence {
        payment.request_id = None;
        payment.as_of = 0;
    }
    evidence
}

#[test]
fn a_page_gives_the_same_evidence_as_a_retrieval() {
    let double = double();
    let sold = sales(&double, 60);
    sold[4].refund(Refund::of(700));
    let fetched = fetch(&double, by_session(&sold));

    assert_eq!(planned(&fetched), (1, 60, 0));
    for (finding, sale) in fetched.findings.iter().zip(&sold) {
        let evidence = finding.evidence.as_ref().expect("it is answered");
        let [Evidence::Payment(payment)] = evidence.as_slice() else {
            panic!("expected one payment, not {evidence:?}");
        };
        assert!(payment.request_id.is_some());
        assert_eq!(
            without_request(evidence[0].clone()),
            retrieved(&double, &sale.session_id())
        );
    }
}

#[test]
fn a_thousand_of_which_300_are_paid_cost_ten_requests() {
    let double = double();
    let sold: Vec<Purchase> = (0..1_000)
        .map(|n| {
            let opened = double.checkout(Checkout::new(5_000, "usd"));
            if n % 10 < 3 { opened.pay() } else { opened }
        })
        .collect();

    let fetched = fetch(&double, by_session(&sold));

    assert_eq!(planned(&fetched), (10, 1_000, 0));
    let paid = fetched.findings.iter().filter(|finding| {
        matches!(finding.evidence.as_deref(), Ok([Evidence::Payment(payment)])
            if matches!(payment.state, PaymentState::Received(_)))
    });
    assert_eq!(paid.count(), 300);
}

#[test]
fn sessions_of_known_age_are_found_by_their_time() {
    let double = double();
    let sold = sales(&double, 700);
    let wanted = &sold[200..230];
    let mut questions = by_session(wanted);
    for (question, n) in questions.iter_mut().zip(200..) {
        question.created = Some(BEGUN + 60 * n);
    }

    let fetched = fetch(&double, questions);

    assert_eq!(planned(&fetched), (1, 30, 0));
    let seen = double.requests().remove(0);
    let newest = (BEGUN + 60 * 229).to_string();
    assert_eq!(seen.param("created[lte]"), Some(newest));
}

#[test]
fn intents_without_a_session_are_found_in_their_own_list() {
    let double = double();
    let pay = |_| double.checkout(Checkout::new(5_000, "usd")).pay();
    let sold: Vec<Purchase> = (0..20).map(pay).collect();
    let balances: Vec<Purchase> = (0..20)
        .map(|_| double.intent(Intent::new(100, "usd")).pay())
        .collect();
    // The invoice still stores the deposit's session, but its intent was overwritten by the balance's.
    let questions = sold
        .iter()
        .zip(&balances)
        .enumerate()
        .map(|(n, (sale, balance))| {
            let mut ids = vec![sale.session_id(), sale.intent_id()];
            if n >= 10 {
                ids[1] = balance.intent_id();
            }
            question(n, &ids)
        });

    let fetched = fetch(&double, questions.collect());

    // The third page shows that no intent of the second has a session.
    assert_eq!(planned(&fetched), (3, 30, 0));
    for (n, finding) in fetched.findings.iter().enumerate() {
        let expected = if n < 10 { 1 } else { 2 };
        assert_eq!(finding.evidence.as_ref().map(Vec::len), Ok(expected));
    }
}

#[test]
fn disputes_of_listed_payments_are_requested() {
    let double = double();
    let pay = |_| double.checkout(Checkout::new(5_000, "usd")).pay();
    let sold: Vec<Purchase> = (0..20).map(pay).collect();
    sold[7].dispute(Dispute::new("needs_response"));

    let fetched = fetch(&double, by_session(&sold));

    assert_eq!(fetched.cost.requests, 2);
    let evidence = fetched.findings[7]
        .evidence
        .clone()
        .expect("it is answered");
    assert!(matches!(&evidence[..], [Evidence::Payment(payment)] if payment.dispute.is_some()));
    assert_eq!(
        without_request(evidence[0].clone()),
        retrieved(&double, &sold[7].session_id())
    );
}

#[test]
fn objects_on_no_page_are_retrieved() {
    let double = double();
    let sold = sales(&double, 20);
    let elsewhere = double
        .checkout(Checkout::new(100, "usd").live())
        .session_id();
    let mut questions = by_session(&sold);
    let odd = ["cs_test_gone", "pi_gone", elsewhere.as_str(), "no id"];
    questions.extend((20..).zip(odd).map(|(n, id)| question(n, &[id.to_owned()])));

    let fetched = fetch(&double, questions);

    assert_eq!(fetched.cost.requests, 3, "a page, and two that are missing");
    let found: Vec<&Evidence> = fetched.findings[20..]
        .iter()
        .flat_map(|finding| finding.evidence.as_ref().expect("it is answered"))
        .collect();
    assert!(
        matches!(
            found[..],
            [
                Evidence::Missing { .. },
                Evidence::Missing { .. },
                Evidence::OtherMode { .. },
                Evidence::NotAnId { .. }
            ]
        ),
        "{found:?}"
    );
}

#[test]
fn a_malformed_object_affects_no_other() {
    let double = double();
    let sold = sales(&double, 20);
    double.remove_field(&sold[3].session_id(), "payment_status");
    double.remove_field(&sold[8].session_id(), "created");

    let fetched = fetch(&double, by_session(&sold));

    assert_eq!(planned(&fetched), (1, 18, 2));
    for (n, finding) in fetched.findings.iter().enumerate() {
        assert_eq!(
            finding.evidence.is_ok(),
            n != 3 && n != 8,
            "{n}: {finding:?}"
        );
    }
}

#[test]
fn without_lists_everything_is_retrieved() {
    for action in [
        Action::InvalidJson,
        Action::Status(400),
        Action::OversizedBody(8_000_000),
    ] {
        let double = double();
        let sold = sales(&double, 210);
        let of_lists = Fault::new(action.clone()).limit_above(0).always();
        double.fault(of_lists.on_path("/v1/checkout/sessions"));

        let fetched = fetch(&double, by_session(&sold));

        assert_eq!(planned(&fetched), (1, 0, 210), "{action:?}");
        assert!(
            fetched
                .findings
                .iter()
                .all(|finding| finding.evidence.is_ok())
        );
    }
}

#[test]
fn one_object_answers_all_lookups_for_it() {
    let double = double();
    let sold = sales(&double, 15);
    let mut questions = by_session(&sold);
    questions.push(question(15, &[sold[2].session_id(), sold[4].session_id()]));

    let fetched = fetch(&double, questions);

    assert_eq!(planned(&fetched), (1, 15, 0));
    let both = fetched.findings[15]
        .evidence
        .as_ref()
        .expect("it is answered");
    assert_eq!(both.len(), 2);
    assert_eq!(
        both[..1],
        fetched.findings[2].evidence.as_ref().unwrap()[..]
    );
}

#[test]
fn findings_arrive_while_the_next_page_is_requested() {
    let double = double();
    let sold = sales(&double, 250);
    let sessions = "/v1/checkout/sessions";
    double.fault(Fault::new(Action::Hang).on_path(sessions).nth(2));

    let mut fetching = start(&double, by_session(&sold));
    let first = fetching.next_without_server().expect("the first page's");

    assert_eq!(first.len(), 100);
    assert!(first.iter().all(|finding| finding.evidence.is_ok()));
    assert_eq!(fetching.cost().planned.from_lists, 100);
}

#[test]
fn a_fetch_waits_for_its_caller_and_ends_when_dropped() {
    let double = double();
    let first = sales(&double, 9);
    let second = sales(&double, 9);
    let one_at_a_time = Connection {
        concurrency: 1,
        ..connection(&double)
    };
    let deadline = Instant::now() + TEST_TIMEOUT;
    let mut fetching = Fetching::start(
        by_session(&first),
        one_at_a_time,
        Reading::default(),
        deadline,
    )
    .expect("a thread starts");

    fetching.next_without_server().expect("the first finding");
    drop(fetching);
    start(&double, by_session(&second)).collect(Running::next_without_server);

    let of_first = double.requests().len() - second.len();
    assert!(
        of_first <= 4,
        "one was taken, one lay ready, one waited to be, one was under way: {of_first}"
    );
}
