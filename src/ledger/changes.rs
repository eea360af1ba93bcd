//! Changes to the application's rows (`invoice_sync.change`).

use serde_json::{Value, json};

use crate::pg::sql;

/// The change of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    pub(crate) row: String,
    /// The old values of the changed columns, or the whole deleted row, as a JSON object; `None` for a new row.
    pub(crate) before: Option<String>,
    /// The new values of the changed columns, or the whole new row; `None` for a deleted row.
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

    /// The columns of [`record`], in order.
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

    /// Returns the change for the result of `sweep` and `sync_invoice`.
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

/// Returns the columns as JSON, or as text if they are nested too deeply to be parsed.
fn as_value(columns: &str) -> Value {
    serde_json::from_str(columns).unwrap_or_else(|_| Value::from(columns))
}

/// The changes of one invoice.
pub(crate) struct Entry<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) changes: &'a [Change],
    /// Stripe's data, or a person's decision.
    pub(crate) evidence: Value,
}

/// Records changes.
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
