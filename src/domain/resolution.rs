//! Decides whether an open issue ends: only a pass that looked at the facts it rests on resolves it.
//!
//! Each kind depends on certain facts: the rows, Stripe's answer about a payment, or an attempt to write. A pass that
//! did not examine these facts does not resolve the issue.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::identity::StripeId;
use super::invoice::Invoice;
use super::issue::IssueKind;
use super::moved_status::{MOVED, is_still_moved};
use super::plan::Plan;

/// The parts of an open issue that determine whether it ends.
#[derive(Clone, Debug)]
pub(crate) struct OpenIssue {
    pub(crate) kind: IssueKind,
    pub(crate) object: Option<String>,
    pub(crate) evidence: Value,
    /// Whether this pass found it again with facts that no one has settled.
    pub(crate) is_refreshed: bool,
}

/// What a pass concludes about an open issue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Stays,
    Over,
    /// It stays, but only for these payments of [`ATTEMPTED`].
    StaysFor(Vec<Value>),
}

/// The key in an issue's evidence for the payments that could not be written, each with all of its ids.
pub(crate) const ATTEMPTED: &str = "attempted";

/// Kinds that state how a payment relates to its invoice, or what happened to it. If the invoice no longer refers
/// to the payment, they are resolved once another invoice, or an issue about the payment alone, covers its money.
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

/// Kinds that keep money from the books: they are not resolved when their invoice is deleted.
pub(crate) const ABOUT_MONEY_NOT_BOOKED: [IssueKind; 3] = [
    IssueKind::CurrencyMismatch,
    IssueKind::PossibleDuplicate,
    IssueKind::UnlinkedPayment,
];

/// Returns the payments that the plan would write, each with all of its ids.
pub(crate) fn attempted(plan: &Plan) -> Value {
    let payments = plan.payments.iter();
    payments
        .map(|change| change.ids().each().collect::<Value>())
        .collect()
}

/// Decides about one open issue of `invoice` after the pass that made `plan`.
pub(crate) fn ending(issue: &OpenIssue, invoice: &Invoice, plan: &Plan) -> Ending {
    let is_found = plan
        .issues
        .iter()
        .any(|found| found.kind == issue.kind && found.object == issue.object);
    let over = |is_over| if is_over { Ending::Over } else { Ending::Stays };
    if is_found {
        // It was found with facts that someone has settled: it ends.
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
        // Depends on the rows alone. If Stripe was not asked about an id, the kind is `undecided`.
        IssueKind::PaidWithoutPayment | IssueKind::Overpaid | IssueKind::DuplicatePayment => {
            Ending::Over
        }
        // Depends on the rows, or on Stripe's answer about the payment.
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
        // A text that is not a Stripe id is never looked up: the issue ends when the invoice no longer stores it.
        IssueKind::StripeObjectMissing => over(object.is_some_and(|id| {
            let is_stored = || invoice.stored_ids.iter().any(|own| own.trim() == id.trim());
            was_answered(id) || StripeId::parse(id).is_none() && !is_stored()
        })),
        IssueKind::ApplyFailed | IssueKind::OverriddenByTrigger => {
            if let Some(moved) = issue.evidence.get(MOVED) {
                if is_still_moved(moved, invoice) {
                    return Ending::Stays;
                }
                if issue.evidence.get("wanted").is_none() {
                    return Ending::Over;
                }
            }
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
        // These kinds are not about an invoice.
        IssueKind::StripeUnreachable
        | IssueKind::Misconfigured
        | IssueKind::WebhooksFailing
        | IssueKind::EventFailing => Ending::Stays,
    }
}

/// Returns whether the undone repair is in the books again, booked by this extension or by anyone else. That the plan
/// has no change now is not enough: the reason may be temporary, and an undone repair is never repeated without a
/// person's decision.
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

/// Returns the payments for which an issue about writing remains: those that this pass has no evidence for, and those
/// that it planned to write and did not.
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
    // Issues of version 0.1.0 list inserted payments, or else a row of the application.
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
