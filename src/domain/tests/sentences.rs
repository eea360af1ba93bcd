//! The sentences that bookkeepers read.

use super::builders::{World, currency, invoice, missing, never, received, row, stripe, world};
use crate::domain::evidence::{Evidence, Gratuity, PaymentState, StripePayment};
use crate::domain::invoice::Field;
use crate::domain::money::Money;

/// Returns the summary of the only issue.
fn sentence(world: World, evidence: &[Evidence]) -> String {
    let summaries: Vec<String> = world
        .reconcile(evidence)
        .issues
        .into_iter()
        .map(|issue| issue.summary)
        .collect();
    assert_eq!(summaries.len(), 1, "one issue was expected: {summaries:?}");
    summaries.concat()
}

fn said(payment: StripePayment) -> Vec<Evidence> {
    vec![Evidence::Payment(payment)]
}

#[test]
fn issues_are_sentences() {
    let settled = || world(invoice("Paid").settled());
    let mut contradictory = received(&["pi_1"], 100_00);
    contradictory.gratuity = Gratuity::Contradictory("1".into(), "2".into());
    let dollars = stripe(
        &["pi_1"],
        PaymentState::Received(Money::new(100_00, currency("usd"))),
    );
    let mut wordless = invoice("Sent").storing(&[]);
    wordless.currency = Err("Taler".into());
    let cases = [
        (
            world(invoice("Sent")),
            said(received(&["pi_1"], 130_00)),
            "Invoice R-1 over 100.00 EUR was paid with 130.00 EUR: 30.00 EUR too much.",
        ),
        (
            world(invoice("Sent")),
            said(dollars),
            "Stripe received 100.00 USD by pi_1, but invoice R-1 is in EUR; it was not booked.",
        ),
        (
            world(invoice("Sent")),
            vec![missing("pi_1")],
            "Invoice R-1 refers to pi_1, which Stripe does not know.",
        ),
        (
            settled().with_row(row("row-1", "Paid", 100_00, &["pi_1"])),
            said(received(&["pi_1"], 100_00).with_refund(40_00)),
            "40.00 EUR of the 100.00 EUR that invoice R-1 received by pi_1 went back to the customer (in part).",
        ),
        (
            settled().with_row(row("row-1", "Paid", 100_00, &["pi_1"])),
            said(received(&["pi_1"], 100_00).with_dispute("lost")),
            "The dispute about 100.00 EUR by pi_1 for invoice R-1 is lost; the money is gone.",
        ),
        (
            world(invoice("Paid").settled().storing(&[])),
            vec![],
            "Invoice R-1 is marked Paid, but no payment is recorded and it names no Stripe payment.",
        ),
        (
            settled(),
            said(never(&["pi_1"], "canceled")),
            "Invoice R-1 is marked Paid, but no payment is recorded and Stripe knows of none.",
        ),
        (
            world(invoice("Paid").settled().storing(&[])).with_row(row("a", "Paid", 40_00, &[])),
            vec![],
            "The amounts of invoice R-1 do not agree: it says that 100.00 EUR was paid, but its payments come to 40.00 EUR.",
        ),
        (
            settled().with_row(row("row-1", "Paid", 120_00, &["pi_1"])),
            said(received(&["pi_1"], 115_00).with_gratuity("15.00")),
            "The books say 120.00 EUR for pi_1 of invoice R-1, but Stripe received 100.00 EUR without the gratuity of 15.00 EUR. Invoice R-1 over 100.00 EUR was paid with 120.00 EUR: 20.00 EUR too much.",
        ),
        (
            world(invoice("Sent")),
            said(received(&["pi_1"], 100_00).with_gratuity("a lot")),
            "The gratuity of pi_1 on invoice R-1 cannot be true (\"a lot\" is not a number); it was taken as 0.",
        ),
        (
            world(invoice("Sent")),
            said(contradictory),
            "The gratuity of pi_1 on invoice R-1 cannot be true (session and payment intent contradict each other: \"1\" and \"2\"); it was taken as 0.",
        ),
        (
            world(invoice("Cancelled")),
            said(received(&["pi_1"], 100_00)),
            "Stripe received 100.00 EUR for invoice R-1, which is Cancelled.",
        ),
        (
            world(invoice("Sent")),
            said(received(&["pi_1"], 100_00).naming("inv-2")),
            "Stripe received 100.00 EUR by pi_1, which invoice R-1 refers to; but the payment itself names the invoice inv-2, so it was not booked.",
        ),
        (
            settled()
                .with_row(row("a", "Paid", 100_00, &["pi_1"]))
                .with_row(row("b", "Paid", 100_00, &["pi_1"])),
            vec![],
            "Invoice R-1 has 2 payments recorded for the one Stripe payment pi_1; it was counted once.",
        ),
        (
            world(wordless),
            vec![],
            "Invoice R-1 has the currency \"Taler\", which is no currency code such as EUR; nothing was decided about it.",
        ),
    ];
    for (world, evidence, expected) in cases {
        let plan = world.reconcile(&evidence);
        let all: Vec<&str> = plan.issues.iter().map(|i| i.summary.as_str()).collect();
        assert_eq!(all.join(" "), expected);
    }
}

#[test]
fn an_invoice_without_a_number_is_named_by_its_id() {
    let mut nameless = invoice("Paid").settled().storing(&[]);
    nameless.number = None;
    let text = sentence(world(nameless), &[]);
    assert!(text.starts_with("Invoice inv-1 "), "{text}");
}

#[test]
fn issues_of_one_kind_about_one_object_are_merged() {
    let mut first = row("a", "Paid", 0, &[]);
    first.amount = Field::Unreadable("\"ten\" is not a number".into());
    let mut second = first.clone();
    second.id = "b".into();
    second.amount = Field::Unreadable("\"six\" is not a number".into());
    let world = world(invoice("Sent").storing(&[]))
        .with_row(first.clone())
        .with_row(second)
        .with_row(first);
    let plan = world.reconcile(&[]);
    let text = sentence(world, &[]);
    assert_eq!(
        text,
        "Invoice R-1 has a payment whose amount cannot be read: \"six\" is not a number. \
         Invoice R-1 has a payment whose amount cannot be read: \"ten\" is not a number."
    );
    assert_eq!(plan.issues[0].evidence["row"], "b");
    assert_eq!(plan.issues[0].evidence["also"][0]["row"], "a");
}

#[test]
fn reasons_for_doing_nothing_are_given() {
    let plan = world(invoice("Sent")).reconcile(&said(never(&["pi_1"], "canceled")));
    assert_eq!(plan.reasons, ["pi_1: was never paid (canceled)"]);
}
