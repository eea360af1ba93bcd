//! Rows that say money came of which Stripe says that it never did.

use super::builders::{
    RECEIVED_AT, World, booked, eur, invoice, never, received, row, waiting, world,
};
use super::harness::{case, check, paid_in_full};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::IssueKind::{AmountMismatch, PaidWithoutPayment};
use crate::domain::payment::PaymentStatus::Paid;
use crate::domain::plan::InvoiceChange;
use crate::domain::recheck::{HELD, Recheck};
use crate::domain::resolution::{Ending, OpenIssue, ending};

/// The application wrote a row when the customer left the checkout.
fn with_row(word: &str, ids: &[&str]) -> World {
    let invoice = match word {
        "Paid" => invoice("Paid").settled(),
        word => invoice(word),
    };
    world(invoice.storing(ids)).with_row(row("row-1", "Paid", 100_00, ids))
}

fn denials() -> Vec<(&'static [&'static str], StripePayment)> {
    let never = |ids: &'static [&'static str], status| (ids, never(ids, status));
    vec![
        never(&["pi_1"], "canceled"),
        never(&["cs_live_1"], "expired"),
        never(&["ch_1"], "failed"),
        never(&["in_1"], "void"),
    ]
}

#[test]
fn a_row_that_stripe_denies_is_reported_and_pays_nothing() {
    for word in ["Paid", "Sent", "Partial"] {
        for (ids, denial) in denials() {
            check(vec![
                case("it can never be paid", with_row(word, ids))
                    .stripe_says(&denial)
                    .warns(AmountMismatch, ids[0])
                    .asks_again(HELD),
            ]);
        }
        for status in [
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "requires_capture",
        ] {
            check(vec![
                case("it is not paid yet", with_row(word, &["pi_1"]))
                    .stripe_says(&waiting(&["pi_1"], status))
                    .warns(AmountMismatch, "pi_1")
                    .asks_again(Recheck::BackingOff),
            ]);
        }
    }
    check(vec![
        case("an open session", with_row("Paid", &["cs_live_1"]))
            .stripe_says(&waiting(&["cs_live_1"], "open"))
            .warns(AmountMismatch, "cs_live_1")
            .asks_again(Recheck::BackingOff),
        case(
            "a word that says that a part went back",
            world(invoice("Sent")).with_row(
                row("row-1", "Partially refunded", 100_00, &["pi_1"]).with_refunded(30_00),
            ),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .warns(AmountMismatch, "pi_1"),
    ]);
}

#[test]
fn a_row_whose_money_is_in_flight_pays_nothing_and_is_no_issue() {
    for status in ["processing", "pending", "complete, payment in flight"] {
        check(vec![
            case("a bank debit", with_row("Sent", &["cs_live_1", "pi_1"]))
                .stripe_says(&waiting(&["cs_live_1", "pi_1"], status))
                .asks_again(Recheck::BackingOff),
        ]);
    }
    check(vec![
        case("an open Stripe Invoice", with_row("Sent", &["in_1"]))
            .stripe_says(&waiting(&["in_1"], "open"))
            .changes_invoice(paid_in_full(RECEIVED_AT))
            .asks_again(Recheck::BackingOff),
    ]);
}

#[test]
fn nothing_is_concluded_where_money_may_come_or_the_row_says_nothing() {
    let waits = |name: &'static str, world, payment: &StripePayment| {
        case(name, world)
            .stripe_says(payment)
            .asks_again(Recheck::BackingOff)
    };
    let settled = |ids| with_row("Paid", ids);
    let in_flight = "complete, payment in flight";
    check(vec![
        waits(
            "a bank debit under way",
            settled(&["pi_1"]),
            &waiting(&["pi_1"], "processing"),
        ),
        waits(
            "a session whose payment is under way",
            settled(&["cs_live_1"]),
            &waiting(&["cs_live_1"], in_flight),
        ),
        waits(
            "an open Stripe Invoice, whose payment may be under way",
            settled(&["in_1"]),
            &waiting(&["in_1"], "open"),
        ),
        case(
            "a failed row",
            world(invoice("Sent")).with_row(row("row-1", "Failed", 100_00, &["pi_1"])),
        )
        .stripe_says(&never(&["pi_1"], "canceled")),
        case(
            "a pending row",
            world(invoice("Sent")).with_row(row("row-1", "Pending", 100_00, &["pi_1"])),
        )
        .stripe_says(&never(&["pi_1"], "canceled")),
        case(
            "the row has the session of an earlier attempt beside its intent",
            with_row("Paid", &["cs_live_1", "pi_1"]),
        )
        .stripe_says(&never(&["cs_live_1"], "expired"))
        .stripe_says(&received(&["pi_1"], 100_00)),
        case(
            "another payment paid the Stripe Invoice",
            with_row("Paid", &["in_1"]),
        )
        .stripe_says(&never(&["pi_1", "in_1"], "canceled"))
        .stripe_says(&received(&["pi_2", "in_1"], 100_00)),
    ]);
}

