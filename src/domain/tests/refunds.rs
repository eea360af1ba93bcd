//! Refunds and disputes, known from Stripe, from memory and from the application's own rows.

use super::builders::{RECEIVED_AT, World, booked, eur, invoice, received, row, updated, world};
use super::harness::{case, check, paid_in_full, paid_in_part};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::issue::{IssueKind::*, Severity};
use crate::domain::money::Money;
use crate::domain::payment::PaymentStatus::{
    Disputed as DisputedRow, Paid, Refunded as RefundedRow,
};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::PaymentUpdate;
use crate::domain::recheck::Recheck;

const DAYS: Recheck = Recheck::After(6 * 60 * 60);

fn by_card() -> PaymentRow {
    row("row-1", "Paid", 100_00, &["pi_1"])
}

/// Returns the world after Stripe gave these answers, one after the other.
fn history(mut world: World, said: &[StripePayment]) -> World {
    for payment in said {
        let plan = world.reconcile(&[Evidence::Payment(payment.clone())]);
        world = world.apply(&plan);
    }
    world
}

fn first_row(world: &World) -> (PaymentStatus, Option<Money>) {
    (world.rows[0].status, world.rows[0].refunded.value())
}

#[test]
fn refunds_are_recorded_and_reported() {
    let whole = received(&["pi_1"], 100_00).with_refund(100_00);
    let part = received(&["pi_1"], 100_00).with_refund(40_00);
    let settled = || world(invoice("Paid").settled());
    let booked_row = || row("row-1", "Paid", 100_00, &["pi_1"]);
    check(vec![
        case(
            "refunded in whole before it was ever booked",
            world(invoice("Sent")),
        )
        .stripe_says(&whole)
        .inserts(booked(&whole, RefundedRow, 100_00))
        .warns(Refunded, "pi_1"),
        case(
            "refunded in whole, no word, but a column",
            world(invoice("Sent")).without_word_for_refunded(),
        )
        .stripe_says(&whole)
        .inserts(booked(&whole, Paid, 100_00))
        .warns(Refunded, "pi_1"),
        case(
            "refunded in whole, neither a word nor a column",
            world(invoice("Sent"))
                .without_word_for_refunded()
                .without_refunded_column(),
        )
        .stripe_says(&whole)
        .warns(Refunded, "pi_1"),
        case(
            "refunded in whole, neither a word nor a column: the Pending row stays Pending",
            world(invoice("Sent"))
                .with_row(row("row-1", "Pending", 100_00, &["pi_1"]))
                .without_word_for_refunded()
                .without_refunded_column(),
        )
        .stripe_says(&whole)
        .warns(Refunded, "pi_1"),
        case(
            "refunded in part before it was ever booked",
            world(invoice("Sent")),
        )
        .stripe_says(&part)
        .inserts(booked(&part, Paid, 100_00))
        .changes_invoice(paid_in_part(60_00))
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "refunded in part, no column: memory keeps the net",
            world(invoice("Sent")).without_refunded_column(),
        )
        .stripe_says(&part)
        .inserts(booked(&part, Paid, 100_00))
        .changes_invoice(paid_in_part(60_00))
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "refunded in whole after it was booked",
            settled().with_row(booked_row()),
        )
        .stripe_says(&whole)
        .updates(PaymentUpdate {
            status: Some(RefundedRow),
            refunded: Some(eur(100_00)),
            ..updated("row-1", &whole)
        })
        .warns(Refunded, "pi_1"),
        case(
            "refunded in part after it was booked",
            settled().with_row(booked_row()),
        )
        .stripe_says(&part)
        .updates(PaymentUpdate {
            refunded: Some(eur(40_00)),
            ..updated("row-1", &part)
        })
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "refunded after it was booked, neither a word nor a column: nothing to write",
            settled()
                .with_row(booked_row())
                .without_word_for_refunded()
                .without_refunded_column(),
        )
        .stripe_says(&whole)
        .warns(Refunded, "pi_1"),
        case(
            "what a host notes as refunded beyond Stripe's word stays, and is told",
            settled().with_row(booked_row().with_refunded(70_00)),
        )
        .stripe_says(&part)
        .warns(AmountMismatch, "pi_1")
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "what a host calls Refunded of its own accord stays, even against Stripe's word, and is told",
            world(invoice("Sent")).with_row(row("row-1", "Refunded", 100_00, &["pi_1"])),
        )
        .stripe_says(&received(&["pi_1"], 100_00))
        .warns(AmountMismatch, "pi_1"),
        case(
            "a refund is no booking: Overdue with the amounts right stays Overdue",
            world(
                invoice("Overdue")
                    .with_paid(100_00)
                    .with_total(200_00)
                    .with_paid(100_00),
            )
            .with_row(booked_row()),
        )
        .stripe_says(&part)
        .updates(PaymentUpdate {
            refunded: Some(eur(40_00)),
            ..updated("row-1", &part)
        })
        .warns(PartiallyRefunded, "pi_1"),
    ]);
}

