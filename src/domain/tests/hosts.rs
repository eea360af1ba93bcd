//! Differences between applications: missing columns, amounts that cannot be read, payments in two rows, gratuities,
//! triggers that changed the invoice first.

use super::builders::{
    RECEIVED_AT, World, booked, currency, eur, invoice, never, received, row, rules, updated, world,
};
use super::harness::{case, check, paid_in_full, paid_in_part};
use crate::domain::evidence::Evidence;
use crate::domain::invoice::{Field, Invoice, InvoiceStatus};
use crate::domain::issue::IssueKind::{self, *};
use crate::domain::money::{AmountUnit, Money};
use crate::domain::payment::PaymentStatus::Paid;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::{InvoiceChange, NewPayment, PaymentUpdate};
use crate::domain::recheck::HELD;

fn by_card() -> PaymentRow {
    row("row-1", "Paid", 100_00, &["pi_1"])
}

fn unreadable<T>() -> Field<T> {
    Field::Unreadable("\"ten\" is not a number".into())
}

#[test]
fn a_payment_in_two_rows_counts_once() {
    let large = || world(invoice("Sent").with_total(200_00));
    let paid = received(&["pi_1"], 100_00);
    let twice = || {
        large().with_row(by_card()).with_row(PaymentRow {
            id: "row-2".into(),
            ..by_card()
        })
    };
    let once = InvoiceChange {
        balance: Some(eur(100_00)),
        ..paid_in_part(100_00)
    };
    check(vec![
        case("two rows for one Stripe payment, locally", twice())
            .changes_invoice(once.clone())
            .warns(DuplicatePayment, "pi_1"),
        case("two rows for one Stripe payment, with evidence", twice())
            .stripe_says(&paid)
            .changes_invoice(once.clone())
            .warns(DuplicatePayment, "pi_1"),
        case("a refund of it is followed in neither row", twice())
            .stripe_says(&paid.clone().with_refund(100_00))
            .warns(DuplicatePayment, "pi_1")
            .warns(Refunded, "pi_1"),
        case(
            "one by its session, one by its intent and session",
            large()
                .with_row(row("a", "Paid", 100_00, &["cs_live_1"]))
                .with_row(row("b", "Paid", 100_00, &["cs_live_1", "pi_1"])),
        )
        .changes_invoice(once.clone())
        .warns(DuplicatePayment, "pi_1"),
        case(
            "a copied session alone joins the same payment, however much its row names",
            large()
                .with_row(row("a", "Paid", 100_00, &["cs_live_1", "pi_2", "ch_2"]))
                .with_row(row("b", "Paid", 60_00, &["cs_live_1", "pi_1"]))
                .with_row(row("c", "Paid", 60_00, &["cs_live_1"])),
        )
        .changes_invoice(InvoiceChange {
            status: Some(InvoiceStatus::Partial),
            amount_paid: Some(eur(160_00)),
            balance: Some(eur(40_00)),
            paid_at: None,
        })
        .warns(DuplicatePayment, "pi_1"),
        case(
            "a Paid row and a Pending one without an amount",
            large()
                .with_row(by_card())
                .with_row(row("row-2", "Pending", 0, &["pi_1"])),
        )
        .stripe_says(&paid)
        .changes_invoice(once)
        .warns(DuplicatePayment, "pi_1"),
        case(
            "the same amount twice in cash is no duplicate",
            large()
                .with_row(row("a", "Paid", 100_00, &[]))
                .with_row(row("b", "Paid", 100_00, &[])),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(200_00)),
            ..paid_in_full(RECEIVED_AT)
        }),
    ]);
}

