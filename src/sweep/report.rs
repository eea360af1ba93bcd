//! What a run says in the end: to the ledger, and to its caller.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::apply::{Mode, Outcome};
use crate::domain::evidence::{Evidence, PaymentState, merge_payments};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::payment::PaymentStatus;
use crate::domain::plan::{PaymentChange, Plan};
use crate::ledger::issues::{self, Asked, Subject};
use crate::ledger::runs::{self, Kind, Totals};
use crate::ledger::{changes, checks, memory};
use crate::pg::Problem;

/// Whom an issue is about that concerns them all.
const NOBODY: Subject = Subject {
    invoice: None,
    number: None,
};

/// A run while it goes on.
pub(crate) struct Report {
    /// `None` in a dry run: nothing is written down.
    run: Option<i64>,
    totals: Totals,
    checked: BTreeSet<String>,
    fixed: Vec<Value>,
    /// What was found, for a dry run; else the ledger says what stands.
    issues: Vec<Value>,
    errors: Vec<Value>,
    problem: Option<Problem>,
}

impl Report {
    pub(crate) fn open(kind: Kind, mode: Mode) -> Self {
        Self {
            run: (mode == Mode::Write).then(|| runs::open(kind)),
            totals: Totals {
                success: true,
                ..Totals::default()
            },
            checked: BTreeSet::new(),
            fixed: Vec::new(),
            issues: Vec::new(),
            errors: Vec::new(),
            problem: None,
        }
    }

    pub(crate) fn count_requests(&mut self, requests: u64, retries: u64) {
        self.totals.stripe_requests += requests;
        self.totals.stripe_retries += retries;
    }

    /// Whether this run has treated the invoice already.
    pub(crate) fn has(&self, invoice: &str) -> bool {
        self.checked.contains(invoice)
    }

    /// A question that Stripe did not answer: about an invoice, or for events.
    pub(crate) fn note_stripe_error(&mut self, invoice: Option<&str>, error: &str) {
        self.totals.stripe_errors += 1;
        self.errors
            .push(json!({ "invoiceId": invoice, "error": error }));
    }

    /// Why not all of Stripe could be asked. Opens `stripe_unreachable`, where
    /// it is Stripe's doing.
    pub(crate) fn fail(&mut self, problem: Problem, issue: bool) {
        self.totals.success = false;
        if let Some(run) = self.run.filter(|_| issue) {
            let issue = Issue::new(
                IssueKind::StripeUnreachable,
                Severity::Critical,
                format!(
                    "Stripe could not be asked, so payments may be missing from the books: {}.",
                    problem.message()
                ),
            )
            .with_evidence(json!({
                "sqlstate": problem.sqlstate_text(),
                "message": problem.message(),
                "detail": problem.detail_text(),
            }));
            issues::raise(run, NOBODY, &issue);
        }
        self.problem = Some(problem);
    }

    /// An issue of no invoice in particular.
    pub(crate) fn add_general_issue(&mut self, issue: &Issue) {
        self.issues.push(json!({
            "invoiceId": null,
            "invoiceNumber": null,
            "kind": issue.kind.as_str(),
            "severity": issue.severity.as_str(),
            "object": issue.object,
            "issue": issue.summary,
        }));
        if let Some(run) = self.run {
            issues::raise(run, NOBODY, issue);
        }
    }

    /// What an issue of no invoice in particular said is over.
    pub(crate) fn resolve_general_issue(&self, kind: IssueKind) {
        if let Some(run) = self.run {
            issues::resolve_general(run, kind);
        }
    }

    /// Takes one invoice's outcome in. `evidence` is `None` where Stripe was
    /// not asked about it.
    pub(crate) fn add(&mut self, outcome: &Outcome, evidence: Option<&[Evidence]>) {
        self.checked.insert(outcome.invoice.id.clone());
        let invoice = &outcome.invoice;
        let entry = |details: Value| {
            let mut entry = json!({ "invoiceId": invoice.id, "invoiceNumber": invoice.number });
            if let (Some(entry), Value::Object(details)) = (entry.as_object_mut(), details) {
                entry.extend(details);
            }
            entry
        };
        let touched = match self.run {
            Some(_) => !outcome.changes.is_empty(),
            None => !outcome.intended.changes_nothing(),
        };
        if touched {
            let changes: Vec<Value> = outcome.changes.iter().map(|c| c.to_json()).collect();
            self.fixed.push(entry(json!({
                "action": describe(&outcome.intended),
                "changes": changes,
            })));
        }
        for issue in &outcome.plan.issues {
            self.issues.push(entry(json!({
                "kind": issue.kind.as_str(),
                "severity": issue.severity.as_str(),
                "object": issue.object,
                "issue": issue.summary,
            })));
        }
        if let Some(run) = self.run {
            write_down(run, outcome, evidence);
        }
    }

