//! Payments that several invoices have booked.

// Cents are separated, as people read them: 100_00.
#![allow(clippy::inconsistent_digit_grouping)]

use super::{BookedRow, KnownPayment, Overbooked, Terms, overbooked};
use crate::domain::identity::PaymentIds;
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::domain::payment::PaymentStatus::{self, Other, Paid, Pending, Refunded};

const SESSION: &str = "cs_live_1";

fn currency() -> Currency {
    Currency::parse("eur").expect("it is one")
}

fn ids(ids: &[&str]) -> PaymentIds {
    PaymentIds::from_columns(ids.iter().map(|id| Some(*id)))
}

/// A row of the invoice with this name; its amount is "60" or, with a gratuity, "60+5".
fn row(invoice: &str, status: PaymentStatus, amount: &str, of: &[&str]) -> BookedRow {
    let (amount, gratuity) = match amount.split_once('+') {
        Some((amount, gratuity)) => (amount, Some(gratuity)),
        None => (amount, None),
    };
    BookedRow {
        row: format!("row of {invoice} {amount} {of:?}"),
        row_counts: true,
        invoice: format!("id of {invoice}"),
        invoice_counts: true,
        label: invoice.to_owned(),
        status,
        ids: ids(of),
        amount: Some(amount.to_owned()),
        gratuity: gratuity.map(str::to_owned),
    }
}

fn known(of: &[&str], received: i64) -> KnownPayment {
    KnownPayment {
        ids: ids(of),
        received: Money::new(received, currency()),
    }
}

fn found(rows: &[BookedRow], known: &[KnownPayment]) -> Vec<Overbooked> {
    let terms = Terms {
        unit: AmountUnit::Major,
        currency: currency(),
    };
    overbooked(rows, known, &terms)
}

/// Returns `object: invoice, invoice` for each issue, and checks that it does not depend on the order of the rows.
fn issues_of(mut rows: Vec<BookedRow>, known: &[KnownPayment]) -> Vec<String> {
    let first = found(&rows, known);
    for _ in 0..rows.len() {
        rows.rotate_left(1);
        assert_eq!(found(&rows, known), first, "in another order: {rows:#?}");
    }
    let issues = first.into_iter().map(|found| {
        let invoices = found.issue.evidence["invoices"].as_array().cloned();
        let invoices = invoices.unwrap_or_default();
        let labels: Vec<&str> = invoices
            .iter()
            .filter_map(|it| it["invoice"].as_str())
            .collect();
        let object = found.issue.object.unwrap_or_default();
        format!("{object}: {}", labels.join(", "))
    });
    issues.collect()
}

#[test]
fn a_payment_booked_for_two_invoices_is_one_issue_that_names_both() {
    for (one, other, known_of) in [
        (vec!["pi_1"], vec!["pi_1"], vec![]),
        (
            vec![SESSION, "pi_1"],
            vec![SESSION],
            vec![known(&["pi_1"], 100_00)],
        ),
        (
            vec![SESSION],
            vec!["pi_1"],
            vec![known(&[SESSION, "pi_1"], 100_00)],
        ),
        (
            vec!["pi_1"],
            vec!["pi_1"],
            vec![known(&[SESSION, "pi_1"], 100_00)],
        ),
    ] {
        for second in [Paid, Refunded] {
            let rows = vec![
                row("INV-1", Paid, "100", &one),
                row("INV-2", second, "100", &other),
            ];
            assert_eq!(
                issues_of(rows, &known_of),
                ["pi_1: INV-1, INV-2"],
                "{one:?} {other:?}"
            );
        }
    }
}

#[test]
fn rows_without_a_common_id_are_not_one_payment() {
    let apart = [
        vec![
            row("INV-1", Paid, "100", &[SESSION]),
            row("INV-2", Paid, "100", &["pi_1"]),
        ],
        // Applications copy an invoice's session to every row.
        vec![
            row("INV-1", Paid, "100", &[SESSION, "pi_1"]),
            row("INV-2", Paid, "100", &[SESSION, "pi_2"]),
        ],
        vec![
            row("INV-1", Paid, "100", &[]),
            row("INV-2", Paid, "100", &[]),
        ],
    ];
    for rows in apart {
        assert_eq!(issues_of(rows, &[]), Vec::<String>::new());
    }
}

#[test]
fn invoices_may_share_a_payment_as_long_as_they_count_no_more_than_came() {
    let rows = |first, second| {
        vec![
            row("INV-1", Paid, first, &["pi_1"]),
            row("INV-2", Paid, second, &["pi_1"]),
        ]
    };
    let of_100 = [known(&["pi_1"], 100_00)];
    let nothing = Vec::<String>::new();
    let both = ["pi_1: INV-1, INV-2"];
    assert_eq!(issues_of(rows("60", "40"), &of_100), nothing);
    assert_eq!(issues_of(rows("50", "50"), &of_100), nothing);
    assert_eq!(issues_of(rows("60", "41"), &of_100), both);
    assert_eq!(
        issues_of(rows("45+10", "45+10"), &of_100),
        both,
        "gratuities came, too"
    );
    // The amount received is not known.
    assert_eq!(issues_of(rows("60", "40"), &[]), nothing);
    assert_eq!(issues_of(rows("60", "60"), &[]), both);
}

#[test]
fn only_what_the_rows_say_was_received_counts_and_once_for_each_invoice() {
    let of_100 = [known(&["pi_1"], 100_00)];
    let first = || row("INV-1", Paid, "100", &["pi_1"]);
    let waiting = vec![first(), row("INV-2", Pending, "100", &["pi_1"])];
    let failed = vec![first(), row("INV-2", Other, "100", &["pi_1"])];
    let back = vec![first(), row("INV-2", Paid, "-100", &["pi_1"])];
    let twice = vec![first(), row("INV-1", Paid, "100.0", &["pi_1"])];
    for rows in [waiting, failed, back, twice] {
        assert_eq!(issues_of(rows, &of_100), Vec::<String>::new());
    }
    let three = vec![
        first(),
        row("INV-2", Paid, "100", &["pi_1"]),
        row("INV-3", Paid, "100", &["pi_1"]),
    ];
    assert_eq!(issues_of(three, &of_100), ["pi_1: INV-1, INV-2, INV-3"]);
}

#[test]
fn rows_that_divide_the_whole_payment_leave_nothing_for_another_invoice() {
    let rows = |other| {
        vec![
            row("A", Paid, "60", &["pi_1"]),
            row("A", Paid, "40", &["pi_1"]),
            row("B", Paid, other, &["pi_1"]),
        ]
    };
    let whole = [known(&["pi_1"], 100_00)];
    assert_eq!(issues_of(rows("40"), &whole), ["pi_1: A, B"]);
    // Otherwise the rows of one invoice count once.
    assert!(issues_of(rows("30"), &[known(&["pi_1"], 90_00)]).is_empty());
}
