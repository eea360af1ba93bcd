//! Payments that rows without ids may stand for.

use super::builders::{RECEIVED_AT, booked, eur, invoice, received, row, updated, world};
use super::harness::{Case, case, check, paid_in_full};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::issue::IssueKind::*;
use crate::domain::payment::PaymentRow;
use crate::domain::payment::PaymentStatus::Paid;
use crate::domain::plan::{InvoiceChange, PaymentUpdate};
use crate::domain::recheck::HELD;

/// The deposit of 30 has a row by hand; Stripe tells of it, and of the rest, at once.
fn deposit_by_hand(name: &'static str, received_at: i64) -> Case {
    let mut deposit = received(&["pi_1"], 30_00);
    deposit.received_at = Some(received_at);
    let rest = received(&["pi_2"], 70_00);
    case(
        name,
        world(invoice("Sent")).with_row(row("by-hand", "Paid", 30_00, &[])),
    )
    .stripe_says(&deposit)
    .stripe_says(&rest)
    .inserts(booked(&rest, Paid, 70_00))
    .changes_invoice(paid_in_full(RECEIVED_AT))
    .warns(PossibleDuplicate, "pi_1")
    .asks_again(HELD)
}

#[test]
fn a_possible_duplicate_is_not_booked() {
    let by_hand = || row("by-hand", "Paid", 100_00, &[]);
    let paid = received(&["pi_1"], 100_00);
    let second = received(&["pi_2"], 100_00);
    check(vec![
        case(
            "a row of the same amount without an id covers the total",
            world(invoice("Paid").with_paid(100_00)).with_row(by_hand()),
        )
        .stripe_says(&paid)
        .warns(PossibleDuplicate, "pi_1")
        .asks_again(HELD),
        case(
            "a row of the same amount names a session, and the answer none",
            world(invoice("Paid").with_paid(100_00)).with_row(row(
                "r",
                "Paid",
                100_00,
                &["cs_live_1"],
            )),
        )
        .stripe_says(&paid)
        .warns(PossibleDuplicate, "pi_1")
        .asks_again(HELD),
        case(
            "a row of the same amount without an id is the other half",
            world(invoice("Sent").with_total(200_00)).with_row(by_hand()),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 100_00))
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(200_00)),
            ..paid_in_full(RECEIVED_AT)
        }),
        case(
            "a row of the same amount without an id, and the same answer confirms the rest",
            world(invoice("Sent").with_total(200_00))
                .with_row(by_hand())
                .with_row(row("r", "Pending", 100_00, &["pi_2"])),
        )
        .stripe_says(&paid)
        .stripe_says(&second)
        .updates(PaymentUpdate {
            status: Some(Paid),
            ..updated("r", &second)
        })
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(200_00)),
            ..paid_in_full(RECEIVED_AT)
        })
        .warns(PossibleDuplicate, "pi_1")
        .asks_again(HELD),
        deposit_by_hand("the deposit came first", RECEIVED_AT - 86_400),
        deposit_by_hand("the deposit came last", RECEIVED_AT + 86_400),
        case(
            "the payment is in the books of another invoice",
            world(invoice("Sent")).booked_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&paid)
        .warns(UnlinkedPayment, "pi_1")
        .asks_again(HELD),
    ]);
}

#[test]
fn a_payment_whose_row_does_not_count_is_not_booked_again() {
    let paid = received(&["pi_1"], 100_00);
    let deleted = |status| world(invoice(status)).booked_in_a_row_that_does_not_count("pi_1");
    check(vec![
        case("its row was deleted", deleted("Sent"))
            .stripe_says(&paid)
            .warns(PossibleDuplicate, "pi_1")
            .asks_again(HELD),
        case(
            "its row was deleted, and another invoice expects it",
            deleted("Sent").awaited_elsewhere("pi_1", "INV-7"),
        )
        .stripe_says(&paid)
        .warns(UnlinkedPayment, "pi_1")
        .asks_again(HELD),
        case(
            "one row was deleted, and another waits for it",
            deleted("Sent").with_row(row("r", "Pending", 100_00, &["pi_1"])),
        )
        .stripe_says(&paid)
        .updates(PaymentUpdate {
            status: Some(Paid),
            ..updated("r", &paid)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
    ]);
}

#[test]
fn the_possible_duplicate_does_not_depend_on_the_order_of_rows() {
    let named = |rows: [&str; 2]| {
        let world = rows
            .into_iter()
            .fold(world(invoice("Paid").with_paid(200_00)), |world, id| {
                world.with_row(row(id, "Paid", 100_00, &[]))
            });
        let plan = world.reconcile(&[Evidence::Payment(received(&["pi_1"], 100_00))]);
        let issues = plan.issues.into_iter();
        issues
            .filter(|issue| issue.kind == PossibleDuplicate)
            .map(|issue| issue.evidence["row"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(named(["row-1", "row-2"]), ["row-1"]);
    assert_eq!(named(["row-2", "row-1"]), ["row-1"]);
}

/// A row of 50 that has this text where ids are stored.
fn row_naming(other: &str) -> PaymentRow {
    PaymentRow {
        other_object: Some(other.into()),
        ..row("r", "Paid", 50_00, &[])
    }
}

#[test]
fn a_row_with_another_object_of_stripe_s_may_be_the_payment_whatever_is_due() {
    let due = || world(invoice("Partial").with_total(200_00).with_paid(50_00));
    let settled_by = |transaction: Option<&str>| StripePayment {
        balance_transaction: transaction.map(str::to_owned),
        ..received(&["pi_1"], 50_00)
    };
    let [known, unknown] = [settled_by(Some("txn_12345678")), settled_by(None)];
    check(vec![
        case("a subscription", due().with_row(row_naming("sub_12345678")))
            .stripe_says(&known)
            .warns(PossibleDuplicate, "pi_1")
            .asks_again(HELD),
        case(
            "a balance transaction, if that of the payment is not known",
            due().with_row(row_naming("txn_12345678")),
        )
        .stripe_says(&unknown)
        .warns(PossibleDuplicate, "pi_1")
        .asks_again(HELD),
        case(
            "its own balance transaction",
            due().with_row(row_naming("txn_12345678")),
        )
        .stripe_says(&known),
        case(
            "the balance transaction of another payment",
            due().with_row(row_naming("txn_87654321")),
        )
        .stripe_says(&known)
        .inserts(booked(&known, Paid, 50_00))
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(100_00)),
            balance: Some(eur(100_00)),
            ..InvoiceChange::default()
        }),
    ]);
}

#[test]
fn a_row_keeps_the_ids_that_its_balance_transaction_told() {
    let before = world(invoice("Partial").with_total(200_00).with_paid(50_00))
        .with_row(row_naming("txn_12345678"));
    let said = StripePayment {
        balance_transaction: Some("txn_12345678".into()),
        ..received(&["pi_1"], 50_00)
    };
    let plan = before.reconcile(&[Evidence::Payment(said)]);
    let ids = plan.row_ids.get("r").and_then(|ids| ids.intent.as_deref());
    assert_eq!(ids, Some("pi_1"));
}