    /// Ends the run; the answer is the JSON that callers of the original know.
    pub(crate) fn close(mut self) -> Value {
        if let Some(run) = self.run {
            self.issues = issues::standing(run, &self.checked);
        }
        self.totals.invoices_checked = self.checked.len();
        self.totals.invoices_fixed = self.fixed.len();
        self.totals.issues_found = self.issues.len();
        self.totals.error = self.problem.as_ref().map_or(Value::Null, as_json);
        if let Some(run) = self.run {
            runs::close(run, &self.totals);
        }
        let totals = &self.totals;
        let mut message = format!(
            "Checked {} invoices. Fixed {} issues. Found {} remaining issues.",
            totals.invoices_checked, totals.invoices_fixed, totals.issues_found
        );
        if let Some(problem) = &self.problem {
            message = format!("{message} Not complete: {}.", problem.message());
        }
        json!({
            "success": totals.success,
            "dryRun": self.run.is_none(),
            "runId": self.run,
            "stats": {
                "invoicesChecked": totals.invoices_checked,
                "invoicesFixed": totals.invoices_fixed,
                "syncIssuesFound": totals.issues_found,
                "stripeErrors": totals.stripe_errors,
                "stripeRequests": totals.stripe_requests,
                "stripeRetries": totals.stripe_retries,
            },
            "fixed": totals.invoices_fixed,
            "issues": totals.issues_found,
            "details": { "fixed": self.fixed, "issues": self.issues, "stripeErrors": self.errors },
            "error": totals.error,
            "message": message,
        })
    }
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "sqlstate": problem.sqlstate_text(),
        "message": problem.message(),
        "detail": problem.detail_text(),
        "hint": problem.hint_text(),
    })
}

fn write_down(run: i64, outcome: &Outcome, evidence: Option<&[Evidence]>) {
    let invoice = &outcome.invoice;
    let subject = Subject {
        invoice: Some(&invoice.id),
        number: invoice.number.as_deref(),
    };
    let found = evidence.unwrap_or_default();
    changes::record(run, &invoice.id, &outcome.changes, &digest(found));
    for issue in &outcome.plan.issues {
        issues::raise(run, subject, issue);
    }
    let asked = match evidence {
        Some(_) => Asked::Yes,
        None => Asked::No,
    };
    issues::resolve_others(run, &invoice.id, &outcome.plan, &outcome.plan.issues, asked);
    if evidence.is_some() {
        memory::note(&invoice.id, found, &outcome.plan.learned);
        checks::note(&invoice.id, &invoice.stored_ids, outcome.plan.recheck);
    }
}

/// What Stripe said, as far as a change has to be explained by it.
fn digest(evidence: &[Evidence]) -> Value {
    let payments = merge_payments(evidence);
    let received = payments.iter().filter_map(|payment| match payment.state {
        PaymentState::Received(money) => Some(json!({
            "session": payment.ids.session,
            "payment_intent": payment.ids.intent,
            "charge": payment.ids.charge,
            "received": money.minor,
            "refunded": payment.refunded,
            "currency": money.currency.code(),
            "request_id": payment.request_id,
        })),
        _ => None,
    });
    json!({ "stripe": received.collect::<Vec<_>>() })
}

/// A plan in words: what it changes.
pub(crate) fn describe(plan: &Plan) -> String {
    let mut parts: Vec<String> = plan.payments.iter().map(describe_payment).collect();
    if let Some(change) = &plan.invoice {
        parts.extend(change.status.map(|status| match status {
            InvoiceStatus::Paid => "invoice set to paid".to_owned(),
            InvoiceStatus::Partial => "invoice set to paid in part".to_owned(),
            InvoiceStatus::Open | InvoiceStatus::Closed => "invoice's status set".to_owned(),
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
    parts.join("; ")
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
                Some(PaymentStatus::Pending | PaymentStatus::Other) | None => "corrected",
            };
            format!("payment {} {what}", update.ids.key().unwrap_or_default())
        }
    }
}
