//! Applies cases to invoices in batches: decide, write, record. A batch that fails is split, down to one
//! invoice, so that the outcome equals that of one after the other.

use std::collections::BTreeSet;

use crate::apply::batch::write_together;
use crate::apply::case::{Case, DecidedCase, IndexedCase, open, split_conflicting};
use crate::apply::contention::{
    MOST_TIMEOUTS, SHORT_PATIENCE, is_contention, leave_out_locked, locked_by_others,
    pause_for_others, retry_on_contention, skip_if_locked,
};
use crate::apply::context::{Context, Mode};
use crate::apply::holdback::held_back_plan;
use crate::apply::outcome::Outcome;
use crate::apply::report::Report;
use crate::apply::report::record::Settled;
use crate::apply::shared_payment::find_overbooked;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::Invoice;
use crate::domain::plan::Plan;
use crate::host::lock::Patience;
use crate::host::owner::Firing;
use crate::host::side_effects::may_wait;
use crate::ledger::checks;
use crate::ledger::events::Verdict;
use crate::pg::{Problem, Transactions, in_subtransaction, with_lock_patience};

/// The largest number of invoices that are written together.
pub(crate) const CHUNK: usize = 1000;

/// Applies cases in the caller's transaction and adds the outcomes to the report. Returns for each case the verdict
/// on the events behind it; `None` if there is no such invoice.
///
/// If the application's tables refuse a write, an issue of the invoice at fault is raised and no other invoice is
/// rolled back. Cancel and shutdown are not caught.
pub(crate) fn apply(
    context: &Context,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    apply_in(Transactions::CALLERS, context, cases, report)
}

/// As [`apply`], in the given transactions. In transactions of our own, each set of invoices is committed with its
/// ledger entries before anything else is locked, so that no lock is held while this session waits for another.
pub(crate) fn apply_in(
    transactions: Transactions,
    context: &Context,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    let mut pass = Pass {
        transactions,
        context,
        report,
        verdicts: vec![None; cases.len()],
        patience: Patience::Wait,
        timeouts: 0,
        put_off: BTreeSet::new(),
        booked: BTreeSet::new(),
    };
    let cases: Vec<IndexedCase> = cases.iter().copied().enumerate().collect();
    for chunk in cases.chunks(CHUNK) {
        pass.process(chunk)?;
        pass.leave_due(chunk)?;
        let booked = std::mem::take(&mut pass.booked);
        find_overbooked(transactions, context.mapping, &booked, pass.report)?;
    }
    Ok(pass.verdicts)
}

struct Pass<'a> {
    transactions: Transactions,
    context: &'a Context<'a>,
    report: &'a mut Report,
    verdicts: Vec<Option<Verdict>>,
    /// Whether to wait for an invoice that another session has locked; after one timeout, never again.
    patience: Patience,
    /// How often the ledger's rows were waited for in vain.
    timeouts: u32,
    /// The indexes of cases that other sessions kept from being written.
    put_off: BTreeSet<usize>,
    /// Ids of payments that were booked before; other invoices may have booked them, too.
    booked: BTreeSet<String>,
}

