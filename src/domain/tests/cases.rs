//! Decisions about money, case by case: the rules of docs/money.md, with one or more cases for each.
//!
//! Refunds and disputes are in `refunds`, differences between applications in `hosts`. Not tested here, because they
//! need no decision: money that names no invoice or one that does not exist, and what the application's triggers and
//! constraints refuse or change.

use super::builders::{
    NOW, RECEIVED_AT, booked, currency, eur, invoice, missing, never, other_mode, received, row,
    stripe, updated, waiting, world,
};
use super::harness::{case, check, paid_in_full, paid_in_part};
use crate::domain::evidence::{Evidence, PaymentState};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::IssueKind::*;
use crate::domain::money::Money;
use crate::domain::payment::PaymentStatus::{Paid, Refunded as RefundedRow};
use crate::domain::plan::{InvoiceChange, NewPayment, PaymentUpdate};
use crate::domain::recheck::{HELD, Recheck};

#[test]
fn received_money_is_booked() {
    let full = received(&["cs_live_1", "pi_1"], 100_00);
    let half = received(&["pi_1"], 40_00);
    let more = received(&["pi_1"], 130_00);
    let tipped = received(&["pi_1"], 115_00).with_gratuity("15.00");
    check(vec![
        case("paid in Stripe, no row", world(invoice("Sent")))
            .stripe_says(&full)
            .inserts(booked(&full, Paid, 100_00))
            .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "paid in Stripe, no row: the gratuity in its own column",
            world(invoice("Viewed")),
        )
        .stripe_says(&tipped)
        .inserts(NewPayment {
            gratuity: eur(15_00),
            ..booked(&tipped, Paid, 100_00)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "row with the same Stripe id and status Pending: that row becomes Paid",
            world(invoice("Sent")).with_row(row("row-1", "Pending", 100_00, &["pi_1"])),
        )
        .stripe_says(&full)
        .updates(PaymentUpdate {
            status: Some(Paid),
            missing_ids: super::builders::ids(&["cs_live_1"]),
            ..updated("row-1", &full)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "Pending row, found by the session: takes amount, gratuity and intent from Stripe",
            world(invoice("Sent")).with_row(row("row-1", "Pending", 90_00, &["cs_live_1"])),
        )
        .stripe_says(&received(&["cs_live_1", "pi_1"], 115_00).with_gratuity("15"))
        .updates(PaymentUpdate {
            status: Some(Paid),
            amount: Some(eur(100_00)),
            gratuity: Some(eur(15_00)),
            missing_ids: super::builders::ids(&["pi_1"]),
            ..updated("row-1", &full)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case("a part of the total", world(invoice("Sent")))
            .stripe_says(&half)
            .inserts(booked(&half, Paid, 40_00))
            .changes_invoice(paid_in_part(40_00)),
        case("received more than the total", world(invoice("Sent")))
            .stripe_says(&more)
            .inserts(booked(&more, Paid, 130_00))
            .changes_invoice(InvoiceChange {
                amount_paid: Some(eur(130_00)),
                ..paid_in_full(RECEIVED_AT)
            })
            .warns(Overpaid, ""),
        case(
            "intent amount differs from amount received: by what was received",
            world(invoice("Sent")),
        )
        .stripe_says(&half)
        .stripe_says(&waiting(&["pi_1"], "requires_capture"))
        .inserts(booked(&half, Paid, 40_00))
        .changes_invoice(paid_in_part(40_00)),
        case(
            "money that names this invoice by its id or number",
            world(invoice("Sent")),
        )
        .stripe_says(&full.clone().naming("INV-1").naming("R-1"))
        .inserts(booked(&full, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
    ]);
}

#[test]
fn deposit_and_balance_are_two_payments() {
    let deposit = received(&["cs_live_1", "pi_1"], 30_00);
    let mut balance = received(&["cs_live_2", "pi_2"], 70_00);
    balance.received_at = Some(RECEIVED_AT + 86_400);
    check(vec![
        case("deposit first", world(invoice("Sent")))
            .stripe_says(&deposit)
            .inserts(booked(&deposit, Paid, 30_00))
            .changes_invoice(paid_in_part(30_00)),
        case(
            "then the balance, though it has overwritten the stored session",
            world(
                invoice("Partial")
                    .with_paid(30_00)
                    .storing(&["cs_live_2", "pi_2"]),
            )
            .with_row(row("row-1", "Paid", 30_00, &["cs_live_1", "pi_1"])),
        )
        .stripe_says(&balance)
        .inserts(booked(&balance, Paid, 70_00))
        .changes_invoice(paid_in_full(RECEIVED_AT + 86_400)),
        case(
            "the balance's session copied to the deposit's row is still another payment",
            world(invoice("Partial").with_paid(30_00).storing(&["cs_live_2"])).with_row(row(
                "row-1",
                "Paid",
                30_00,
                &["cs_live_2", "pi_1"],
            )),
        )
        .stripe_says(&balance)
        .inserts(booked(&balance, Paid, 70_00))
        .changes_invoice(paid_in_full(RECEIVED_AT + 86_400)),
        case("both at once", world(invoice("Sent")))
            .stripe_says(&balance)
            .stripe_says(&deposit)
            .inserts(booked(&deposit, Paid, 30_00))
            .inserts(booked(&balance, Paid, 70_00))
            .changes_invoice(paid_in_full(RECEIVED_AT + 86_400)),
        case(
            "a deposit in cash counts like any other",
            world(invoice("Partial").with_paid(30_00).storing(&["pi_2"])).with_row(row(
                "cash",
                "Paid",
                30_00,
                &[],
            )),
        )
        .stripe_says(&balance)
        .inserts(booked(&balance, Paid, 70_00))
        .changes_invoice(paid_in_full(RECEIVED_AT + 86_400)),
    ]);
}

#[test]
fn money_that_is_not_this_invoices_changes_nothing() {
    let dollars = stripe(
        &["pi_1"],
        PaymentState::Received(Money::new(100_00, currency("usd"))),
    );
    let unknown = stripe(
        &["pi_1"],
        PaymentState::Unknown {
            field: "status".into(),
            value: "levitating".into(),
        },
    );
    let nothing_due = stripe(&["cs_live_1"], PaymentState::NothingDue);
    let sent = |id: &str| world(invoice("Sent").storing(&[id]));
    let waits = |id: &'static str, status: &'static str| {
        case(status, sent(id))
            .stripe_says(&waiting(&[id], status))
            .asks_again(Recheck::BackingOff)
    };
    check(vec![
        case("wrong currency", sent("pi_1"))
            .stripe_says(&dollars)
            .warns(CurrencyMismatch, "pi_1")
            .asks_again(HELD),
        case("object of the other mode, by livemode", sent("pi_1"))
            .stripe_says(&received(&["pi_1"], 100_00).in_test_mode())
            .warns(LivemodeMismatch, "pi_1")
            .asks_again(HELD),
        case(
            "object of the other mode, by prefix or 404",
            sent("cs_test_1"),
        )
        .stripe_answers(other_mode("cs_test_1"))
        .warns(LivemodeMismatch, "cs_test_1")
        .asks_again(HELD),
        case("session expired", sent("cs_live_1")).stripe_says(&never(&["cs_live_1"], "expired")),
        case("intent canceled", sent("pi_1")).stripe_says(&never(&["pi_1"], "canceled")),
        waits("pi_1", "processing"),
        waits("pi_1", "requires_action"),
        waits("pi_1", "requires_capture"),
        waits("cs_live_1", "complete with unpaid"),
        case("no_payment_required", sent("cs_live_1")).stripe_says(&nothing_due),
        case("received nothing", sent("pi_1")).stripe_says(&received(&["pi_1"], 0)),
        case("total 0", world(invoice("Sent").with_total(0).storing(&[]))),
        case(
            "total 0, no_payment_required",
            world(invoice("Sent").with_total(0).storing(&["cs_live_1"])),
        )
        .stripe_says(&nothing_due),
        case(
            "total 0 and marked Paid needs no payment",
            world(invoice("Paid").with_total(0).storing(&[])),
        ),
        case("status value that nobody knows", sent("pi_1"))
            .stripe_says(&unknown)
            .warns(UnknownStatus, "pi_1")
            .leaves_undecided(&[PaidWithoutPayment, AmountMismatch])
            .asks_again(HELD),
        case(
            "status value that nobody knows, marked Paid: there may be money",
            world(invoice("Paid")),
        )
        .stripe_says(&unknown)
        .warns(UnknownStatus, "pi_1")
        .leaves_undecided(&[PaidWithoutPayment, AmountMismatch])
        .asks_again(HELD),
        case("Stripe knows no such object", sent("pi_1"))
            .stripe_answers(missing("pi_1"))
            .warns(StripeObjectMissing, "pi_1")
            .asks_again(HELD),
        case("something stored that is no id", sent("bank transfer"))
            .stripe_answers(Evidence::NotAnId {
                text: "bank transfer".into(),
            })
            .warns(StripeObjectMissing, "bank transfer")
            .asks_again(HELD),
        case("money that names another invoice", sent("pi_1"))
            .stripe_says(&received(&["pi_1"], 100_00).naming("inv-2"))
            .warns(UnlinkedPayment, "pi_1")
            .asks_again(HELD),
    ]);
}

#[test]
fn money_on_an_invoice_with_total_zero_is_booked_and_reported() {
    let paid = received(&["pi_1"], 10_00);
    let over = |cents: i64| {
        case(
            "money on a zero or negative invoice",
            world(invoice("Sent").with_total(cents)),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 10_00))
        .warns(AmountMismatch, "")
    };
    check(vec![over(0), over(-50_00)]);
}

#[test]
fn the_invoice_follows_its_rows() {
    let by_card = || row("row-1", "Paid", 100_00, &["pi_1"]);
    let cash = |cents| row("cash", "Paid", cents, &[]);
    let mut dateless = cash(100_00);
    dateless.paid_at = None;
    check(vec![
        case(
            "rows cover the total by Stripe, status and amounts do not say so",
            world(invoice("Sent")).with_row(by_card()),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "rows cover the total in cash, status and amounts do not say so",
            world(invoice("Overdue").storing(&[])).with_row(cash(100_00)),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "rows without a date: now is the paid date",
            world(invoice("Sent").storing(&[])).with_row(dateless),
        )
        .changes_invoice(paid_in_full(NOW)),
        case(
            "rows cover the total, only the status does not say so",
            world(invoice("Partial").settled()).with_row(by_card()),
        )
        .changes_invoice(InvoiceChange {
            status: Some(InvoiceStatus::Paid),
            ..InvoiceChange::default()
        }),
        case(
            "rows cover the total, only the amounts do not say so",
            world(invoice("Paid")).with_row(by_card()),
        )
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(100_00)),
            balance: Some(eur(0)),
            ..InvoiceChange::default()
        }),
        case(
            "Overdue with a part paid and amounts right stays Overdue",
            world(invoice("Overdue").with_paid(40_00).storing(&[])).with_row(cash(40_00)),
        ),
        case(
            "Overdue with a part paid and amounts wrong becomes Partial with them",
            world(invoice("Overdue").storing(&[])).with_row(cash(40_00)),
        )
        .changes_invoice(paid_in_part(40_00)),
        case(
            "Pending and unknown rows are not counted",
            world(invoice("Sent").storing(&[]))
                .with_row(row("a", "Pending", 100_00, &[]))
                .with_row(row("b", "Cleared", 100_00, &[])),
        ),
        case(
            "Paid, no row, Stripe confirms the money",
            world(invoice("Paid")),
        )
        .stripe_says(&received(&["pi_1"], 100_00))
        .inserts(booked(&received(&["pi_1"], 100_00), Paid, 100_00))
        .changes_invoice(InvoiceChange {
            status: None,
            ..paid_in_full(RECEIVED_AT)
        }),
        case(
            "Paid, no row, Stripe ids but nothing paid",
            world(invoice("Paid").settled()),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .warns(PaidWithoutPayment, ""),
        case(
            "Paid, no row, no Stripe ids",
            world(invoice("Paid").settled().storing(&[])),
        )
        .warns(PaidWithoutPayment, ""),
        case(
            "Paid, and the only row is Pending",
            world(invoice("Paid").settled().storing(&[])).with_row(row(
                "row-1",
                "Pending",
                100_00,
                &[],
            )),
        )
        .warns(PaidWithoutPayment, ""),
        case(
            "Paid, and the only row is Pending at Stripe, which was not asked",
            world(invoice("Paid").settled()).with_row(row("row-1", "Pending", 100_00, &["pi_1"])),
        )
        .leaves_undecided(&[PaidWithoutPayment, AmountMismatch])
        .asks_again(Recheck::NextSweep),
        case(
            "an id counts as asked once its money comes into the books",
            world(invoice("Sent").storing(&["cs_live_1"])).with_row(row(
                "row-1",
                "Pending",
                100_00,
                &["cs_live_1", "pi_1"],
            )),
        )
        .stripe_says(&received(&["pi_1"], 100_00))
        .updates(PaymentUpdate {
            status: Some(Paid),
            ..updated("row-1", &received(&["pi_1"], 100_00))
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "Paid, and the rows cover only a part",
            world(invoice("Paid").settled().storing(&[])).with_row(cash(40_00)),
        )
        .warns(AmountMismatch, ""),
        case(
            "says that a part was paid, and no row does",
            world(invoice("Partial").with_paid(40_00).storing(&[])),
        )
        .warns(AmountMismatch, ""),
        case(
            "unasked ids conclude nothing",
            world(invoice("Paid").settled()),
        )
        .leaves_undecided(&[PaidWithoutPayment, AmountMismatch])
        .asks_again(Recheck::NextSweep),
        case(
            "one of two ids unasked concludes nothing",
            world(invoice("Paid").settled().storing(&["pi_1", "pi_2"])),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .leaves_undecided(&[PaidWithoutPayment, AmountMismatch])
        .asks_again(Recheck::NextSweep),
        case(
            "ids stored with white space around them count as asked",
            world(invoice("Paid").settled().storing(&[" pi_1 "])),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .warns(PaidWithoutPayment, ""),
        case(
            "all agrees: nothing to do",
            world(invoice("Paid").settled()).with_row(by_card()),
        )
        .stripe_says(&received(&["pi_1"], 100_00)),
    ]);
}

fn amounts_only() -> InvoiceChange {
    InvoiceChange {
        amount_paid: Some(eur(100_00)),
        balance: Some(eur(0)),
        ..InvoiceChange::default()
    }
}

#[test]
fn closed_invoices_and_other_words() {
    let paid = received(&["pi_1"], 100_00);
    let closed = |word: &'static str| {
        case(word, world(invoice(word)))
            .stripe_says(&paid)
            .inserts(booked(&paid, Paid, 100_00))
            .warns(UnlinkedPayment, "pi_1")
            .asks_again(HELD)
    };
    check(vec![
        closed("Cancelled"),
        closed("Void"),
        case(
            "Cancelled, and the money went back already",
            world(invoice("Cancelled")),
        )
        .stripe_says(&paid.clone().with_refund(100_00))
        .inserts(booked(
            &paid.clone().with_refund(100_00),
            RefundedRow,
            100_00,
        ))
        .warns(Refunded, "pi_1"),
        case(
            "Cancelled with rows that cover it stays Cancelled",
            world(invoice("Cancelled").storing(&[])).with_row(row("a", "Paid", 100_00, &[])),
        ),
        case(
            "a usual word that no setting names is open",
            world(invoice("awaiting-payment")),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case(
            "a word that is neither named nor usual stays, and the amounts follow what came",
            world(invoice("Awaiting rain")),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 100_00))
        .changes_invoice(amounts_only()),
        case(
            "such a word may mean refunded: rows alone change nothing",
            world(invoice("Awaiting rain")).with_row(row("a", "Paid", 100_00, &["pi_1"])),
        ),
        case("what comes after paid stays", world(invoice("Shipped")))
            .stripe_says(&paid)
            .inserts(booked(&paid, Paid, 100_00))
            .changes_invoice(InvoiceChange {
                paid_at: Some(RECEIVED_AT),
                ..amounts_only()
            }),
        case(
            "refunded is never raised",
            world(invoice("Refunded")).with_row(row("a", "Paid", 100_00, &["pi_1"])),
        ),
    ]);
}
