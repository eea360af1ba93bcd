//! Conversion of sessions and intents into evidence; anything not as documented is an error.

use serde_json::{Value, json};

use super::super::error::StripeError;
use super::super::objects::{Reading, read_charge, read_intent, read_session};
use super::{charge, intent, session, with, without};
use crate::domain::evidence::{Gratuity, PaymentState, StripePayment};
use crate::domain::money::{Currency, Money};

fn of_session(session: &Value) -> Result<StripePayment, StripeError> {
    read_session(session, &Reading::default(), Some("req_1".to_owned()))
}

fn of_intent(intent: &Value) -> Result<StripePayment, StripeError> {
    read_intent(intent, &Reading::default(), None)
}

fn received(minor: i64) -> PaymentState {
    let usd = Currency::parse("usd").expect("a currency");
    PaymentState::Received(Money::new(minor, usd))
}

fn waiting(status: &str) -> PaymentState {
    PaymentState::Waiting(status.to_owned())
}

fn never(status: &str) -> PaymentState {
    PaymentState::Never(status.to_owned())
}

fn unknown(field: &str, value: &str) -> PaymentState {
    PaymentState::Unknown {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn a_paid_session_has_all_booked_values() {
    let payment = of_session(&session()).expect("it is as documented");

    assert_eq!(payment.state, received(5_000));
    assert_eq!(payment.ids.session.as_deref(), Some("cs_test_1"));
    assert_eq!(payment.ids.intent.as_deref(), Some("pi_1"));
    assert_eq!(payment.ids.charge.as_deref(), Some("ch_1"));
    assert_eq!(payment.refunded, 0);
    assert_eq!(payment.livemode, Some(false));
    assert_eq!(
        payment.received_at,
        Some(1_700_000_030),
        "the charge's time"
    );
    assert_eq!(payment.request_id.as_deref(), Some("req_1"));
}

#[test]
fn negative_amounts_are_refused() {
    let received = with(intent(), "/amount_received", -1_000);
    let refunded = with(intent(), "/latest_charge/amount_refunded", i64::MIN);
    let captured = with(charge(), "/amount_captured", -1);
    for (object, field) in [
        (&received, "amount_received"),
        (&refunded, "amount_refunded"),
    ] {
        let Err(StripeError::Malformed { what }) = of_intent(object) else {
            panic!("{field} was accepted");
        };
        assert!(
            what.contains(field) && what.ends_with("less than 0"),
            "{what}"
        );
    }
    let of_charge = read_charge(&captured, &Reading::default(), None);
    assert!(
        matches!(of_charge, Err(StripeError::Malformed { .. })),
        "{of_charge:?}"
    );
    let unpaid = json!({ "mode": "payment", "payment_status": "paid", "amount_total": -5, "payment_intent": null });
    let mut session = session();
    session
        .as_object_mut()
        .expect("an object")
        .extend(unpaid.as_object().expect("an object").clone());
    assert!(matches!(
        of_session(&session),
        Err(StripeError::Malformed { .. })
    ));
}

#[test]
fn the_amount_received_counts_and_not_the_amount_requested() {
    let partly = with(intent(), "/amount_received", 1_200);
    assert_eq!(of_intent(&partly).unwrap().state, received(1_200));
    let within = with(session(), "/payment_intent", partly);
    assert_eq!(of_session(&within).unwrap().state, received(1_200));
}

#[test]
fn every_status_of_an_intent() {
    let table = [
        (
            "requires_payment_method",
            waiting("requires_payment_method"),
        ),
        ("requires_confirmation", waiting("requires_confirmation")),
        ("requires_action", waiting("requires_action")),
        ("processing", waiting("processing")),
        // A part was captured.
        ("requires_capture", received(5_000)),
        ("canceled", received(5_000)),
        ("succeeded", received(5_000)),
        ("sublimated", unknown("payment intent status", "sublimated")),
        ("Succeeded", unknown("payment intent status", "Succeeded")),
        ("", unknown("payment intent status", "")),
    ];
    for (status, expected) in table {
        let state = of_intent(&with(intent(), "/status", status)).unwrap().state;
        assert_eq!(state, expected, "{status}");
    }
}

#[test]
fn an_authorisation_brings_no_money() {
    let held = with(intent(), "/amount_received", 0);
    for (status, expected) in [
        ("requires_capture", waiting("requires_capture")),
        ("canceled", never("canceled")),
    ] {
        let held = with(held.clone(), "/status", status);
        assert_eq!(of_intent(&held).unwrap().state, expected);
        let session = with(
            with(session(), "/payment_intent", held),
            "/status",
            "expired",
        );
        assert_eq!(of_session(&session).unwrap().state, expected);
    }
}

#[test]
fn every_status_of_a_session_without_an_intent() {
    let complete = "complete, payment in flight";
    let table = [
        // status, payment_status, resulting state
        ("open", "unpaid", waiting("open")),
        ("complete", "unpaid", waiting(complete)),
        ("expired", "unpaid", never("expired")),
        (
            "vanished",
            "unpaid",
            unknown("checkout session status", "vanished"),
        ),
        ("complete", "paid", received(5_000)),
        ("complete", "no_payment_required", PaymentState::NothingDue),
        ("open", "no_payment_required", PaymentState::NothingDue),
        (
            "complete",
            "promised",
            unknown("checkout session payment_status", "promised"),
        ),
    ];
    for (status, payment_status, expected) in table {
        for mode in ["payment", "subscription"] {
            let session = with(session(), "/payment_intent", Value::Null);
            let session = with(session, "/status", status);
            let session = with(session, "/payment_status", payment_status);
            let payment = of_session(&with(session, "/mode", mode)).unwrap();
            assert_eq!(
                payment.state, expected,
                "{mode}, {status}, {payment_status}"
            );
            assert_eq!(payment.ids.intent, None);
        }
    }
}

#[test]
fn a_session_in_setup_mode_has_nothing_due() {
    for payment_status in ["no_payment_required", "unpaid", "paid", "unheard of"] {
        let session = with(session(), "/payment_intent", Value::Null);
        let session = with(session, "/amount_total", Value::Null);
        let session = with(session, "/currency", Value::Null);
        let session = with(session, "/payment_status", payment_status);
        let payment = of_session(&with(session, "/mode", "setup")).unwrap();
        assert_eq!(payment.state, PaymentState::NothingDue, "{payment_status}");
    }
}

#[test]
fn an_expired_session_closes_only_payments_not_begun() {
    let table = [
        // the intent's status, resulting state with an expired session
        ("requires_payment_method", never("expired")),
        ("requires_confirmation", never("expired")),
        ("requires_action", never("expired")),
        ("processing", waiting("processing")),
        ("requires_capture", received(5_000)),
        ("canceled", received(5_000)),
        ("succeeded", received(5_000)),
        ("sublimated", unknown("payment intent status", "sublimated")),
    ];
    for (status, expected) in table {
        let session = with(session(), "/status", "expired");
        let session = with(session, "/payment_status", "unpaid");
        let session = with(session, "/payment_intent/status", status);
        assert_eq!(of_session(&session).unwrap().state, expected, "{status}");
    }
}

#[test]
fn an_unknown_session_status_is_reported_while_the_intent_waits() {
    let session = with(session(), "/status", "vanished");
    let session = with(session, "/payment_status", "unpaid");
    let session = with(session, "/payment_intent/status", "requires_action");
    assert_eq!(
        of_session(&session).unwrap().state,
        unknown("checkout session status", "vanished")
    );
}

#[test]
fn a_missing_or_ill_typed_field_is_an_error() {
    let fields = [
        "/object",
        "/payment_intent",
        "/livemode",
        "/payment_intent/status",
        "/payment_intent/amount_received",
        "/payment_intent/currency",
        "/payment_intent/latest_charge",
        "/payment_intent/latest_charge/amount_refunded",
        "/payment_intent/latest_charge/created",
    ];
    for path in fields {
        let name = path.rsplit('/').next().unwrap_or_default();
        for broken in [without(session(), path), with(session(), path, json!([1]))] {
            match of_session(&broken) {
                Err(StripeError::Malformed { what }) => {
                    assert!(what.contains(name), "{path}: the error names it: {what}");
                }
                other => panic!("{path}: expected an error, not {other:?}"),
            }
        }
    }
    for path in ["/mode", "/payment_status", "/amount_total", "/currency"] {
        let unpaid = with(session(), "/payment_intent", Value::Null);
        let broken = without(unpaid, path);
        assert!(
            matches!(of_session(&broken), Err(StripeError::Malformed { .. })),
            "{path} is needed where there is no intent"
        );
    }
}

#[test]
fn amounts_that_are_not_integers_are_errors() {
    for amount in [json!(12.5), json!("5000"), json!(null), json!(true)] {
        let broken = with(intent(), "/amount_received", amount.clone());
        assert!(
            matches!(of_intent(&broken), Err(StripeError::Malformed { .. })),
            "{amount}"
        );
    }
    let huge: Value = serde_json::from_str("92233720368547758070").expect("a number");
    assert!(of_intent(&with(intent(), "/amount_received", huge)).is_err());
}

#[test]
fn an_invalid_currency_is_an_error() {
    for currency in ["", "us", "dollars", "u$d"] {
        let error = of_intent(&with(intent(), "/currency", currency)).unwrap_err();
        assert_eq!(
            error,
            StripeError::Malformed {
                what: format!("currency \"{currency}\" is not an ISO 4217 code")
            }
        );
    }
}

#[test]
fn an_object_that_was_not_expanded_is_an_error() {
    for (path, id) in [
        ("/payment_intent", "pi_1"),
        ("/payment_intent/latest_charge", "ch_1"),
    ] {
        let error = of_session(&with(session(), path, id)).unwrap_err();
        let field = path.rsplit('/').next().unwrap_or_default();
        assert_eq!(
            error,
            StripeError::Malformed {
                what: format!("\"{field}\" was not expanded")
            }
        );
    }
}

#[test]
fn an_object_of_another_kind_is_an_error() {
    let of_type = |object| Err(StripeError::Malformed { what: object });
    assert_eq!(
        of_session(&intent()),
        of_type("a payment_intent instead of a checkout.session".to_owned())
    );
    assert_eq!(
        of_intent(&charge()),
        of_type("a charge instead of a payment_intent".to_owned())
    );
}

fn reading() -> Reading {
    Reading {
        gratuity_key: Some("tip".to_owned()),
        invoice_key: Some("invoice_id".to_owned()),
        client_reference: false,
        release_is_refund: false,
        stripe_invoices: false,
        attributes: [
            "payment_intent.description",
            "checkout_session.client_reference_id",
            "checkout_session.amount_total",
            "charge.description",
            "charge.disputed",
            "charge.metadata",
            "charge.nothing.at.all",
            "metadata.project",
            "metadata.dotted.key",
            "customer.name",
            "nothing",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

#[test]
fn the_gratuity_is_read_from_session_and_intent() {
    let table = [
        // on the session, on the intent, result
        (json!({}), json!({}), Gratuity::None),
        (json!({"tip": "5"}), json!({}), Gratuity::Text("5".into())),
        (json!({}), json!({"tip": " 5 "}), Gratuity::Text("5".into())),
        (
            json!({"tip": "5"}),
            json!({"tip": "5"}),
            Gratuity::Text("5".into()),
        ),
        (
            json!({"tip": ""}),
            json!({"tip": "5"}),
            Gratuity::Text("5".into()),
        ),
        (json!({"tip": "  "}), json!({}), Gratuity::None),
        (
            json!({"tip": "7"}),
            json!({"tip": "5"}),
            Gratuity::Contradictory("5".into(), "7".into()),
        ),
        (
            json!({"tip": "lots"}),
            json!({}),
            Gratuity::Text("lots".into()),
        ),
        (json!({"TIP": "5"}), json!({}), Gratuity::None),
    ];
    for (on_session, on_intent, expected) in table {
        let session = with(session(), "/metadata", on_session.clone());
        let session = with(session, "/payment_intent/metadata", on_intent.clone());
        let payment = read_session(&session, &reading(), None).unwrap();
        assert_eq!(payment.gratuity, expected, "{on_session}, {on_intent}");
        let unasked = of_session(&session).unwrap();
        assert_eq!(unasked.gratuity, Gratuity::None, "no key is set");
    }
}

#[test]
fn the_tip_of_a_terminal_counts_where_metadata_says_nothing() {
    let tipped = |tip, metadata| {
        let session = with(
            session(),
            "/payment_intent/amount_details",
            json!({ "tip": tip }),
        );
        let session = with(session, "/payment_intent/metadata", metadata);
        read_session(&session, &reading(), None).unwrap().gratuity
    };
    assert_eq!(
        tipped(json!({ "amount": 500 }), json!({})),
        Gratuity::Tip(500)
    );
    assert_eq!(tipped(json!({}), json!({})), Gratuity::None);
    assert_eq!(tipped(json!({ "amount": 0 }), json!({})), Gratuity::None);
    let said = Gratuity::Text("7".to_owned());
    assert_eq!(
        tipped(json!({ "amount": 500 }), json!({ "tip": "7" })),
        said
    );
}

#[test]
fn a_charge_repeats_its_intent_and_is_not_asked_beside_it() {
    let session = with(
        session(),
        "/payment_intent/latest_charge/metadata",
        json!({"tip": "9"}),
    );
    let payment = read_session(&session, &reading(), None).unwrap();
    assert_eq!(payment.gratuity, Gratuity::None);
}

#[test]
fn invoice_references_of_session_and_intent_are_deduplicated() {
    let named = |on_session: &str, on_intent: &str| {
        let session = with(session(), "/metadata", json!({"invoice_id": on_session}));
        let session = with(
            session,
            "/payment_intent/metadata",
            json!({"invoice_id": on_intent}),
        );
        let payment = read_session(&session, &reading(), None).unwrap();
        payment.invoice_references
    };
    assert_eq!(named("42", "42"), ["42"]);
    assert_eq!(named("43", " 42 "), ["42", "43"]);
    assert_eq!(named("", " "), [] as [&str; 0]);
}

#[test]
fn attributes_are_found_by_their_paths() {
    let session = with(
        session(),
        "/metadata",
        json!({"project": "of the session", "dotted.key": "x"}),
    );
    let session = with(
        session,
        "/payment_intent/metadata",
        json!({"project": "of the intent"}),
    );

    let payment = read_session(&session, &reading(), None).unwrap();

    let found: Vec<(&str, &str)> = payment
        .attributes
        .iter()
        .map(|(path, value)| (path.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("charge.description", "A boat trip"),
            ("charge.disputed", "false"),
            ("checkout_session.amount_total", "5000"),
            ("checkout_session.client_reference_id", "ref-9"),
            ("metadata.dotted.key", "x"),
            ("metadata.project", "of the intent"),
            ("payment_intent.description", "Trip 7"),
        ]
    );
}
