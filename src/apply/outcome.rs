//! The outcome of one invoice, and its text in reports.

use serde_json::{Value, json};

use crate::domain::invoice::{Invoice, InvoiceStatus};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::moved_status::MOVED;
use crate::domain::payment::PaymentStatus;
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::{HELD, Recheck};
use crate::domain::resolution::{ATTEMPTED, attempted};
use crate::ledger::changes::Change;
use crate::ledger::events::Verdict;
use crate::pg::Problem;

#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) invoice: Invoice,
    /// The plan as first decided.
    pub(crate) intended: Plan,
    /// The final plan: its issues, and the next lookup.
    pub(crate) plan: Plan,
    /// Empty in a dry run.
    pub(crate) changes: Vec<Change>,
    /// Why it has to be tried again, if no one has to correct anything first.
    pub(crate) postponed: Option<String>,
}

impl Outcome {
    pub(crate) fn untouched(invoice: Invoice, plan: Plan) -> Self {
        Self {
            invoice,
            intended: plan.clone(),
            plan,
            changes: Vec::new(),
            postponed: None,
        }
    }

    /// The outcome of a write, as read back. What still remains to be done was undone by a trigger of the
    /// application, and `moved` is what one did to the status.
    pub(crate) fn written(
        invoice: Invoice,
        intended: Plan,
        mut plan: Plan,
        changes: Vec<Change>,
        moved: Option<Value>,
    ) -> Self {
        let mut issue = (!plan.changes_nothing()).then(|| overridden(&invoice, &plan));
        if let Some(moved) = moved {
            let moved = status_moved(&invoice, moved);
            match &mut issue {
                Some(issue) => {
                    issue.summary = format!("{} {}", issue.summary, moved.summary);
                    issue.evidence[MOVED] = moved.evidence[MOVED].clone();
                }
                None => issue = Some(moved),
            }
        }
        if let Some(issue) = issue {
            plan.issues.push(issue);
            plan.recheck = plan.recheck.sooner(HELD);
        }
        Self {
            invoice,
            intended,
            plan,
            changes,
            postponed: None,
        }
    }

    /// The outcome if the application's tables refused the write: nothing of this invoice is written, and an issue
    /// is raised.
    pub(crate) fn refused(invoice: Invoice, mut plan: Plan, problem: &Problem) -> Self {
        plan.issues.push(
            Issue::new(
                IssueKind::ApplyFailed,
                Severity::Critical,
                format!(
                    "Invoice {} could not be repaired, because the database rejected the change: {}. Correct the cause; the next sweep tries again.",
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
                (ATTEMPTED): attempted(&plan),
            })),
        );
        // Stripe's answer is stored, and every sweep tries again with it.
        plan.recheck = plan.recheck.sooner(HELD);
        let intended = Plan {
            payments: Vec::new(),
            invoice: None,
            ..plan.clone()
        };
        Self {
            invoice,
            intended,
            plan,
            changes: Vec::new(),
            postponed: None,
        }
    }

    /// The outcome if another session has locked the rows: no issue is raised, and a later run tries again.
    pub(crate) fn postponed(invoice: Invoice, mut plan: Plan, why: &str) -> Self {
        plan.payments.clear();
        plan.invoice = None;
        plan.recheck = Recheck::NextSweep;
        Self {
            postponed: Some(why.to_owned()),
            ..Self::untouched(invoice, plan)
        }
    }

    /// Requests another lookup, because an answer was too old to be applied.
    pub(crate) fn asked_again(mut self) -> Self {
        self.plan.recheck = Recheck::NextSweep;
        self.postponed
            .get_or_insert_with(|| "a newer state than in Stripe's answer is known".to_owned());
        self
    }

    /// Returns the sentence about the refusal, if the application's tables refused the write.
    fn refusal(&self) -> Option<&str> {
        let issues = &self.plan.issues;
        let issue = issues.iter().find(|i| i.kind == IssueKind::ApplyFailed)?;
        Some(issue.summary.as_str())
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refusal().is_some()
    }

    /// Returns why it has to be tried again; `None` if it is done.
    fn failure(&self) -> Option<&str> {
        let refused = || self.refusal();
        let unread = || self.plan.unread.as_deref();
        self.postponed.as_deref().or_else(refused).or_else(unread)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.failure().is_none()
    }

    /// Returns the verdict on the events that led to this invoice.
    pub(crate) fn verdict(&self) -> Verdict {
        if let Some(why) = self.failure() {
            return Verdict::Again(why.to_owned());
        }
        let what = describe(&self.intended);
        let label = self.invoice.label();
        Verdict::Applied(if what.is_empty() {
            format!("invoice {label}: nothing to do")
        } else {
            format!("invoice {label}: {what}")
        })
    }
}

