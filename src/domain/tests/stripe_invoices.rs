//! Payments of Stripe Invoices: renewals, and several payments of one.

use super::builders::{RECEIVED_AT, World, booked, eur, invoice, received, row, world};
use super::harness::{case, check};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::IssueKind::{Disputed, PartiallyRefunded, UnlinkedPayment};
use crate::domain::issue::Severity;
use crate::domain::payment::PaymentStatus::Paid;
use crate::domain::plan::InvoiceChange;
use crate::domain::recheck::HELD;

fn renewal(cents: i64) -> StripePayment {
    let mut renewal = received(&["pi_2"], cents).naming("R-1");
    renewal.is_renewal_of_named = true;
    renewal
}

#[test]
fn a_refund_creates_no_need_for_a_renewal() {
    let first = |word: &str| row("row-1", word, 100_00, &["pi_1"]);
    let is_left = |name: &'static str, world: World| {
        case(name, world)
            .stripe_says(&renewal(100_00))
            .warns(UnlinkedPayment, "pi_2")
            .asks_again(HELD)
    };
    let settled = || world(invoice("Paid").settled());
    let sent = world(invoice("Sent").storing(&[])).with_row(row("row-1", "Paid", 40_00, &[]));
    check(vec![
        is_left(
            "its first payment was refunded",
            settled()
                .with_row(first("Refunded").with_refunded(100_00))
                .remembering("pi_1", 100_00, 100_00),
        ),
        is_left(
            "its first payment was refunded, as only the memory says",
            settled()
                .with_row(first("Paid"))
                .remembering("pi_1", 100_00, 100_00),
        ),
        is_left(
            "the dispute about its first payment was lost",
            settled()
                .with_row(first("Disputed"))
                .remembering_dispute("pi_1", "lost"),
        ),
        case("an instalment", sent)
            .stripe_says(&renewal(60_00))
            .inserts(booked(&renewal(60_00), Paid, 60_00))
            .changes_invoice(InvoiceChange {
                status: Some(InvoiceStatus::Paid),
                amount_paid: Some(eur(100_00)),
                balance: Some(eur(0)),
                paid_at: Some(RECEIVED_AT),
            }),
    ]);
}

#[test]
fn what_went_back_of_several_payments_counts_for_the_row_of_their_stripe_invoice() {
    let of = |id: &str, cents| {
        let mut payment = received(&[id, "in_1"], cents);
        payment.invoice_was_read = true;
        payment
    };
    let of_both = || {
        world(invoice("Sent").with_total(125_00).storing(&["in_1"])).with_row(row(
            "row-1",
            "Paid",
            125_00,
            &["in_1"],
        ))
    };
    let partly = |paid: i64| InvoiceChange {
        status: Some(InvoiceStatus::Partial),
        amount_paid: Some(eur(paid)),
        balance: Some(eur(125_00 - paid)),
        paid_at: None,
    };
    let refunded = of("pi_1", 50_00).with_refund(25_00);
    check(vec![
        case("a part of one was refunded", of_both())
            .stripe_says(&refunded)
            .stripe_says(&of("pi_2", 75_00))
            .changes_invoice(partly(100_00))
            .warns(PartiallyRefunded, "pi_1"),
        case("parts of both were refunded", of_both())
            .stripe_says(&refunded)
            .stripe_says(&of("pi_2", 75_00).with_refund(10_00))
            .changes_invoice(partly(90_00))
            .warns(PartiallyRefunded, "pi_1")
            .warns(PartiallyRefunded, "pi_2"),
        case("a part of one was disputed", of_both())
            .stripe_says(&of("pi_1", 50_00))
            .stripe_says(&of("pi_2", 75_00).with_dispute_over("lost", 75_00))
            .changes_invoice(partly(50_00))
            .raises(Disputed, Severity::Critical, "pi_2"),
    ]);
    // Later, what is remembered says so as well.
    let paid = World {
        invoice: of_both().invoice.with_paid(125_00),
        ..of_both()
    };
    let said = [refunded, of("pi_2", 75_00)].map(Evidence::Payment);
    let told = paid.apply(&paid.reconcile(&said));
    assert_eq!(told.reconcile(&[]).secured, Some(eur(100_00)));
}
