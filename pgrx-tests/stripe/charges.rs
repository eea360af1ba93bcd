//! Conversion of charges, refunds and disputes into evidence.

use serde_json::{Value, json};

use super::super::disputes::read_disputes;
use super::super::error::StripeError;
use super::super::objects::{Reading, intent_of_charge, is_disputed, read_charge, read_session};
use super::{charge, intent, session, with, without};
use crate::domain::evidence::{Dispute, Gratuity, PaymentState};
use crate::domain::money::{Currency, Money};

fn state(charge: &Value) -> Result<PaymentState, StripeError> {
    read_charge(charge, &Reading::default(), None).map(|payment| payment.state)
}

#[test]
fn every_status_of_a_charge() {
    let usd = Currency::parse("usd").expect("a currency");
    let table = [
        ("succeeded", PaymentState::Received(Money::new(4_000, usd))),
        ("pending", PaymentState::Waiting("pending".to_owned())),
        ("failed", PaymentState::Never("failed".to_owned())),
        (
            "floated",
            PaymentState::Unknown {
                field: "charge status".to_owned(),
                value: "floated".to_owned(),
            },
        ),
    ];
    for (status, expected) in table {
        let charge = with(with(charge(), "/amount_captured", 4_000), "/status", status);
        assert_eq!(state(&charge).unwrap(), expected, "{status}");
    }
}

#[test]
fn an_uncaptured_charge_is_waiting() {
    let authorised = with(with(charge(), "/captured", false), "/amount_captured", 0);
    assert_eq!(
        state(&authorised).unwrap(),
        PaymentState::Waiting("succeeded, not captured".to_owned())
    );
}

#[test]
fn a_missing_field_of_a_charge_is_an_error() {
    for path in [
        "/status",
        "/captured",
        "/amount_captured",
        "/amount_refunded",
        "/currency",
        "/created",
        "/livemode",
    ] {
        for broken in [without(charge(), path), with(charge(), path, json!({}))] {
            assert!(
                matches!(state(&broken), Err(StripeError::Malformed { .. })),
                "{path}"
            );
        }
    }
}

#[test]
fn a_charge_names_its_intent() {
    let none = with(charge(), "/payment_intent", Value::Null);
    let expanded = with(charge(), "/payment_intent", json!({"id": "pi_9"}));
    assert_eq!(intent_of_charge(&charge()), Some("pi_1"));
    assert_eq!(intent_of_charge(&expanded), Some("pi_9"));
    assert_eq!(intent_of_charge(&none), None);
}

#[test]
fn a_charge_without_an_intent_is_a_payment() {
    let alone = with(charge(), "/payment_intent", Value::Null);
    let alone = with(alone, "/metadata", json!({"tip": "2", "order": "B7"}));
    let reading = Reading {
        gratuity_key: Some("tip".to_owned()),
        invoice_key: Some("order".to_owned()),
        client_reference: false,
        release_is_refund: false,
        stripe_invoices: false,
        attributes: vec!["charge.description".to_owned()],
    };

    let payment = read_charge(&alone, &reading, None).unwrap();

    assert_eq!(payment.gratuity, Gratuity::Text("2".to_owned()));
    assert_eq!(payment.invoice_references, ["B7"]);
    assert_eq!(payment.attributes["charge.description"], "A boat trip");
    assert_eq!(payment.ids.charge.as_deref(), Some("ch_1"));
    assert_eq!((payment.ids.session, payment.ids.intent), (None, None));
}

#[test]
fn refunds_are_read_from_the_charge() {
    let session = with(
        session(),
        "/payment_intent/latest_charge/amount_refunded",
        1_500,
    );
    let payment = read_session(&session, &Reading::default(), None).unwrap();
    assert_eq!(payment.refunded, 1_500);

    let unpaid = with(
        super::session(),
        "/payment_intent/latest_charge",
        Value::Null,
    );
    let unpaid = with(unpaid, "/payment_intent/status", "requires_action");
    let payment = read_session(&unpaid, &Reading::default(), None).unwrap();
    assert_eq!(payment.refunded, 0, "without a charge nothing went back");
    assert_eq!(
        payment.received_at,
        Some(1_700_000_010),
        "the intent's time"
    );
}

#[test]
fn a_disputed_charge_is_found_in_sessions_and_intents() {
    let disputed = with(charge(), "/disputed", true);
    let intent = with(intent(), "/latest_charge", disputed.clone());
    let session = with(session(), "/payment_intent", intent.clone());
    for object in [&disputed, &intent, &session] {
        assert_eq!(is_disputed(object), Ok(true), "{}", object["object"]);
    }
    for object in [super::charge(), super::intent(), super::session()] {
        assert_eq!(is_disputed(&object), Ok(false), "{}", object["object"]);
    }
    let nothing_paid = with(super::session(), "/payment_intent", Value::Null);
    assert_eq!(is_disputed(&nothing_paid), Ok(false));
    let uncharged = with(super::intent(), "/latest_charge", Value::Null);
    assert_eq!(is_disputed(&uncharged), Ok(false));
    assert!(
        is_disputed(&without(charge(), "/disputed")).is_err(),
        "a dispute is not overlooked because a field is"
    );
}

