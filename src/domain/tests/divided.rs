//! One payment that is divided among several rows of an invoice.

use super::builders::{RECEIVED_AT, World, invoice, received, row, world};
use super::harness::{case, check, paid_in_full, paid_in_part};
use crate::domain::issue::IssueKind::{
    AmountMismatch, Disputed, DuplicatePayment, PartiallyRefunded, Refunded,
};
use crate::domain::issue::Severity;
use crate::domain::payment::PaymentRow;

fn part(id: &str, word: &str, cents: i64) -> PaymentRow {
    row(id, word, cents, &["pi_1"])
}

fn with_rows(rows: [PaymentRow; 2]) -> World {
    let [first, second] = rows;
    world(invoice("Sent")).with_row(first).with_row(second)
}

fn divided() -> World {
    with_rows([part("a", "Paid", 60_00), part("b", "Paid", 40_00)])
}

#[test]
fn rows_that_come_to_exactly_what_was_received_are_its_parts() {
    let whole = received(&["pi_1"], 100_00);
    let with_tip = with_rows([
        part("a", "Paid", 60_00).with_gratuity(10_00),
        part("b", "Paid", 40_00),
    ]);
    check(vec![
        case("60 and 40 of 100", divided())
            .stripe_says(&whole)
            .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "60 and 40 of 100, as remembered",
            divided().remembering("pi_1", 100_00, 0),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case("with a gratuity", with_tip)
            .stripe_says(&received(&["pi_1"], 110_00).with_gratuity("10"))
            .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "beside an attempt that failed",
            divided().with_row(part("c", "Failed", 100_00)),
        )
        .stripe_says(&whole)
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case("60 and 40 of an amount that is not known", divided())
            .changes_invoice(paid_in_part(60_00))
            .warns(DuplicatePayment, "pi_1"),
        case("60 and 40 of 90", divided())
            .stripe_says(&received(&["pi_1"], 90_00))
            .changes_invoice(paid_in_part(60_00))
            .warns(DuplicatePayment, "pi_1"),
        case(
            "twice 100 of 100",
            with_rows([part("a", "Paid", 100_00), part("b", "Paid", 100_00)]),
        )
        .stripe_says(&whole)
        .changes_invoice(paid_in_full(RECEIVED_AT))
        .warns(DuplicatePayment, "pi_1"),
        case(
            "one of them is pending",
            with_rows([part("a", "Paid", 60_00), part("b", "Pending", 40_00)]),
        )
        .stripe_says(&whole)
        .changes_invoice(paid_in_part(60_00))
        .warns(AmountMismatch, "pi_1")
        .warns(DuplicatePayment, "pi_1"),
    ]);
}

#[test]
fn what_went_back_of_a_divided_payment_counts_once() {
    let refunded = |cents| received(&["pi_1"], 100_00).with_refund(cents);
    let refunded_row = with_rows([
        part("a", "Paid", 60_00),
        part("b", "Refunded", 40_00).with_refunded(40_00),
    ]);
    check(vec![
        case("Stripe says so", divided())
            .stripe_says(&refunded(30_00))
            .changes_invoice(paid_in_part(70_00))
            .warns(PartiallyRefunded, "pi_1"),
        case("all of it", divided())
            .stripe_says(&refunded(100_00))
            .warns(Refunded, "pi_1"),
        case("Stripe and one of the rows say so", refunded_row.clone())
            .stripe_says(&refunded(40_00))
            .changes_invoice(paid_in_part(60_00))
            .warns(PartiallyRefunded, "pi_1"),
        case(
            "one of the rows says so, as remembered",
            refunded_row.remembering("pi_1", 100_00, 40_00),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "a reversal says so, too",
            divided().with_row(part("c", "Paid", -30_00)),
        )
        .stripe_says(&refunded(30_00))
        .changes_invoice(paid_in_part(70_00))
        .warns(PartiallyRefunded, "pi_1"),
        case("a dispute withholds a part", divided())
            .stripe_says(&received(&["pi_1"], 100_00).with_dispute_over("lost", 30_00))
            .changes_invoice(paid_in_part(70_00))
            .raises(Disputed, Severity::Critical, "pi_1"),
    ]);
}
