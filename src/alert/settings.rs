//! The alert settings, from the row of `invoice_sync.settings`.

use serde::Deserialize;
use serde_json::Value;

use crate::host::settings::{Settings, invalid};
use crate::pg::Problem;

/// The most recipients that Resend accepts.
const MAX_RECIPIENTS: usize = 50;

/// In characters: Resend's limit for one address, including a name before it.
const MAX_ADDRESS: usize = 320;

/// How much the channel reveals: any role that can connect can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Notify {
    Full,
    Ids,
    Off,
}

/// The columns of the table that alerts use; see their comments (`\d+ invoice_sync.settings`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AlertSettings {
    pub(crate) alert_sender: Option<String>,
    pub(crate) alert_recipients: Vec<String>,
    pub(crate) alert_notify: Notify,
    admin_page_url: Option<String>,
    pub(crate) time_zone: String,
}

impl AlertSettings {
    pub(crate) fn load() -> Result<Self, Problem> {
        Self::from_json(Settings::load_row()?)
    }

    /// Reads a row that is stored or about to be. Fails with 22023 for an address that is not valid, or a URL that is
    /// not http or https.
    pub(crate) fn from_json(row: Value) -> Result<Self, Problem> {
        let settings: Self =
            serde_json::from_value(row).map_err(|error| invalid(format!("settings: {error}")))?;
        if let Some(sender) = &settings.alert_sender {
            check_address("alert_sender", sender)?;
        }
        for recipient in &settings.alert_recipients {
            check_address("alert_recipients", recipient)?;
        }
        if settings.alert_recipients.len() > MAX_RECIPIENTS {
            return Err(invalid(format!(
                "alert_recipients: more than {MAX_RECIPIENTS} addresses"
            )));
        }
        if let Some(url) = settings.admin_page_url.as_deref() {
            check_url(url)?;
        }
        Ok(settings)
    }

    /// Returns the URL that shows an issue. Returns `None` if there is no admin page, or if the page needs an invoice
    /// and the issue has none.
    pub(crate) fn link(&self, issue: i64, invoice: Option<&str>) -> Option<String> {
        let page = self.admin_page_url.as_deref()?;
        let id = issue.to_string();
        if page.contains("{invoice_id}") {
            // The invoice's id is filled in last, because users may choose ids that contain a placeholder.
            let invoice = percent_encoded(invoice?);
            return Some(
                page.replace("{issue_id}", &id)
                    .replace("{invoice_id}", &invoice),
            );
        }
        if page.contains("{issue_id}") {
            return Some(page.replace("{issue_id}", &id));
        }
        Some(match page.contains('#') {
            true => page.to_owned(),
            false => format!("{page}#issue-{id}"),
        })
    }
}

/// Accepts `books@example.com` or `Books <books@example.com>`. Catches typing errors only; whether the address exists
/// is not checked.
fn check_address(setting: &str, text: &str) -> Result<(), Problem> {
    let address = match text.strip_suffix('>').and_then(|rest| rest.split_once('<')) {
        Some((_name, address)) => address,
        None => text,
    };
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part
                .contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"'))
    };
    let is_address = address.split_once('@').is_some_and(|(local, domain)| {
        is_plain(local) && is_plain(domain) && !domain.contains('@')
    });
    if is_address && text.len() <= MAX_ADDRESS && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid(format!(
        "{setting}: \"{}\" is not an e-mail address",
        text.escape_debug()
    ))
    .hint("Write books@example.com or Books <books@example.com>."))
}

fn check_url(url: &str) -> Result<(), Problem> {
    let rest = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let is_url = rest.is_some_and(|rest| {
        !rest.starts_with(['/', '?', '#'])
            && !rest.is_empty()
            && rest
                .chars()
                .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\'))
    });
    if is_url {
        return Ok(());
    }
    Err(invalid(format!(
        "admin_page_url: \"{}\" is not a URL that begins with https:// or http://",
        url.escape_debug()
    ))
    .hint("Example: https://books.example.com/invoices/{invoice_id}"))
}

/// Encodes text for any part of a URL (RFC 3986, section 2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
#[path = "../../pgrx-tests/alert/settings.rs"]
mod tests;
