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
            "Invoice R-1 has a total of 100.00 EUR, but 130.00 EUR was paid: 30.00 EUR too much. Refund the excess in Stripe, or accept the amount (accept_amount).",
        ),
        (
            world(invoice("Sent")),
            said(dollars),
            "Stripe received 100.00 USD by pi_1, but invoice R-1 is in EUR, so it was not booked. Record the payment by hand, or correct the currency of the invoice.",
        ),
        (
            world(invoice("Sent")),
            vec![missing("pi_1")],
            "Invoice R-1 refers to pi_1, which does not exist in Stripe. Correct the id, or set the API key of the account that has the object.",
        ),
        (
            settled().with_row(row("row-1", "Paid", 100_00, &["pi_1"])),
            said(received(&["pi_1"], 100_00).with_refund(40_00)),
            "Stripe refunded 40.00 EUR of the 100.00 EUR that invoice R-1 received by pi_1 (in part). Decide whether the refunded money still counts for the invoice (mark_refunded or ignore).",
        ),
        (
            settled().with_row(row("row-1", "Paid", 100_00, &["pi_1"])),
            said(received(&["pi_1"], 100_00).with_dispute("lost")),
            "The dispute about 100.00 EUR by pi_1 for invoice R-1 was lost, and the money was returned to the customer. Decide whether it still counts for the invoice (mark_refunded or ignore).",
        ),
        (
            world(invoice("Paid").settled().storing(&[])),
            vec![],
            "Invoice R-1 is marked Paid, but no payment is recorded and the invoice contains no Stripe id. Record the payment, correct the status (set_status), or confirm that it was paid elsewhere (accept_paid_elsewhere).",
        ),
        (
            settled(),
            said(never(&["pi_1"], "canceled")),
            "Invoice R-1 is marked Paid, but no payment is recorded and Stripe received none. Record the payment, correct the status (set_status), or confirm that it was paid elsewhere (accept_paid_elsewhere).",
        ),
        (
            world(invoice("Paid").settled().storing(&[])).with_row(row("a", "Paid", 40_00, &[])),
            vec![],
            "The amounts of invoice R-1 do not agree: it states that 100.00 EUR was paid, but its payments add up to 40.00 EUR. Correct the invoice or its payments.",
        ),
        (
            settled().with_row(row("row-1", "Paid", 120_00, &["pi_1"])),
            said(received(&["pi_1"], 115_00).with_gratuity("15.00")),
            "The books say 120.00 EUR for pi_1 of invoice R-1, but Stripe received 100.00 EUR without the gratuity of 15.00 EUR. Correct the payment, or accept the amount (accept_amount). Invoice R-1 has a total of 100.00 EUR, but 120.00 EUR was paid: 20.00 EUR too much. Refund the excess in Stripe, or accept the amount (accept_amount).",
        ),
        (
            world(invoice("Sent")),
            said(received(&["pi_1"], 100_00).with_gratuity("a lot")),
            "The gratuity of pi_1 for invoice R-1 is not valid (\"a lot\" is not a number), so 0 was used. Check the payment in Stripe, and correct its row if necessary.",
        ),
        (
            world(invoice("Sent")),
            said(contradictory),
            "The gratuity of pi_1 for invoice R-1 is not valid (session and payment intent contradict each other: \"1\" and \"2\"), so 0 was used. Check the payment in Stripe, and correct its row if necessary.",
        ),
        (
            world(invoice("Cancelled")),
            said(received(&["pi_1"], 100_00)),
            "Stripe received 100.00 EUR for invoice R-1, whose status is Cancelled. Payments of such invoices are booked, but the invoice is not changed. Refund the payment in Stripe, or correct the status.",
        ),
        (
            world(invoice("Sent")),
            said(received(&["pi_1"], 100_00).naming("inv-2")),
            "Stripe received 100.00 EUR by pi_1, to which invoice R-1 refers, but the payment itself names invoice inv-2, so it was not booked. Book it for the right invoice (link_payment).",
        ),
        (
            settled()
                .with_row(row("a", "Paid", 100_00, &["pi_1"]))
                .with_row(row("b", "Paid", 100_00, &["pi_1"])),
            vec![],
            "Invoice R-1 has 2 payment rows for the Stripe payment pi_1, which counts once. Delete the rows that are wrong.",
        ),
        (
            world(wordless),
            vec![],
            "Invoice R-1 has the currency \"Taler\", which is not a currency code such as EUR, so nothing was booked. Correct the currency.",
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
        "Invoice R-1 has a payment whose amount cannot be read: \"six\" is not a number. Correct the payment. Invoice R-1 has a payment whose amount cannot be read: \"ten\" is not a number. Correct the payment."
    );
    assert_eq!(plan.issues[0].evidence["row"], "b");
    assert_eq!(plan.issues[0].evidence["also"][0]["row"], "a");
}

#[test]
fn reasons_for_doing_nothing_are_given() {
    let plan = world(invoice("Sent")).reconcile(&said(never(&["pi_1"], "canceled")));
    assert_eq!(plan.reasons, ["pi_1: was never paid (canceled)"]);
}
