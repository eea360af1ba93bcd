//! Writes the steps of a life, by a seed.

use crate::harness::dice::Dice;

use super::step::{Bill, EntryPoint, Names, Order, Sale, Step, Trouble};

/// How many invoices a shop has.
pub const BILLS: usize = 6;

/// What the invoices of a shop are over, in cents.
pub const TOTAL: i64 = 10_000;

/// Every so many steps there is a rest.
const STRETCH: usize = 40;

/// What the script remembers of a purchase, so that most steps make sense.
#[derive(Clone, Copy)]
struct Known {
    sale: Sale,
    bill: Bill,
    paid: bool,
    refund_is_pending: bool,
    is_disputed: bool,
}

struct Script {
    dice: Dice,
    steps: Vec<Step>,
    known: Vec<Known>,
}

/// So many steps, and a rest at the end.
pub fn write(seed: u64, length: usize) -> Vec<Step> {
    let mut script = Script {
        dice: Dice::of(seed),
        steps: Vec::new(),
        known: Vec::new(),
    };
    while script.steps.len() < length {
        let since = script
            .steps
            .iter()
            .rev()
            .take_while(|step| **step != Step::Rest);
        if since.count() >= STRETCH {
            script.steps.push(Step::Rest);
        } else {
            let step = script.any();
            script.steps.push(step);
        }
    }
    script.steps.push(Step::Rest);
    script.steps
}

impl Script {
    fn any(&mut self) -> Step {
        match self.dice.below(100) {
            0..=13 => self.sell(),
            14..=23 => self.pay(),
            24..=37 => self.after_sales(),
            38..=51 => self.application(),
            52..=69 => self.webhooks(),
            70..=80 => Step::EntryPoint(self.entry_point()),
            81..=84 => Step::Together(self.entry_point(), self.entry_point()),
            85..=87 => self.held(),
            88 if self.dice.once_in(2) => self.locked(),
            88 => self.failed_refund_of_a_locked_row(),
            89 => Step::Killed(self.entry_point()),
            90..=91 => Step::Undo(self.dice.below(3)),
            92 => self.shared(),
            93 => Step::Resolve {
                issue: self.dice.below(8),
                action: self.dice.below(6),
            },
            94 => Step::Acknowledge(self.dice.below(8)),
            95..=96 => self.trouble(),
            _ => self.time(),
        }
    }

    fn bill(&mut self) -> Bill {
        self.dice.below(BILLS)
    }

    fn is_paid(&self, index: usize) -> bool {
        self.known[index].paid
    }

