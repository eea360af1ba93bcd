//! Which rows of a table count, by a condition in the settings.

use super::catalog::Table;
use super::expression;
use crate::pg::Problem;

/// The condition for rows that count, and what statements read.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// The quoted name, with its schema.
    table: String,
    /// The quoted name without a schema, by which the condition may qualify columns.
    alias: String,
    /// An SQL expression over the row's columns; `None` if all rows count.
    condition: Option<String>,
}

impl Counting {
    /// Checks the condition against the table. Fails with 22023 unless it is one SQL expression of type boolean over
    /// the table's columns, evaluated as the table's owner.
    pub(super) fn check(
        table: &Table,
        condition: Option<&str>,
        setting: &str,
    ) -> Result<Self, Problem> {
        if let Some(condition) = condition {
            expression::check_condition(table, condition, setting)?;
        }
        Ok(Self {
            table: table.name.clone(),
            alias: expression::alias(table),
            condition: condition.map(str::to_owned),
        })
    }

    pub(crate) fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    /// Returns what FROM names to read the rows that count. The condition is evaluated where only the table's columns
    /// are in scope, so that it means the same in every statement.
    pub(crate) fn rows(&self) -> String {
        self.rows_with("*")
    }

    /// As [`Self::rows`], with the system columns by which rows are scanned.
    pub(super) fn placed_rows(&self) -> String {
        self.rows_with("ctid, xmin, *")
    }

    fn rows_with(&self, columns: &str) -> String {
        match &self.condition {
            // The line break ends a comment of the condition's.
            Some(condition) => {
                let (table, alias) = (&self.table, &self.alias);
                format!("(select {columns} from {table} as {alias} where ({condition}\n))")
            }
            None => self.table.clone(),
        }
    }

    /// As [`Self::rows`], for the rows that do not count; `None` if all rows count.
    pub(super) fn other_rows(&self) -> Option<String> {
        let condition = self.condition.as_ref()?;
        let (table, alias) = (&self.table, &self.alias);
        Some(format!(
            "(select * from {table} as {alias} where ({condition}\n) is not true)"
        ))
    }

    /// Returns the condition that the row `alias` counts, for statements that read all rows.
    pub(super) fn counts(&self, alias: &str) -> String {
        match &self.condition {
            Some(condition) => {
                let own = &self.alias;
                format!("exists (select from (select {alias}.*) as {own} where ({condition}\n))")
            }
            None => "true".to_owned(),
        }
    }
}