#[test]
fn another_payment_pays_the_invoice_beside_a_row_that_stripe_denies() {
    let second = received(&["pi_2"], 100_00);
    check(vec![
        case("the customer tried again", with_row("Sent", &["pi_1"]))
            .stripe_says(&never(&["pi_1"], "canceled"))
            .stripe_says(&second)
            .inserts(booked(&second, Paid, 100_00))
            .changes_invoice(paid_in_full(RECEIVED_AT))
            .warns(AmountMismatch, "pi_1"),
    ]);
}

#[test]
fn a_denied_row_counts_once_the_money_came_or_the_id_is_gone() {
    let declined = [Evidence::Payment(waiting(
        &["pi_1"],
        "requires_payment_method",
    ))];
    let sent = with_row("Sent", &["pi_1"]);
    let denied = sent.apply(&sent.reconcile(&declined));
    assert_eq!(denied.invoice.status, InvoiceStatus::Open);
    assert_eq!(denied.reconcile(&[]).secured, Some(eur(0)));

    let came = [Evidence::Payment(received(&["pi_1"], 100_00))];
    let plan = denied.reconcile(&came);
    assert_eq!(plan.invoice, Some(paid_in_full(RECEIVED_AT)));
    assert_eq!((plan.payments.len(), plan.issues.len()), (0, 0));
    assert!(denied.apply(&plan).reconcile(&[]).changes_nothing());

    let mut by_transfer = denied.clone();
    by_transfer.rows[0].ids = Default::default();
    let status = |change: InvoiceChange| change.status;
    let raised = by_transfer.reconcile(&[]).invoice.and_then(status);
    assert_eq!(raised, Some(InvoiceStatus::Paid));

    let mut deleted = World {
        rows: Vec::new(),
        ..denied.clone()
    };
    deleted.invoice = invoice("Paid").settled();
    deleted.finished.insert("pi_1".into());
    let plan = deleted.reconcile(&[]);
    let kinds: Vec<_> = plan.issues.iter().map(|issue| issue.kind).collect();
    assert_eq!(kinds, [PaidWithoutPayment], "nothing is known to have come");
}

#[test]
fn the_issue_about_a_denied_row_ends_when_stripe_or_the_row_says_otherwise() {
    let told = |world: &World, payment: StripePayment| {
        let plan = world.reconcile(&[Evidence::Payment(payment)]);
        let issue = OpenIssue {
            kind: AmountMismatch,
            object: Some("pi_1".into()),
            evidence: Default::default(),
            is_refreshed: true,
        };
        (ending(&issue, &world.invoice, &plan), world.apply(&plan))
    };
    let declined = || waiting(&["pi_1"], "requires_payment_method");
    let (first, denied) = told(&with_row("Paid", &["pi_1"]), declined());
    assert_eq!(first, Ending::Stays);
    let (retried, denied) = told(&denied, waiting(&["pi_1"], "processing"));
    assert_eq!(retried, Ending::Stays, "it may be declined again");
    assert_eq!(told(&denied, declined()).0, Ending::Stays);
    let came = received(&["pi_1"], 100_00);
    assert_eq!(told(&denied, came).0, Ending::Over);
    let mut corrected = denied;
    corrected.rows[0] = row("row-1", "Failed", 100_00, &["pi_1"]);
    assert_eq!(told(&corrected, declined()).0, Ending::Over);
}

#[test]
fn money_that_was_taken_back_is_told_and_an_older_or_partial_answer_is_not_that() {
    let failed = |as_of| StripePayment {
        as_of,
        ..waiting(&["pi_1"], "requires_payment_method")
    };
    let came = StripePayment {
        as_of: 10,
        ..received(&["pi_1"], 100_00)
    };
    let before = world(invoice("Sent"));
    let plan = before.reconcile(&[Evidence::Payment(came)]);
    let paid = before.apply(&plan);
    let kinds = |said: StripePayment| {
        let plan = paid.reconcile(&[Evidence::Payment(said)]);
        assert!(plan.changes_nothing(), "a paid invoice is not set back");
        let kinds: Vec<_> = plan.issues.iter().map(|issue| issue.kind).collect();
        kinds
    };
    assert_eq!(kinds(failed(11)), [AmountMismatch]);
    assert_eq!(kinds(failed(9)), []);
    let partial = StripePayment {
        tells_returns: false,
        ..failed(11)
    };
    assert_eq!(kinds(partial), []);
    assert_eq!(
        kinds(StripePayment {
            as_of: 11,
            ..waiting(&["pi_2"], "requires_payment_method")
        }),
        []
    );
}
