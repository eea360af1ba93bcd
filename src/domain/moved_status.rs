//! Status words that the application's triggers set when a repair was written.

use serde_json::{Value, json};

use super::invoice::{Invoice, InvoiceStatus};
use super::plan::Plan;

/// The key in an issue's evidence for a status that a trigger moved to another class.
pub(crate) const MOVED: &str = "moved";

/// The classes of an invoice's status during one repair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) before: InvoiceStatus,
    /// After the payments were written.
    pub(crate) with_payments: InvoiceStatus,
    /// What was written into the invoice, if anything.
    pub(crate) written: Option<InvoiceStatus>,
}

/// Returns the fact that triggers moved the status of an invoice against what its rows say: a cancelled invoice was
/// set to paid, or a paid one back to open. `before` and `after` are the invoice as it was and as it is now, and
/// `plan` is what was decided about it as it is now.
pub(crate) fn moved(
    before: &Invoice,
    after: &Invoice,
    course: Course,
    plan: &Plan,
) -> Option<Value> {
    if after.status == course.before {
        return None;
    }
    let wrote = course.written.unwrap_or(course.with_payments);
    let follows = |from, to| agrees_with_rows(from, to, after, plan);
    if follows(course.before, course.with_payments) && follows(wrote, after.status) {
        return None;
    }
    Some(json!({
        "from": before.status_word,
        "from_class": class(course.before),
        "to": after.status_word,
        "to_class": class(after.status),
    }))
}

/// Returns whether the status is still where the trigger has moved it, or has followed from there without anybody's
/// decision: what was set to paid is delivered.
pub(crate) fn is_still_moved(moved: &Value, invoice: &Invoice) -> bool {
    let now = class(invoice.status);
    let is = |key| moved.get(key).and_then(Value::as_str) == Some(now.as_str());
    let has_followed = invoice.status == InvoiceStatus::AfterPaid && !is("from_class");
    is("to_class") || has_followed
}

/// Returns whether a move is what the rows say, or is reported in another way.
fn agrees_with_rows(
    from: InvoiceStatus,
    to: InvoiceStatus,
    invoice: &Invoice,
    plan: &Plan,
) -> bool {
    use InvoiceStatus::{AfterPaid, Closed, Open, Paid, Partial, Unknown};
    let secured = plan.secured.map_or(0, |money| money.minor);
    let total = invoice.total.value().map(|money| money.minor);
    let is_covered = total.is_some_and(|total| secured >= total);
    match (from, to) {
        _ if from == to => true,
        (Closed | AfterPaid | Unknown, _) => false,
        // The issue about the word says so.
        (_, Unknown) => plan.unknown_word.is_some(),
        // If the rows do not cover the total, `amount_mismatch` says so.
        (_, Paid) | (Open, Partial) => true,
        (_, AfterPaid) => is_covered,
        (Paid, Open | Partial) => !is_covered,
        (Partial, Open) | (Paid, Closed) => secured <= 0,
        (Open | Partial, Closed) => false,
        (Open, Open) | (Partial, Partial) => true,
    }
}

fn class(status: InvoiceStatus) -> String {
    format!("{status:?}")
}

#[cfg(test)]
#[path = "tests/moved_status.rs"]
mod tests;