#[test]
fn existing_rows_are_compared_and_not_corrected() {
    let paid = received(&["pi_1"], 100_00);
    let settled = |row| world(invoice("Paid").settled()).with_row(row);
    let mut null = by_card();
    null.amount = Field::Null;
    let mut without_gratuity = row("row-1", "Paid", 100_00, &["pi_1"]);
    without_gratuity.gratuity = Field::Unmapped;
    let mut unreadable_row = by_card();
    unreadable_row.amount = unreadable();
    check(vec![
        case(
            "the books say more",
            settled(row("row-1", "Paid", 120_00, &["pi_1"])),
        )
        .stripe_says(&paid)
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(120_00)),
            ..InvoiceChange::default()
        })
        .warns(AmountMismatch, "pi_1")
        .warns(Overpaid, ""),
        case("the books say nothing", settled(null))
            .stripe_says(&paid)
            .warns(AmountMismatch, "")
            .warns(AmountMismatch, "pi_1"),
        case(
            "amount and gratuity divided otherwise are the same money",
            settled(by_card().with_gratuity(15_00)),
        )
        .stripe_says(&received(&["pi_1"], 115_00)),
        case("the gratuity has no column", settled(without_gratuity))
            .stripe_says(&received(&["pi_1"], 115_00).with_gratuity("15")),
        case("a row that cannot be read", settled(unreadable_row))
            .stripe_says(&paid)
            .warns(AmountMismatch, ""),
        case(
            "a row with a word that the settings do not name",
            world(invoice("Sent")).with_row(row("row-1", "Cleared", 100_00, &["pi_1"])),
        )
        .stripe_says(&paid)
        .warns(AmountMismatch, "pi_1"),
        case(
            "a Paid row without a word of Stripe's about its other ids is left alone",
            settled(row("row-1", "Paid", 100_00, &["cs_live_1"])),
        )
        .stripe_says(&received(&["cs_live_1", "pi_1"], 100_00)),
    ]);
}

#[test]
fn the_gratuity_is_checked() {
    let sent = |unit| {
        let mut world = world(invoice("Sent"));
        world.rules.gratuity_unit = unit;
        world
    };
    let good = |name, unit, text: &str| {
        let payment = received(&["pi_1"], 115_00).with_gratuity(text);
        let gratuity = Money::from_units(text, unit, currency("eur")).expect("readable");
        let base = 115_00 - gratuity.minor;
        case(name, sent(unit))
            .stripe_says(&payment)
            .inserts(NewPayment {
                gratuity,
                ..booked(&payment, Paid, base)
            })
            .changes_invoice(match base >= 100_00 {
                true => InvoiceChange {
                    amount_paid: Some(eur(base)),
                    ..paid_in_full(RECEIVED_AT)
                },
                false => InvoiceChange::default(),
            })
    };
    let bad = |text: &str| {
        let payment = received(&["pi_1"], 100_00).with_gratuity(text);
        case("not to be believed: taken as 0", sent(AmountUnit::Major))
            .stripe_says(&payment)
            .inserts(booked(&payment, Paid, 100_00))
            .changes_invoice(paid_in_full(RECEIVED_AT))
            .warns(AmountMismatch, "pi_1")
    };
    check(vec![
        good("in major units", AmountUnit::Major, "15"),
        good("in minor units", AmountUnit::Minor, "1500"),
        good("in Stripe's units", AmountUnit::Stripe, "1500"),
        good("all of it", AmountUnit::Major, "115.00"),
        good("none of it", AmountUnit::Major, "0").warns(Overpaid, ""),
        bad("-1"),
        bad("100.01"),
        bad("15.005"),
        bad("15 EUR"),
        bad("NaN"),
        bad(""),
    ]);
}

