//! Payments that came in another currency than that which the invoice has now.

use super::builders::{currency, eur, invoice, received, row, world};
use super::harness::{case, check};
use crate::domain::evidence::Evidence;
use crate::domain::invoice::Field;
use crate::domain::issue::IssueKind::AmountMismatch;
use crate::domain::money::Money;

#[test]
fn after_the_currency_was_changed_its_former_payments_are_not_added_to_new_ones() {
    let deposit = received(&["pi_1"], 50_00);
    let before = world(invoice("Sent"));
    let plan = before.reconcile(&[Evidence::Payment(deposit)]);
    let mut after = before.apply(&plan);
    assert_eq!(after.invoice.amount_paid, Field::Value(eur(50_00)));

    let usd = |minor| Field::Value(Money::new(minor, currency("usd")));
    after.invoice.currency = Ok(currency("usd"));
    after.invoice.total = usd(100_00);
    after.invoice.amount_paid = usd(50_00);
    after.invoice.balance = usd(50_00);
    after.rows[0].amount = usd(50_00);
    after.rows[0].gratuity = usd(0);
    after.rows[0].refunded = usd(0);
    let plan = after.reconcile(&[]);
    let kinds: Vec<_> = plan.issues.iter().map(|issue| issue.kind).collect();
    assert!(kinds.contains(&AmountMismatch), "{kinds:?}");
    assert_eq!(plan.secured, Some(Money::new(0, currency("usd"))));
    assert!(plan.changes_nothing());
}

#[test]
fn a_row_that_the_application_converted_counts() {
    let converted = row("row-1", "Paid", 92_00, &["pi_1"]);
    check(vec![case(
        "nothing is remembered of it",
        world(invoice("Partial").with_paid(92_00)).with_row(converted),
    )]);
}
