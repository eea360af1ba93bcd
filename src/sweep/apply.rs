//! Invoices, hundreds at a time: decide, write together what is to be written,
//! record. What cannot be written together is written in smaller sets, down to
//! one, so that the outcome is that of treating one after the other.

use std::collections::BTreeSet;

use super::case::{Case, Opened, Placed, open, without_rivals};
use super::contention::{
    if_nobody_is_at_it, is_contention, let_others_pass, until_nobody_interferes, was_not_to_be_had,
};
use super::hold::left_to_a_person;
use super::outcome::Outcome;
use super::report::Report;
use super::report::record::Settled;
use super::together::write_together;
use super::treatment::{Mode, Treatment};
use crate::domain::invoice::Invoice;
use crate::domain::plan::Plan;
use crate::host::lock::Patience;
use crate::host::owner::{Firing, may_wait};
use crate::ledger::events::Verdict;
use crate::ledger::issues;
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
    treatment: &Treatment,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    apply_in(Transactions::CALLERS, treatment, cases, report)
}

/// The same; in transactions of our own, a set is committed with its place in the
/// ledger before anything else is locked, so that nothing is held while somebody
/// else's lock is waited for.
pub(crate) fn apply_in(
    transactions: Transactions,
    treatment: &Treatment,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    let mut pass = Pass {
        transactions,
        treatment,
        report,
        verdicts: vec![None; cases.len()],
        patience: Patience::Wait,
    };
    let cases: Vec<Placed> = cases.iter().copied().enumerate().collect();
    for chunk in cases.chunks(CHUNK) {
        pass.treat(chunk)?;
    }
    Ok(pass.verdicts)
}

struct Pass<'a> {
    transactions: Transactions,
    treatment: &'a Treatment<'a>,
    report: &'a mut Report,
    verdicts: Vec<Option<Verdict>>,
    /// Whether an invoice that somebody else has is waited for; once it was in
    /// vain, no more.
    patience: Patience,
}