/// Returns the issue about overridden changes. `plan` contains what would still have to be written.
pub(crate) fn overridden(invoice: &Invoice, plan: &Plan) -> Issue {
    Issue::new(
        IssueKind::OverriddenByTrigger,
        Severity::Warning,
        format!(
            "A trigger in your database changed the repair of invoice {}. Not applied: {}. Correct the trigger and repair the invoice again (repair_again), or accept the result (keep_as_is).",
            invoice.label(),
            describe(plan)
        ),
    )
    .with_evidence(json!({
        "wanted": wanted(plan),
        (ATTEMPTED): attempted(plan),
        "found": {
            "status": invoice.status_word,
            "amount_paid": invoice.amount_paid.value().map(|money| money.to_string()),
            "balance": invoice.balance.value().map(|money| money.to_string()),
        },
    }))
}

/// Returns the issue about a status that a trigger set when the repair was written.
pub(crate) fn status_moved(invoice: &Invoice, moved: Value) -> Issue {
    Issue::new(
        IssueKind::OverriddenByTrigger,
        Severity::Warning,
        format!(
            "When a payment of invoice {} was recorded, a trigger in your database changed the status from \"{}\" to \"{}\". Set the status that is right (set_status), or accept this one (keep_as_is).",
            invoice.label(),
            moved["from"].as_str().unwrap_or_default(),
            moved["to"].as_str().unwrap_or_default(),
        ),
    )
    .with_evidence(json!({ (MOVED): moved }))
}

/// Returns a plan's changes as JSON; equal changes give equal JSON, whenever they were decided.
pub(crate) fn wanted(plan: &Plan) -> Value {
    let payments: Vec<Value> = plan
        .payments
        .iter()
        .map(|change| match change {
            PaymentChange::Insert(new) => json!({
                "insert": new.ids.key(),
                "amount": new.amount.to_string(),
                "status": format!("{:?}", new.status),
            }),
            PaymentChange::Update(update) => {
                let mut wanted = json!({
                    "update": update.row,
                    "amount": update.amount.map(|money| money.to_string()),
                    "refunded": update.refunded.map(|money| money.to_string()),
                    "status": update.status.map(|status| format!("{status:?}")),
                });
                if !update.attributes.is_empty() {
                    wanted["values"] = json!(update.attributes);
                }
                wanted
            }
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

/// Describes the changes of a plan in words.
pub(crate) fn describe(plan: &Plan) -> String {
    described_changes(plan).join("; ")
}

/// Describes each change of a plan in words.
pub(crate) fn described_changes(plan: &Plan) -> Vec<String> {
    let mut parts: Vec<String> = plan.payments.iter().map(describe_payment).collect();
    if let Some(change) = &plan.invoice {
        parts.extend(change.status.map(|status| match status {
            InvoiceStatus::Paid => "invoice set to paid".to_owned(),
            InvoiceStatus::Partial => "invoice set to partially paid".to_owned(),
            InvoiceStatus::Open
            | InvoiceStatus::AfterPaid
            | InvoiceStatus::Closed
            | InvoiceStatus::Unknown => "invoice's status set".to_owned(),
        }));
        parts.extend(
            change
                .amount_paid
                .map(|money| format!("amount paid set to {money}")),
        );
        parts.extend(
            change
                .balance
                .map(|money| format!("balance set to {money}")),
        );
        parts.extend(change.paid_at.map(|_| "date of payment set".to_owned()));
    }
    parts
}

fn describe_payment(change: &PaymentChange) -> String {
    match change {
        PaymentChange::Insert(new) => format!(
            "payment {} of {} recorded",
            new.ids.key().unwrap_or_default(),
            new.amount
        ),
        PaymentChange::Update(update) => {
            let what = match update.status {
                Some(PaymentStatus::Paid) => "set to paid",
                Some(PaymentStatus::Refunded) => "set to refunded",
                Some(PaymentStatus::Disputed) => "set to disputed",
                None if update.only_fills() => "completed",
                Some(
                    PaymentStatus::Pending
                    | PaymentStatus::Failed
                    | PaymentStatus::PartlyRefunded
                    | PaymentStatus::Other,
                )
                | None => "corrected",
            };
            format!("payment {} {what}", update.ids.key().unwrap_or_default())
        }
    }
}
