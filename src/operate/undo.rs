//! `undo`: restores the rows that a run changed, where nobody changed them since.

mod difference;
mod invoice;

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Value, json};

use super::actions::Action;
use crate::domain::identity::PaymentIds;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::host::read::Reading;
use crate::ledger::runs::{self, Kind, State, Totals};
use crate::ledger::stripe_payments;
use crate::ledger::undone::{self, Recorded};
use crate::operate::undo::invoice::{UndoContext, UndoneInvoice};
use crate::pg::Problem;

use crate::apply::case::judge;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::holdback;
use crate::run::run_lock::{is_in_progress, require_fresh_snapshots};

/// Restores the rows that a run changed: each invoice as a whole, in a subtransaction of its own. Fails with P0002
/// for an unknown run, and with 55000 for one that is in progress.
pub(crate) fn undo(run: i64, mode: Mode) -> Result<Value, Problem> {
    let kind =
        undone::kind_of_run(run).ok_or_else(|| unknown(format!("run {run} does not exist")))?;
    if is_in_progress(run, &kind) {
        return Err(in_progress(run));
    }
    undo_invoice(run, &kind, &undone::changes_of_run(run), mode)
}

/// Undoes a single change. Fails with P0002 for an unknown change.
pub(crate) fn undo_change(id: i64, mode: Mode) -> Result<Value, Problem> {
    let change =
        undone::change(id).ok_or_else(|| unknown(format!("change {id} does not exist")))?;
    let kind = undone::kind_of_run(change.run_id).unwrap_or_default();
    undo_invoice(change.run_id, &kind, std::slice::from_ref(&change), mode)
}

fn undo_invoice(run: i64, kind: &str, changes: &[Recorded], mode: Mode) -> Result<Value, Problem> {
    if mode == Mode::Write {
        require_fresh_snapshots()?;
    }
    let (mapping, settings) = Mapping::load()?;
    if mode == Mode::Write {
        fire_callers();
    }
    let context = Context {
        mapping: &mapping,
        rules: mapping.rules(&settings, None)?,
        mode,
        on_override: OnOverride::Once,
    };
    let undo_context = UndoContext::new(&mapping, mode);
    let mut undo = Undo {
        own_run: (mode == Mode::Write).then(|| runs::open(Kind::Undo)),
        run,
        kind: Undone::of(run, kind),
        undone: Vec::new(),
        left: Vec::new(),
        differences: Vec::new(),
        held_back: Vec::new(),
        lifted: 0,
        earlier: changes.iter().filter_map(|change| change.undone_by).max(),
    };
    for of_invoice in by_invoice(changes) {
        let invoice = &of_invoice[0].invoice_id;
        match undo_context.undo_invoice(&of_invoice) {
            Ok(done) => undo.note(&context, &of_invoice, done),
            Err(left) => undo.left.push(left.to_json(invoice)),
        }
    }
    // Issues are reopened first, because those about undone repairs refresh them. If no invoice was restored, the
    // decision remains.
    let stands = undo.undone.is_empty() && !undo.left.is_empty();
    if let Some(own_run) = undo
        .own_run
        .filter(|_| undo.kind == Undone::Decision && !stands)
    {
        undo.lifted = undone::revert_decisions(own_run, run);
    }
    for (reading, ids) in std::mem::take(&mut undo.held_back) {
        let own_run = undo.own_run.unwrap_or_default();
        holdback::open(own_run, run, &context, &reading, &ids);
    }
    Ok(undo.close())
}

/// Returns the changes that are not undone, by invoice: the invoice changed last comes first, and of each invoice
/// the newest change.
fn by_invoice(changes: &[Recorded]) -> Vec<Vec<&Recorded>> {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    let mut invoices: Vec<Vec<&Recorded>> = Vec::new();
    for change in changes.iter().filter(|change| change.undone_by.is_none()) {
        let place = *order.entry(&change.invoice_id).or_insert(invoices.len());
        if place == invoices.len() {
            invoices.push(Vec::new());
        }
        invoices[place].push(change);
    }
    invoices
}

/// The kind of run that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undone {
    Repairs,
    /// A person's decision, with the repairs made in the same run.
    Decision,
    /// An undo: its repairs are in the books again.
    Undo,
}

impl Undone {
    fn of(run: i64, kind: &str) -> Self {
        if !undone::takes_repairs_out(run) {
            Self::Undo
        } else if kind == Kind::ResolveIssue.as_str() {
            Self::Decision
        } else {
            Self::Repairs
        }
    }
}

/// Returns whether the change was made from Stripe's answer and would be made again without a person's decision.
/// Linking a payment that names another invoice would not.
fn is_automatic(change: &Recorded) -> bool {
    let decided = change.evidence.get("decided").is_some();
    change.evidence.get("stripe").is_some() && !decided && !is_link(change)
}

fn is_link(change: &Recorded) -> bool {
    change.evidence["action"] == Action::LinkPayment.as_str()
}

