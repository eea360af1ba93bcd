//! A row for each change to a row of the host's.

use serde_json::{Map, Value, json};

use crate::pg::sql;

/// What one row was and what it became.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Quoted, with its schema.
    pub(crate) table: String,
    pub(crate) row: String,
    /// The changed columns; `None` for a new row.
    pub(crate) before: Option<Value>,
    /// The changed columns, or the whole new row.
    pub(crate) after: Value,
}

impl Change {
    /// The difference between two readings of a row; `None` where there is none.
    pub(crate) fn between(table: &str, row: &str, before: &Value, after: &Value) -> Option<Self> {
        let empty = Map::new();
        let (old, new) = (
            before.as_object().unwrap_or(&empty),
            after.as_object().unwrap_or(&empty),
        );
        let changed = |name: &&String| old.get(*name) != new.get(*name);
        let pick = |row: &Map<String, Value>| -> Map<String, Value> {
            new.keys()
                .filter(changed)
                .map(|name| (name.clone(), row.get(name).cloned().unwrap_or_default()))
                .collect()
        };
        let after = pick(new);
        (!after.is_empty()).then(|| Self {
            table: table.to_owned(),
            row: row.to_owned(),
            before: Some(Value::Object(pick(old))),
            after: Value::Object(after),
        })
    }

    /// A row that was not there before.
    pub(crate) fn inserted(table: &str, row: &str, after: &Value) -> Self {
        Self {
            table: table.to_owned(),
            row: row.to_owned(),
            before: None,
            after: after.clone(),
        }
    }

    fn action(&self) -> &'static str {
        if self.before.is_some() {
            "update"
        } else {
            "insert"
        }
    }

    /// For the answer of `sweep` and `sync_invoice`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "table": self.table,
            "row": self.row,
            "action": self.action(),
            "before": self.before,
            "after": self.after,
        })
    }
}

/// Writes the changes of one invoice down.
pub(crate) fn record(run: i64, invoice: &str, changes: &[Change], evidence: &Value) {
    for change in changes {
        let before = change.before.as_ref().map(Value::to_string);
        sql::execute(
            "insert into invoice_sync.change (
                run_id, invoice_id, table_name, row_id, action, before, after, evidence)
            values ($1::bigint, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb)",
            &[
                Some(&run.to_string()),
                Some(invoice),
                Some(&change.table),
                Some(&change.row),
                Some(change.action()),
                before.as_deref(),
                Some(&change.after.to_string()),
                Some(&evidence.to_string()),
            ],
        );
    }
}