#[test]
fn disputes_are_marked_and_reported_by_their_severity() {
    let settled =
        || world(invoice("Paid").settled()).with_row(row("row-1", "Paid", 100_00, &["pi_1"]));
    let marked = |status: &str| {
        let payment = received(&["pi_1"], 100_00).with_dispute(status);
        case("disputed", settled())
            .stripe_says(&payment)
            .updates(PaymentUpdate {
                status: Some(DisputedRow),
                ..updated("row-1", &payment)
            })
            .raises(Disputed, Severity::Critical, "pi_1")
    };
    let open = received(&["pi_1"], 100_00).with_dispute("needs_response");
    let inquiry = received(&["pi_1"], 100_00).with_dispute("warning_needs_response");
    let won = received(&["pi_1"], 100_00).with_dispute("won");
    let mut disputed_row = row("row-1", "Paid", 100_00, &["pi_1"]);
    disputed_row.status = DisputedRow;
    disputed_row.status_word = "Disputed".into();
    let called_disputed = disputed_row.clone();
    check(vec![
        marked("needs_response").asks_again(DAYS),
        marked("under_review").asks_again(DAYS),
        marked("a_status_of_tomorrow").asks_again(DAYS),
        marked("lost"),
        case("an inquiry takes no money", settled())
            .stripe_says(&inquiry)
            .raises(Disputed, Severity::Notice, "pi_1")
            .asks_again(DAYS),
        case("a won one resolves itself", settled()).stripe_says(&won),
        case(
            "won after it was marked: the row is Paid again",
            world(invoice("Paid").settled()).with_row(disputed_row),
        )
        .stripe_says(&won)
        .updates(PaymentUpdate {
            status: Some(Paid),
            ..updated("row-1", &won)
        })
        // Until the row is updated.
        .leaves_undecided(&[Disputed]),
        case(
            "the application itself calls it disputed because of an inquiry",
            world(invoice("Paid").settled()).with_row(called_disputed),
        )
        .stripe_says(&inquiry)
        .raises(Disputed, Severity::Notice, "pi_1")
        .asks_again(DAYS),
        case(
            "disputed, no word for it",
            settled().without_word_for_disputed(),
        )
        .stripe_says(&open)
        .raises(Disputed, Severity::Critical, "pi_1")
        .asks_again(DAYS),
        case(
            "disputed before it was ever booked: does not raise",
            world(invoice("Sent")),
        )
        .stripe_says(&open)
        .inserts(booked(&open, DisputedRow, 100_00))
        .raises(Disputed, Severity::Critical, "pi_1")
        .asks_again(DAYS),
        case(
            "disputed before it was ever booked, no word for it: does not raise",
            world(invoice("Sent")).without_word_for_disputed(),
        )
        .stripe_says(&open)
        .inserts(booked(&open, Paid, 100_00))
        .raises(Disputed, Severity::Critical, "pi_1")
        .asks_again(DAYS),
        case(
            "an inquiry before it was ever booked: raises",
            world(invoice("Sent")),
        )
        .stripe_says(&inquiry)
        .inserts(booked(&inquiry, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT))
        .raises(Disputed, Severity::Notice, "pi_1")
        .asks_again(DAYS),
    ]);
}

