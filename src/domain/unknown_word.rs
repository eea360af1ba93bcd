//! The issue about a status word of invoices whose meaning is not known: one for the word, whatever invoices have it.

use serde_json::json;

use super::issue::{Issue, IssueKind, Severity};

/// The settings that give a status word of invoices a meaning.
pub(crate) const INVOICE_SETTINGS: [&str; 4] = [
    "invoice_open_words",
    "invoice_after_paid_words",
    "invoice_refunded_words",
    "invoice_closed_words",
];

/// Returns the issue about the word.
pub(crate) fn issue(word: &str) -> Issue {
    let [open, after_paid, refunded, closed] = INVOICE_SETTINGS;
    Issue::new(
        IssueKind::UnknownStatus,
        Severity::Warning,
        format!(
            "Payments are recorded for invoices with the status \"{word}\", which no setting gives a meaning; their status is left as it is. Add the word to one of the settings {open}, {after_paid}, {refunded} and {closed}."
        ),
    )
    .about(Some(word))
    .with_evidence(json!({ "word": word, "settings": INVOICE_SETTINGS }))
}
