//! One invoice: decide, lock, decide again on what is now true, write, read
//! back, record.

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Value, json};

use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::Invoice;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::{HELD, Recheck};
use crate::domain::reconcile::{Facts, reconcile};
use crate::domain::rules::{Elsewhere, Memory, Rules};
use crate::host::mapping::Mapping;
use crate::host::read::{Lock, Reading, elsewhere, read};
use crate::host::write;
use crate::ledger::changes::Change;
use crate::ledger::{issues, memory};
use crate::pg::{Problem, in_subtransaction, sql};

/// How often one invoice is tried while others write it.
const ATTEMPTS: u32 = 3;

/// What every invoice of a run is treated by.
pub(crate) struct Treatment<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) rules: Rules,
    pub(crate) mode: Mode,
    pub(crate) insistence: Insistence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    /// Decide, and write nothing at all.
    DryRun,
}

/// What to do about a change that a trigger of the host's undid before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insistence {
    /// Leave it: it is an issue, not a loop.
    Once,
    /// A person asked: try again.
    Again,
}

/// What came of one invoice.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) invoice: Invoice,
    /// What was to be done, as first decided.
    pub(crate) intended: Plan,
    /// What holds in the end: its issues, its next check.
    pub(crate) plan: Plan,
    /// Empty in a dry run.
    pub(crate) changes: Vec<Change>,
    /// Why it has to be tried again, where that is nobody's mistake.
    pub(crate) postponed: Option<String>,
}

impl Outcome {
    fn untouched(invoice: Invoice, plan: Plan) -> Self {
        Self {
            invoice,
            intended: plan.clone(),
            plan,
            changes: Vec::new(),
            postponed: None,
        }
    }
}

/// Treats one invoice; `None` where it is gone. `evidence` is what Stripe said
/// about it, empty where it was not asked.
///
/// What the host's tables refuse is an issue of this invoice and rolls back
/// nothing else. Cancel and shutdown are not caught.
pub(crate) fn apply(
    treatment: &Treatment,
    invoice: &str,
    evidence: &[Evidence],
) -> Result<Option<Outcome>, Problem> {
    let Some(reading) = read(treatment.mapping, invoice, Lock::None)? else {
        return Ok(None);
    };
    let case = Case::open(treatment, &reading, evidence);
    let plan = case.decide(&reading, Booked::Before);
    if plan.changes_nothing() || treatment.mode == Mode::DryRun {
        return Ok(Some(Outcome::untouched(reading.invoice, plan)));
    }
    if treatment.insistence == Insistence::Once
        && issues::overridden(invoice) == Some(wanted(&plan))
    {
        return Ok(Some(left_to_a_person(reading.invoice, plan)));
    }
    let written = until_nobody_interferes(|| in_subtransaction(|| case.write_locked(invoice)));
    Ok(written.unwrap_or_else(|problem| {
        Some(if is_contention(&problem) {
            postponed(reading.invoice, plan, &problem)
        } else {
            refused(reading.invoice, plan, &problem)
        })
    }))
}

/// Tries again where somebody wrote the same payment at the same moment: it is
/// there now, or is as soon as they have the lock that both were waiting for.
fn until_nobody_interferes<T>(attempt: impl Fn() -> Result<T, Problem>) -> Result<T, Problem> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(problem) if problem.is(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION) => {}
            Err(problem) if problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED) => {
                // Locking the invoice again at once would be faster than they wake up.
                sql::execute("select pg_sleep(0.05)", &[]);
            }
            other => return other,
        }
    }
    attempt()
}

/// Whether the payments in the books stood there before this treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Booked {
    Before,
    JustNow,
}

/// One invoice's treatment: what does not change while it goes on.
struct Case<'a> {
    treatment: &'a Treatment<'a>,
    evidence: &'a [Evidence],
    memory: Memory,
    elsewhere: Elsewhere,
}

impl<'a> Case<'a> {
    fn open(treatment: &'a Treatment, reading: &Reading, evidence: &'a [Evidence]) -> Self {
        let mut case = Self {
            treatment,
            evidence,
            memory: memory::recall(&reading.invoice.id),
            elsewhere: Elsewhere::default(),
        };
        // Other invoices' books are looked into only for what would be booked.
        let new: Vec<PaymentIds> = case
            .decide(reading, Booked::Before)
            .payments
            .into_iter()
            .filter_map(|change| match change {
                PaymentChange::Insert(payment) => Some(payment.ids),
                PaymentChange::Update(_) => None,
            })
            .collect();
        if !new.is_empty() {
            case.elsewhere = elsewhere(treatment.mapping, &reading.invoice.id, &new);
        }
        case
    }

    fn decide(&self, reading: &Reading, booked: Booked) -> Plan {
        let facts = Facts {
            invoice: &reading.invoice,
            rows: &reading.payments,
            memory: &self.memory,
            elsewhere: &self.elsewhere,
            has_refunded_column: self.treatment.mapping.payments.refunded.is_some(),
            just_booked: booked == Booked::JustNow,
            now: write::now(),
        };
        reconcile(&facts, self.evidence, &self.treatment.rules)
    }

