//! Invoices that are written together: locked, read again, decided again on
//! what is now true, written, read back.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;

use super::case::{Booked, Opened};
use super::hold::left_to_a_person;
use super::outcome::Outcome;
use super::treatment::Treatment;
use crate::domain::plan::{PaymentChange, Plan};
use crate::host::mapping::Mapping;
use crate::host::reach::{self, Reach};
use crate::host::read::{Patience, Reading, read_again, read_locked};
use crate::host::write;
use crate::ledger::changes::Change;
use crate::ledger::issues;
use crate::pg::Problem;
use crate::pg::identity::keeping_settings;

/// One invoice on its way.
struct Held<'s, 'a> {
    opened: &'s Opened<'a>,
    before: Reading,
    intended: Plan,
    after: Reading,
    /// What is still to be done.
    plan: Plan,
}

/// Writes these invoices, in a subtransaction of the caller's; the outcomes by
/// the cases' places. Left out are invoices that are gone and, with
/// [`Patience::Skip`], those of which somebody else has a row.
///
/// One alone may wait for its lock, and may end with an issue about a trigger of
/// the host's. Several fail together, for whatever reason: then nothing of any of
/// them must stay written.
pub(super) fn write_together(
    treatment: &Treatment,
    set: &[Opened],
    patience: Patience,
) -> Result<BTreeMap<usize, Outcome>, Problem> {
    // What the host's triggers set for one another holds for all that is written here.
    keeping_settings(|| write_and_read_back(treatment, set, patience))
}

fn write_and_read_back(
    treatment: &Treatment,
    set: &[Opened],
    patience: Patience,
) -> Result<BTreeMap<usize, Outcome>, Problem> {
    let mapping = treatment.mapping;
    let alone = set.len() == 1;
    let mut held = hold(treatment, set, patience)?;
    write_payments(mapping, &held)?;
    let reach = reach::of_payments(mapping);
    read_back(treatment, &mut held, reach, Booked::JustNow)?;
    write_invoices(mapping, &held)?;
    write::run_deferred_triggers(mapping);
    let reach = reach::of_invoices(mapping);
    read_back(treatment, &mut held, reach, Booked::Before)?;
    if !alone && held.iter().any(|held| !held.plan.changes_nothing()) {
        return Err(did_not_stay());
    }
    Ok(held
        .into_iter()
        .map(|held| (held.opened.place, held.into_outcome(mapping)))
        .collect())
}

/// Locks in the order of the ids, which everybody keeps to.
fn hold<'s, 'a>(
    treatment: &Treatment,
    set: &'s [Opened<'a>],
    patience: Patience,
) -> Result<Vec<Held<'s, 'a>>, Problem> {
    let mut ids: Vec<&str> = set.iter().map(|opened| opened.case.invoice).collect();
    ids.sort_unstable();
    let mut readings = read_locked(treatment.mapping, &ids, patience)?;
    let held = set.iter().filter_map(|opened| {
        let before = readings.remove(opened.case.invoice)?;
        let intended = opened.decide(treatment, &before, Booked::Before);
        Some(Held {
            opened,
            after: before.clone(),
            plan: intended.clone(),
            before,
            intended,
        })
    });
    let held: Vec<Held> = held.collect();
    let holds = issues::held(&ids);
    let is_left = |held: &Held| {
        let invoice = &held.before.invoice;
        left_to_a_person(&holds, treatment.insistence, invoice, &held.intended).is_some()
    };
    if held.iter().any(is_left) {
        return Err(undone_meanwhile());
    }
    Ok(held)
}

/// Payments first, then the invoices as the rows, and whatever the host's
/// triggers made of them, leave them.
fn write_payments(mapping: &Mapping, held: &[Held]) -> Result<(), Problem> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for held in held {
        for change in &held.intended.payments {
            match change {
                PaymentChange::Insert(payment) => new.push((&held.before, payment)),
                PaymentChange::Update(update) => changed.push((&held.before, update)),
            }
        }
    }
    write::insert_payments(mapping, &new)?;
    write::update_payments(mapping, &changed)
}

/// A payment that did not stay in the books pays no invoice.
fn write_invoices(mapping: &Mapping, held: &[Held]) -> Result<(), Problem> {
    let changes: Vec<_> = held
        .iter()
        .filter(|held| held.plan.payments.is_empty())
        .filter_map(|held| Some((&held.after, held.plan.invoice.as_ref()?)))
        .collect();
    write::update_invoices(mapping, &changes)
}

/// Reads again what may have changed, and decides what is still to be done.
fn read_back(
    treatment: &Treatment,
    held: &mut [Held],
    reach: Reach,
    booked: Booked,
) -> Result<(), Problem> {
    let mut readings: Vec<&mut Reading> = held.iter_mut().map(|held| &mut held.after).collect();
    read_again(treatment.mapping, &mut readings, reach)?;
    for held in held {
        held.plan = held.opened.decide(treatment, &held.after, booked);
    }
    Ok(())
}

/// Somebody undid it while the lock was waited for: it is looked at again.
fn undone_meanwhile() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "a repair was undone at the same moment",
    )
}

fn did_not_stay() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
        "a trigger changed what was written for one of several invoices",
    )
}

impl Held<'_, '_> {
    fn into_outcome(self, mapping: &Mapping) -> Outcome {
        let changes = differences(mapping, &self.before, &self.after);
        Outcome::written(self.after.invoice, self.intended, self.plan, changes)
    }
}

/// Every row of this invoice that is not what it was, whoever changed it: our
/// statements or the host's triggers that ran because of them.
pub(crate) fn differences(mapping: &Mapping, before: &Reading, after: &Reading) -> Vec<Change> {
    let payments = &mapping.payments.table;
    let rows = after.payments.iter().zip(&after.payment_rows);
    let mut changes: Vec<Change> = rows
        .filter_map(|(payment, row)| {
            let old = before.payments.iter().position(|old| old.id == payment.id);
            match old.and_then(|at| before.payment_rows.get(at)) {
                Some(old) => Change::between(payments, &payment.id, old, row),
                None => Some(Change::inserted(payments, &payment.id, row)),
            }
        })
        .collect();
    let old_rows = before.payments.iter().zip(&before.payment_rows);
    changes.extend(
        old_rows
            .filter(|(old, _)| after.payments.iter().all(|payment| payment.id != old.id))
            .map(|(old, row)| Change::deleted(payments, &old.id, row)),
    );
    changes.extend(Change::between(
        &mapping.invoices.table,
        &before.invoice.id,
        &before.invoice_row,
        &after.invoice_row,
    ));
    changes
}
