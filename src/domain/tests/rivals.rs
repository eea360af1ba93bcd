//! Rows, and invoices, that compete for one payment.

use super::builders::{RECEIVED_AT, booked, eur, ids, invoice, received, row, updated, world};
use super::harness::{case, check, paid_in_full};
use crate::domain::evidence::Evidence;
use crate::domain::issue::IssueKind::{DuplicatePayment, Refunded, UnlinkedPayment};
use crate::domain::payment::PaymentRow;
use crate::domain::payment::PaymentStatus::{Paid, Refunded as RefundedRow};
use crate::domain::plan::{PaymentChange, PaymentUpdate, Plan};
use crate::domain::recheck::HELD;

/// Returns `row status` for each update, and checks that it does not depend on the order of the rows.
fn updates(rows: &[PaymentRow]) -> Vec<String> {
    let payment = received(&["cs_live_1", "pi_1"], 100_00);
    let plan = |rows: &[PaymentRow]| -> Plan {
        let world = rows.iter().fold(world(invoice("Sent")), |world, row| {
            world.with_row(row.clone())
        });
        world.reconcile(&[Evidence::Payment(payment.clone())])
    };
    let first = plan(rows);
    let mut turned = rows.to_vec();
    for _ in rows {
        turned.rotate_left(1);
        assert_eq!(plan(&turned), first, "in another order: {turned:#?}");
    }
    assert!(
        first.issues.iter().all(|it| it.kind == DuplicatePayment),
        "{:#?}",
        first.issues
    );
    let updates = first.payments.iter().map(|change| match change {
        PaymentChange::Insert(_) => "a new row".to_owned(),
        PaymentChange::Update(update) => format!("{} {:?}", update.row, update.status),
    });
    updates.collect()
}

#[test]
fn of_several_rows_that_wait_for_one_payment_one_is_confirmed() {
    let waiting = |id, cents, ids: &[&str]| row(id, "Pending", cents, ids);
    let by_session = ["cs_live_1"];
    for (rows, wanted) in [
        (
            vec![
                waiting("1", 100_00, &by_session),
                waiting("2", 100_00, &by_session),
            ],
            "1",
        ),
        (
            vec![
                waiting("1", 40_00, &by_session),
                waiting("2", 100_00, &by_session),
            ],
            "2",
        ),
        (
            vec![
                waiting("1", 100_00, &by_session),
                waiting("2", 40_00, &["pi_1"]),
            ],
            "2",
        ),
        (
            vec![
                row("1", "Failed", 100_00, &["pi_1"]),
                waiting("2", 100_00, &["pi_1"]),
            ],
            "2",
        ),
    ] {
        assert_eq!(updates(&rows), [format!("{wanted} Some(Paid)")], "{rows:?}");
    }
}

#[test]
fn a_row_that_waits_beside_the_one_that_was_paid_changes_nothing() {
    let paid = row("1", "Paid", 100_00, &["pi_1"]);
    let rows = vec![paid.clone(), row("2", "Pending", 100_00, &["pi_1"])];
    assert_eq!(updates(&rows), Vec::<String>::new());
    let back = received(&["cs_live_1", "pi_1"], 100_00).with_refund(100_00);
    check(vec![
        case(
            "the refund is followed by the row by which the money came",
            world(invoice("Paid").settled())
                .with_row(paid)
                .with_row(row("2", "Pending", 100_00, &["pi_1"])),
        )
        .stripe_says(&back)
        .updates(PaymentUpdate {
            status: Some(RefundedRow),
            refunded: Some(eur(100_00)),
            ..updated("1", &back)
        })
        .warns(DuplicatePayment, "pi_1")
        .warns(Refunded, "pi_1")
        .asks_again(HELD),
    ]);
}

#[test]
fn a_payment_goes_to_the_invoice_whose_books_have_it() {
    let paid = received(&["cs_live_1", "pi_1"], 100_00);
    let back = received(&["cs_live_1", "pi_1"], 100_00)
        .with_refund(40_00)
        .with_dispute("lost");
    let waiting = || row("1", "Pending", 100_00, &["pi_1"]);
    check(vec![
        case(
            "a row that waits for what is booked other_invoices keeps waiting",
            world(invoice("Sent"))
                .with_row(waiting())
                .booked_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&paid)
        .warns(UnlinkedPayment, "pi_1")
        .asks_again(HELD),
        case(
            "what happened to it is reported by the invoice that booked it",
            world(invoice("Sent")).booked_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&back)
        .warns(UnlinkedPayment, "pi_1")
        .asks_again(HELD),
        case(
            "of two rows that wait the first to be asked about is confirmed",
            world(invoice("Sent"))
                .with_row(waiting())
                .awaited_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&paid)
        .updates(PaymentUpdate {
            status: Some(Paid),
            missing_ids: ids(&["cs_live_1"]),
            ..updated("1", &paid)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "a row that waits other_invoices goes before an invoice without one",
            world(invoice("Sent")).awaited_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&paid)
        .warns(UnlinkedPayment, "pi_1")
        .asks_again(HELD),
    ]);
    let naming = paid.clone().naming("R-1");
    check(vec![
        case(
            "but not before the invoice that the payment names",
            world(invoice("Sent")).awaited_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&naming)
        .inserts(booked(&naming, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
    ]);
}
