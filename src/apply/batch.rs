//! Writes a batch of invoices in one subtransaction: locks, reads and decides again, writes, reads back.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;

use crate::apply::case::{Booked, DecidedCase, RecalledCase, claims, recall};
use crate::apply::context::Context;
use crate::apply::holdback::held_back_plan;
use crate::apply::outcome::Outcome;
use crate::apply::payment_locks::lock_payments;
use crate::apply::report::record::Settled;
use crate::domain::plan::{PaymentChange, Plan};
use crate::host::lock::{Patience, read_locked};
use crate::host::mapping::Mapping;
use crate::host::other_invoices::{Claim, other_invoices};
use crate::host::owner::Firing;
use crate::host::read::{Reading, Readings, read_again};
use crate::host::row::Row;
use crate::host::side_effects;
use crate::host::side_effects::SideEffects;
use crate::host::write;
use crate::ledger::changes::Change;
use crate::ledger::held_repairs;
use crate::pg::Problem;

/// One invoice on its way.
struct LockedCase<'a> {
    recalled: RecalledCase<'a>,
    before: Reading,
    intended: Plan,
    after: Reading,
    /// What is still to be done, once it was read back.
    plan: Plan,
}

/// Writes these invoices, in a subtransaction of the caller's; the outcomes by
/// the cases' places. Left out are invoices that are gone and, with
/// [`Patience::Skip`], those of which somebody else has a row.
///
/// One alone may wait for its lock, and may end with an issue about a trigger of
/// the host's. Several fail together, for whatever reason: then nothing of any of
/// them must stay written.
pub(crate) fn write_together<'a>(
    context: &Context,
    set: Vec<DecidedCase<'a>>,
    patience: Patience,
    firing: Firing,
) -> Result<BTreeMap<usize, Settled<'a>>, Problem> {
    let mapping = context.mapping;
    let alone = set.len() == 1;
    let mut held = lock_cases(context, set, patience)?;
    let of_payments = firing.hold_back();
    write_payments(mapping, &held)?;
    let reach = side_effects::of_payments(mapping);
    read_back(context, &mut held, reach, Booked::JustNow)?;
    let of_invoices = firing.hold_back();
    write_invoices(mapping, &held)?;
    of_invoices.fire(mapping, &mapping.invoices.relation);
    of_payments.fire(mapping, &mapping.payments.relation);
    let reach = match firing {
        Firing::AtOnce => side_effects::of_invoices(mapping),
        Firing::AtTheEnd => SideEffects::Everything,
    };
    read_back(context, &mut held, reach, Booked::Before)?;
    if !alone && held.iter().any(|held| !held.plan.changes_nothing()) {
        return Err(did_not_stay());
    }
    Ok(held
        .into_iter()
        .map(|held| (held.recalled.place, held.settled(context)))
        .collect())
}

/// Locks in the order of the ids, which everybody keeps to. What was decided holds
/// where nothing has changed since.
fn lock_cases<'a>(
    context: &Context,
    set: Vec<DecidedCase<'a>>,
    patience: Patience,
) -> Result<Vec<LockedCase<'a>>, Problem> {
    let mut ids: Vec<&str> = set.iter().map(|it| it.recalled.case.invoice).collect();
    ids.sort_unstable();
    let (mut known, mut parts) = (Readings::new(), Vec::new());
    for decided in set {
        known.insert(decided.reading.invoice.id.clone(), decided.reading);
        parts.push((decided.recalled, decided.plan));
    }
    let mut locked = read_locked(context.mapping, &ids, patience, known)?;
    let of_locked = parts
        .iter()
        .filter(|(recalled, _)| locked.contains_key(recalled.case.invoice));
    let mut known_now = recall(of_locked.map(|(recalled, _)| recalled.case));
    let held = parts.into_iter().filter_map(|(mut recalled, plan)| {
        let now = locked.remove(recalled.case.invoice)?;
        let before = now.reading;
        let has_learned = recalled.update_known(&mut known_now);
        let intended = if now.is_as_known && !has_learned {
            plan
        } else {
            recalled.decide(context, &before, Booked::Before)
        };
        Some(LockedCase {
            after: before.clone(),
            plan: Plan::default(),
            recalled,
            before,
            intended,
        })
    });
    let held = claim_payments(context, held.collect(), patience);
    let holds = held_repairs::held(&ids);
    let is_left = |held: &LockedCase| {
        let invoice = &held.before.invoice;
        let plan = &held.intended;
        held_back_plan(&holds, context.on_override, invoice, plan, || plan.clone()).is_some()
    };
    if held.iter().any(is_left) {
        return Err(undone_meanwhile());
    }
    Ok(held)
}

