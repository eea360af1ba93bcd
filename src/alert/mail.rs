//! The subject, HTML and plain text of an alert.

use super::entry::{Entry, Occasion, Severity, counted, shortened};
use super::html::visible;
use super::page::Page;
use super::settings::AlertSettings;

/// The most issues that a mail describes.
const MAX_IN_FULL: usize = 50;

/// In characters. Mail programs cut longer subjects.
const MAX_SUBJECT: usize = 160;

/// A mail without its addresses.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) subject: String,
    pub(super) html: String,
    pub(super) text: String,
}

/// Composes the mail. Its entries are listed in the given order; `database` is named in it.
pub(super) fn compose(entries: &[Entry], settings: &AlertSettings, database: &str) -> Mail {
    let headline = headline(entries);
    let shown = &entries[..entries.len().min(MAX_IN_FULL)];
    let page = Page {
        headline: &headline,
        groups: shown
            .chunk_by(|a, b| (a.occasion, a.severity) == (b.occasion, b.severity))
            .collect(),
        left_out: entries.len() - shown.len(),
        settings,
        database,
    };
    Mail {
        subject: shortened(&visible(&format!("{headline} ({database})")), MAX_SUBJECT),
        html: page.html().into_string(),
        text: page.text(),
    }
}

/// Summarizes the entries in one line, such as `3 new issues in your books: 1 critical, 2 warnings`.
fn headline(entries: &[Entry]) -> String {
    let count = |occasion| {
        entries
            .iter()
            .filter(|entry| entry.occasion == occasion)
            .count()
    };
    let (new, changed, open, resolved) = (
        count(Occasion::New),
        count(Occasion::Changed),
        count(Occasion::Reminder),
        count(Occasion::Resolved),
    );
    let mut parts = Vec::new();
    if new > 0 {
        parts.push(format!("{} in your books", counted(new, "new issue")));
    }
    if changed > 0 {
        parts.push(match new {
            0 => format!("{} changed in your books", counted(changed, "issue")),
            _ => format!("{changed} changed"),
        });
    }
    if open > 0 {
        parts.push(match new + changed {
            0 => format!(
                "Reminder: {} still open in your books",
                counted(open, "issue")
            ),
            _ => format!("{open} still open"),
        });
    }
    if resolved > 0 {
        parts.push(match new + changed + open {
            0 => format!("{} resolved in your books", counted(resolved, "issue")),
            _ => format!("{resolved} resolved"),
        });
    }
    let headline = parts.join(", ");
    let severities = [Severity::Critical, Severity::Warning, Severity::Notice];
    let by_severity: Vec<String> = severities
        .into_iter()
        .filter_map(|severity| {
            let is_open =
                |entry: &&Entry| entry.severity == severity && entry.occasion != Occasion::Resolved;
            let count = entries.iter().filter(is_open).count();
            (count > 0).then(|| severity.counted(count))
        })
        .collect();
    match by_severity.is_empty() {
        true => headline,
        false => format!("{headline}: {}", by_severity.join(", ")),
    }
}

#[cfg(test)]
#[path = "../../pgrx-tests/alert/mail.rs"]
mod tests;
