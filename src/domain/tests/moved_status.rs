//! When a status that a trigger set is a case for a person.

use serde_json::json;

use super::InvoiceStatus::{AfterPaid, Closed, Open, Paid, Partial, Unknown};
use super::*;
use crate::domain::invoice::Field;
use crate::domain::money::{Currency, Money};

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::parse("eur").expect("a code"))
}

fn invoice(status: InvoiceStatus) -> Invoice {
    Invoice {
        id: "1".into(),
        number: None,
        status,
        status_word: format!("{status:?}"),
        currency: Currency::parse("eur").ok_or_else(String::new),
        total: Field::Value(money(100)),
        amount_paid: Field::Unmapped,
        balance: Field::Unmapped,
        paid_at: Field::Null,
        account: None,
        stored_ids: vec![],
    }
}

/// Whether it is one if the rows have so much, and the payments, the statement and what followed left these classes.
fn is_moved(
    secured: i64,
    before: InvoiceStatus,
    with_payments: InvoiceStatus,
    written: Option<InvoiceStatus>,
    after: InvoiceStatus,
) -> bool {
    let plan = Plan {
        secured: Some(money(secured)),
        unknown_word: (after == Unknown && secured > 0).then(|| "Unknown".to_owned()),
        ..Plan::default()
    };
    let course = Course {
        before,
        with_payments,
        written,
    };
    moved(&invoice(before), &invoice(after), course, &plan).is_some()
}

#[test]
fn what_is_settled_is_moved_by_no_trigger_without_an_issue() {
    for settled in [Closed, AfterPaid, Unknown] {
        for after in [Open, Partial, Paid, Closed, AfterPaid, Unknown] {
            let expected = after != settled;
            assert_eq!(
                is_moved(100, settled, after, None, after),
                expected,
                "{settled:?} {after:?}"
            );
            assert_eq!(
                is_moved(100, settled, settled, None, after),
                expected,
                "{settled:?} {after:?}"
            );
        }
    }
    assert!(
        is_moved(100, Closed, Open, Some(Paid), Paid),
        "opened by one trigger, and paid by us"
    );
}

#[test]
fn a_trigger_that_does_what_the_rows_say_is_no_issue() {
    assert!(!is_moved(100, Open, Paid, None, Paid));
    assert!(!is_moved(50, Open, Partial, None, Partial));
    assert!(!is_moved(100, Open, Open, Some(Paid), Paid));
    assert!(!is_moved(100, Open, Open, Some(Paid), AfterPaid));
    assert!(
        !is_moved(100, Open, Open, Some(Paid), Unknown),
        "said once for the word"
    );
    assert!(
        !is_moved(40, Paid, Partial, None, Partial),
        "refunded in part"
    );
    assert!(
        !is_moved(0, Paid, Closed, None, Closed),
        "refunded in whole"
    );
}

#[test]
fn a_trigger_that_contradicts_the_rows_is_one() {
    assert!(is_moved(100, Open, Open, Some(Paid), Closed));
    assert!(is_moved(50, Open, Partial, None, AfterPaid));
    assert!(is_moved(100, Paid, Open, None, Open));
    assert!(is_moved(50, Partial, Open, None, Open));
    assert!(is_moved(50, Paid, Closed, None, Closed));
    assert!(
        is_moved(0, Open, Open, None, Unknown),
        "no other issue says so"
    );
}

#[test]
fn it_lasts_until_somebody_sets_another_status() {
    let moved = json!({ "from_class": "Closed", "to_class": "Paid" });
    for (status, lasts) in [
        (Paid, true),
        (AfterPaid, true),
        (Closed, false),
        (Open, false),
        (Partial, false),
    ] {
        assert_eq!(
            is_still_moved(&moved, &invoice(status)),
            lasts,
            "{status:?}"
        );
    }
    let delivered = json!({ "from_class": "AfterPaid", "to_class": "Paid" });
    assert!(!is_still_moved(&delivered, &invoice(AfterPaid)));
}