    /// One of the purchases, rather a new one.
    fn one(&mut self, fits: impl Fn(&Known) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.known.len())
            .filter(|index| fits(&self.known[*index]))
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let recent = fitting.len().saturating_sub(6);
        let from = if self.dice.once_in(4) { 0 } else { recent };
        Some(fitting[from + self.dice.below(fitting.len() - from)])
    }

    fn sell(&mut self) -> Step {
        let (sale, bill) = (self.steps.len(), self.bill());
        let gratuity = [0, 0, 0, 1_000, 1_500][self.dice.below(5)];
        let owed = [TOTAL, TOTAL, 4_000, 6_000, 3_000][self.dice.below(5)];
        let intent_only = self.dice.once_in(5);
        self.known.push(Known {
            sale,
            bill,
            paid: intent_only,
            refund_is_pending: false,
            is_disputed: false,
        });
        if intent_only {
            let stored = self.dice.once_in(2);
            return Step::Intent {
                sale,
                bill,
                amount: owed + gratuity,
                gratuity,
                named: !stored || self.dice.once_in(2),
                stored,
            };
        }
        let stored = !self.dice.once_in(4);
        let names = [
            Names::Session,
            Names::Session,
            Names::Both,
            Names::Intent,
            Names::Nowhere,
        ][self.dice.below(if stored { 5 } else { 4 })];
        Step::Checkout {
            sale,
            bill,
            amount: owed + gratuity,
            gratuity,
            names,
            stored,
            pending: stored && self.dice.once_in(3),
        }
    }

    fn pay(&mut self) -> Step {
        match self.one(|known| !known.paid) {
            Some(index) if self.dice.once_in(8) => {
                let sale = self.known.remove(index).sale;
                Step::Expire(sale)
            }
            Some(index) => {
                self.known[index].paid = true;
                Step::Pay(self.known[index].sale)
            }
            None => self.sell(),
        }
    }

    fn after_sales(&mut self) -> Step {
        let Some(index) = self.one(|known| known.paid) else {
            return self.pay();
        };
        let Known {
            sale,
            refund_is_pending,
            is_disputed,
            ..
        } = self.known[index];
        if is_disputed {
            self.known[index].is_disputed = false;
            return Step::DisputeBecomes(sale, ["won", "lost"][self.dice.below(2)]);
        }
        if refund_is_pending {
            self.known[index].refund_is_pending = false;
            let end = ["succeeded", "failed", "failed", "canceled"][self.dice.below(4)];
            return Step::RefundBecomes(sale, end);
        }
        if self.dice.once_in(3) {
            self.known[index].is_disputed = true;
            return Step::Dispute(sale);
        }
        let pending = self.dice.once_in(2);
        self.known[index].refund_is_pending = pending;
        Step::Refund {
            sale,
            amount: [None, Some(1_000), Some(500)][self.dice.below(3)],
            pending,
        }
    }

    fn application(&mut self) -> Step {
        let bill = self.bill();
        match self.dice.below(16) {
            0..=5 => match self.one(|known| known.paid) {
                Some(index) => Step::Handler {
                    sale: self.known[index].sale,
                    careful: !self.dice.once_in(8),
                },
                None => self.sell(),
            },
            6..=7 => Step::MarkPaid(bill),
            8..=10 => Step::Cash {
                bill,
                amount: [700, 2_500, TOTAL][self.dice.below(3)],
                told: self.dice.once_in(2),
            },
            11 => Step::Cancel(bill),
            12 => Step::Delete(bill),
            13 => Step::Total {
                bill,
                amount: [8_000, 9_900, 12_000][self.dice.below(3)],
            },
            _ => match self.one(|_| true) {
                Some(index) => {
                    let known = self.known[index];
                    let other = self.dice.once_in(3);
                    Step::Store {
                        bill: if other { bill } else { known.bill },
                        sale: known.sale,
                    }
                }
                None => self.sell(),
            },
        }
    }

    fn webhooks(&mut self) -> Step {
        match self.dice.below(12) {
            0..=1 => Step::Lose(1 + self.dice.below(4)),
            2 => Step::Again(self.dice.below(20)),
            3 => Step::Fetching(self.dice.once_in(2)),
            _ => Step::Deliver {
                count: 1 + self.dice.below(6),
                order: match self.dice.below(4) {
                    0 => Order::Backwards,
                    1 => Order::Shuffled(self.dice.below(1_000_000) as u64),
                    _ => Order::AsTheyHappened,
                },
                twice: self.dice.once_in(6),
            },
        }
    }

    fn entry_point(&mut self) -> EntryPoint {
        let bill = self.bill();
        match self.dice.below(20) {
            0..=4 => EntryPoint::RunSweep,
            5..=7 => EntryPoint::Sweep,
            8 => EntryPoint::DrySweep,
            9..=13 => EntryPoint::Button(bill),
            14 => EntryPoint::DryButton(bill),
            15 => EntryPoint::Backfill,
            _ => EntryPoint::Webhook(self.dice.below(3)),
        }
    }

    /// Something becomes of a payment, and comes to be known, while an answer about it is
    /// on its way.
    fn held(&mut self) -> Step {
        let Some(index) = self.one(|known| known.paid) else {
            return self.sell();
        };
        let bill = self.known[index].bill;
        let entry_point = [
            EntryPoint::Button(bill),
            EntryPoint::Button(bill),
            EntryPoint::RunSweep,
            EntryPoint::Backfill,
            EntryPoint::Webhook(0),
        ][self.dice.below(5)];
        if self.dice.once_in(2) {
            // It is in the books by then, and nothing else is left to deliver.
            self.steps.push(Step::Deliver {
                count: 20,
                order: Order::AsTheyHappened,
                twice: false,
            });
        }
        let mut meanwhile = vec![self.after_sales()];
        if self.is_paid(index) && self.dice.once_in(3) {
            meanwhile.push(self.after_sales());
        }
        meanwhile.push(Step::Deliver {
            count: 12,
            order: Order::AsTheyHappened,
            twice: false,
        });
        if self.dice.once_in(3) {
            meanwhile.push(self.application());
        }
        let held = Step::Held {
            entry_point,
            meanwhile,
        };
        if self.dice.once_in(3) {
            // Before something else happens that puts right what an old answer undid.
            self.steps.push(held);
            return Step::Rest;
        }
        held
    }

    fn locked(&mut self) -> Step {
        let bill = match self.one(|known| known.paid) {
            Some(index) => self.known[index].bill,
            None => self.bill(),
        };
        let entry_points = (0..2)
            .map(|number| EntryPoint::Webhook(number * 2))
            .collect();
        Step::Locked { bill, entry_points }
    }

    /// A refund is in the books, and fails while the invoice is locked: its news come, and
    /// cannot be acted on at once.
    fn failed_refund_of_a_locked_row(&mut self) -> Step {
        let Some(index) = self.one(|known| known.paid && !known.is_disputed) else {
            return self.sell();
        };
        let Known { sale, bill, .. } = self.known[index];
        let amount = None;
        self.steps.push(Step::Refund {
            sale,
            amount,
            pending: true,
        });
        self.steps.push(Step::Deliver {
            count: 20,
            order: Order::AsTheyHappened,
            twice: false,
        });
        self.steps.push(Step::EntryPoint(EntryPoint::RunSweep));
        self.steps.push(Step::RefundBecomes(sale, "failed"));
        let entry_points = match self.dice.below(3) {
            0 => vec![EntryPoint::RunSweep],
            _ => vec![
                EntryPoint::Webhook(0),
                EntryPoint::Webhook(0),
                EntryPoint::Webhook(0),
            ],
        };
        Step::Locked { bill, entry_points }
    }

    /// Two invoices store the ids of one payment, and two entry points come upon them at the same moment.
    fn shared(&mut self) -> Step {
        let (sale, bill) = (self.steps.len(), self.bill());
        let other = (bill + 1 + self.dice.below(BILLS - 1)) % BILLS;
        self.known.push(Known {
            sale,
            bill,
            paid: true,
            refund_is_pending: false,
            is_disputed: false,
        });
        self.steps.push(Step::Intent {
            sale,
            bill,
            amount: TOTAL,
            gratuity: 0,
            named: false,
            stored: true,
        });
        self.steps.push(Step::Store { bill: other, sale });
        let first = [
            EntryPoint::Button(bill),
            EntryPoint::RunSweep,
            EntryPoint::Webhook(0),
        ][self.dice.below(3)];
        Step::Together(first, EntryPoint::Button(other))
    }

    fn trouble(&mut self) -> Step {
        let trouble = [
            Trouble::Error500,
            Trouble::RateLimited,
            Trouble::Reset,
            Trouble::Truncated,
            Trouble::Slow,
            Trouble::Outage,
        ][self.dice.below(6)];
        Step::Trouble(trouble, 1 + self.dice.below(3) as u64)
    }

    fn time(&mut self) -> Step {
        let minutes = [15, 15, 60, 240, 1_440][self.dice.below(5)];
        Step::Time(minutes * 60)
    }
}
