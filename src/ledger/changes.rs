//! A row for each change to a row of the host's.

use serde_json::{Map, Value, json};

use crate::pg::sql;

/// What one row was and what it became.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Quoted, with its schema.
    pub(crate) table: String,
    pub(crate) row: String,
    /// The changed columns, or the whole row that is gone; `None` for a new row.
    pub(crate) before: Option<Value>,
    /// The changed columns, or the whole new row; null for a row that is gone.
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

    /// A row that is not there any more.
    pub(crate) fn deleted(table: &str, row: &str, before: &Value) -> Self {
        Self {
            table: table.to_owned(),
            row: row.to_owned(),
            before: Some(before.clone()),
            after: Value::Null,
        }
    }

    fn action(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "insert",
            (Some(_), Value::Null) => "delete",
            (Some(_), _) => "update",
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

/// The changes of one invoice.
pub(crate) struct Entry<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) changes: &'a [Change],
    /// What Stripe said, or what a person decided.
    pub(crate) evidence: Value,
}

/// Writes changes down.
pub(crate) fn record(run: i64, entries: &[Entry]) {
    let changes = entries.iter().flat_map(|entry| {
        let evidence = entry.evidence.to_string();
        let of_entry = move |change: &Change| {
            [
                Some(entry.invoice.to_owned()),
                Some(change.table.clone()),
                Some(change.row.clone()),
                Some(change.action().to_owned()),
                change.before.as_ref().map(Value::to_string),
                Some(&change.after)
                    .filter(|after| !after.is_null())
                    .map(Value::to_string),
                Some(evidence.clone()),
            ]
        };
        entry.changes.iter().map(of_entry)
    });
    sql::execute_rows(
        "insert into invoice_sync.change (
            run_id, invoice_id, table_name, row_id, action, before, after, evidence)
        select $1::bigint, c.invoice_id, c.table_name, c.row_id, c.action, c.before::jsonb,
               c.after::jsonb, c.evidence::jsonb
        from unnest($2, $3, $4, $5, $6, $7, $8)
            c (invoice_id, table_name, row_id, action, before, after, evidence)",
        &run.to_string(),
        changes,
    );
}
