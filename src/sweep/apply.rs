//! Invoices, hundreds at a time: decide, write together what is to be written,
//! record. What cannot be written together is written in smaller sets, down to
//! one, so that the outcome is that of treating one after the other.

use pgrx::prelude::PgSqlErrorCode;

use super::case::{Case, Opened, Placed, open, without_rivals};
use super::hold::left_to_a_person;
use super::outcome::Outcome;
use super::report::{Report, Settled};
use super::together::write_together;
use super::treatment::{Mode, Treatment};
use crate::domain::invoice::Invoice;
use crate::domain::plan::Plan;
use crate::ledger::events::Verdict;
use crate::ledger::issues;
use crate::pg::{Problem, in_subtransaction, sql};

/// So many invoices are written together at the most.
pub(crate) const CHUNK: usize = 1000;

/// How often one invoice is tried while others write it.
const ATTEMPTS: u32 = 3;

/// Treats these invoices and takes what came of them into the report: for each
/// case what that means for the events behind it, `None` where there is no such
/// invoice.
///
/// What the host's tables refuse is an issue of the invoice at fault and rolls
/// back no other. Cancel and shutdown are not caught.
pub(crate) fn apply(
    treatment: &Treatment,
    cases: &[Case],
    report: &mut Report,
) -> Result<Vec<Option<Verdict>>, Problem> {
    let mut pass = Pass {
        treatment,
        report,
        verdicts: vec![None; cases.len()],
    };
    let cases: Vec<Placed> = cases.iter().copied().enumerate().collect();
    for chunk in cases.chunks(CHUNK) {
        pass.treat(chunk)?;
    }
    Ok(pass.verdicts)
}

struct Pass<'a> {
    treatment: &'a Treatment<'a>,
    report: &'a mut Report,
    verdicts: Vec<Option<Verdict>>,
}

impl Pass<'_> {
    fn treat(&mut self, cases: &[Placed]) -> Result<(), Problem> {
        let (cases, rivals) = without_rivals(cases);
        let opened = open(self.treatment, &cases)?;
        let is_gone = |(place, _): &&Placed| opened.iter().all(|opened| opened.place != *place);
        if opened.len() < cases.len() {
            let gone = cases.iter().filter(is_gone);
            self.report
                .note_gone(&gone.map(|(_, case)| case.invoice).collect::<Vec<_>>());
        }
        let (set, settled) = self.sort(opened);
        self.settle(settled);
        let left_over = if set.len() > 1 {
            self.write_set(set)?
        } else {
            set.into_iter().for_each(|opened| self.write_one(opened));
            Vec::new()
        };
        for case in left_over.into_iter().chain(rivals) {
            self.treat(&[case])?;
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
        let ids: Vec<&str> = wanting.iter().map(|opened| opened.case.invoice).collect();
        let holds = issues::held(&ids);
        for mut opened in wanting {
            let invoice = &opened.reading.invoice;
            let insistence = self.treatment.insistence;
            if let Some(left) = left_to_a_person(&holds, insistence, invoice, &opened.plan) {
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

    /// Several in one subtransaction, or each half by itself. Answers with those
    /// that somebody else has: they are waited for when nothing else is to be done.
    fn write_set<'c>(&mut self, set: Vec<Opened<'c>>) -> Result<Vec<Placed<'c>>, Problem> {
        let written = in_subtransaction(|| write_together(self.treatment, &set));
        let cases = set.into_iter().map(|opened| (opened.place, opened.case));
        match written {
            Ok(mut outcomes) => {
                let (mut settled, mut left_over) = (Vec::new(), Vec::new());
                for (place, case) in cases {
                    let evidence = case.evidence;
                    match outcomes.remove(&place) {
                        Some(outcome) => settled.push((place, Settled { outcome, evidence })),
                        None => left_over.push((place, case)),
                    }
                }
                self.settle(settled);
                Ok(left_over)
            }
            Err(problem) => {
                let cases: Vec<Placed> = cases.collect();
                let_others_pass(&problem);
                let (first, second) = cases.split_at(cases.len() / 2);
                self.treat(first)?;
                self.treat(second)?;
                Ok(Vec::new())
            }
        }
    }

    fn write_one(&mut self, opened: Opened) {
        let set = std::slice::from_ref(&opened);
        let written =
            until_nobody_interferes(|| in_subtransaction(|| write_together(self.treatment, set)));
        let outcome = match written {
            Ok(mut outcomes) => outcomes.remove(&opened.place),
            Err(problem) if is_contention(&problem) => Some(Outcome::postponed(
                opened.reading.invoice,
                opened.plan,
                &problem,
            )),
            Err(problem) => Some(Outcome::refused(
                opened.reading.invoice,
                opened.plan,
                &problem,
            )),
        };
        let evidence = opened.case.evidence;
        let settled = outcome.map(|outcome| (opened.place, Settled { outcome, evidence }));
        self.settle(settled.into_iter().collect());
    }

    fn settle(&mut self, settled: Vec<(usize, Settled)>) {
        let (places, settled): (Vec<usize>, Vec<Settled>) = settled.into_iter().unzip();
        self.report.add(&settled);
        for (place, settled) in places.into_iter().zip(settled) {
            self.verdicts[place] = Some(settled.outcome.verdict());
        }
    }
}

fn settled<'a>(
    opened: Opened<'a>,
    outcome: impl FnOnce(Invoice, Plan) -> Outcome,
) -> (usize, Settled<'a>) {
    let settled = Settled {
        outcome: outcome(opened.reading.invoice, opened.plan),
        evidence: opened.case.evidence,
    };
    (opened.place, settled)
}

/// Tries again where somebody wrote the same payment at the same moment: it is
/// there now, or is as soon as they have the lock that both were waiting for.
fn until_nobody_interferes<T>(attempt: impl Fn() -> Result<T, Problem>) -> Result<T, Problem> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(problem) if is_interference(&problem) => let_others_pass(&problem),
            other => return other,
        }
    }
    attempt()
}

fn is_interference(problem: &Problem) -> bool {
    [
        PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED,
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
    ]
    .into_iter()
    .any(|code| problem.is(code))
}

/// After a deadlock, locking the same rows again at once would be faster than
/// the others wake up.
fn let_others_pass(problem: &Problem) {
    if problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED) {
        sql::execute("select pg_sleep(0.05)", &[]);
    }
}

/// A lock that was not to be had in time, a deadlock, a serialization failure.
fn is_contention(problem: &Problem) -> bool {
    [
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED,
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
    ]
    .into_iter()
    .any(|code| problem.is(code))
}
