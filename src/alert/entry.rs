//! One issue in an alert, and its text.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::html::visible;

/// In characters. An issue's sentence may quote what a trigger of the host's said.
const MAX_SENTENCE: usize = 600;

/// What of an issue's evidence is an amount that a person wants to see.
const AMOUNTS: [(&str, &str); 9] = [
    ("total", "Total"),
    ("received", "Received"),
    ("received_less_gratuity", "Received less gratuity"),
    ("booked", "Booked"),
    ("stated", "Invoice says"),
    ("recorded", "Recorded"),
    ("paid", "Paid"),
    ("excess", "Too much"),
    ("refunded", "Refunded"),
];

/// Why an issue is in an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Occasion {
    New,
    /// It is worse than in the last alert, or about other sums.
    Changed,
    Reminder,
    Resolved,
}

/// How soon a person should look.
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
    /// The invoice's id; `None` where it concerns them all.
    pub(super) invoice: Option<String>,
    /// What people call the invoice.
    pub(super) number: Option<String>,
    pub(super) object: Option<String>,
    pub(super) summary: String,
    pub(super) evidence: Value,
    /// `2026-11-23 14:05`, in the settings' time zone.
    pub(super) since: String,
}

impl Severity {
    /// `2 warnings`.
    pub(super) fn counted(self, count: usize) -> String {
        match self {
            Self::Critical => format!("{count} critical"),
            Self::Warning => counted(count, "warning"),
            Self::Notice => counted(count, "notice"),
        }
    }
}

impl Entry {
    /// As the listeners of the channel get it.
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

    /// The same for a channel that strangers may listen on.
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

    /// `Total 100.00 USD, Received 120.00 USD`; empty where none is known.
    pub(super) fn amounts(&self) -> String {
        let known = AMOUNTS.iter().filter_map(|(key, name)| {
            let amount = self.evidence.get(key)?.as_str()?;
            Some(format!("{name} {}", visible(amount)))
        });
        known.collect::<Vec<_>>().join(", ")
    }
}

/// `1 issue`, `2 issues`.
pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// At most so many characters, the last of them an ellipsis where some are missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}
