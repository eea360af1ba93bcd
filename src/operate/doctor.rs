//! Checks the installation: one row for each requirement, with a hint that fixes what fails.
//!
//! A line of a hint that begins with `$ ` is for a shell on the server; all others
//! are for psql.

mod history;
mod schedule;
mod secrets;
mod stripe;
mod tables;

use pgrx::spi::quote_identifier;
use serde_json::Value;

use crate::pg::{Problem, in_subtransaction_of_a_run, sql};

/// What one look found.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// The facts.
    pub(crate) detail: String,
    /// What to do about it; for what is fine, what may be done all the same.
    pub(crate) hint: Option<String>,
}

impl Check {
    fn good(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: true,
            detail: detail.into(),
            hint: None,
        }
    }

    fn bad(name: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: false,
            detail: detail.into(),
            hint: Some(hint.into()),
        }
    }

    /// Good or bad as `ok` says; the hint is for the bad.
    fn judged(name: &str, ok: bool, detail: impl Into<String>, hint: &str) -> Self {
        if ok {
            Self::good(name, detail)
        } else {
            Self::bad(name, detail, hint)
        }
    }

    /// What may be done although all is fine.
    fn advice(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One look, of which several checks may come.
type Look = fn() -> Result<Vec<Check>, Problem>;

/// In the order in which a new user comes upon them.
const LOOKS: [(&str, Look); 9] = [
    ("Stripe key", secrets::stripe_key),
    ("secrets in sight", secrets::in_sight),
    ("Stripe", stripe::look),
    ("settings", tables::look),
    ("schedule", schedule::look),
    ("sweeps", history::sweeps),
    ("webhooks", history::webhooks),
    ("alerts", history::alerts),
    ("time zone", history::time_zone),
];

/// Looks at everything. Never fails as a whole: a look that does is a bad check.
pub(crate) fn examine() -> Vec<Check> {
    let mut checks: Vec<Check> = LOOKS
        .into_iter()
        .flat_map(|(name, look)| {
            in_subtransaction_of_a_run(look).unwrap_or_else(|problem| vec![failed(name, &problem)])
        })
        .collect();
    let paths = secrets::paths_to_keep();
    for check in &mut checks {
        for text in std::iter::once(&mut check.detail).chain(&mut check.hint) {
            for (path, placeholder) in &paths {
                *text = text.replace(path, placeholder);
            }
        }
    }
    checks
}

/// A look that could not be taken.
fn failed(name: &str, problem: &Problem) -> Check {
    Check::bad(
        name,
        described(problem),
        "select * from invoice_sync.doctor() where not ok;",
    )
}

/// An error in one line.
fn described(problem: &Problem) -> String {
    match problem.detail_text() {
        Some(detail) => format!("{problem}. {detail}"),
        None => problem.to_string(),
    }
}

/// `alter database … set invoice_sync.… = '…'`: what the next session will find.
fn set_statement(setting: &str, value: &str) -> String {
    format!(
        "alter database {} set {setting} = {};\n\\connect -",
        database(),
        pgrx::spi::quote_literal(value)
    )
}

fn reset_statement(setting: &str) -> String {
    format!(
        "alter database {} reset {setting};\n\\connect -",
        database()
    )
}

/// The database's name, quoted.
fn database() -> String {
    quote_identifier(text("current_database()"))
}

/// `select {expression}` as text; empty where it is null.
fn text(expression: &str) -> String {
    let value = sql::fetch_one(&format!("select to_jsonb(({expression})::text)"), &[]);
    value
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
