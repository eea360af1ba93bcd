//! Intents whose checkout session was not read, and pending rows that store only a session.

use super::builders::{RECEIVED_AT, booked, eur, invoice, received, row, stripe, updated, world};
use super::harness::{case, check, paid_in_full};
use crate::domain::evidence::{Evidence, Gratuity, PaymentState, SessionSide};
use crate::domain::issue::IssueKind::*;
use crate::domain::payment::PaymentStatus::{Paid, Refunded as RefundedRow};
use crate::domain::plan::PaymentUpdate;
use crate::domain::recheck::{HELD, Recheck};

#[test]
fn nothing_is_booked_before_the_session_is_read() {
    let unread = received(&["pi_1"], 110_00).without_session_read();
    for world in [
        world(invoice("Sent")),
        world(invoice("Sent")).with_row(row("1", "Pending", 110_00, &["pi_1"])),
    ] {
        let plan = world.reconcile(&[Evidence::Payment(unread.clone())]);
        assert!(plan.changes_nothing(), "{plan:#?}");
        assert_eq!(plan.issues, []);
        assert!(plan.unread.is_some());
        assert_eq!(plan.recheck, Recheck::NextSweep);
        assert!(plan.judged.is_empty(), "no issue about it is over");
    }
}

#[test]
fn a_booked_row_is_refunded_without_its_session_and_its_amount_is_undecided() {
    let refunded = received(&["pi_1"], 110_00)
        .without_session_read()
        .with_refund(110_00);
    check(vec![
        case(
            "the session alone knows of the gratuity",
            world(invoice("Paid").settled()).with_row(row("1", "Paid", 100_00, &["pi_1"])),
        )
        .stripe_says(&refunded)
        .updates(PaymentUpdate {
            status: Some(RefundedRow),
            refunded: Some(eur(110_00)),
            ..updated("1", &refunded)
        })
        .warns(Refunded, "pi_1")
        .leaves_undecided(&[AmountMismatch])
        .asks_again(HELD),
    ]);
}

#[test]
fn a_joined_session_adds_references_and_keeps_the_intents_amount() {
    let intent = received(&["pi_1"], 100_00).without_session_read();
    let session = received(&["cs_live_1", "pi_1"], 110_00)
        .with_gratuity("10.00")
        .naming("7");
    let joined = intent.with_session(session);
    assert_eq!(joined.session_side, SessionSide::Read);
    assert_eq!(joined.ids.session.as_deref(), Some("cs_live_1"));
    assert_eq!(joined.gratuity, Gratuity::Text("10.00".to_owned()));
    assert_eq!(joined.invoice_references, ["7"]);
    assert_eq!(joined.state, PaymentState::Received(eur(100_00)));
}

#[test]
fn a_pending_row_does_not_block_another_payment() {
    let waits = |id: &str, cents| row(id, "Pending", cents, &[&format!("cs_live_{id}")]);
    let lone = received(&["pi_1"], 100_00);
    let deposit = received(&["pi_1"], 40_00).with_refund(40_00);
    let canceled = stripe(&["pi_9"], PaymentState::Never("canceled".into()));
    check(vec![
        case(
            "two rows wait, and an intent without a session pays",
            world(invoice("Sent"))
                .with_row(waits("8", 100_00))
                .with_row(waits("9", 60_00)),
        )
        .stripe_says(&lone)
        .inserts(booked(&lone, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "the intent that a row waits for was canceled",
            world(invoice("Sent")).with_row(row("9", "Pending", 100_00, &["pi_9"])),
        )
        .stripe_says(&canceled)
        .stripe_says(&lone)
        .inserts(booked(&lone, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "a booked deposit was refunded beside a row that waits",
            world(invoice("Partial").with_paid(40_00))
                .with_row(row("1", "Paid", 40_00, &["pi_1"]))
                .with_row(waits("9", 60_00)),
        )
        .stripe_says(&deposit)
        .updates(PaymentUpdate {
            status: Some(RefundedRow),
            refunded: Some(eur(40_00)),
            ..updated("1", &deposit)
        })
        .warns(Refunded, "pi_1")
        .asks_again(HELD),
    ]);
}
