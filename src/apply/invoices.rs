//! Applies cases to invoices in batches: decide, write, record. A batch that fails is split, down to one
//! invoice, so that the outcome equals that of one after the other.

use std::collections::BTreeSet;

use crate::apply::batch::write_together;
use crate::apply::case::{Case, DecidedCase, IndexedCase, open, split_conflicting};
use crate::apply::contention::{
    is_contention, locked_by_others, pause_for_others, retry_on_contention, skip_if_locked,
};
use crate::apply::context::{Context, Mode};
use crate::apply::holdback::held_back_plan;
use crate::apply::outcome::Outcome;
use crate::apply::report::Report;
use crate::apply::report::record::Settled;
use crate::apply::shared_payment::look_for;
use crate::domain::invoice::Invoice;
use crate::domain::plan::Plan;
use crate::host::lock::Patience;
use crate::host::owner::{Firing, may_wait};
use crate::ledger::events::Verdict;
use crate::ledger::held_repairs;
use crate::pg::{Problem, Transactions, in_subtransaction};

/// So many invoices are written together at the most.
pub(crate) const CHUNK: usize = 1000;

/// Treats these invoices in the caller's transaction and takes what came of them
/// into the report: for each case what that means for the events behind it, `None`
/// where there is no such invoice.
///
/// What the host's tables refuse is an issue of the invoice at fault and rolls
/// back no other. Cancel and shutdown are not caught.
pub(crate) fn apply(
    context: &Context,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    apply_in(Transactions::CALLERS, context, cases, report)
}

/// The same; in transactions of our own, a set is committed with its place in the
/// ledger before anything else is locked, so that nothing is held while somebody
/// else's lock is waited for.
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
        booked: BTreeSet::new(),
    };
    let cases: Vec<IndexedCase> = cases.iter().copied().enumerate().collect();
    for chunk in cases.chunks(CHUNK) {
        pass.process(chunk)?;
        let booked = std::mem::take(&mut pass.booked);
        look_for(transactions, context.mapping, &booked, pass.report)?;
    }
    Ok(pass.verdicts)
}

struct Pass<'a> {
    transactions: Transactions,
    context: &'a Context<'a>,
    report: &'a mut Report,
    verdicts: Vec<Option<Verdict>>,
    /// Whether an invoice that somebody else has is waited for; once it was in
    /// vain, no more.
    patience: Patience,
    /// The ids of payments that stood in the books before: they may stand in those of
    /// other invoices as well.
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

    /// Of cases that do not bear on each other. Invoices are locked first, then the
    /// ledger, each in its order: that is how everybody's order is the same.
    fn process_one_by_one(&mut self, cases: &[IndexedCase]) -> Result<(), Problem> {
        self.transactions.commit();
        let decided = open(self.context, cases)?;
        let booked = decided.iter().flat_map(DecidedCase::booked_ids);
        self.booked.extend(booked.map(str::to_owned));
        let found: BTreeSet<usize> = decided
            .iter()
            .map(|decided| decided.recalled.place)
            .collect();
        let (mut set, settled) = self.sort(decided);
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

    /// Parts what is to be written from what is settled as it is.
    fn sort<'c>(
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
        if wanting.is_empty() {
            return (set, settled);
        }
        let ids: Vec<&str> = wanting
            .iter()
            .map(|decided| decided.recalled.case.invoice)
            .collect();
        let holds = held_repairs::held(&ids);
        for mut decided in wanting {
            let invoice = &decided.reading.invoice;
            let on_override = self.context.on_override;
            let as_it_stands = || decided.unwritten(self.context);
            let left = held_back_plan(&holds, on_override, invoice, &decided.plan, as_it_stands);
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

    /// Several in one subtransaction, with what the ledger has to say of them, or
    /// each half by itself. Answers with those that somebody else has: they are
    /// waited for when nothing else is to be done.
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
        let mut write = |firing| {
            retry_on_contention(|| {
                let mut outcomes =
                    write_together(context, vec![decided.clone()], patience, firing)?;
                let settled = outcomes.remove(&place).map(|written| (place, written));
                report.add(settled.iter().map(|(_, settled)| settled))?;
                Ok(settled)
            })
        };
        let mut written = write(Firing::AtOnce);
        // A constraint that is deferred may hold only when payments and invoice are written.
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
            Ok(None) => postponed(context, decided, "somebody else has it locked"),
            Err(problem) if is_contention(&problem) => {
                if locked_by_others(&problem) {
                    self.patience = Patience::Skip;
                }
                postponed(context, decided, problem.message())
            }
            Err(problem) => unwritten(context, decided, |invoice, plan| {
                Outcome::refused(invoice, plan, &problem)
            }),
        };
        self.settle(vec![outcome])
    }

    /// Writes into the ledger what was not written to the host's tables. What
    /// others keep from being written there is looked at again by a later run.
    fn settle(&mut self, mut settled: Vec<(usize, Settled)>) -> Result<(), Problem> {
        let report = &mut *self.report;
        let noted = retry_on_contention(|| report.add(settled.iter().map(|(_, settled)| settled)));
        match noted {
            Ok(()) => self.note(&settled),
            // One of them alone is in somebody's way.
            Err(problem)
                if is_contention(&problem) && !locked_by_others(&problem) && settled.len() > 1 =>
            {
                let second = settled.split_off(settled.len() / 2);
                self.settle(settled)?;
                self.settle(second)?;
            }
            Err(problem) if is_contention(&problem) => {
                for (place, _) in settled {
                    self.verdicts[place] = Some(Verdict::Again(problem.message().to_owned()));
                }
            }
            Err(problem) => return Err(problem),
        }
        Ok(())
    }

    /// Invoices that are gone are not reported.
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

/// The decision is judged by the rows as they stand.
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
