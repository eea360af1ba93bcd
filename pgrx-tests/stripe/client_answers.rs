//! How the client handles answers: errors with Stripe's message, and answers that cannot be used.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use stripe_double::{Action, Checkout, Config, Double, Fault, Key, StripeInvoice};

use super::super::client::{Client, Connection};
use super::super::error::StripeError;
use super::super::objects::Reading;
use super::super::retrieve::retrieve;
use super::{TEST_TIMEOUT, client, connection, double, get};
use crate::domain::evidence::{Dispute, Evidence, PaymentState};
use crate::domain::identity::StripeId;
use crate::pg::Stop;
use crate::settings::Secret;

const MISSING: &str = "/v1/payment_intents/pi_missing";

fn client_with_key(double: &Double, key: &str) -> Client {
    let connection = Connection {
        key: Secret::for_tests(key),
        ..connection(double)
    };
    Client::new(connection, Instant::now() + TEST_TIMEOUT)
}

fn find(client: &Client, id: &str) -> Result<Evidence, StripeError> {
    let id = StripeId::parse(id).expect("an id");
    let mut findings = retrieve(client, &id, &Reading::default(), &Stop::new())?;
    assert_eq!(findings.len(), 1, "{findings:?}");
    Ok(findings.remove(0))
}

#[test]
fn an_unknown_key_is_rejected_with_stripes_message() {
    let double = double();
    let client = client_with_key(&double, "sk_test_0123456789abcd");

    let error = get(&client, MISSING).unwrap_err();

    assert!(error.ends_the_run());
    let said = error.to_string();
    assert!(
        said.starts_with("Stripe rejects the API key: Invalid API Key provided: sk_test_"),
        "{said}"
    );
    assert!(said.contains("(request req_"), "{said}");
    assert!(
        !said.contains("0123456789abcd"),
        "the key itself is not in the error: {said}"
    );
    assert_eq!(client.requests(), 1);
}

#[test]
fn a_missing_permission_is_named() {
    let double = Double::start(Config {
        keys: vec![Key::new("rk_test_narrow").without("rak_payment_intent_read")],
        ..Config::default()
    })
    .expect("the stand-in starts");
    let client = client_with_key(&double, "rk_test_narrow");

    let error = get(&client, MISSING).unwrap_err();

    assert!(matches!(error, StripeError::Forbidden { .. }), "{error}");
    assert!(error.ends_the_run());
    assert!(
        error.to_string().contains("rak_payment_intent_read"),
        "{error}"
    );
    assert_eq!(client.requests(), 1);
}

#[test]
fn an_account_without_access_ends_the_run() {
    let double = double();
    let connection = Connection {
        account: Some("acct_stranger".to_owned()),
        ..connection(&double)
    };
    let client = Client::new(connection, Instant::now() + TEST_TIMEOUT);
    let error = get(&client, MISSING).unwrap_err();
    assert!(matches!(error, StripeError::Forbidden { .. }), "{error}");
}

#[test]
fn an_object_that_is_missing_is_evidence() {
    let double = double();
    let client = client(&double);
    for id in [
        "pi_missing",
        "cs_test_missing",
        "ch_missing",
        "py_missing",
        "in_missing",
    ] {
        match find(&client, id) {
            Ok(Evidence::Missing { id: found, message }) => {
                assert_eq!(found.as_str(), id);
                assert!(message.contains(id), "{message}");
            }
            other => panic!("{id}: expected evidence of its absence, not {other:?}"),
        }
    }
    assert_eq!(client.retries(), 0);
}

#[test]
fn a_404_without_resource_missing_is_no_evidence() {
    let double = double();
    let client = client(&double);
    let error = get(&client, "/v1/nonsense").unwrap_err();
    assert!(
        matches!(error, StripeError::Refused { status: 404, .. }),
        "a wrong base URL must not make payments disappear: {error}"
    );

    double.fault(Fault::new(Action::Html(404)));
    let error = find(&client, "pi_missing").unwrap_err();
    assert!(
        matches!(error, StripeError::Refused { status: 404, .. }),
        "{error}"
    );
}

#[test]
fn an_object_of_the_other_mode_is_recognized_by_message_or_prefix() {
    let double = double();
    let client = client(&double);
    let live = double.checkout(Checkout::new(5_000, "usd").live()).pay();
    double.reset_requests();

    let by_word = find(&client, &live.intent_id());
    assert!(
        matches!(by_word, Ok(Evidence::OtherMode { .. })),
        "{by_word:?}"
    );
    assert_eq!(double.requests().len(), 1);

    let billed = double.stripe_invoice(StripeInvoice::new(5_000, "usd").live());
    let by_word = find(&client, &billed.id());
    assert!(
        matches!(by_word, Ok(Evidence::OtherMode { .. })),
        "{by_word:?}"
    );
    double.reset_requests();

    let by_prefix = find(&client, "cs_live_1");
    assert!(
        matches!(by_prefix, Ok(Evidence::OtherMode { .. })),
        "{by_prefix:?}"
    );
    assert_eq!(double.requests().len(), 0, "the prefix costs no request");
}

