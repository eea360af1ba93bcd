//! What a change did to a row, compared with the row as it is now.

use serde_json::{Map, Value};

use crate::host::host_table::HostTable;
use crate::host::mapping::Mapping;
use crate::host::recorded::{as_written_here, values_of_older_rows};
use crate::ledger::undone::{self, Recorded};

/// A change with its values as this session writes them, without columns that the table no longer has.
pub(super) struct Difference<'a> {
    mapping: &'a Mapping,
    table: HostTable,
    change: &'a Recorded,
    pub(super) before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
}

impl<'a> Difference<'a> {
    /// Fails with the reason if a column that the table no longer has may be one that is written, under another name.
    pub(super) fn of(
        mapping: &'a Mapping,
        table: HostTable,
        change: &'a Recorded,
    ) -> Result<Self, String> {
        let rows = [&change.before, &change.after].map(|row| row.as_ref().map(object));
        let types = table.types(mapping);
        for row in rows.iter().flatten() {
            let Some(gone) = row.keys().find(|column| !types.contain(column)) else {
                continue;
            };
            let written = table.written(mapping);
            if !written.iter().all(|column| row.contains_key(&column.name)) {
                return Err(format!(
                    "the column {gone}, which was changed, does not exist any more"
                ));
            }
        }
        let [before, after] = written_here(mapping, table, rows);
        Ok(Self {
            mapping,
            table,
            change,
            before,
            after,
        })
    }

    /// Returns why the row differs from what the change left, if it does, but for columns that only this extension has
    /// written since.
    pub(super) fn changed_since(&self, now: Option<&Value>) -> Option<String> {
        let (after, now) = match (&self.after, now) {
            (None, None) => return None,
            (None, Some(_)) => return Some("it was deleted, and exists again".to_owned()),
            (Some(_), None) => return Some("it no longer exists".to_owned()),
            (Some(after), Some(now)) => (after, now),
        };
        let column = after.keys().find(|column| {
            after.get(column.as_str()) != now.get(column.as_str())
                && (self.table.uses(self.mapping, column) || !self.is_own_stamp(column, now))
        });
        // Of a new row, the whole was recorded.
        let column = match &self.before {
            None => column.or_else(|| self.filled_since(after, now)),
            Some(_) => column,
        }?;
        let show = |value: Option<&Value>| value.map_or("missing".to_owned(), Value::to_string);
        Some(format!(
            "it was changed since: {column} is {}, and was {}",
            show(now.get(column.as_str())),
            show(after.get(column.as_str()))
        ))
    }

    /// Returns a column that the table did not have then, if the row has another value in it than the one with which it
    /// was added.
    fn filled_since<'r>(&self, after: &Map<String, Value>, now: &'r Value) -> Option<&'r String> {
        let now = now.as_object()?;
        let mut added = now
            .iter()
            .filter(|(column, _)| !after.contains_key(*column));
        let mut filled = added.clone().filter(|(_, value)| !value.is_null());
        filled.next()?;
        let names: Vec<&str> = added.clone().map(|(column, _)| column.as_str()).collect();
        let usual = values_of_older_rows(self.mapping, self.table, &names);
        let is_usual = |column: &str, value: &Value| match usual.get(column) {
            Some(Value::Array(usual)) => value.is_null() || usual.contains(value),
            Some(_) => true,
            None => value.is_null(),
        };
        let changed = added.find(|(column, value)| !is_usual(column, value));
        changed.map(|(column, _)| column)
    }

    /// Returns whether only this extension has written the column since: an undo of a later run, after which a trigger
    /// stamped the row. Each change began with what the one before it had left.
    fn is_own_stamp(&self, column: &str, now: &Value) -> bool {
        let mut left = self.after.as_ref().and_then(|row| row.get(column)).cloned();
        for later in undone::later_changes(self.change) {
            let rows = [&later.before, &later.after].map(|row| {
                let value = row.as_ref()?.get(column)?.clone();
                Some(Map::from_iter([(column.to_owned(), value)]))
            });
            let rows = written_here(self.mapping, self.table, rows);
            let [before, after] = rows.map(|row| row?.remove(column));
            if before.is_none() && after.is_none() {
                continue;
            }
            if before != left {
                return false;
            }
            left = after;
        }
        left.as_ref() == now.get(column)
    }
}

/// Returns the rows that there are, as [`as_written_here`] does.
fn written_here(
    mapping: &Mapping,
    table: HostTable,
    rows: [Option<Map<String, Value>>; 2],
) -> [Option<Map<String, Value>>; 2] {
    let there_are = rows.each_ref().map(Option::is_some);
    let all = rows.into_iter().flatten().collect();
    let mut written = as_written_here(mapping, table, all).into_iter();
    there_are.map(|is_there| is_there.then(|| written.next()).flatten())
}

pub(super) fn object(row: &Value) -> Map<String, Value> {
    row.as_object().cloned().unwrap_or_default()
}
