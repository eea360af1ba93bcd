//! The types of a table's columns, for rows that are passed as JSON: SQL that means the same under any search path.
//!
//! The columns are listed instead of naming the table's row type, with which PostgreSQL would also check columns that are
//! not passed: a domain that is NOT NULL rejects every row without a value for it, even if the column has a default.

use std::collections::BTreeMap;

use super::catalog::{Column, Table};

/// By the name of the column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnTypes(BTreeMap<String, ColumnType>);

#[derive(Clone, Debug)]
struct ColumnType {
    quoted: String,
    /// With its schema and the declared length.
    own: String,
    /// The same, without the checks of a domain.
    unchecked: String,
    is_interval: bool,
}

impl ColumnTypes {
    pub(super) fn of(table: &Table) -> Self {
        let columns = table.columns.iter();
        Self(
            columns
                .map(|(name, column)| (name.clone(), ColumnType::of(column)))
                .collect(),
        )
    }

    pub(crate) fn contain(&self, column: &str) -> bool {
        self.0.contains_key(column)
    }

    /// Returns the type with its schema and the declared length.
    pub(super) fn own(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(|column| column.own.as_str())
    }

    pub(super) fn is_interval(&self, column: &str) -> bool {
        self.0.get(column).is_some_and(|column| column.is_interval)
    }

    /// Returns what FROM names to read the JSON objects in the first parameter, a text, as rows with these columns.
    pub(super) fn rows<'c>(
        &self,
        alias: &str,
        columns: impl IntoIterator<Item = &'c str>,
    ) -> String {
        let columns = columns.into_iter().filter_map(|name| self.0.get(name));
        let list = columns.map(|column| format!("{} {}", column.quoted, column.own));
        record_set(alias, list)
    }

    /// As [`Self::rows`], without the checks of domains.
    pub(super) fn unchecked_rows<'c>(
        &self,
        alias: &str,
        columns: impl IntoIterator<Item = &'c str>,
    ) -> String {
        let columns = columns.into_iter().filter_map(|name| self.0.get(name));
        let list = columns.map(|column| format!("{} {}", column.quoted, column.unchecked));
        record_set(alias, list)
    }

    /// As [`Self::unchecked_rows`], with all columns; those that an object lacks are null.
    pub(super) fn whole_rows(&self, alias: &str) -> String {
        self.unchecked_rows(alias, self.0.keys().map(String::as_str))
    }
}

impl ColumnType {
    fn of(column: &Column) -> Self {
        let own = format!("{}{}", column.cast_type, column.length);
        let is_domain = column.cast_type != column.base_type;
        let unchecked = if is_domain { &column.base_type } else { &own };
        Self {
            quoted: column.quoted.clone(),
            unchecked: unchecked.clone(),
            is_interval: column.base == "interval",
            own,
        }
    }
}

fn record_set(alias: &str, columns: impl Iterator<Item = String>) -> String {
    let list: Vec<String> = columns.collect();
    format!(
        "pg_catalog.jsonb_to_recordset($1::pg_catalog.jsonb) as {alias} ({})",
        list.join(", ")
    )
}
