//! Values that Stripe knows only once the money is settled, and those that a completed row lacks.

use std::collections::BTreeMap;

use super::builders::{NOW, World, invoice, received, row, world};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::payment::Empty;
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::Recheck;

const FEE: &str = "balance_transaction.fee";
const PROJECT: &str = "metadata.project";

/// A payment of an hour ago, with these values; without a fee, it is not settled.
fn paid(values: &[(&str, &str)]) -> StripePayment {
    StripePayment {
        received_at: Some(NOW - 3600),
        is_unsettled: !values.iter().any(|(path, _)| *path == FEE),
        attributes: values
            .iter()
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect(),
        ..received(&["pi_1"], 100_00)
    }
}

/// An invoice with a row for this payment, whose columns for fee and project are empty.
fn with_row(word: &str, fee: Empty) -> World {
    let mut row = row("row-1", word, 100_00, &["pi_1"]);
    row.unfilled = BTreeMap::from([(FEE.to_owned(), fee), (PROJECT.to_owned(), Empty::Null)]);
    world(invoice("Sent")).with_row(row)
}

fn decide(world: &World, payment: &StripePayment) -> Plan {
    world.reconcile(&[Evidence::Payment(payment.clone())])
}

/// The paths that the plan fills.
fn filled(plan: &Plan) -> Vec<&str> {
    let updates = plan.payments.iter().filter_map(|change| match change {
        PaymentChange::Insert(_) => None,
        PaymentChange::Update(update) => Some(update.attributes.keys().map(String::as_str)),
    });
    updates.flatten().collect()
}

#[test]
fn a_payment_that_is_booked_or_completed_is_asked_about_until_it_is_settled() {
    let unsettled = paid(&[]);
    for world in [world(invoice("Sent")), with_row("Pending", Empty::Null)] {
        let plan = decide(&world, &unsettled);
        assert!(plan.awaited.contains("pi_1"), "{plan:#?}");
        assert_eq!(plan.recheck, Recheck::BackingOff);
        let settled = decide(&world, &paid(&[(FEE, "29")]));
        assert!(settled.awaited.is_empty() && settled.recheck == Recheck::Never);
    }
    let own = decide(&with_row("Paid", Empty::Null), &unsettled);
    assert!(own.awaited.is_empty(), "the application wrote it by itself");
    let old = StripePayment {
        received_at: Some(NOW - 8 * 86_400),
        ..unsettled
    };
    assert!(
        decide(&world(invoice("Sent")), &old).awaited.is_empty(),
        "nor after a week"
    );
}

#[test]
fn a_row_that_awaits_the_fee_gets_it_and_nothing_else() {
    let payment = paid(&[(FEE, "29"), (PROJECT, "Roof")]);
    let mut world = with_row("Paid", Empty::Zero);
    assert!(
        filled(&decide(&world, &payment)).is_empty(),
        "it awaits nothing"
    );
    world.awaited = ["pi_1".to_owned()].into();
    assert_eq!(filled(&decide(&world, &payment)), [FEE]);
    assert!(
        filled(&decide(&world, &paid(&[(FEE, "0")]))).is_empty(),
        "zero is there already"
    );
    let mut null = with_row("Paid", Empty::Null);
    null.awaited = world.awaited.clone();
    assert_eq!(filled(&decide(&null, &paid(&[(FEE, "0")]))), [FEE]);
    let still = decide(&world, &paid(&[]));
    assert!(
        still.awaited.contains("pi_1"),
        "as long as Stripe does not know it"
    );
    let other = world.reconcile(&[Evidence::Payment(received(&["pi_2"], 5_00))]);
    assert!(
        other.awaited.contains("pi_1"),
        "an answer about another payment ends nothing"
    );
}

#[test]
fn a_row_that_waited_gets_all_values_that_it_lacks() {
    let payment = paid(&[(FEE, "29"), (PROJECT, "Roof")]);
    let plan = decide(&with_row("Pending", Empty::Null), &payment);
    assert_eq!(filled(&plan), [FEE, PROJECT]);
    let mut world = with_row("Pending", Empty::Null);
    world.rows[0].unfilled.remove(PROJECT);
    assert_eq!(
        filled(&decide(&world, &payment)),
        [FEE],
        "what it has stays"
    );
}

#[test]
fn what_is_known_and_could_not_be_written_stays_noted() {
    let mut world = with_row("Paid", Empty::Null);
    world.awaited = ["pi_1".to_owned()].into();
    let plan = decide(&world, &paid(&[(FEE, "29")]));
    assert!(plan.awaited.contains("pi_1"));
    assert_eq!(plan.recheck, Recheck::Never, "without asking Stripe");
    let written = world.apply(&plan);
    let after = decide(&written, &paid(&[(FEE, "29")]));
    assert!(after.awaited.is_empty() && after.changes_nothing());
}