#[test]
fn a_failed_or_canceled_refund_is_undone() {
    let paid = received(&["pi_1"], 100_00);
    for refund in [40_00, 100_00] {
        let refunded = paid.clone().with_refund(refund);
        let after = history(
            world(invoice("Sent")),
            &[paid.clone(), refunded.clone(), paid.clone()],
        );
        assert_eq!(
            first_row(&after),
            (Paid, Some(eur(0))),
            "booked, refunded, failed"
        );
        assert_eq!(after.invoice.status, InvoiceStatus::Paid);

        let after = history(world(invoice("Sent")), &[refunded, paid.clone()]);
        assert_eq!(
            first_row(&after),
            (Paid, Some(eur(0))),
            "refunded first, failed then"
        );
        assert_eq!(
            after.invoice.status,
            InvoiceStatus::Paid,
            "and the invoice is raised"
        );
        assert_eq!(after.invoice.amount_paid, Field::Value(eur(100_00)));
        let again = after.reconcile(&[Evidence::Payment(paid.clone())]);
        assert_eq!(again.issues, [], "an open issue resolves itself");
        assert!(again.judged.contains("pi_1"), "and may be resolved");
    }
}

#[test]
fn a_growing_refund_updates_the_row_and_not_the_invoice() {
    let paid = received(&["pi_1"], 100_00);
    let after = history(
        world(invoice("Sent")),
        &[
            paid.clone(),
            paid.clone().with_refund(40_00),
            paid.with_refund(100_00),
        ],
    );
    assert_eq!(first_row(&after), (RefundedRow, Some(eur(100_00))));
    assert_eq!(after.invoice.status, InvoiceStatus::Paid);
    assert_eq!(after.invoice.amount_paid, Field::Value(eur(100_00)));
}

#[test]
fn a_dispute_updates_the_row_until_it_ends() {
    let disputed = |status| received(&["pi_1"], 100_00).with_dispute(status);
    let open = history(world(invoice("Sent")), &[disputed("needs_response")]);
    assert_eq!(first_row(&open).0, DisputedRow);
    assert_eq!(open.invoice.status, InvoiceStatus::Open);

    let won = history(open.clone(), &[disputed("won")]);
    assert_eq!(first_row(&won).0, Paid);
    assert_eq!(won.invoice.status, InvoiceStatus::Paid);

    // Won, and the bank inquires again.
    let inquiry = disputed("won").with_dispute_over("warning_needs_response", 100_00);
    let asked_again = history(open.clone(), std::slice::from_ref(&inquiry));
    assert_eq!(first_row(&asked_again).0, Paid);
    assert_eq!(asked_again.invoice.status, InvoiceStatus::Paid);

    // As long as the row could not follow, it is known that money was withheld.
    let plan = open.reconcile(&[Evidence::Payment(inquiry)]);
    let mut held_back = open.clone();
    held_back.memory = plan.learned.clone();
    assert_eq!(first_row(&held_back).0, DisputedRow);
    let later = history(
        held_back,
        &[disputed("won").with_dispute_over("warning_needs_response", 100_00)],
    );
    assert_eq!(first_row(&later).0, Paid);

    let lost = history(open, &[disputed("lost")]);
    assert_eq!(first_row(&lost).0, DisputedRow);
    assert_eq!(lost.invoice.status, InvoiceStatus::Open);
}

#[test]
fn a_failed_refund_is_remembered_until_the_row_is_updated() {
    let paid = received(&["pi_1"], 100_00);
    for (row, refund) in [
        (row("row-1", "Refunded", 100_00, &["pi_1"]), 100_00),
        (by_card().with_refunded(40_00), 40_00),
    ] {
        let mut held_back = world(invoice("Paid").settled())
            .with_row(row)
            .remembering("pi_1", 100_00, refund);
        let failed = [Evidence::Payment(paid.clone())];
        for _ in 0..2 {
            let plan = held_back.reconcile(&failed);
            assert_eq!(plan.payments.len(), 1, "the row is set right");
            assert!(
                plan.undecided.contains(&Refunded),
                "until then it stays open"
            );
            assert!(plan.undecided.contains(&PartiallyRefunded));
            assert_eq!(plan.learned.0["pi_1"].refunded, refund);
            // The plan was not applied; only what was learned is stored.
            held_back.memory.0.extend(plan.learned.0.clone());
        }
        let written = held_back.apply(&held_back.reconcile(&failed));
        let plan = written.reconcile(&failed);
        assert_eq!(plan.payments, [], "nothing is left to do");
        assert!(plan.undecided.is_empty());
        assert_eq!(plan.learned.0["pi_1"].refunded, 0);
    }
}

