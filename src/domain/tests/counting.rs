//! Each payment counts once, with what stays of it.

use super::builders::{World, booked, eur, invoice, received, row, updated, world};
use super::harness::{case, check, paid_in_full, paid_in_part};
use crate::domain::evidence::Evidence;
use crate::domain::invoice::Invoice;
use crate::domain::issue::IssueKind::{
    AmountMismatch, Disputed, DuplicatePayment, PartiallyRefunded, PossibleDuplicate,
};
use crate::domain::issue::Severity;
use crate::domain::payment::PaymentStatus::{Disputed as DisputedRow, Paid};
use crate::domain::plan::{InvoiceChange, PaymentUpdate};
use crate::domain::recheck::Recheck;

/// The invoice over 60 of two that share a payment over 100; the other has a row over `rest`.
fn sharing(word: &str, paid: i64, rest: i64) -> World {
    world(invoice(word).with_total(60_00).with_paid(paid)).with_part_elsewhere("pi_1", "R-2", rest)
}

#[test]
fn a_part_of_a_shared_payment_is_no_difference() {
    let whole = received(&["pi_1"], 100_00);
    let part = || row("row-1", "Paid", 60_00, &["pi_1"]);
    let settled = |rest| sharing("Paid", 60_00, rest).with_row(part());
    check(vec![
        case("all of it", settled(40_00)).stripe_says(&whole),
        case("less than came", settled(30_00)).stripe_says(&whole),
        // An issue of the payment says that it is more than came.
        case("more than came", settled(60_00)).stripe_says(&whole),
        case("this row alone is more than came", settled(40_00))
            .stripe_says(&received(&["pi_1"], 50_00))
            .warns(AmountMismatch, "pi_1"),
        case(
            "nobody has the rest",
            world(invoice("Paid").with_total(60_00).with_paid(60_00)).with_row(part()),
        )
        .stripe_says(&whole)
        .warns(AmountMismatch, "pi_1"),
    ]);
}

#[test]
fn a_waiting_part_is_confirmed_with_its_own_amount() {
    let whole = received(&["pi_1"], 100_00);
    let waiting =
        |rest| sharing("Sent", 0, rest).with_row(row("row-1", "Pending", 60_00, &["pi_1"]));
    let paid = InvoiceChange {
        amount_paid: Some(eur(60_00)),
        ..paid_in_full(super::builders::RECEIVED_AT)
    };
    check(vec![
        case("the parts are what came", waiting(40_00))
            .stripe_says(&whole)
            .updates(PaymentUpdate {
                status: Some(Paid),
                ..updated("row-1", &whole)
            })
            .changes_invoice(paid),
        case("a refund of a part is placed by a person", waiting(40_00))
            .stripe_says(&whole.clone().with_refund(10_00))
            .updates(PaymentUpdate {
                status: Some(Paid),
                ..updated("row-1", &whole)
            })
            .changes_invoice(InvoiceChange {
                amount_paid: Some(eur(60_00)),
                ..paid_in_full(super::builders::RECEIVED_AT)
            })
            .warns(PartiallyRefunded, "pi_1"),
    ]);
}

#[test]
fn disputes_withhold_their_own_amounts() {
    let sale = || received(&["pi_1"], 100_00);
    let lost = |cents| sale().with_dispute_over("lost", cents);
    let open_invoice = || world(invoice("Sent"));
    let some = lost(30_00);
    let several = lost(30_00).with_dispute_over("needs_response", 5_00);
    let rest = lost(60_00).with_refund(40_00);
    let won = sale().with_dispute_over("won", 30_00);
    check(vec![
        case("a part is lost", open_invoice())
            .stripe_says(&some)
            .inserts(booked(&some, Paid, 100_00))
            .changes_invoice(paid_in_part(70_00))
            .raises(Disputed, Severity::Critical, "pi_1"),
        case("a part is lost, a part is withheld", open_invoice())
            .stripe_says(&several)
            .inserts(booked(&several, Paid, 100_00))
            .changes_invoice(paid_in_part(65_00))
            .raises(Disputed, Severity::Critical, "pi_1"),
        case("what was not refunded is lost", open_invoice())
            .stripe_says(&rest)
            .inserts(booked(&rest, DisputedRow, 100_00))
            .warns(PartiallyRefunded, "pi_1")
            .raises(Disputed, Severity::Critical, "pi_1"),
        case("a part was won", open_invoice())
            .stripe_says(&won)
            .inserts(booked(&won, Paid, 100_00))
            .changes_invoice(paid_in_full(super::builders::RECEIVED_AT)),
        case(
            "a row that was marked for a part counts with the rest",
            open_invoice().with_row(row("row-1", "Disputed", 100_00, &["pi_1"])),
        )
        .stripe_says(&some)
        .changes_invoice(paid_in_part(70_00))
        .raises(Disputed, Severity::Critical, "pi_1"),
    ]);
}