#[test]
fn unusable_answers_are_errors_and_not_retried() {
    let five_mebibytes = 5 * 1024 * 1024;
    let table = [
        (
            Action::OversizedBody(five_mebibytes),
            "its body is larger than 4194304 bytes",
        ),
        (
            Action::Html(200),
            "the answer to /v1/payment_intents/pi_missing is not JSON",
        ),
        (
            Action::InvalidJson,
            "the answer to /v1/payment_intents/pi_missing is not JSON",
        ),
    ];
    for (action, expected) in table {
        let double = double();
        let client = client(&double);
        double.fault(Fault::new(action.clone()).always());

        let error = get(&client, MISSING).unwrap_err();

        assert_eq!(
            error,
            StripeError::Malformed {
                what: expected.to_owned()
            },
            "{action:?}"
        );
        assert_eq!(client.requests(), 1, "{action:?}");
    }
}

#[test]
fn json_with_another_content_type_is_malformed() {
    for kind in [
        "text/plain",
        "text/html; charset=utf-8",
        "application/jsonlines",
    ] {
        let base = answer_once(kind, r#"{"object": "list"}"#);
        let connection = Connection {
            base,
            ..connection(&double())
        };
        let client = Client::new(connection, Instant::now() + TEST_TIMEOUT);
        let error = get(&client, "/v1/disputes").unwrap_err();
        assert!(
            matches!(error, StripeError::Malformed { .. }),
            "{kind}: {error}"
        );
    }
    let base = answer_once("Application/JSON; charset=utf-8", r#"{"object": "list"}"#);
    let connection = Connection {
        base,
        ..connection(&double())
    };
    let client = Client::new(connection, Instant::now() + TEST_TIMEOUT);
    assert!(get(&client, "/v1/disputes").is_ok(), "case is ignored");
}

/// Starts a server for one request. Returns its address.
fn answer_once(content_type: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        stream.write_all(answer.as_bytes()).expect("it is taken");
    });
    format!("http://{address}")
}

#[test]
fn an_answer_that_always_breaks_off_is_unreachable() {
    let double = double();
    let id = double
        .checkout(Checkout::new(5_000, "usd"))
        .pay()
        .intent_id();
    let client = Client::new(
        connection(&double),
        Instant::now() + Duration::from_millis(200),
    );
    double.fault(Fault::new(Action::TruncatedBody).always());

    let error = find(&client, &id).unwrap_err();

    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
    assert!(
        !error.to_string().contains(&id),
        "an error holds no address: {error}"
    );
}

#[test]
fn a_closed_port_is_unreachable() {
    let address = {
        let double = double();
        double.url()
    };
    let connection = Connection {
        base: address,
        ..connection(&double())
    };
    let client = Client::new(connection, Instant::now() + Duration::from_millis(200));
    let error = get(&client, MISSING).unwrap_err();
    assert!(matches!(error, StripeError::Unreachable { .. }), "{error}");
}

#[test]
fn a_session_includes_intent_and_charge_in_one_request() {
    let double = double();
    let client = client(&double);
    let sold = double.checkout(Checkout::new(5_000, "jpy")).pay();
    double.reset_requests();

    let Ok(Evidence::Payment(payment)) = find(&client, &sold.session_id()) else {
        panic!("the session is there");
    };

    assert!(matches!(&payment.state, PaymentState::Received(money) if money.minor == 5_000));
    assert_eq!(payment.ids.intent, Some(sold.intent_id()));
    assert_eq!(payment.ids.charge, Some(sold.charge_id()));
    assert!(payment.request_id.is_some());
    assert_eq!(payment.dispute, None);
    assert_eq!(double.requests().len(), 1);
}

#[test]
fn a_disputed_charge_costs_one_request_more() {
    let double = double();
    let client = client(&double);
    let sold = double.checkout(Checkout::new(5_000, "usd")).pay();
    sold.dispute(stripe_double::Dispute::new("under_review"));
    for id in [sold.session_id(), sold.intent_id()] {
        double.reset_requests();

        let Ok(Evidence::Payment(payment)) = find(&client, &id) else {
            panic!("{id} is there");
        };

        let open = Dispute::Open("under_review".to_owned());
        assert_eq!(payment.dispute, Some(open), "{id}");
        assert_eq!(double.requests().len(), 2, "{id}");
        let asked = double.requests().pop().expect("the second");
        assert_eq!(asked.path, "/v1/disputes");
        assert_eq!(asked.param("payment_intent"), Some(sold.intent_id()));
    }
}

#[test]
fn a_charge_is_read_through_its_intent() {
    let double = double();
    let client = client(&double);
    let sold = double.checkout(Checkout::new(5_000, "usd")).pay();
    double.reset_requests();

    let Ok(Evidence::Payment(payment)) = find(&client, &sold.charge_id()) else {
        panic!("the charge is there");
    };

    assert_eq!(payment.ids.intent, Some(sold.intent_id()));
    assert_eq!(payment.ids.charge, Some(sold.charge_id()));
    assert_eq!(double.requests().len(), 2);
}

#[test]
fn a_missing_documented_field_is_an_error() {
    let double = double();
    let client = client(&double);
    let sold = double.checkout(Checkout::new(5_000, "usd")).pay();
    double.remove_field(&sold.intent_id(), "amount_received");

    let error = find(&client, &sold.session_id()).unwrap_err();

    assert_eq!(
        error,
        StripeError::Malformed {
            what: "\"amount_received\" is missing or of the wrong type".to_owned()
        }
    );
}