#[test]
fn an_answer_without_a_charge_keeps_refunds_and_disputes() {
    let mut silent = received(&["pi_1"], 100_00);
    silent.tells_returns = false;
    let refunded = world(invoice("Sent")).remembering("pi_1", 100_00, 40_00);
    let plan = refunded.reconcile(&[Evidence::Payment(silent.clone())]);
    assert_eq!(plan.learned.0["pi_1"].refunded, 40_00);
    let disputed = world(invoice("Sent")).remembering_dispute("pi_1", "lost");
    let after = history(disputed, &[silent]);
    assert_eq!(first_row(&after).0, DisputedRow);
}

#[test]
fn memory_replaces_a_missing_refund_column() {
    let sent = || world(invoice("Sent")).with_row(by_card());
    check(vec![
        case(
            "remembered as refunded in whole",
            sent().remembering("pi_1", 100_00, 100_00),
        ),
        case(
            "remembered as refunded in part",
            sent().remembering("pi_1", 100_00, 40_00),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "row and memory tell of the same refund: counted once",
            world(invoice("Sent"))
                .with_row(by_card().with_refunded(40_00))
                .remembering("pi_1", 100_00, 40_00),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "remembered as disputed",
            sent().remembering_dispute("pi_1", "under_review"),
        ),
        case(
            "remembered as lost",
            sent().remembering_dispute("pi_1", "lost"),
        ),
        case(
            "remembered as won",
            sent().remembering_dispute("pi_1", "won"),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "what is remembered of a copied session is another payment's",
            world(invoice("Sent"))
                .with_row(row("row-1", "Paid", 100_00, &["cs_live_1", "pi_1"]))
                .remembering("cs_live_1", 100_00, 100_00),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "Stripe's word goes before memory",
            sent().remembering("pi_1", 100_00, 100_00),
        )
        .stripe_says(&received(&["pi_1"], 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
    ]);
}

#[test]
fn refunds_booked_as_rows_count_once() {
    let reversal = |cents: i64, word: &str, ids: &[&str]| row("back", word, -cents, ids);
    let sent = || world(invoice("Sent")).with_row(by_card());
    let refunded = received(&["pi_1"], 100_00).with_refund(40_00);
    check(vec![
        case(
            "a row of its own, locally",
            sent().with_row(reversal(40_00, "Paid", &["pi_1"])),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "a row of its own with the word for refunded",
            sent().with_row(reversal(40_00, "Refunded", &["pi_1"])),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "a row of its own, and Stripe says so too",
            sent().with_row(reversal(40_00, "Paid", &["pi_1"])),
        )
        .stripe_says(&refunded)
        .updates(PaymentUpdate {
            refunded: Some(eur(40_00)),
            ..updated("row-1", &refunded)
        })
        .changes_invoice(paid_in_part(60_00))
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "cash given back by hand",
            sent().with_row(reversal(40_00, "Paid", &[])),
        )
        .changes_invoice(paid_in_part(60_00)),
        case(
            "the refund's row is not the payment's",
            world(invoice("Sent")).with_row(reversal(40_00, "Paid", &["pi_1"])),
        )
        .stripe_says(&refunded)
        .inserts(booked(&refunded, Paid, 100_00))
        .changes_invoice(paid_in_part(60_00))
        .warns(PartiallyRefunded, "pi_1"),
        case(
            "given back in whole after it was Paid: never set back",
            world(invoice("Paid").settled())
                .with_row(by_card())
                .with_row(reversal(100_00, "Paid", &["pi_1"])),
        ),
    ]);
}

#[test]
fn a_refund_kept_for_one_row_does_not_count_against_another() {
    // The refund failed, and of two rows for the payment none is changed.
    let twice = world(invoice("Paid").settled())
        .with_row(by_card().with_refunded(5_00))
        .with_row(row("row-2", "Paid", 100_00, &["pi_1"]))
        .remembering("pi_1", 100_00, 5_00);
    let said = twice.reconcile(&[Evidence::Payment(received(&["pi_1"], 100_00))]);
    assert_eq!(said.learned.0["pi_1"].refunded, 5_00, "kept for the row");
    let mut later = twice.clone();
    later.memory.0.extend(said.learned.0.clone());
    let by_rows = later.reconcile(&[]);
    assert_eq!(said.secured, by_rows.secured);
}
