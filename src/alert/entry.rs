//! One issue in an alert, and its text.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::html::visible;

/// In characters. The sentence of an issue may quote the message of the application's trigger.
const MAX_SENTENCE: usize = 600;

/// The amounts in an issue's evidence that are shown, with their labels.
const AMOUNTS: [(&str, &str); 9] = [
    ("total", "Total"),
    ("received", "Received"),
    ("received_less_gratuity", "Received without gratuity"),
    ("booked", "Booked"),
    ("stated", "Stated on the invoice"),
    ("recorded", "Recorded"),
    ("paid", "Paid"),
    ("excess", "Excess"),
    ("refunded", "Refunded"),
];

/// Why an issue is in an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Occasion {
    New,
    /// The issue is more severe than in the last alert, or its amounts changed.
    Changed,
    Reminder,
    Resolved,
}

/// How urgent an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Critical,
    Warning,
    Notice,
}

/// One issue in an alert.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) issue: i64,
    pub(super) occasion: Occasion,
    pub(super) severity: Severity,
    pub(super) kind: String,
    /// The invoice's id; `None` if the issue concerns all invoices.
    pub(super) invoice: Option<String>,
    /// The invoice number that people use.
    pub(super) number: Option<String>,
    pub(super) object: Option<String>,
    pub(super) summary: String,
    pub(super) evidence: Value,
    /// Formatted as `2026-11-23 14:05`, in the time zone of the settings.
    pub(super) since: String,
}

impl Severity {
    /// Formats a count, such as `2 warnings`.
    pub(super) fn counted(self, count: usize) -> String {
        match self {
            Self::Critical => format!("{count} critical"),
            Self::Warning => counted(count, "warning"),
            Self::Notice => counted(count, "notice"),
        }
    }
}

impl Entry {
    /// Returns the entry in the form that listeners of the channel get.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.issue,
            "occasion": self.occasion,
            "severity": self.severity,
            "kind": self.kind,
            "invoice_id": self.invoice,
            "invoice_number": self.number,
            "object": self.object,
            "summary": shortened(&self.summary, MAX_SENTENCE),
        })
    }

    /// Returns the entry without details, for a channel that any role may listen on.
    pub(super) fn to_bare_json(&self) -> Value {
        json!({
            "id": self.issue,
            "occasion": self.occasion,
            "severity": self.severity,
            "kind": self.kind,
        })
    }

    pub(super) fn title(&self) -> String {
        match self.number.as_ref().or(self.invoice.as_ref()) {
            Some(number) => format!("Invoice {}", visible(number)),
            None => "All invoices".to_owned(),
        }
    }

    pub(super) fn sentence(&self) -> String {
        shortened(&visible(&self.summary), MAX_SENTENCE)
    }

    /// Formats the amounts, such as `Total 100.00 USD, Received 120.00 USD`; empty if none is known.
    pub(super) fn amounts(&self) -> String {
        let known = AMOUNTS.iter().filter_map(|(key, name)| {
            let amount = self.evidence.get(key)?.as_str()?;
            Some(format!("{name} {}", visible(amount)))
        });
        known.collect::<Vec<_>>().join(", ")
    }
}

/// Formats a count, such as `1 issue` or `2 issues`.
pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Shortens `text` to at most `most` characters, the last of them an ellipsis if any were cut.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}
