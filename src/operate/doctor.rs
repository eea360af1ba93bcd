//! Checks the installation: one row for each requirement, with a hint that fixes what fails.
//!
//! A line of a hint that begins with `$ ` is for a shell on the server; all others are for psql.

mod accounts;
mod history;
mod own_payments;
mod schedule;
mod secrets;
mod stripe;
mod tables;

use pgrx::spi::quote_identifier;
use serde_json::Value;

use crate::pg::{Problem, in_subtransaction_of_a_run, sql};

/// The result of one check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// What was checked.
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// The facts.
    pub(crate) detail: String,
    /// What to do about it; if `ok`, an optional improvement.
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

    /// Returns a good or bad check according to `ok`; the hint is for a bad one.
    fn judged(name: &str, ok: bool, detail: impl Into<String>, hint: &str) -> Self {
        if ok {
            Self::good(name, detail)
        } else {
            Self::bad(name, detail, hint)
        }
    }

    /// Adds an optional improvement to a good check.
    fn advice(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A function that runs one or more checks.
type CheckGroup = fn() -> Result<Vec<Check>, Problem>;

/// In the order in which a new user needs them.
const GROUPS: [(&str, CheckGroup); 10] = [
    ("Stripe key", secrets::stripe_key),
    ("secrets in sight", secrets::visible_literals),
    ("Stripe", stripe::checks),
    ("settings", tables::checks),
    ("accounts", accounts::checks),
    ("schedule", schedule::checks),
    ("sweeps", history::sweeps),
    ("webhooks", history::webhooks),
    ("alerts", history::alerts),
    ("time zone", history::time_zone),
];

/// Runs all checks. Never fails: a check that raises an error becomes a bad check.
pub(crate) fn examine() -> Vec<Check> {
    let mut checks: Vec<Check> = GROUPS
        .into_iter()
        .flat_map(|(name, group)| {
            in_subtransaction_of_a_run(group).unwrap_or_else(|problem| vec![failed(name, &problem)])
        })
        .collect();
    let paths = secrets::hidden_paths();
    for check in &mut checks {
        for text in std::iter::once(&mut check.detail).chain(&mut check.hint) {
            for (path, placeholder) in &paths {
                *text = text.replace(path, placeholder);
            }
        }
    }
    checks
}

/// Returns the bad check for an error.
fn failed(name: &str, problem: &Problem) -> Check {
    Check::bad(
        name,
        described(problem),
        "select * from invoice_sync.doctor() where not ok;",
    )
}

/// Returns an error as one line.
fn described(problem: &Problem) -> String {
    match problem.detail_text() {
        Some(detail) => format!("{problem}. {detail}"),
        None => problem.to_string(),
    }
}

/// Returns `alter database … set invoice_sync.… = '…'`, which takes effect in the next session.
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

/// Returns the database's name, quoted.
fn database() -> String {
    quote_identifier(text("current_database()"))
}

/// Returns `select {expression}` as text; empty if it is null.
fn text(expression: &str) -> String {
    let value = sql::fetch_one(&format!("select to_jsonb(({expression})::text)"), &[]);
    value
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
