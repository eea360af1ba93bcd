//! Random histories of one invoice, compared with sums that are made without `reconcile`.
//!
//! Stripe captures, refunds and disputes payments; the application writes rows of its own; and what Stripe says comes
//! in any order, in parts, or without refunds and disputes. [`Oracle`] knows what Stripe received and adds it up.

use proptest::prelude::*;
use proptest::sample::select;

use super::builders::{World, eur, invoice, received, row, waiting, world};
use crate::domain::evidence::{Dispute, Evidence};
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::issue::IssueKind;
use crate::domain::plan::Plan;

/// The Stripe payments of a history.
const PAYMENTS: usize = 3;

/// Amounts of Stripe's are whole tens, those of cash end in seven cents: no row by hand looks like a payment.
const TEN: i64 = 10_00;
const CASH: i64 = 7;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Stripe captures so many tens more.
    Capture(usize, i64),
    /// Stripe refunds as many tens as are left, at most these.
    Refund(usize, i64),
    /// All refunds fail.
    RefundsFail(usize),
    /// The customer disputes so many tens; the status of the dispute.
    Dispute(usize, i64, &'static str),
    /// All disputes are won.
    DisputesWon(usize),
    /// The application writes a row with this word, unless there is one.
    Row(usize, &'static str),
    /// The application writes a negative row for what Stripe refunded.
    Reversal(usize),
    /// Somebody enters so many tens in cash.
    Cash(i64),
    /// Stripe is asked about these payments; `reversed` is the order of the answers.
    Look {
        asked: [bool; PAYMENTS],
        reversed: bool,
        whole: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let payment = || 0..PAYMENTS;
    let look =
        (any::<[bool; PAYMENTS]>(), any::<bool>(), 0..4).prop_map(|(asked, reversed, silence)| {
            Step::Look {
                asked,
                reversed,
                whole: silence > 0,
            }
        });
    let statuses = vec!["needs_response", "lost", "won", "warning_needs_response"];
    let step = prop_oneof![
        4 => (payment(), 1..8_i64).prop_map(|(of, tens)| Step::Capture(of, tens)),
        2 => (payment(), 1..8_i64).prop_map(|(of, tens)| Step::Refund(of, tens)),
        1 => payment().prop_map(Step::RefundsFail),
        1 => (payment(), 1..8_i64, select(statuses)).prop_map(|(of, tens, status)| Step::Dispute(of, tens, status)),
        1 => payment().prop_map(Step::DisputesWon),
        2 => (payment(), select(vec!["Paid", "Pending", "Failed"])).prop_map(|(of, word)| Step::Row(of, word)),
        1 => payment().prop_map(Step::Reversal),
        1 => (1..5_i64).prop_map(Step::Cash),
        5 => look,
    ];
    prop::collection::vec(step, 1..16)
}

/// What is true of a payment at Stripe.
#[derive(Clone, Debug, Default)]
struct Truth {
    received: i64,
    refunded: i64,
    /// Status and amount.
    disputes: Vec<(&'static str, i64)>,
}

/// What the books must say of a payment.
#[derive(Clone, Debug, Default)]
struct Booked {
    /// What Stripe had received, and what was gone of it, when it was asked last.
    known: Option<(i64, i64)>,
    /// The amount of the row that says that it was received.
    amount: Option<i64>,
    /// Whether a row waits.
    is_expected: bool,
    /// What negative rows state.
    reversed: i64,
}

impl Booked {
    /// What Stripe says when it is asked; `gone` is `None` if the answer does not tell.
    fn learn(&mut self, received: i64, gone: Option<i64>) {
        let before = self.known;
        let gone = gone.unwrap_or(before.map_or(0, |(_, gone)| gone));
        self.known = Some((received, gone));
        match self.amount {
            None => self.amount = Some(received),
            // The row follows if it stated what had been received.
            Some(amount) if before.is_some_and(|(known, _)| known == amount) => {
                self.amount = Some(received);
            }
            Some(_) => {}
        }
        self.is_expected = false;
    }

    fn counts(&self) -> i64 {
        let Some(amount) = self.amount else { return 0 };
        let (received, gone) = self.known.unwrap_or_default();
        (amount.max(received) - gone.max(self.reversed)).clamp(0, amount)
    }
}

/// The sums that the books must show.
#[derive(Clone, Debug, Default)]
struct Oracle {
    payments: [Booked; PAYMENTS],
    cash: i64,
    /// The most that was ever paid at a time: the books never fall.
    paid: i64,
    was_covered: bool,
}

impl Oracle {
    fn sum(&self) -> i64 {
        self.payments.iter().map(Booked::counts).sum::<i64>() + self.cash
    }
}

struct History {
    total: i64,
    world: World,
    truth: [Truth; PAYMENTS],
    oracle: Oracle,
    /// The time of the last answer.
    now: i64,
}

fn intent(of: usize) -> String {
    format!("pi_{of}")
}

impl History {
    fn new(total: i64) -> Self {
        let mut invoice = invoice("Sent");
        invoice.total = Field::Value(eur(total));
        invoice.balance = Field::Value(eur(total));
        invoice.stored_ids = (0..PAYMENTS).map(intent).collect();
        Self {
            total,
            world: world(invoice),
            truth: Default::default(),
            oracle: Oracle::default(),
            now: 1,
        }
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Capture(of, tens) => self.truth[of].received += tens * TEN,
            Step::Refund(of, tens) => {
                let truth = &mut self.truth[of];
                truth.refunded += (tens * TEN).min(truth.received - truth.refunded);
            }
            Step::RefundsFail(of) => self.truth[of].refunded = 0,
            Step::Dispute(of, tens, status) => {
                let amount = (tens * TEN).min(self.truth[of].received);
                if amount > 0 {
                    self.truth[of].disputes.push((status, amount));
                }
            }
            Step::DisputesWon(of) => {
                for (status, _) in &mut self.truth[of].disputes {
                    *status = "won";
                }
            }
            Step::Row(of, word) => self.write_row(of, word),
            Step::Reversal(of) => self.write_reversal(of),
            Step::Cash(tens) => {
                let cents = tens * TEN + CASH;
                let id = format!("cash-{}", self.world.rows.len());
                self.world.rows.push(row(&id, "Paid", cents, &[]));
                self.oracle.cash += cents;
            }
            Step::Look {
                asked,
                reversed,
                whole,
            } => self.look(asked, reversed, whole)?,
        }
        Ok(())
    }

    fn write_row(&mut self, of: usize, word: &'static str) {
        let (booked, truth) = (&mut self.oracle.payments[of], &self.truth[of]);
        let is_paid = word == "Paid";
        if booked.amount.is_some() || booked.is_expected || is_paid && truth.received == 0 {
            return;
        }
        let id = format!("app-{of}");
        let cents = if is_paid { truth.received } else { 5 * TEN };
        self.world.rows.push(row(&id, word, cents, &[&intent(of)]));
        booked.is_expected = !is_paid;
        booked.amount = is_paid.then_some(cents);
    }

    fn write_reversal(&mut self, of: usize) {
        let (booked, truth) = (&mut self.oracle.payments[of], &self.truth[of]);
        let cents = truth.refunded - booked.reversed;
        if booked.amount.is_none() || cents <= 0 {
            return;
        }
        let id = format!("back-{}", self.world.rows.len());
        self.world
            .rows
            .push(row(&id, "Paid", -cents, &[&intent(of)]));
        booked.reversed += cents;
    }

    fn evidence(&self, of: usize, whole: bool) -> Evidence {
        let truth = &self.truth[of];
        let id = intent(of);
        let mut payment = match truth.received {
            0 => waiting(&[&id], "requires_capture"),
            cents => received(&[&id], cents).with_refund(truth.refunded),
        };
        for (status, amount) in &truth.disputes {
            payment = payment.with_dispute_over(status, *amount);
        }
        payment.as_of = self.now;
        if !whole {
            payment.tells_returns = false;
            (payment.refunded, payment.dispute, payment.withheld) = (0, None, 0);
        }
        Evidence::Payment(payment)
    }

    fn look(
        &mut self,
        asked: [bool; PAYMENTS],
        reversed: bool,
        whole: bool,
    ) -> Result<(), TestCaseError> {
        self.now += 1;
        let mut of: Vec<usize> = (0..PAYMENTS).filter(|of| asked[*of]).collect();
        if reversed {
            of.reverse();
        }
        let evidence: Vec<Evidence> = of.iter().map(|of| self.evidence(*of, whole)).collect();
        for of in of {
            let truth = &self.truth[of];
            let withheld: i64 = truth
                .disputes
                .iter()
                .filter(|(status, _)| ["needs_response", "lost"].contains(status))
                .map(|(_, amount)| amount)
                .sum();
            let gone = truth.refunded + withheld.min(truth.received);
            if truth.received > 0 {
                self.oracle.payments[of].learn(truth.received, whole.then_some(gone));
            }
        }
        let sum = self.oracle.sum();
        self.oracle.paid = self.oracle.paid.max(sum);
        self.oracle.was_covered |= sum >= self.total;
        let plan = self.world.reconcile(&evidence);
        let written = self.world.apply(&plan);
        // What was written is decided about once more, as under the lock.
        let plan = written.reconcile(&evidence);
        prop_assert!(plan.changes_nothing(), "{plan:#?}");
        self.world = written.apply(&plan);
        self.compare(&plan, sum)
    }

    fn compare(&self, plan: &Plan, sum: i64) -> Result<(), TestCaseError> {
        prop_assert_eq!(plan.secured, Some(eur(sum)), "the sum of the payments");
        for (of, booked) in self.oracle.payments.iter().enumerate() {
            let id = intent(of);
            let rows = self.world.rows.iter();
            let rows = rows.filter(|row| row.ids.contains(&id) && row.amount_minor() > 0);
            let received: Vec<i64> = rows
                .filter(|row| row.was_received())
                .map(|row| row.amount_minor())
                .collect();
            prop_assert_eq!(received, Vec::from_iter(booked.amount), "the row of {}", id);
        }
        let invoice = &self.world.invoice;
        let left = (self.total - self.oracle.paid).max(0);
        prop_assert_eq!(invoice.amount_paid.value(), Some(eur(self.oracle.paid)));
        prop_assert_eq!(invoice.balance.value(), Some(eur(left)));
        let expected = match (self.oracle.was_covered, self.oracle.paid) {
            (true, _) => InvoiceStatus::Paid,
            (false, 0) => InvoiceStatus::Open,
            (false, _) => InvoiceStatus::Partial,
        };
        prop_assert_eq!(invoice.status, expected);
        let is_overpaid = plan.issues.iter().any(|it| it.kind == IssueKind::Overpaid);
        prop_assert_eq!(is_overpaid, sum > self.total, "{:?}", plan.issues);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(10_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_books_say_what_stripe_received_once(total in 1..30_i64, steps in steps()) {
        let mut history = History::new(total * TEN);
        for step in steps {
            history.play(step)?;
        }
        // In the end, Stripe is asked about everything, and says it twice.
        for _ in 0..2 {
            history.look([true; PAYMENTS], false, true)?;
        }
        for (truth, booked) in history.truth.iter().zip(&history.oracle.payments) {
            let known = booked.known.map_or(0, |(received, _)| received);
            prop_assert_eq!(known, truth.received);
        }
    }
}

#[test]
fn the_histories_have_disputes_that_count() {
    // What the oracle takes for withheld is what the domain does.
    for (status, withholds) in [
        ("needs_response", true),
        ("lost", true),
        ("won", false),
        ("warning_needs_response", false),
    ] {
        assert_eq!(Dispute::from_status(status).withholds_money(), withholds);
    }
}