/// Locks the payments that are to be booked, after the invoices, and looks anew into other
/// invoices' books: whoever booked one of them meanwhile has committed by then.
/// Left out, with [`Patience::Skip`], are invoices of which somebody else has a payment.
fn claim_payments<'a>(
    context: &Context,
    mut held: Vec<LockedCase<'a>>,
    patience: Patience,
) -> Vec<LockedCase<'a>> {
    let claims = |held: &LockedCase| claims(&held.before, &held.intended);
    let payments: Vec<_> = held.iter().map(claims).collect();
    let mut had = lock_payments(&payments, patience).into_iter();
    held.retain(|_| had.next() == Some(true));
    let claiming: Vec<(&mut LockedCase, Vec<_>)> = held
        .iter_mut()
        .map(|held| {
            let payments = claims(held);
            (held, payments)
        })
        .filter(|(_, payments)| !payments.is_empty())
        .collect();
    if !claiming.is_empty() {
        let asked: Vec<Claim> = claiming
            .iter()
            .map(|(held, payments)| Claim {
                invoice: held.recalled.case.invoice,
                payments,
            })
            .collect();
        let found = other_invoices(context.mapping, &asked);
        for ((held, _), found) in claiming.into_iter().zip(found) {
            if held.recalled.note_other_invoices(found) {
                held.intended = held.recalled.decide(context, &held.before, Booked::Before);
            }
        }
    }
    held
}

/// Payments first, then the invoices as the rows, and whatever the host's
/// triggers made of them, leave them.
fn write_payments(mapping: &Mapping, held: &[LockedCase]) -> Result<(), Problem> {
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
fn write_invoices(mapping: &Mapping, held: &[LockedCase]) -> Result<(), Problem> {
    let changes: Vec<_> = held
        .iter()
        .filter(|held| held.plan.payments.is_empty())
        .filter_map(|held| Some((&held.after, held.plan.invoice.as_ref()?)))
        .collect();
    write::update_invoices(mapping, &changes)
}

/// Reads again what may have changed, and decides what is still to be done.
fn read_back(
    context: &Context,
    held: &mut [LockedCase],
    reach: SideEffects,
    booked: Booked,
) -> Result<(), Problem> {
    let mut readings: Vec<&mut Reading> = held.iter_mut().map(|held| &mut held.after).collect();
    read_again(context.mapping, &mut readings, reach)?;
    for held in held {
        held.plan = held.recalled.decide(context, &held.after, booked);
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

impl<'a> LockedCase<'a> {
    fn settled(self, context: &Context) -> Settled<'a> {
        let changes = differences(context.mapping, &self.before, &self.after);
        let plan = if self.plan.changes_nothing() {
            self.plan
        } else {
            self.recalled.decide_unwritten(context, &self.after)
        };
        let outcome = Outcome::written(self.after.invoice, self.intended, plan, changes);
        Settled::of(&self.recalled, outcome)
    }
}

/// Every row of this invoice that is not what it was, whoever changed it: our
/// statements or the host's triggers that ran because of them.
pub(crate) fn differences(mapping: &Mapping, before: &Reading, after: &Reading) -> Vec<Change> {
    let payments = &mapping.payments.table;
    let (old, new) = (payment_rows(before), payment_rows(after));
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    let payments = after
        .payments
        .iter()
        .map(|payment| payment.id.as_str())
        .chain(gone.copied())
        .filter_map(|id| change(payments, id, old.get(id).copied(), new.get(id).copied()));
    let invoice = change(
        &mapping.invoices.table,
        &before.invoice.id,
        Some(&before.invoice_row),
        Some(&after.invoice_row),
    );
    payments.chain(invoice).collect()
}

/// By their ids.
fn payment_rows(reading: &Reading) -> BTreeMap<&str, &Row> {
    let ids = reading.payments.iter().map(|payment| payment.id.as_str());
    ids.zip(&reading.payment_rows).collect()
}

/// What became of a row; `None` where it is what it was.
pub(crate) fn change(
    table: &str,
    id: &str,
    before: Option<&Row>,
    after: Option<&Row>,
) -> Option<Change> {
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = before.difference(after)?;
            (Some(before), Some(after))
        }
        (before, after) => (before.map(Row::to_string), after.map(Row::to_string)),
    };
    Some(Change {
        table: table.to_owned(),
        row: id.to_owned(),
        before,
        after,
    })
}