#[test]
fn every_status_of_a_dispute() {
    let table = [
        ("needs_response", Dispute::Open("needs_response".into())),
        ("under_review", Dispute::Open("under_review".into())),
        ("lost", Dispute::Lost),
        ("won", Dispute::Settled),
        ("prevented", Dispute::Settled),
        ("warning_closed", Dispute::Settled),
        (
            "warning_needs_response",
            Dispute::Inquiry("warning_needs_response".into()),
        ),
        (
            "warning_under_review",
            Dispute::Inquiry("warning_under_review".into()),
        ),
        ("escalated", Dispute::Unknown("escalated".into())),
    ];
    for (status, expected) in table {
        let page = json!({"object": "list", "data": [dispute(status, 100)]});
        let disputes = read_disputes(&page, eur()).unwrap();
        assert_eq!(disputes.most_severe, Some(expected), "{status}");
    }
}

#[test]
fn the_most_severe_of_several_disputes_counts() {
    let worst = |statuses: &[&str]| {
        let data: Vec<Value> = statuses.iter().map(|s| dispute(s, 100)).collect();
        let disputes = read_disputes(&json!({ "data": data }), eur()).unwrap();
        disputes.most_severe
    };
    assert_eq!(worst(&[]), None);
    assert_eq!(
        worst(&["won", "lost", "needs_response"]),
        Some(Dispute::Lost)
    );
    assert_eq!(
        worst(&["under_review", "won", "escalated"]),
        Some(Dispute::Open("under_review".into()))
    );
    assert_eq!(
        worst(&["warning_under_review", "prevented"]),
        Some(Dispute::Inquiry("warning_under_review".into()))
    );
}

fn dispute(status: &str, amount: i64) -> Value {
    json!({ "status": status, "amount": amount, "currency": "eur", "balance_transactions": [] })
}

/// A prevented dispute over 100, and what it moved, with the currency.
fn prevented(moves: &[(i64, &str)]) -> Value {
    let moves: Vec<Value> = moves
        .iter()
        .map(|(amount, currency)| json!({ "amount": amount, "currency": currency, "type": "adjustment" }))
        .collect();
    with(dispute("prevented", 100), "/balance_transactions", moves)
}

#[test]
fn a_prevented_dispute_withholds_what_was_withdrawn_for_it() {
    let read = |moves: &[(i64, &str)]| {
        let page = json!({ "data": [prevented(moves)] });
        let disputes = read_disputes(&page, eur()).unwrap();
        (disputes.most_severe.unwrap(), disputes.withheld)
    };
    // Blocked before anything was withdrawn.
    assert_eq!(read(&[]), (Dispute::Settled, 0));
    assert_eq!(read(&[(-100, "eur")]), (Dispute::Lost, 100));
    assert_eq!(read(&[(-60, "eur")]), (Dispute::Lost, 60));
    assert_eq!(read(&[(-100, "eur"), (100, "eur")]), (Dispute::Settled, 0));
    assert_eq!(read(&[(-100, "eur"), (70, "eur")]), (Dispute::Lost, 30));
    // In the currency of the account: the dispute has the amount in that of the charge.
    assert_eq!(read(&[(-108, "usd")]), (Dispute::Lost, 100));
    assert_eq!(read(&[(-108, "usd"), (108, "usd")]), (Dispute::Settled, 0));

    let unknown = |field| json!({ "data": [without(prevented(&[(-100, "eur")]), field)] });
    for field in [
        "/balance_transactions",
        "/balance_transactions/0/amount",
        "/balance_transactions/0/currency",
    ] {
        assert!(read_disputes(&unknown(field), eur()).is_err(), "{field}");
    }
}

fn eur() -> Option<Currency> {
    Currency::parse("eur")
}

#[test]
fn disputes_withhold_their_amounts_together() {
    let withheld = |disputes: &[Value], charged| {
        let page = json!({ "data": disputes });
        read_disputes(&page, charged).unwrap().withheld
    };
    let several = [
        dispute("lost", 10),
        dispute("under_review", 20),
        dispute("won", 40),
        dispute("warning_needs_response", 80),
        dispute("escalated", 160),
    ];
    assert_eq!(withheld(&several, eur()), 190);
    assert_eq!(withheld(&[], eur()), 0);
    // Amounts in another currency cannot be compared: the whole payment counts as withheld.
    assert_eq!(withheld(&several, Currency::parse("usd")), i64::MAX);
    assert_eq!(withheld(&several[2..4], Currency::parse("usd")), 0);
}

#[test]
fn a_malformed_list_of_disputes_is_an_error() {
    for page in [
        json!({}),
        json!({"data": {}}),
        json!({"data": [{}]}),
        json!({"data": [dispute("won", 1), {"status": 3, "amount": 1, "currency": "eur"}]}),
        json!({"data": [{"status": "won", "currency": "eur"}]}),
        json!([]),
    ] {
        assert!(read_disputes(&page, eur()).is_err(), "{page}");
    }
}