/// Returns what counts of a payment over 100 of which `refunded` went back, with these rows beside it.
fn counted(refunded: i64, rows: &[(&str, i64, &[&str])]) -> i64 {
    let sale = received(&["pi_1"], 100_00).with_refund(refunded);
    let mut world = world(invoice("Sent")).with_row(row("row-1", "Paid", 100_00, &["pi_1"]));
    for (at, (word, cents, ids)) in rows.iter().enumerate() {
        world = world.with_row(row(&format!("more-{at}"), word, *cents, ids));
    }
    let plan = world.reconcile(&[Evidence::Payment(sale)]);
    plan.secured.map_or(0, |money| money.minor)
}

#[test]
fn a_refund_without_the_payments_id_counts_once() {
    // An id such as re_1 is none of a payment.
    assert_eq!(counted(40_00, &[("Paid", -40_00, &["re_1"])]), 60_00);
    assert_eq!(counted(40_00, &[("Refunded", -40_00, &[])]), 60_00);
    assert_eq!(
        counted(40_00, &[("Paid", -10_00, &[])]),
        60_00,
        "one of two"
    );
    assert_eq!(counted(40_00, &[("Paid", -45_00, &[])]), 55_00, "and cash");
    assert_eq!(
        counted(40_00, &[("Paid", -40_00, &["pi_1"]), ("Paid", -5_00, &[])]),
        55_00
    );
    assert_eq!(
        counted(0, &[("Paid", -40_00, &[])]),
        60_00,
        "unknown to Stripe"
    );
    assert_eq!(
        counted(40_00, &[("Pending", -40_00, &[])]),
        60_00,
        "not yet"
    );
}

fn without_id(rows: &[i64]) -> World {
    let rows = rows.iter().enumerate();
    rows.fold(world(invoice("Sent")), |world, (at, cents)| {
        world.with_row(row(&format!("row-{at}"), "Paid", *cents, &[]))
    })
}

#[test]
fn rows_without_ids_may_be_the_payment_together_or_less_the_fee() {
    let mut sale = received(&["pi_1"], 100_00);
    sale.net = Some(97_10);
    let is_kept = |rows: &[i64]| {
        let plan = without_id(rows).reconcile(&[Evidence::Payment(sale.clone())]);
        let kinds: Vec<_> = plan.issues.iter().map(|issue| issue.kind).collect();
        plan.payments.is_empty() && kinds.contains(&PossibleDuplicate)
    };
    for rows in [
        [100_00].as_slice(),
        &[97_10],
        &[60_00, 40_00],
        &[50_00, 47_10],
        &[20_00, 30_00, 50_00],
        &[97_10, 12_34],
    ] {
        assert!(is_kept(rows), "{rows:?}");
    }
    for rows in [[97_09].as_slice(), &[60_00, 41_00], &[100_01]] {
        assert!(!is_kept(rows), "{rows:?}");
    }
}

#[test]
fn rows_with_different_ids_of_one_payment_count_once() {
    let tied = received(&["cs_live_1", "pi_1"], 100_00);
    let rows = |invoice: Invoice| {
        world(invoice)
            .with_row(row("row-1", "Paid", 100_00, &["cs_live_1"]))
            .with_row(row("row-2", "Paid", 100_00, &["pi_1"]))
    };
    check(vec![
        case("two rows", rows(invoice("Sent")))
            .stripe_says(&tied)
            .changes_invoice(paid_in_full(super::builders::RECEIVED_AT))
            .warns(DuplicatePayment, "pi_1"),
    ]);
    // Until Stripe is asked, they count as one.
    let unasked = rows(invoice("Sent")).reconcile(&[]);
    assert_eq!(unasked.secured, Some(eur(100_00)));
    assert_eq!(unasked.issues, []);
    assert_eq!(unasked.recheck, Recheck::NextSweep);
    // Stripe ties the session to another intent: they are two.
    let other = received(&["cs_live_1", "pi_2"], 100_00);
    let answered = rows(invoice("Sent")).reconcile(&[Evidence::Payment(other)]);
    assert_eq!(answered.secured, Some(eur(200_00)));
}

#[test]
fn a_row_of_which_a_part_went_back_counts_with_what_is_known_to_stay() {
    let of_part = || row("row-1", "Partially refunded", 100_00, &["pi_1"]);
    check(vec![
        case(
            "nothing says how much",
            world(invoice("Sent")).with_row(of_part()),
        )
        .asks_again(Recheck::NextSweep),
        case(
            "the row says how much",
            world(invoice("Sent")).with_row(of_part().with_refunded(30_00)),
        )
        .changes_invoice(paid_in_part(70_00)),
    ]);
}
