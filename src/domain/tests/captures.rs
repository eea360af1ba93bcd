//! Payments of which more is captured after they were booked.

use super::builders::{World, eur, invoice, received, row, world};
use crate::domain::evidence::Evidence;
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::plan::{PaymentChange, Plan};

/// 70 of 100 was captured and booked.
fn booked_in_part() -> World {
    world(invoice("Partial").with_paid(70_00))
        .with_row(row("row-1", "Paid", 70_00, &["pi_1"]))
        .remembering("pi_1", 70_00, 0)
}

/// Returns the amount that the plan writes into the row.
fn grown_to(plan: &Plan) -> Option<i64> {
    match plan.payments.as_slice() {
        [PaymentChange::Update(update)] => update.amount.map(|amount| amount.minor),
        _ => None,
    }
}

#[test]
fn what_was_captured_later_is_remembered_until_the_row_is_updated() {
    let whole = [Evidence::Payment(received(&["pi_1"], 100_00))];
    let mut held_back = booked_in_part();
    for _ in 0..2 {
        let plan = held_back.reconcile(&whole);
        assert_eq!(grown_to(&plan), Some(100_00), "the row follows");
        // The plan was not applied; only what was learned is stored.
        held_back.memory.0.extend(plan.learned.0.clone());
    }
    let written = held_back.apply(&held_back.reconcile(&whole));
    assert_eq!(written.invoice.status, InvoiceStatus::Paid);
    let plan = written.reconcile(&whole);
    assert!(plan.changes_nothing(), "{plan:#?}");
    assert_eq!(plan.learned.0["pi_1"].received, 100_00);
}

#[test]
fn an_answer_without_the_session_does_not_hide_what_was_captured_later() {
    // 10 of the 70 was a gratuity, for which there is no column.
    let mut world = booked_in_part();
    world.invoice = invoice("Partial").with_paid(60_00);
    world.rows[0].amount = Field::Value(eur(60_00));
    world.rows[0].gratuity = Field::Unmapped;
    world.has_gratuity_column = false;
    let whole = received(&["pi_1"], 100_00);
    let unread = [Evidence::Payment(whole.clone().without_session_read())];
    let plan = world.reconcile(&unread);
    assert_eq!(grown_to(&plan), None, "the gratuity is not known");
    let told = world.apply(&plan);
    let read = [Evidence::Payment(whole.with_gratuity("10.00"))];
    assert_eq!(grown_to(&told.reconcile(&read)), Some(90_00));
}

#[test]
fn a_row_that_never_stated_it_is_not_waited_for() {
    let mut world = booked_in_part();
    world.rows[0].amount = Field::Value(eur(65_00));
    let plan = world.reconcile(&[Evidence::Payment(received(&["pi_1"], 100_00))]);
    assert_eq!(grown_to(&plan), None);
    assert_eq!(plan.learned.0["pi_1"].received, 100_00);
}
