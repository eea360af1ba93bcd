//! The layout of a mail, as HTML (tables and inline styles, nothing to fetch) and as plain text.

use super::entry::{Entry, Occasion, Severity};
use super::html::{Html, visible};
use super::settings::AlertSettings;

/// The content of a mail, for both of its forms.
pub(super) struct Page<'a> {
    pub(super) headline: &'a str,
    /// Each group has one occasion and one severity; none is empty.
    pub(super) groups: Vec<&'a [Entry]>,
    pub(super) left_out: usize,
    pub(super) settings: &'a AlertSettings,
    pub(super) database: &'a str,
}

/// Colours for mail programs with a dark mode. Others use the inline styles.
const STYLE: &str = "<style>
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background-color: #14171c !important; }
  .card, .foot { background-color: #1e232b !important; border-color: #39414d !important; }
  .ink { color: #eef1f5 !important; }
  .pale { color: #a8b2c0 !important; }
  .link { color: #8ab8ff !important; }
}
</style>";

const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";

impl Page<'_> {
    pub(super) fn html(&self) -> Html {
        let groups = self.groups.iter().map(|group| self.group(group));
        Html::new()
            .markup("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">")
            .markup("<meta name=\"viewport\" content=\"width=device-width\">")
            .markup("<meta name=\"color-scheme\" content=\"light dark\">")
            .markup("<meta name=\"supported-color-schemes\" content=\"light dark\"><title>")
            .text(self.headline)
            .markup("</title>")
            .markup(STYLE)
            .markup("</head><body class=\"page\" style=\"margin:0;padding:0;background-color:#f3f5f8;\">")
            .markup("<div style=\"display:none;max-height:0;overflow:hidden;\">")
            .text(&self.preheader())
            .markup("</div>")
            .markup("<table role=\"presentation\" class=\"page\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"background-color:#f3f5f8;\"><tr><td align=\"center\" style=\"padding:24px 12px;\">")
            .markup("<table role=\"presentation\" width=\"600\" cellpadding=\"0\" cellspacing=\"0\" style=\"width:100%;max-width:600px;")
            .markup(FONT)
            .markup("\"><tr><td class=\"ink\" style=\"padding:0 4px 4px;font-size:20px;line-height:28px;font-weight:600;color:#1a202c;\">")
            .text(self.headline)
            .markup("</td></tr><tr><td class=\"pale\" style=\"padding:0 4px 12px;font-size:14px;line-height:20px;color:#5b6675;\">Database ")
            .text(self.database)
            .markup("</td></tr>")
            .all(groups)
            .all([self.left_out_html()])
            .markup("<tr><td class=\"pale\" style=\"padding:20px 4px 0;font-size:12px;line-height:18px;color:#5b6675;\">")
            .text(&self.footer())
            .markup("</td></tr></table></td></tr></table></body></html>")
    }

    /// Returns the text that mail programs show beside the subject.
    fn preheader(&self) -> String {
        match self.groups.first().and_then(|group| group.first()) {
            Some(entry) => entry.sentence(),
            None => String::new(),
        }
    }

    fn group(&self, group: &[Entry]) -> Html {
        Html::new()
            .markup("<tr><td style=\"padding:16px 4px 8px;font-size:13px;line-height:18px;font-weight:700;letter-spacing:.04em;text-transform:uppercase;")
            .markup(colour(group[0].severity))
            .markup("\">")
            .text(&group_title(group))
            .markup("</td></tr>")
            .all(group.iter().map(|entry| self.card(entry)))
    }

    fn card(&self, entry: &Entry) -> Html {
        let mut card = Html::new()
            .markup("<tr><td style=\"padding:0 0 8px;\"><table role=\"presentation\" class=\"card\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"background-color:#ffffff;border:1px solid #dde3ea;border-radius:6px;\"><tr><td style=\"padding:12px 16px;border-left:4px solid;border-radius:6px;")
            .markup(colour(entry.severity))
            .markup("\"><div class=\"ink\" style=\"font-size:16px;line-height:22px;font-weight:600;color:#1a202c;word-break:break-word;\">")
            .text(&entry.title())
            .markup("</div><div class=\"ink\" style=\"padding-top:4px;font-size:15px;line-height:22px;color:#1a202c;word-break:break-word;\">")
            .text(&entry.sentence())
            .markup("</div>");
        let amounts = entry.amounts();
        if !amounts.is_empty() {
            card = card
                .markup("<div class=\"ink\" style=\"padding-top:6px;font-size:14px;line-height:20px;color:#1a202c;\">")
                .text(&amounts)
                .markup("</div>");
        }
        card = card
            .markup("<div class=\"pale\" style=\"padding-top:6px;font-size:13px;line-height:18px;color:#5b6675;\">")
            .text(&self.since(entry));
        if let Some(link) = self.settings.link(entry.issue, entry.invoice.as_deref()) {
            card = card
                .markup(" &nbsp;<a class=\"link\" style=\"color:#1a56c4;\" href=\"")
                .text(&link)
                .markup("\">View issue</a>");
        }
        card.markup("</div></td></tr></table></td></tr>")
    }

    fn left_out_html(&self) -> Html {
        let html = Html::new();
        match self.left_out_text() {
            Some(words) => html
                .markup("<tr><td class=\"ink\" style=\"padding:8px 4px;font-size:15px;line-height:22px;color:#1a202c;\">")
                .text(&words)
                .markup("</td></tr>"),
            None => html,
        }
    }

    fn left_out_text(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "… and {} more: select * from invoice_sync.open_issues;",
                self.left_out
            )
        })
    }

    fn since(&self, entry: &Entry) -> String {
        format!(
            "Issue {}, {}, since {} {}",
            entry.issue,
            entry.kind.replace('_', " "),
            entry.since,
            self.settings.time_zone
        )
    }

    fn footer(&self) -> String {
        format!(
            "Sent by invoice_sync in the database \"{}\". Recipients, minimum severity and reminders are set in invoice_sync.settings (columns alert_…).",
            visible(self.database)
        )
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            self.headline.to_owned(),
            format!("Database {}", visible(self.database)),
        ];
        for group in &self.groups {
            lines.push(String::new());
            lines.push(group_title(group).to_uppercase());
            for entry in *group {
                lines.push(String::new());
                lines.push(format!("* {}", entry.title()));
                let amounts = Some(entry.amounts()).filter(|amounts| !amounts.is_empty());
                let link = self.settings.link(entry.issue, entry.invoice.as_deref());
                let below = [
                    Some(entry.sentence()),
                    amounts,
                    Some(self.since(entry)),
                    link,
                ];
                lines.extend(below.into_iter().flatten().map(|line| format!("  {line}")));
            }
        }
        if let Some(words) = self.left_out_text() {
            lines.extend([String::new(), words]);
        }
        // The line by which mail programs recognize a signature.
        lines.extend([
            String::new(),
            "-- ".to_owned(),
            self.footer(),
            String::new(),
        ]);
        lines.join("\n")
    }
}

/// Returns the title of a group, such as `Warnings, still open`.
fn group_title(group: &[Entry]) -> String {
    let severity = match group[0].severity {
        Severity::Critical => "Critical",
        Severity::Warning => "Warnings",
        Severity::Notice => "Notices",
    };
    match group[0].occasion {
        Occasion::New => severity.to_owned(),
        Occasion::Changed => format!("{severity}, changed"),
        Occasion::Reminder => format!("{severity}, still open"),
        Occasion::Resolved => format!("{severity}, resolved"),
    }
}

/// Returns the colour of a text, which a border beside it uses as `currentcolor`.
fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "color:#c62f36;",
        Severity::Warning => "color:#b4690e;",
        Severity::Notice => "color:#3f6fb5;",
    }
}