impl Pass<'_> {
    fn treat(&mut self, cases: &[Placed]) -> Result<(), Problem> {
        let mut rest = cases.to_vec();
        while !rest.is_empty() {
            let (apart, rivals) = without_rivals(&rest);
            self.treat_apart(&apart)?;
            rest = rivals;
        }
        Ok(())
    }

    /// Of cases that do not bear on each other. Invoices are locked first, then the
    /// ledger, each in its order: that is how everybody's order is the same.
    fn treat_apart(&mut self, cases: &[Placed]) -> Result<(), Problem> {
        self.transactions.commit();
        let opened = open(self.treatment, cases)?;
        let found: BTreeSet<usize> = opened.iter().map(|opened| opened.matter.place).collect();
        let (mut set, settled) = self.sort(opened);
        let mut left_over = Vec::new();
        let tried = set.len();
        if set.len() > 1 {
            left_over = self.write_set(set)?;
        } else if let Some(opened) = set.pop() {
            self.write_one(opened)?;
        }
        if !settled.is_empty() {
            self.transactions.commit();
            self.settle(settled)?;
        }
        let gone = cases.iter().filter(|(place, _)| !found.contains(place));
        self.note_gone(&gone.map(|(_, case)| case.invoice).collect::<Vec<_>>())?;
        if (2..tried).contains(&left_over.len()) {
            // Most wait for another session's set, which is committed by now.
            return self.treat_apart(&left_over);
        }
        for case in left_over {
            self.treat_apart(&[case])?;
        }
        Ok(())
    }

    /// Parts what is to be written from what is settled as it is.
    fn sort<'c>(&self, opened: Vec<Opened<'c>>) -> (Vec<Opened<'c>>, Vec<(usize, Settled<'c>)>) {
        let (wanting, untouched): (Vec<Opened>, Vec<Opened>) = opened
            .into_iter()
            .partition(|opened| !opened.plan.changes_nothing());
        let mut settled: Vec<_> = untouched
            .into_iter()
            .map(|opened| settled(opened, Outcome::untouched))
            .collect();
        let mut set = Vec::new();
        if wanting.is_empty() {
            return (set, settled);
        }
        let ids: Vec<&str> = wanting
            .iter()
            .map(|opened| opened.matter.case.invoice)
            .collect();
        let holds = issues::held(&ids);
        for mut opened in wanting {
            let invoice = &opened.reading.invoice;
            let insistence = self.treatment.insistence;
            let as_it_stands = || opened.unwritten(self.treatment);
            let left = left_to_a_person(&holds, insistence, invoice, &opened.plan, as_it_stands);
            if let Some(left) = left {
                opened.plan = left;
                settled.push(self::settled(opened, Outcome::untouched));
            } else if self.treatment.mode == Mode::DryRun {
                settled.push(self::settled(opened, Outcome::untouched));
            } else {
                set.push(opened);
            }
        }
        (set, settled)
    }

    /// Several in one subtransaction, with what the ledger has to say of them, or
    /// each half by itself. Answers with those that somebody else has: they are
    /// waited for when nothing else is to be done.
    fn write_set<'c>(&mut self, set: Vec<Opened<'c>>) -> Result<Vec<Placed<'c>>, Problem> {
        let cases: Vec<Placed> = set
            .iter()
            .map(|it| (it.matter.place, it.matter.case))
            .collect();
        let (treatment, report) = (self.treatment, &mut *self.report);
        let written = in_subtransaction(|| {
            let mut outcomes = write_together(treatment, set, Patience::Skip, Firing::AtOnce)?;
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
                let_others_pass(&problem);
                let (first, second) = cases.split_at(cases.len() / 2);
                self.treat_apart(first)?;
                self.treat_apart(second)?;
                Ok(Vec::new())
            }
        }
    }

    fn write_one(&mut self, opened: Opened) -> Result<(), Problem> {
        let place = opened.matter.place;
        let (treatment, patience) = (self.treatment, self.patience);
        let report = &mut *self.report;
        let mut write = |firing| {
            until_nobody_interferes(|| {
                let mut outcomes =
                    write_together(treatment, vec![opened.clone()], patience, firing)?;
                let settled = outcomes.remove(&place).map(|written| (place, written));
                report.add(settled.iter().map(|(_, settled)| settled))?;
                Ok(settled)
            })
        };
        let mut written = write(Firing::AtOnce);
        // A constraint that is deferred may hold only when payments and invoice are written.
        if matches!(&written, Err(problem) if !is_contention(problem))
            && may_wait(treatment.mapping)
        {
            written = write(Firing::AtTheEnd);
        }
        let outcome = match written {
            Ok(Some(settled)) => {
                self.note(&[settled]);
                return Ok(());
            }
            Ok(None) if patience == Patience::Wait => return Ok(()),
            Ok(None) => postponed(treatment, opened, "somebody else has it locked"),
            Err(problem) if is_contention(&problem) => {
                if was_not_to_be_had(&problem) {
                    self.patience = Patience::Skip;
                }
                postponed(treatment, opened, problem.message())
            }
            Err(problem) => unwritten(treatment, opened, |invoice, plan| {
                Outcome::refused(invoice, plan, &problem)
            }),
        };
        self.settle(vec![outcome])
    }

    /// Writes into the ledger what was not written to the host's tables. What
    /// others keep from being written there is looked at again by a later run.
    fn settle(&mut self, mut settled: Vec<(usize, Settled)>) -> Result<(), Problem> {
        let report = &mut *self.report;
        let noted =
            until_nobody_interferes(|| report.add(settled.iter().map(|(_, settled)| settled)));
        match noted {
            Ok(()) => self.note(&settled),
            // One of them alone is in somebody's way.
            Err(problem)
                if is_contention(&problem) && !was_not_to_be_had(&problem) && settled.len() > 1 =>
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

    /// Of invoices that are there no more nobody has to be told.
    fn note_gone(&self, invoices: &[&str]) -> Result<(), Problem> {
        if invoices.is_empty() {
            return Ok(());
        }
        self.transactions.commit();
        if_nobody_is_at_it(|| self.report.note_gone(invoices))
    }

    fn note(&mut self, settled: &[(usize, Settled)]) {
        for (place, settled) in settled {
            self.verdicts[*place] = Some(settled.outcome.verdict());
        }
    }
}

fn settled<'a>(
    opened: Opened<'a>,
    outcome: impl FnOnce(Invoice, Plan) -> Outcome,
) -> (usize, Settled<'a>) {
    let outcome = outcome(opened.reading.invoice, opened.plan);
    let settled = Settled::of(&opened.matter, outcome);
    (opened.matter.place, settled)
}

/// The decision is judged by the rows as they stand.
fn unwritten<'a>(
    treatment: &Treatment,
    mut opened: Opened<'a>,
    outcome: impl FnOnce(Invoice, Plan) -> Outcome,
) -> (usize, Settled<'a>) {
    opened.plan = opened.unwritten(treatment);
    settled(opened, outcome)
}

fn postponed<'a>(treatment: &Treatment, opened: Opened<'a>, why: &str) -> (usize, Settled<'a>) {
    unwritten(treatment, opened, |invoice, plan| {
        Outcome::postponed(invoice, plan, why)
    })
}