    /// Under the lock: payments first, then the invoice as the rows, and whatever
    /// the host's triggers made of it, leave it.
    fn write_locked(&self, invoice: &str) -> Result<Option<Outcome>, Problem> {
        let mapping = self.treatment.mapping;
        let Some(before) = read(mapping, invoice, Lock::ForUpdate)? else {
            return Ok(None);
        };
        let intended = self.decide(&before, Booked::Before);
        let mut after = before.clone();
        let mut plan = intended.clone();

        for change in &intended.payments {
            match change {
                PaymentChange::Insert(payment) => write::insert_payment(mapping, &before, payment)?,
                PaymentChange::Update(update) => write::update_payment(mapping, &before, update)?,
            }
        }
        if !intended.payments.is_empty() {
            after = read_again(mapping, invoice)?;
            plan = self.decide(&after, Booked::JustNow);
        }
        // A payment that did not stay in the books pays no invoice.
        if plan.payments.is_empty()
            && let Some(change) = &plan.invoice
        {
            write::update_invoice(mapping, &after, change)?;
        }
        write::run_deferred_triggers(mapping);
        after = read_again(mapping, invoice)?;
        plan = self.decide(&after, Booked::Before);
        if !plan.changes_nothing() {
            let issue = overridden(&after.invoice, &plan);
            plan.issues.push(issue);
            plan.recheck = plan.recheck.sooner(HELD);
        }
        Ok(Some(Outcome {
            changes: differences(mapping, &before, &after),
            invoice: after.invoice,
            intended,
            plan,
            postponed: None,
        }))
    }
}

fn read_again(mapping: &Mapping, invoice: &str) -> Result<Reading, Problem> {
    read(mapping, invoice, Lock::ForUpdate)?.ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            "a trigger removed the invoice while its payment was written",
        )
    })
}

/// Every row of this invoice that is not what it was, whoever changed it: our
/// statements or the host's triggers that ran because of them.
fn differences(mapping: &Mapping, before: &Reading, after: &Reading) -> Vec<Change> {
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
    changes.extend(Change::between(
        &mapping.invoices.table,
        &before.invoice.id,
        &before.invoice_row,
        &after.invoice_row,
    ));
    changes
}

/// What the host refused: nothing of this invoice is written, and a person is told.
fn refused(invoice: Invoice, mut plan: Plan, problem: &Problem) -> Outcome {
    plan.issues.push(
        Issue::new(
            IssueKind::ApplyFailed,
            Severity::Critical,
            format!(
                "Invoice {} could not be repaired; the database refused: {}.",
                invoice.label(),
                problem.message()
            ),
        )
        .with_evidence(json!({
            "sqlstate": problem.sqlstate_text(),
            "message": problem.message(),
            "detail": problem.detail_text(),
            "hint": problem.hint_text(),
            "constraint": problem.constraint(),
            "schema": problem.schema(),
            "table": problem.table(),
            "column": problem.column(),
            "wanted": wanted(&plan),
        })),
    );
    plan.recheck = Recheck::NextSweep;
    let intended = Plan {
        payments: Vec::new(),
        invoice: None,
        ..plan.clone()
    };
    Outcome {
        invoice,
        intended,
        plan,
        changes: Vec::new(),
        postponed: None,
    }
}

/// Somebody else was at the same rows: no issue, only another try.
fn postponed(invoice: Invoice, mut plan: Plan, problem: &Problem) -> Outcome {
    plan.payments.clear();
    plan.invoice = None;
    plan.recheck = Recheck::NextSweep;
    Outcome {
        postponed: Some(problem.message().to_owned()),
        ..Outcome::untouched(invoice, plan)
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

/// The same change was undone by a trigger before, and nobody asked for another try.
fn left_to_a_person(invoice: Invoice, mut plan: Plan) -> Outcome {
    plan.issues.push(overridden(&invoice, &plan));
    plan.recheck = plan.recheck.sooner(HELD);
    plan.payments.clear();
    plan.invoice = None;
    Outcome::untouched(invoice, plan)
}

/// `plan` is what would still have to be written.
fn overridden(invoice: &Invoice, plan: &Plan) -> Issue {
    Issue::new(
        IssueKind::OverriddenByTrigger,
        Severity::Warning,
        format!(
            "What was written for invoice {} did not stay: a trigger of the database changed it. Still to be done: {}.",
            invoice.label(),
            super::report::describe(plan)
        ),
    )
    .with_evidence(json!({
        "wanted": wanted(plan),
        "found": {
            "status": invoice.status_word,
            "amount_paid": invoice.amount_paid.value().map(|money| money.to_string()),
            "balance": invoice.balance.value().map(|money| money.to_string()),
        },
    }))
}

/// A plan's changes as JSON: the same for the same changes, whenever decided.
fn wanted(plan: &Plan) -> Value {
    let payments: Vec<Value> = plan
        .payments
        .iter()
        .map(|change| match change {
            PaymentChange::Insert(new) => json!({
                "insert": new.ids.key(),
                "amount": new.amount.to_string(),
                "status": format!("{:?}", new.status),
            }),
            PaymentChange::Update(update) => json!({
                "update": update.row,
                "amount": update.amount.map(|money| money.to_string()),
                "refunded": update.refunded.map(|money| money.to_string()),
                "status": update.status.map(|status| format!("{status:?}")),
            }),
        })
        .collect();
    let invoice = plan.invoice.as_ref().map(|change| {
        json!({
            "status": change.status.map(|status| format!("{status:?}")),
            "amount_paid": change.amount_paid.map(|money| money.to_string()),
            "balance": change.balance.map(|money| money.to_string()),
        })
    });
    json!({ "payments": payments, "invoice": invoice })
}
