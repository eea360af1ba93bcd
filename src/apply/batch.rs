//! Writes a batch of invoices in one subtransaction: locks, reads and decides again, writes, reads back.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;

use crate::apply::case::{DecidedCase, RecalledCase, claim, claims, recall};
use crate::apply::context::Context;
use crate::apply::holdback::held_back_plan;
use crate::apply::outcome::Outcome;
use crate::apply::payment_locks::lock_payments;
use crate::apply::report::record::Settled;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::InvoiceStatus;
use crate::domain::moved_status::{Course, moved};
use crate::domain::plan::{PaymentChange, Plan};
use crate::host::lock::{Patience, read_locked};
use crate::host::mapping::Mapping;
use crate::host::other_invoices::{Claim, other_invoices};
use crate::host::owner::Firing;
use crate::host::read::{Reading, Readings, read_again};
use crate::host::row::Row;
use crate::host::side_effects;
use crate::host::side_effects::SideEffects;
use crate::host::write::{self, InvoiceUpdate};
use crate::ledger::changes::Change;
use crate::pg::Problem;

/// One locked invoice of the batch.
struct LockedCase<'a> {
    recalled: RecalledCase<'a>,
    before: Reading,
    intended: Plan,
    after: Reading,
    /// The status that payments left, and what was written over it.
    with_payments: InvoiceStatus,
    written: Option<InvoiceStatus>,
    /// What remains to be done after the rows were read back.
    plan: Plan,
    /// The ids of rows that were tied to payments, by the rows' keys, if payments have no column for them.
    row_ids: BTreeMap<String, PaymentIds>,
}

/// Writes these invoices in the caller's subtransaction. Returns the outcomes with the indexes of their cases.
/// Invoices that no longer exist are left out, and so are, with [`Patience::Skip`], those with a row that another
/// session has locked.
///
/// A single invoice may wait for its lock, and may end with an issue about a trigger of the application. Several
/// invoices fail together, whatever the reason; the caller must then roll all of them back.
pub(crate) fn write_together<'a>(
    context: &Context,
    set: Vec<DecidedCase<'a>>,
    patience: Patience,
    firing: Firing,
) -> Result<BTreeMap<usize, Settled<'a>>, Problem> {
    let mapping = context.mapping;
    let alone = set.len() == 1;
    let mut locked = lock_cases(context, set, patience)?;
    let of_payments = firing.hold_back();
    write_payments(mapping, &mut locked)?;
    let reach = side_effects::of_payments(mapping);
    read_back(context, &mut locked, reach, Written::Payments)?;
    note_statuses(&mut locked);
    let of_invoices = firing.hold_back();
    write_invoices(mapping, &locked)?;
    of_invoices.fire(&mapping.search_path, &mapping.invoices.relation);
    of_payments.fire(&mapping.search_path, &mapping.payments.relation);
    let reach = match firing {
        Firing::AtOnce => side_effects::of_invoices(mapping),
        Firing::AtTheEnd => SideEffects::Everything,
    };
    read_back(context, &mut locked, reach, Written::Everything)?;
    if !alone && locked.iter().any(|locked| !locked.plan.changes_nothing()) {
        return Err(did_not_stay());
    }
    Ok(locked
        .into_iter()
        .map(|locked| (locked.recalled.place, locked.settled(context)))
        .collect())
}

/// Locks the invoices in the order of their ids, as all sessions do. An earlier decision remains valid if nothing
/// has changed since.
fn lock_cases<'a>(
    context: &Context,
    set: Vec<DecidedCase<'a>>,
    patience: Patience,
) -> Result<Vec<LockedCase<'a>>, Problem> {
    if set.iter().all(|decided| decided.is_locked) {
        let locked = set.into_iter();
        let locked = locked.map(|it| LockedCase::new(it.recalled, it.reading, it.plan));
        return not_undone(context, locked.collect());
    }
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
    let locked = parts.into_iter().filter_map(|(mut recalled, plan)| {
        let now = locked.remove(recalled.case.invoice)?;
        let before = now.reading;
        let has_learned = recalled.update_known(&mut known_now);
        let intended = if now.is_as_known && !has_learned {
            plan
        } else {
            recalled.decide(context, &before)
        };
        Some(LockedCase::new(recalled, before, intended))
    });
    not_undone(context, claim_payments(context, locked.collect(), patience))
}

/// Fails if a repair of one of these cases was undone.
fn not_undone<'a>(
    context: &Context,
    locked: Vec<LockedCase<'a>>,
) -> Result<Vec<LockedCase<'a>>, Problem> {
    let is_left = |locked: &LockedCase| {
        let holds = locked.recalled.held();
        let invoice = &locked.before.invoice;
        let plan = &locked.intended;
        let same = || plan.clone();
        held_back_plan(holds, context.on_override, invoice, plan, |_| same(), same).is_some()
    };
    if locked.iter().any(is_left) {
        return Err(undone_meanwhile());
    }
    Ok(locked)
}