impl Pass<'_> {
    fn process(&mut self, cases: &[IndexedCase]) -> Result<(), Problem> {
        let mut rest = cases.to_vec();
        while !rest.is_empty() {
            let (apart, rivals) = split_conflicting(&rest);
            self.process_one_by_one(&apart)?;
            rest = rivals;
        }
        Ok(())
    }

    /// Processes cases that do not affect each other. Invoices are locked before ledger rows, each in sorted order,
    /// as in all sessions.
    fn process_one_by_one(&mut self, cases: &[IndexedCase]) -> Result<(), Problem> {
        self.transactions.commit();
        let decided = open(self.context, cases)?;
        let booked: Vec<(Case, Vec<String>)> = decided
            .iter()
            .map(|it| {
                (
                    it.recalled.case,
                    it.booked_ids().map(str::to_owned).collect(),
                )
            })
            .collect();
        let found: BTreeSet<usize> = decided
            .iter()
            .map(|decided| decided.recalled.place)
            .collect();
        let (mut set, settled) = self.split_unchanged(decided);
        let mut left_over = Vec::new();
        let tried = set.len();
        if set.len() > 1 {
            left_over = self.write_set(set)?;
        } else if let Some(decided) = set.pop() {
            self.write_one(decided)?;
        }
        if !settled.is_empty() {
            self.transactions.commit();
            self.settle(settled)?;
        }
        for (case, mut ids) in booked {
            // Looked up already, and no issue says otherwise.
            let is_alone =
                |id: &str| case.is_alone_with(id) && self.report.is_settled([id].into_iter());
            ids.retain(|id| !is_alone(id));
            self.booked.extend(ids);
        }
        let gone = cases.iter().filter(|(place, _)| !found.contains(place));
        self.note_gone(&gone.map(|(_, case)| case.invoice).collect::<Vec<_>>())?;
        if (2..tried).contains(&left_over.len()) {
            // Most wait for another session's set, which is committed by now.
            return self.process_one_by_one(&left_over);
        }
        for case in left_over {
            self.process_one_by_one(&[case])?;
        }
        Ok(())
    }

    /// Separates cases with changes to write from those without.
    fn split_unchanged<'c>(
        &self,
        decided: Vec<DecidedCase<'c>>,
    ) -> (Vec<DecidedCase<'c>>, Vec<(usize, Settled<'c>)>) {
        let (wanting, untouched): (Vec<DecidedCase>, Vec<DecidedCase>) = decided
            .into_iter()
            .partition(|decided| !decided.plan.changes_nothing());
        let mut settled: Vec<_> = untouched
            .into_iter()
            .map(|decided| settled(decided, Outcome::untouched))
            .collect();
        let mut set = Vec::new();
        for mut decided in wanting {
            let invoice = &decided.reading.invoice;
            let on_override = self.context.on_override;
            let without = |left_out: &dyn Fn(&PaymentIds) -> bool| {
                let recalled = &decided.recalled;
                recalled.decide_without(self.context, &decided.reading, left_out)
            };
            let as_it_stands = || decided.unwritten(self.context);
            let (holds, plan) = (decided.recalled.held(), &decided.plan);
            let left = held_back_plan(holds, on_override, invoice, plan, without, as_it_stands);
            if let Some(left) = left {
                decided.plan = left;
                settled.push(crate::apply::invoices::settled(decided, Outcome::untouched));
            } else if self.context.mode == Mode::DryRun {
                settled.push(crate::apply::invoices::settled(decided, Outcome::untouched));
            } else {
                set.push(decided);
            }
        }
        (set, settled)
    }

    /// Writes several cases and their ledger entries in one subtransaction; if that fails, each half by itself.
    /// Returns the cases that another session has locked; the caller waits for these after everything else is done.
    fn write_set<'c>(
        &mut self,
        set: Vec<DecidedCase<'c>>,
    ) -> Result<Vec<IndexedCase<'c>>, Problem> {
        let cases: Vec<IndexedCase> = set
            .iter()
            .map(|it| (it.recalled.place, it.recalled.case))
            .collect();
        let (context, report) = (self.context, &mut *self.report);
        let written = in_subtransaction(|| {
            let mut outcomes = write_together(context, set, Patience::Skip, Firing::AtOnce)?;
            let (mut settled, mut left_over) = (Vec::new(), Vec::new());
            for (place, case) in &cases {
                match outcomes.remove(place) {
                    Some(written) => settled.push((*place, written)),
                    None => left_over.push((*place, *case)),
                }
            }
            report.add(settled.iter().map(|(_, settled)| settled))?;
            Ok((settled, left_over))
        });
        match written {
            Ok((settled, left_over)) => {
                self.note(&settled);
                Ok(left_over)
            }
            Err(problem) => {
                pause_for_others(&problem);
                let (first, second) = cases.split_at(cases.len() / 2);
                self.process_one_by_one(first)?;
                self.process_one_by_one(second)?;
                Ok(Vec::new())
            }
        }
    }

    fn write_one(&mut self, decided: DecidedCase) -> Result<(), Problem> {
        let place = decided.recalled.place;
        let (context, patience) = (self.context, self.patience);
        let report = &mut *self.report;
        let mut is_locked = decided.is_locked;
        let mut write = |firing| {
            retry_on_contention(|| {
                // After an attempt that failed, everything is read again.
                let is_locked = std::mem::take(&mut is_locked);
                let decided = DecidedCase {
                    is_locked,
                    ..decided.clone()
                };
                let mut outcomes = write_together(context, vec![decided], patience, firing)?;
                let settled = outcomes.remove(&place).map(|written| (place, written));
                report.add(settled.iter().map(|(_, settled)| settled))?;
                Ok(settled)
            })
        };
        let mut written = write(Firing::AtOnce);
        // A deferred constraint may hold only after both payments and invoice are written.
        if matches!(&written, Err(problem) if !is_contention(problem)) && may_wait(context.mapping)
        {
            written = write(Firing::AtTheEnd);
        }
        let outcome = match written {
            Ok(Some(settled)) => {
                self.note(&[settled]);
                return Ok(());
            }
            Ok(None) if patience == Patience::Wait => return Ok(()),
            Ok(None) => {
                self.put_off.insert(place);
                postponed(context, decided, "it is locked by another transaction")
            }
            Err(problem) if is_contention(&problem) => {
                if locked_by_others(&problem) {
                    self.patience = Patience::Skip;
                }
                self.put_off.insert(place);
                postponed(context, decided, problem.message())
            }
            Err(problem) => unwritten(context, decided, |invoice, plan| {
                Outcome::refused(invoice, plan, &problem)
            }),
        };
        self.settle(vec![outcome])
    }

    /// Writes outcomes without table changes to the ledger. If other sessions block that, a later run repeats it.
    fn settle(&mut self, mut settled: Vec<(usize, Settled)>) -> Result<(), Problem> {
        let report = &mut *self.report;
        let noted = retry_on_contention(|| report.add(settled.iter().map(|(_, settled)| settled)));
        match noted {
            Ok(()) => self.note(&settled),
            // Only one of them may be blocked.
            Err(problem)
                if is_contention(&problem)
                    && settled.len() > 1
                    && self.timeouts < MOST_TIMEOUTS =>
            {
                let second = settled.split_off(settled.len() / 2);
                if !locked_by_others(&problem) {
                    self.settle(settled)?;
                    return self.settle(second);
                }
                self.timeouts += 1;
                return with_lock_patience(SHORT_PATIENCE, || {
                    self.settle(settled)?;
                    self.settle(second)
                });
            }
            Err(problem) if is_contention(&problem) => {
                self.timeouts += u32::from(locked_by_others(&problem));
                for (place, _) in settled {
                    self.put_off.insert(place);
                    self.verdicts[place] = Some(Verdict::Again(problem.message().to_owned()));
                }
            }
            Err(problem) => return Err(problem),
        }
        Ok(())
    }

    /// Makes invoices due that other sessions kept from being written and about which Stripe was not asked: their rows need
    /// not change again. About all others, a request or an event is still due.
    fn leave_due(&mut self, cases: &[IndexedCase]) -> Result<(), Problem> {
        let put_off = std::mem::take(&mut self.put_off);
        let by_rows = cases
            .iter()
            .filter(|(place, case)| put_off.contains(place) && case.evidence.is_none());
        let by_rows: Vec<String> = by_rows.map(|(_, case)| case.invoice.to_owned()).collect();
        if by_rows.is_empty() || self.context.mode == Mode::DryRun {
            return Ok(());
        }
        self.report.note_put_off(&by_rows);
        self.transactions.commit();
        leave_out_locked(&by_rows, checks::leave_due)
    }

    /// Ends the checks and issues of invoices that no longer exist, unless another session has locked them.
    fn note_gone(&self, invoices: &[&str]) -> Result<(), Problem> {
        if invoices.is_empty() {
            return Ok(());
        }
        self.transactions.commit();
        skip_if_locked(|| self.report.note_gone(invoices))
    }

    fn note(&mut self, settled: &[(usize, Settled)]) {
        for (place, settled) in settled {
            self.verdicts[*place] = Some(settled.outcome.verdict());
        }
    }
}

fn settled<'a>(
    decided: DecidedCase<'a>,
    outcome: impl FnOnce(Invoice, Plan) -> Outcome,
) -> (usize, Settled<'a>) {
    let outcome = outcome(decided.reading.invoice, decided.plan);
    let settled = Settled::of(&decided.recalled, outcome);
    (decided.recalled.place, settled)
}

/// Decides without writing, from the rows as they are.
fn unwritten<'a>(
    context: &Context,
    mut decided: DecidedCase<'a>,
    outcome: impl FnOnce(Invoice, Plan) -> Outcome,
) -> (usize, Settled<'a>) {
    decided.plan = decided.unwritten(context);
    settled(decided, outcome)
}

fn postponed<'a>(context: &Context, decided: DecidedCase<'a>, why: &str) -> (usize, Settled<'a>) {
    unwritten(context, decided, |invoice, plan| {
        Outcome::postponed(invoice, plan, why)
    })
}
