//! After every step: each change of the machine's stands in the ledger, which makes what is there
//! of what was there; and the machine lowers nothing, and touches nothing of the application's.

use std::collections::BTreeMap;

use postgres::Client;
use serde_json::{Map, Value};

use super::world::World;
use crate::harness::tell;

type Rows = BTreeMap<(String, String), Value>;

/// The host's rows as they were after the last step.
#[derive(Default)]
pub struct Mirror {
    rows: Rows,
    last_change: i64,
}

impl Mirror {
    pub fn read(db: &mut Client) -> Self {
        let last = db.query_one(
            "select coalesce(max(id), 0) from invoice_sync.full_change",
            &[],
        );
        Self {
            rows: rows(db),
            last_change: last.expect("the ledger is read").get(0),
        }
    }
}

fn rows(db: &mut Client) -> Rows {
    let query = "select 'public.invoices', id::text, to_jsonb(t) from invoices t
        union all select 'public.payments', id::text, to_jsonb(t) from payments t";
    let rows = db
        .query(query, &[])
        .unwrap_or_else(|error| panic!("{}", tell(&error)));
    rows.iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}

/// Who wrote while a step was played.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Application,
    Machine,
    /// The machine, on a person's behalf.
    Person,
    /// The application and the machine.
    Both,
}

struct Change {
    table: String,
    row: String,
    action: String,
    run: String,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl World<'_> {
    /// What is wrong with what was written since the last step.
    pub fn watch(&mut self, who: Who) -> Result<(), String> {
        let found = rows(&mut self.db);
        let changes = self.changes()?;
        if who == Who::Application && !changes.is_empty() {
            return Err("the ledger has changes of nobody's".to_owned());
        }
        let mut replayed = self.mirror.rows.clone();
        for change in &changes {
            self.judge(change, &replayed)?;
            apply(change, &mut replayed);
        }
        if matches!(who, Who::Machine | Who::Person) && replayed != found {
            return Err(format!(
                "the ledger does not tell of: {}",
                difference(&replayed, &found)
            ));
        }
        self.mirror.rows = found;
        Ok(())
    }

    fn changes(&mut self) -> Result<Vec<Change>, String> {
        let query = "select c.id, c.table_name, c.row_id, c.action, r.kind, c.before, c.after
            from invoice_sync.full_change c join invoice_sync.run r on r.id = c.run_id
            where c.id > $1 order by c.id";
        let rows = self
            .db
            .query(query, &[&self.mirror.last_change])
            .map_err(|error| tell(&error))?;
        if let Some(last) = rows.last() {
            self.mirror.last_change = last.get(0);
        }
        let object = |value: Option<Value>| match value {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        Ok(rows
            .iter()
            .map(|row| Change {
                table: row.get(1),
                row: row.get(2),
                action: row.get(3),
                run: row.get(4),
                before: object(row.get(5)),
                after: object(row.get(6)),
            })
            .collect())
    }

    /// What the machine may not write by itself.
    fn judge(&self, change: &Change, rows: &Rows) -> Result<(), String> {
        if matches!(&*change.run, "undo" | "resolve_issue") {
            return Ok(());
        }
        let row = rows.get(&(change.table.clone(), change.row.clone()));
        let complain = |what: &str| {
            Err(format!(
                "{what}: a {} wrote {} {}: {:?} became {:?}, of {}",
                change.run,
                change.table,
                change.row,
                change.before,
                change.after,
                row.map_or_else(String::new, Value::to_string)
            ))
        };
        if change.action == "delete" {
            return complain("the machine removed a row");
        }
        if change.table == "public.invoices" {
            if let (Some(before), Some(after)) = (
                number(change.before.get("amount_paid")),
                number(change.after.get("amount_paid")),
            ) && after < before
            {
                return complain("the machine lowered what is paid");
            }
            let rank = |columns: &Map<String, Value>| columns.get("invoice_status").map(rank);
            if let (Some(before), Some(after)) = (rank(&change.before), rank(&change.after))
                && after < before
            {
                return complain("the machine lowered a status");
            }
            let is_closed = row.is_some_and(|row| row["invoice_status"] == "Cancelled");
            if is_closed {
                return complain("the machine wrote to a closed invoice");
            }
            return Ok(());
        }
        let Some(row) = row.filter(|_| change.action == "update") else {
            return Ok(());
        };
        if row["stripe_session_id"].is_null() && row["stripe_payment_intent"].is_null() {
            return complain("the machine touched a row that was entered by hand");
        }
        if row["payment_status"] != "Pending" {
            let allowed = [
                "payment_status",
                "amount_refunded",
                "stripe_session_id",
                "stripe_payment_intent",
            ];
            let strange = change
                .after
                .keys()
                .find(|name| !allowed.contains(&&***name));
            if strange.is_some() {
                return complain("the machine rewrote a payment");
            }
        }
        Ok(())
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64)
}

fn rank(status: &Value) -> u8 {
    match status.as_str() {
        Some("Paid") => 2,
        Some("Partial") => 1,
        _ => 0,
    }
}

fn apply(change: &Change, rows: &mut Rows) {
    let key = (change.table.clone(), change.row.clone());
    if change.after.is_empty() {
        rows.remove(&key);
        return;
    }
    let row = rows.entry(key).or_insert_with(|| Value::Object(Map::new()));
    for (column, value) in &change.after {
        row[column] = value.clone();
    }
}

fn difference(wanted: &Rows, found: &Rows) -> String {
    let keys = wanted.keys().chain(found.keys());
    let key = keys
        .into_iter()
        .find(|key| wanted.get(key) != found.get(key))
        .expect("they differ");
    format!(
        "{key:?}: by the ledger {}, found {}",
        wanted.get(key).unwrap_or(&Value::Null),
        found.get(key).unwrap_or(&Value::Null)
    )
}