#[test]
fn columns_that_are_not_mapped_are_not_written() {
    let paid = received(&["pi_1"], 100_00);
    let with = |change: fn(&mut Invoice)| {
        let mut invoice = invoice("Sent");
        change(&mut invoice);
        world(invoice)
    };
    let books = |name, world| {
        case(name, world)
            .stripe_says(&paid)
            .inserts(booked(&paid, Paid, 100_00))
    };
    check(vec![
        books("no amount_paid", with(|i| i.amount_paid = Field::Unmapped)).changes_invoice(
            InvoiceChange {
                amount_paid: None,
                ..paid_in_full(RECEIVED_AT)
            },
        ),
        books("no balance_due", with(|i| i.balance = Field::Unmapped)).changes_invoice(
            InvoiceChange {
                balance: None,
                ..paid_in_full(RECEIVED_AT)
            },
        ),
        books("no paid_date", with(|i| i.paid_at = Field::Unmapped)).changes_invoice(
            InvoiceChange {
                paid_at: None,
                ..paid_in_full(RECEIVED_AT)
            },
        ),
        books(
            "a paid date that is set stays",
            with(|i| i.paid_at = Field::Value(())),
        )
        .changes_invoice(InvoiceChange {
            paid_at: None,
            ..paid_in_full(RECEIVED_AT)
        }),
        books(
            "null columns are written",
            with(|i| (i.amount_paid, i.balance) = (Field::Null, Field::Null)),
        )
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case("no word for partial: amounts only", {
            let mut world = world(invoice("Sent"));
            world.rules.invoice_words.partial = None;
            world
        })
        .stripe_says(&received(&["pi_1"], 40_00))
        .inserts(booked(&received(&["pi_1"], 40_00), Paid, 40_00))
        .changes_invoice(InvoiceChange {
            status: None,
            ..paid_in_part(40_00)
        }),
        case("no amount_paid: a balance that is too high is put right", {
            let mut world = with(|i| i.amount_paid = Field::Unmapped);
            world.invoice.stored_ids.clear();
            world.with_row(row("cash", "Paid", 40_00, &[]))
        })
        .changes_invoice(InvoiceChange {
            amount_paid: None,
            ..paid_in_part(40_00)
        }),
        case(
            "no amount_paid: a balance that says that more was paid never rises",
            with(|i| (i.amount_paid, i.balance) = (Field::Unmapped, Field::Value(eur(20_00)))),
        )
        .stripe_says(&received(&["pi_1"], 40_00))
        .inserts(booked(&received(&["pi_1"], 40_00), Paid, 40_00))
        .changes_invoice(InvoiceChange {
            status: Some(InvoiceStatus::Partial),
            ..InvoiceChange::default()
        }),
    ]);
}

#[test]
fn the_amount_paid_never_falls() {
    let paid = received(&["pi_1"], 40_00);
    check(vec![
        case(
            "more is stated than the rows say",
            world(invoice("Partial").with_paid(70_00)),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 40_00))
        .warns(AmountMismatch, ""),
        case(
            "marked Paid, a part confirmed",
            world(invoice("Paid").settled()),
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 40_00))
        .warns(AmountMismatch, ""),
        case(
            "marked Paid with nothing to pay, a part confirmed: the balance stays",
            {
                let mut world = world(invoice("Paid"));
                world.invoice.balance = Field::Value(eur(0));
                world
            },
        )
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 40_00))
        .changes_invoice(InvoiceChange {
            amount_paid: Some(eur(40_00)),
            ..InvoiceChange::default()
        })
        .warns(AmountMismatch, ""),
    ]);
}

#[test]
fn unreadable_amounts_are_reported_and_nothing_is_changed() {
    let paid = received(&["pi_1"], 100_00);
    let books_only = |name, change: fn(&mut Invoice)| {
        let mut invoice = invoice("Sent");
        change(&mut invoice);
        case(name, world(invoice))
            .stripe_says(&paid)
            .inserts(booked(&paid, Paid, 100_00))
            .warns(AmountMismatch, "")
            .leaves_undecided(&[Overpaid])
    };
    let draft = || Invoice {
        total: Field::Null,
        ..invoice("Draft").storing(&[])
    };
    let pending = || PaymentRow {
        amount: unreadable(),
        ..row("row-1", "Pending", 0, &["pi_1"])
    };
    check(vec![
        books_only("total", |i| i.total = unreadable()),
        books_only("null total", |i| i.total = Field::Null),
        books_only("amount paid", |i| i.amount_paid = unreadable()),
        books_only("balance", |i| i.balance = unreadable()),
        case("a draft without a total is no issue", world(draft())).leaves_undecided(&[Overpaid]),
        case("marked Paid without a total and without a payment", {
            let mut world = world(draft());
            (world.invoice.status, world.invoice.status_word) =
                (InvoiceStatus::Paid, "Paid".into());
            world
        })
        .warns(PaidWithoutPayment, "")
        .warns(AmountMismatch, "")
        .leaves_undecided(&[Overpaid]),
        case(
            "a Pending row's amount, before Stripe has the money",
            world(invoice("Sent")).with_row(pending()),
        )
        .stripe_says(&never(&["pi_1"], "canceled"))
        .warns(AmountMismatch, ""),
        case(
            "a Pending row's amount, once Stripe has the money",
            world(invoice("Sent")).with_row(pending()),
        )
        .stripe_says(&paid)
        .updates(PaymentUpdate {
            status: Some(Paid),
            amount: Some(eur(100_00)),
            ..updated("row-1", &paid)
        })
        .changes_invoice(paid_in_full(RECEIVED_AT)),
        case("currency", {
            let mut world = world(invoice("Sent"));
            world.invoice.currency = Err("Taler".into());
            world
        })
        .stripe_says(&paid)
        .warns(CurrencyMismatch, "")
        .leaves_undecided(&[
            PaidWithoutPayment,
            AmountMismatch,
            Overpaid,
            DuplicatePayment,
        ])
        .asks_again(HELD),
    ]);
}

