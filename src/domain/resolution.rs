//! Decides whether an open issue ends: only a pass that looked at the facts it rests on resolves it.
//!
//! Each kind rests on some facts: the rows alone, what Stripe says of one payment, or
//! an attempt to write. A pass that did not look at those says nothing about the issue.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::identity::StripeId;
use super::invoice::Invoice;
use super::issue::IssueKind;
use super::plan::Plan;

/// An issue that is not resolved, as far as its end depends on it.
#[derive(Clone, Debug)]
pub(crate) struct OpenIssue {
    pub(crate) kind: IssueKind,
    pub(crate) object: Option<String>,
    pub(crate) evidence: Value,
    /// Whether this pass found it again and nobody had settled these facts.
    pub(crate) is_refreshed: bool,
}

/// What a pass says of an issue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Stays,
    Over,
    /// It stays, but for these payments of [`ATTEMPTED`] alone.
    StaysFor(Vec<Value>),
}

/// In the evidence of an issue about writing: the payments that could not be written,
/// each with all of its ids.
pub(crate) const ATTEMPTED: &str = "attempted";

/// Kinds that say of a payment what it is to its invoice, or what became of it. Where the
/// payment is not the invoice's any more, they are over once its money is told of by
/// somebody else.
pub(crate) const ABOUT_A_PAYMENT: [IssueKind; 9] = [
    IssueKind::AmountMismatch,
    IssueKind::CurrencyMismatch,
    IssueKind::PossibleDuplicate,
    IssueKind::LivemodeMismatch,
    IssueKind::UnknownStatus,
    IssueKind::Refunded,
    IssueKind::PartiallyRefunded,
    IssueKind::Disputed,
    IssueKind::UnlinkedPayment,
];

/// Kinds that keep money from the books: they do not end with their invoice.
pub(crate) const ABOUT_MONEY_NOT_BOOKED: [IssueKind; 3] = [
    IssueKind::CurrencyMismatch,
    IssueKind::PossibleDuplicate,
    IssueKind::UnlinkedPayment,
];

/// What the plan would write of payments, each with all of its ids.
pub(crate) fn attempted(plan: &Plan) -> Value {
    let payments = plan.payments.iter();
    payments
        .map(|change| change.ids().each().collect::<Value>())
        .collect()
}

/// What the pass that made `plan` of `invoice` says of one of its open issues.
pub(crate) fn ending(issue: &OpenIssue, invoice: &Invoice, plan: &Plan) -> Ending {
    let is_found = plan
        .issues
        .iter()
        .any(|found| found.kind == issue.kind && found.object == issue.object);
    let over = |is_over| if is_over { Ending::Over } else { Ending::Stays };
    if is_found {
        // Found, but with facts that somebody has settled: it is over.
        if !issue.is_refreshed {
            return Ending::Over;
        }
        return match issue.kind {
            IssueKind::ApplyFailed => narrowed(issue, plan, Ending::Stays),
            _ => Ending::Stays,
        };
    }
    if plan.undecided.contains(&issue.kind) || plan.unjudged.contains(&issue.kind) {
        return Ending::Stays;
    }
    let was_answered = |id: &str| plan.judged.contains(id) && !plan.unclear.contains(id);
    let object = issue.object.as_deref();
    match issue.kind {
        // The rows tell. What Stripe was not asked about is `undecided`.
        IssueKind::PaidWithoutPayment | IssueKind::Overpaid | IssueKind::DuplicatePayment => {
            Ending::Over
        }
        // The rows, or what Stripe says of the payment.
        IssueKind::AmountMismatch | IssueKind::CurrencyMismatch => {
            over(object.is_none_or(was_answered))
        }
        IssueKind::PossibleDuplicate
        | IssueKind::LivemodeMismatch
        | IssueKind::UnknownStatus
        | IssueKind::Refunded
        | IssueKind::PartiallyRefunded
        | IssueKind::Disputed
        | IssueKind::UnlinkedPayment => over(object.is_some_and(was_answered)),
        // What is no id of Stripe's is asked about by nobody: it is in the invoice or not.
        IssueKind::StripeObjectMissing => over(object.is_some_and(|id| {
            let is_stored = || invoice.stored_ids.iter().any(|own| own.trim() == id.trim());
            was_answered(id) || StripeId::parse(id).is_none() && !is_stored()
        })),
        IssueKind::ApplyFailed | IssueKind::OverriddenByTrigger => {
            let left = left_of(issue, plan);
            if left.is_empty() && attempts(issue).is_empty() {
                return over(!plan.unwritten.invoice);
            }
            if left.is_empty() {
                return Ending::Over;
            }
            narrowed(issue, plan, Ending::Stays)
        }
        IssueKind::RepairUndone => over(is_made_again(issue, plan, was_answered)),
        // They are about no invoice.
        IssueKind::StripeUnreachable
        | IssueKind::Misconfigured
        | IssueKind::WebhooksFailing
        | IssueKind::EventFailing => Ending::Stays,
    }
}

/// The undone repair stands in the books, whoever put it there. That nothing would be
/// written now is not enough: what keeps it away may go, and what was undone is never
/// done again without a person's word.
fn is_made_again(issue: &OpenIssue, plan: &Plan, was_answered: impl Fn(&str) -> bool) -> bool {
    let payments = lists(&issue.evidence, "stripe_payments");
    if payments.is_empty() {
        return !plan.unwritten.invoice;
    }
    payments.iter().all(|ids| {
        let any = |test: &dyn Fn(&str) -> bool| ids.iter().any(|id| test(id));
        any(&was_answered)
            && any(&|id| plan.booked.contains(id))
            && !any(&|id| plan.unwritten.payments.contains(id))
    })
}

/// The payments that an issue about writing still stands for: those that this pass
/// does not know of, and those that it wanted to write and did not.
fn left_of(issue: &OpenIssue, plan: &Plan) -> Vec<Vec<String>> {
    let mut attempts = attempts(issue);
    attempts.retain(|ids| {
        let any = |set: &BTreeSet<String>| ids.iter().any(|id| set.contains(id));
        !any(&plan.judged) || any(&plan.unclear) || any(&plan.unwritten.payments)
    });
    attempts
}

fn narrowed(issue: &OpenIssue, plan: &Plan, otherwise: Ending) -> Ending {
    let left = left_of(issue, plan);
    if left.len() == attempts(issue).len() || issue.evidence.get(ATTEMPTED).is_none() {
        return otherwise;
    }
    Ending::StaysFor(left.into_iter().map(|ids| json!(ids)).collect())
}

fn attempts(issue: &OpenIssue) -> Vec<Vec<String>> {
    if issue.evidence.get(ATTEMPTED).is_some() {
        return lists(&issue.evidence, ATTEMPTED);
    }
    // Issues of 0.1.0 name what was to be inserted, and else a row of the host's.
    let wanted = issue.evidence.pointer("/wanted/payments");
    let wanted = wanted.and_then(Value::as_array).into_iter().flatten();
    let inserted = wanted.filter_map(|payment| payment.get("insert")?.as_str());
    inserted.map(|id| vec![id.to_owned()]).collect()
}

fn lists(evidence: &Value, name: &str) -> Vec<Vec<String>> {
    let lists = evidence.get(name).and_then(Value::as_array);
    lists
        .into_iter()
        .flatten()
        .map(|ids| {
            let ids = ids.as_array().into_iter().flatten();
            ids.filter_map(|id| id.as_str().map(str::to_owned))
                .collect()
        })
        .collect()
}

#[cfg(test)]
#[path = "tests/resolution.rs"]
mod tests;