/// Locks the payments to be booked, after the invoices, and searches other invoices for them again: a session that
/// booked one of them meanwhile has committed by then. With [`Patience::Skip`], invoices are left out if another
/// session has locked one of their payments.
fn claim_payments<'a>(
    context: &Context,
    mut locked: Vec<LockedCase<'a>>,
    patience: Patience,
) -> Vec<LockedCase<'a>> {
    let claims = |locked: &LockedCase| claims(&locked.before, &locked.intended);
    let payments: Vec<_> = locked.iter().map(claims).collect();
    let mut had = lock_payments(&payments, patience).into_iter();
    locked.retain(|_| had.next() == Some(true));
    let claiming: Vec<(&mut LockedCase, Vec<_>)> = locked
        .iter_mut()
        .map(|locked| {
            let payments = claims(locked);
            (locked, payments)
        })
        .filter(|(_, payments)| !payments.is_empty())
        .collect();
    if !claiming.is_empty() {
        let asked: Vec<Claim> = claiming
            .iter()
            .map(|(locked, payments)| {
                let invoice = locked.recalled.case.invoice;
                claim(context, invoice, &locked.before, payments)
            })
            .collect();
        let found = other_invoices(context.mapping, &asked);
        for ((locked, _), found) in claiming.into_iter().zip(found) {
            if locked.recalled.note_other_invoices(found) {
                locked.intended = locked.recalled.decide(context, &locked.before);
            }
        }
    }
    locked
}

/// Writes the payments. The invoices follow, decided from the rows as statements and triggers left them.
fn write_payments(mapping: &Mapping, locked: &mut [LockedCase]) -> Result<(), Problem> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    let mut cases = Vec::new();
    for (place, locked) in locked.iter().enumerate() {
        for change in &locked.intended.payments {
            match change {
                PaymentChange::Insert(payment) => {
                    new.push((&locked.before, payment));
                    cases.push((place, &payment.ids));
                }
                PaymentChange::Update(update) => changed.push((&locked.before, update)),
            }
        }
    }
    let keys = write::insert_payments(mapping, &new)?.into_iter();
    let inserted: Vec<(usize, String, PaymentIds)> = cases
        .into_iter()
        .zip(keys)
        .filter_map(|((place, ids), key)| Some((place, key?, ids.clone())))
        .collect();
    write::update_payments(mapping, &changed)?;
    for (place, key, ids) in inserted {
        if let Some(locked) = locked.get_mut(place) {
            locked.row_ids.insert(key, ids);
        }
    }
    for locked in locked {
        locked.row_ids.extend(locked.intended.row_ids.clone());
        locked.recalled.note_written(&locked.row_ids);
    }
    Ok(())
}

/// Writes the invoices whose payments were written as planned; a payment that a trigger undid pays no invoice. With
/// payments that were written, an invoice gets its further columns also if nothing else of it changes.
fn write_invoices(mapping: &Mapping, locked: &[LockedCase]) -> Result<(), Problem> {
    let updates: Vec<_> = locked
        .iter()
        .filter(|locked| locked.plan.payments.is_empty())
        .map(|locked| InvoiceUpdate {
            reading: &locked.after,
            change: locked.plan.invoice.as_ref(),
            follows_payments: !locked.intended.payments.is_empty()
                && locked.after.payment_rows != locked.before.payment_rows,
        })
        .collect();
    write::update_invoices(mapping, &updates)
}

/// Notes the statuses that payments left, and those that are written now.
fn note_statuses(locked: &mut [LockedCase]) {
    for locked in locked {
        locked.with_payments = locked.after.invoice.status;
        let is_written = locked.plan.payments.is_empty();
        let invoice = locked.plan.invoice.as_ref().filter(|_| is_written);
        locked.written = invoice.and_then(|change| change.status);
    }
}

/// What was written before the rows are read back.
#[derive(Clone, Copy)]
enum Written {
    Payments,
    Everything,
}

/// Reads again the rows that may have changed, and decides what remains to be done.
fn read_back(
    context: &Context,
    locked: &mut [LockedCase],
    reach: SideEffects,
    written: Written,
) -> Result<(), Problem> {
    let mut readings: Vec<&mut Reading> =
        locked.iter_mut().map(|locked| &mut locked.after).collect();
    read_again(context.mapping, &mut readings, reach)?;
    for locked in locked {
        let (recalled, after) = (&locked.recalled, &locked.after);
        locked.plan = match written {
            Written::Payments => recalled.decide_on_written(context, after, &locked.before),
            Written::Everything => recalled.decide(context, after),
        };
    }
    Ok(())
}

/// Somebody undid a repair while this session waited for the lock: the invoice is decided again.
fn undone_meanwhile() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "a repair was undone concurrently",
    )
}

fn did_not_stay() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
        "a trigger changed what was written for one of several invoices",
    )
}

impl<'a> LockedCase<'a> {
    fn new(recalled: RecalledCase<'a>, before: Reading, intended: Plan) -> Self {
        Self {
            after: before.clone(),
            with_payments: before.invoice.status,
            written: None,
            plan: Plan::default(),
            row_ids: BTreeMap::new(),
            recalled,
            before,
            intended,
        }
    }

    fn settled(self, context: &Context) -> Settled<'a> {
        let changes = differences(context.mapping, &self.before, &self.after);
        let course = Course {
            before: self.before.invoice.status,
            with_payments: self.with_payments,
            written: self.written,
        };
        let mut plan = if self.plan.changes_nothing() {
            self.plan
        } else {
            self.recalled.decide_unwritten(context, &self.after)
        };
        let moved = moved(&self.before.invoice, &self.after.invoice, course, &plan);
        plan.row_ids.extend(self.row_ids);
        plan.await_also(self.recalled.newly_awaited(&self.intended));
        let outcome = Outcome::written(self.after.invoice, self.intended, plan, changes, moved);
        Settled::of(&self.recalled, outcome)
    }
}

/// Returns all changed rows of this invoice, whether changed by our statements or by the application's triggers.
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

/// Returns the payment rows by id.
fn payment_rows(reading: &Reading) -> BTreeMap<&str, &Row> {
    let ids = reading.payments.iter().map(|payment| payment.id.as_str());
    ids.zip(&reading.payment_rows).collect()
}

/// Returns the change of a row; `None` if it has not changed.
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
