//! Columns with their new values, and the statements that write them.
//!
//! Values are passed as JSON, and PostgreSQL reads them as the types of the columns. The statements run with the
//! application's search path, so that they name the schema of every function, type and operator.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::further::Further;
use super::host_table::HostTable;
use super::mapping::{Mapped, Mapping};
use super::moment::{moment, now};
use super::owner::as_owner;
use super::read::Reading;
use super::row_key::RowKey;
use super::status::Status;
use crate::pg::{Problem, sql};

/// Columns and their new values.
#[derive(Default)]
pub(super) struct Assignments<'a> {
    /// The columns that are written.
    columns: Vec<&'a str>,
    /// The values of these columns, and those of the columns by which the row is found.
    values: Vec<(&'a str, Value)>,
}

impl<'a> Assignments<'a> {
    /// A column that is set already stays so: a time of payment may be the status, too.
    pub(super) fn set(&mut self, column: &'a str, value: Value) {
        if !self.columns.contains(&column) {
            self.columns.push(column);
            self.values.push((column, value));
        }
    }

    /// Sets the status to a word. `at` is when it became so, in seconds since 1970.
    pub(super) fn set_status(
        &mut self,
        mapping: &Mapping,
        status: Option<&'a Status>,
        word: Option<&str>,
        at: Option<i64>,
    ) -> Result<(), Problem> {
        let status = status.filter(|status| !status.column.is_computed);
        if let (Some(status), Some(word)) = (status, word) {
            let at = || moment(mapping, &status.column, at.unwrap_or_else(now));
            self.set(&status.column.name, status.value(word, at)?);
        }
        Ok(())
    }

    pub(super) fn set_all(&mut self, values: Vec<(&'a str, Value)>) {
        for (column, value) in values {
            self.set(column, value);
        }
    }

    /// Adds the further columns of a row that is updated.
    pub(super) fn set_with_update(
        &mut self,
        further: &'a Further,
        reading: &Reading,
        key: &RowKey,
    ) {
        let written = self.values.iter();
        let written = written.map(|(column, value)| ((*column).to_owned(), value.clone()));
        let values = further.values_of_update(&reading.invoice_row, key, written.collect());
        self.set_all(values);
    }

    pub(super) fn set_mapped(&mut self, column: Option<&'a Mapped>, value: Option<Value>) {
        if let (Some(column), Some(value)) = (column.filter(|it| !it.is_computed), value) {
            self.set(&column.name, value);
        }
    }

    /// Returns whether nothing is written.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    pub(super) fn values(&self) -> &[(&'a str, Value)] {
        &self.values
    }

    /// Adds a value by which the row is found and which is not written.
    pub(super) fn find(&mut self, column: &'a Mapped, value: &str) {
        self.values.push((&column.name, Value::from(value)));
    }
}

/// Serializes the values as a JSON object.
impl Serialize for Assignments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(column, value)| (column, value)))
    }
}

/// Rows that write the same columns, so that they are one statement.
pub(super) struct Alike<'a> {
    columns: Vec<&'a str>,
    /// A JSON array, for the first parameter.
    pub(super) rows: String,
}

/// Groups rows by the columns that they write.
pub(super) fn by_columns(rows: Vec<Assignments>) -> Result<Vec<Alike>, Problem> {
    let mut sets: BTreeMap<Vec<&str>, Vec<Assignments>> = BTreeMap::new();
    for row in rows {
        sets.entry(row.columns.clone()).or_default().push(row);
    }
    sets.into_iter()
        .map(|(columns, rows)| {
            let rows = serde_json::to_string(&rows).map_err(|error| {
                Problem::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string())
            })?;
            Ok(Alike { columns, rows })
        })
        .collect()
}

impl Alike<'_> {
    /// Returns the statement that inserts the rows.
    pub(super) fn insertion(&self, host_table: HostTable, mapping: &Mapping) -> String {
        let columns = self.columns.iter();
        let list: Vec<String> = columns.map(pgrx::spi::quote_identifier).collect();
        format!(
            "insert into {table} ({list}) select {list} from {rows}",
            table = host_table.name(mapping),
            list = list.join(", "),
            rows = host_table
                .types(mapping)
                .rows("new", self.columns.iter().copied()),
        )
    }
}

/// Updates rows, each found by its key.
pub(super) fn update_rows(
    mapping: &Mapping,
    host_table: HostTable,
    mut rows: Vec<Assignments>,
) -> Result<(), Problem> {
    rows.retain(|row| !row.is_empty());
    let table = host_table.name(mapping);
    let key = host_table.key_columns(mapping);
    let is_same = key
        .iter()
        .map(|column| column.is(&format!("new.{}", column.quoted)))
        .collect::<Vec<_>>()
        .join(" and ");
    // A set is taken for a hundred rows, and a small table is joined with it as a whole.
    let limit = if rows.len() == 1 { "limit 1" } else { "" };
    for alike in by_columns(rows)? {
        let list = alike
            .columns
            .iter()
            .map(|column| {
                let column = pgrx::spi::quote_identifier(column);
                format!("{column} = new.{column}")
            })
            .collect::<Vec<_>>()
            .join(", ");
        let found_by = key.iter().map(|column| column.name.as_str());
        let passed = alike.columns.iter().copied().chain(found_by);
        let statement = format!(
            "update {table} t set {list} from (select * from {new} {limit}) new where {is_same}",
            new = host_table.types(mapping).rows("passed", passed),
        );
        as_owner(&mapping.search_path, host_table.relation(mapping), || {
            sql::write(&statement, &[Some(&alike.rows)]);
        });
    }
    Ok(())
}