/// An undo in progress.
struct Undo {
    /// `None` in a dry run, which writes nothing to the ledger.
    own_run: Option<i64>,
    run: i64,
    kind: Undone,
    undone: Vec<Value>,
    left: Vec<Value>,
    differences: Vec<Value>,
    /// Invoices with their Stripe payments that must not be booked again.
    held_back: Vec<(Reading, Vec<PaymentIds>)>,
    /// Decisions of `resolve_issue` that are no longer in effect.
    lifted: usize,
    /// The run that undid some or all of it before.
    earlier: Option<i64>,
}

impl Undo {
    fn note(&mut self, context: &Context, undone: &[&Recorded], done: UndoneInvoice) {
        let invoice = &done.reading.invoice;
        let changes: Vec<Value> = done.changes.iter().map(|c| c.to_json()).collect();
        self.undone.push(json!({
            "invoiceId": invoice.id, "invoiceNumber": invoice.number, "changes": changes,
        }));
        self.differences.extend(done.differences);
        let Some(own_run) = self.own_run else {
            return;
        };
        undone::note(own_run, undone, &done.changes);
        stripe_payments::follow_rows(&invoice.id, &done.reading.payments);
        if self.kind == Undone::Undo {
            return undone::repair_is_restored(own_run, self.run, &invoice.id);
        }
        let linked: Vec<&Recorded> = undone.iter().copied().filter(|c| is_link(c)).collect();
        if !linked.is_empty() {
            let ids = stripe_payments(context.mapping, &linked, &done.reading);
            stripe_payments::forget(&invoice.id, &ids);
        }
        // Automatic changes would be made again if they were not held back. A person's changes are not made
        // automatically.
        let automatic: Vec<&Recorded> = undone
            .iter()
            .copied()
            .filter(|change| self.kind == Undone::Repairs || is_automatic(change))
            .collect();
        let ids = stripe_payments(context.mapping, &automatic, &done.reading);
        let would_be_made_again = || !judge(context, &done.reading, &[]).changes_nothing();
        if self.kind == Undone::Repairs
            || !ids.is_empty()
            || !automatic.is_empty() && would_be_made_again()
        {
            self.held_back.push((done.reading, ids));
        }
    }

    fn close(self) -> Value {
        let message = self.message();
        let (undone, left) = (self.undone.len(), self.left.len());
        if let Some(own_run) = self.own_run {
            let totals = Totals {
                success: true,
                invoices_checked: undone + left,
                invoices_fixed: undone,
                ..Totals::default()
            };
            runs::save(own_run, &totals, State::Finished);
        }
        json!({
            "success": true,
            "dryRun": self.own_run.is_none(),
            "runId": self.own_run,
            "undoes": self.run,
            "undone": undone,
            "left": self.left,
            "differences": self.differences,
            "details": { "undone": self.undone },
            "message": message,
        })
    }

    fn message(&self) -> String {
        let run = self.run;
        let mut parts = Vec::new();
        if self.undone.is_empty() && self.left.is_empty() && self.lifted == 0 {
            parts.push(match self.earlier {
                Some(earlier) => {
                    format!("Run {earlier} has already undone run {run}. Nothing was changed.")
                }
                None => format!("Run {run} made no changes. Nothing was changed."),
            });
        } else {
            parts.push(format!("Restored {} invoices.", self.undone.len()));
        }
        if !self.left.is_empty() {
            parts.push(format!("Did not restore {}.", self.left.len()));
        }
        if self.lifted > 0 {
            parts.push(format!("Revoked {} decisions.", self.lifted));
        }
        if !self.differences.is_empty() {
            parts.push(format!(
                "Triggers in your database changed the restored values of {} columns.",
                self.differences.len()
            ));
        }
        parts.join(" ")
    }
}

/// Returns the Stripe payments of the restored rows, by the ids in the rows.
fn stripe_payments(mapping: &Mapping, undone: &[&Recorded], now: &Reading) -> Vec<PaymentIds> {
    let payments = &mapping.payments;
    let mut found: Vec<PaymentIds> = undone
        .iter()
        .filter(|change| change.table_name == payments.table)
        .map(|change| {
            let texts = [&payments.session, &payments.intent].map(|column| {
                let name = &column.as_ref()?.name;
                change.after.as_ref()?.get(name)?.as_str()
            });
            let texts = texts.map(|text| text.map(str::to_owned));
            let mut ids = PaymentIds::of_row(now.invoice.account.as_deref(), texts);
            if let Some(row) = now.payments.iter().find(|row| row.id == change.row_id) {
                ids.complete_from(&row.ids);
            }
            ids
        })
        .filter(|ids| !ids.is_empty())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What it changes from now on would stay.
fn in_progress(run: i64) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("run {run} is in progress"),
    )
    .detail("What it changes after this would not be undone.")
    .hint("Wait until it has ended, or cancel it first (pg_cancel_backend).")
}

fn unknown(message: String) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_NO_DATA_FOUND, message)
        .hint("The views invoice_sync.recent_runs and invoice_sync.changes list the ids.")
}