#[test]
fn an_unreadable_currency_resolves_no_issue() {
    let mut world = world(invoice("Sent"));
    world.invoice.currency = Err("Taler".into());
    let plan = world.reconcile(&[Evidence::Payment(received(&["pi_1"], 100_00))]);
    assert!(
        plan.judged.is_empty(),
        "nothing was judged: {:?}",
        plan.judged
    );
}

#[test]
fn repeated_evidence_counts_once() {
    let paid = received(&["cs_live_1", "pi_1"], 100_00);
    check(vec![
        case(
            "session, intent and charge say the same",
            world(invoice("Sent").storing(&["cs_live_1", "pi_1"])),
        )
        .stripe_says(&super::builders::waiting(&["cs_live_1"], "open"))
        .stripe_says(&received(&["pi_1"], 100_00))
        .stripe_says(&paid)
        .stripe_says(&paid)
        .inserts(booked(&paid, Paid, 100_00))
        .changes_invoice(paid_in_full(RECEIVED_AT)),
    ]);
}

#[test]
fn a_trigger_that_set_the_status_first_does_not_hide_a_fresh_booking() {
    let partly = |just_booked| World {
        just_booked,
        ..world(invoice("Sent").with_paid(40_00)).with_row(row("row-1", "Paid", 40_00, &["pi_1"]))
    };
    check(vec![
        case("booked a moment ago", partly(true)).changes_invoice(InvoiceChange {
            status: Some(InvoiceStatus::Partial),
            ..InvoiceChange::default()
        }),
        case("booked long ago", partly(false)),
    ]);
}

#[test]
fn status_words_are_those_of_the_settings() {
    let rules = rules();
    assert_eq!(rules.invoice_words.class("Paid"), InvoiceStatus::Paid);
    // Only the named word is written; another spelling is left as it is.
    assert_eq!(rules.invoice_words.class("paid"), InvoiceStatus::AfterPaid);
    assert_eq!(rules.invoice_words.class("SENT"), InvoiceStatus::Open);
    assert_eq!(rules.invoice_words.class("On hold"), InvoiceStatus::Unknown);
    assert_eq!(
        rules.invoice_words.class("Charged back"),
        InvoiceStatus::Closed
    );
    assert_eq!(rules.payment_words.class("declined"), PaymentStatus::Failed);
    assert_eq!(rules.payment_words.class("Cleared"), PaymentStatus::Other);
    let kinds: Vec<&str> = [IssueKind::Overpaid, IssueKind::UnlinkedPayment]
        .map(IssueKind::as_str)
        .into();
    assert_eq!(kinds, ["overpaid", "unlinked_payment"]);
}

#[test]
fn a_payment_that_settled_a_part_counts_where_payments_do_not_wait() {
    let of = |pending: &[&str]| {
        let mut words = rules().payment_words;
        words.pending = pending.iter().map(|word| (*word).to_owned()).collect();
        words.class("Partially paid")
    };
    assert_eq!(of(&[]), Paid);
    assert_eq!(
        of(&["Pending"]),
        PaymentStatus::Other,
        "a part of it may have come"
    );
}
