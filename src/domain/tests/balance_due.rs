//! Invoices that state money without a row, and payments of what was left.

use super::builders::{World, booked, eur, invoice, received, row, world};
use super::harness::{case, check, paid_in_part};
use crate::domain::evidence::Evidence;
use crate::domain::invoice::Field;
use crate::domain::issue::IssueKind::AmountMismatch;
use crate::domain::payment::PaymentStatus::Paid;
use crate::domain::plan::{InvoiceChange, PaymentUpdate, Plan};
use crate::domain::reconcile::{Before, Facts, reconcile};

/// The invoice states that 40 of 100 was paid, and no row says so.
fn noted() -> World {
    world(invoice("Partial").with_paid(40_00).storing(&["pi_2"]))
}

fn nothing_left() -> InvoiceChange {
    InvoiceChange {
        amount_paid: Some(eur(100_00)),
        balance: Some(eur(0)),
        ..InvoiceChange::default()
    }
}

#[test]
fn what_was_left_comes_and_the_money_without_a_row_stays_an_issue() {
    let rest = received(&["pi_2"], 60_00);
    let pending = noted().with_row(row("row-1", "Pending", 60_00, &["pi_2"]));
    let mut by_balance = noted();
    by_balance.invoice.amount_paid = Field::Unmapped;
    check(vec![
        case("before it comes", noted().in_question("pi_9"))
            .stripe_says(&super::builders::waiting(&["pi_2"], "processing"))
            .warns(AmountMismatch, "")
            .asks_again(crate::domain::recheck::Recheck::BackingOff),
        case("what was left", noted())
            .stripe_says(&rest)
            .inserts(booked(&rest, Paid, 60_00))
            .changes_invoice(nothing_left())
            .warns(AmountMismatch, ""),
        case("what was left, by a row that waited", pending)
            .stripe_says(&rest)
            .updates(PaymentUpdate {
                status: Some(Paid),
                ..super::builders::updated("row-1", &rest)
            })
            .changes_invoice(nothing_left())
            .warns(AmountMismatch, ""),
        case("what was left, where only the balance says so", by_balance)
            .stripe_says(&rest)
            .inserts(booked(&rest, Paid, 60_00))
            .changes_invoice(InvoiceChange {
                balance: Some(eur(0)),
                ..InvoiceChange::default()
            }),
    ]);
}

#[test]
fn what_the_application_may_have_counted_is_not_added() {
    let half = received(&["pi_2"], 50_00);
    let of = |cents| world(invoice("Partial").with_paid(cents).storing(&["pi_2"]));
    let more = received(&["pi_2"], 55_00);
    check(vec![
        case("the application counted this half", of(50_00))
            .stripe_says(&half)
            .inserts(booked(&half, Paid, 50_00)),
        case("the application counted it less the fee", of(48_00))
            .stripe_says(&received_with_fee(52_00, 48_00))
            .inserts(booked(&received_with_fee(52_00, 48_00), Paid, 52_00))
            .changes_invoice(InvoiceChange {
                status: None,
                ..paid_in_part(52_00)
            }),
        case("another sum than what was left", of(40_00))
            .stripe_says(&more)
            .inserts(booked(&more, Paid, 55_00))
            .changes_invoice(InvoiceChange {
                status: None,
                ..paid_in_part(55_00)
            }),
    ]);
}

fn received_with_fee(cents: i64, net: i64) -> crate::domain::evidence::StripePayment {
    let mut payment = received(&["pi_2"], cents);
    payment.net = Some(net);
    payment
}

/// Decides once the payment of 60 is written, with what the invoice states by then.
fn once_written(stated: i64) -> Plan {
    let before = noted();
    let written = world(before.invoice.clone().with_paid(stated)).with_row(row(
        "row-1",
        "Paid",
        60_00,
        &["pi_2"],
    ));
    let facts = Facts {
        before: Some(Before::of(&before.invoice, &before.rows)),
        ..written.facts()
    };
    let said = [Evidence::Payment(received(&["pi_2"], 60_00))];
    reconcile(&facts, &said, &written.rules)
}

#[test]
fn the_same_is_decided_once_the_payment_is_written() {
    assert_eq!(once_written(40_00).invoice, Some(nothing_left()));
    // A trigger of the application counted the rows.
    assert_eq!(once_written(60_00).invoice, None);
    assert_eq!(once_written(100_00).invoice, None);
}
