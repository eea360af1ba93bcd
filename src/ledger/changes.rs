//! Changes to the application's rows (`invoice_sync.change`).

use serde_json::{Value, json};

use crate::pg::sql;

/// What one row was and what it became.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Quoted, with its schema.
    pub(crate) table: String,
    pub(crate) row: String,
    /// The changed columns, or the whole row that is gone, as a JSON object; `None` for
    /// a new row.
    pub(crate) before: Option<String>,
    /// The changed columns, or the whole new row; `None` for a row that is gone.
    pub(crate) after: Option<String>,
}

impl Change {
    fn action(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "insert",
            (Some(_), None) => "delete",
            (Some(_), Some(_)) => "update",
        }
    }

    /// By the order of the columns in [`record`].
    fn as_row<'a>(&'a self, invoice: &'a str, evidence: &'a str) -> [Option<&'a str>; 7] {
        [
            Some(invoice),
            Some(&self.table),
            Some(&self.row),
            Some(self.action()),
            self.before.as_deref(),
            self.after.as_deref(),
            Some(evidence),
        ]
    }

    /// For the answer of `sweep` and `sync_invoice`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "table": self.table,
            "row": self.row,
            "action": self.action(),
            "before": self.before.as_deref().map(as_value),
            "after": self.after.as_deref().map(as_value),
        })
    }
}

/// What is nested deeper than can be read becomes a text.
fn as_value(columns: &str) -> Value {
    serde_json::from_str(columns).unwrap_or_else(|_| Value::from(columns))
}

/// The changes of one invoice.
pub(crate) struct Entry<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) changes: &'a [Change],
    /// What Stripe said, or what a person decided.
    pub(crate) evidence: Value,
}

/// Writes changes down.
pub(crate) fn record(run: i64, entries: &[Entry]) {
    let evidence: Vec<String> = entries.iter().map(|it| it.evidence.to_string()).collect();
    let changes = entries.iter().zip(&evidence).flat_map(|(entry, evidence)| {
        let changes = entry.changes.iter();
        changes.map(|change| change.as_row(entry.invoice, evidence))
    });
    sql::execute_rows(
        "insert into invoice_sync.change (
            run_id, invoice_id, table_name, row_id, action, before, after, evidence)
        select $1::bigint, c.invoice_id, c.table_name, c.row_id, c.action, c.before::jsonb,
               c.after::jsonb, c.evidence::jsonb
        from unnest($2, $3, $4, $5, $6, $7, $8)
            c (invoice_id, table_name, row_id, action, before, after, evidence)",
        &[&run.to_string()],
        changes,
    );
}
