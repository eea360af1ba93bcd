//! Further columns of rows that are written, and the sources of their values.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::catalog::Table;
use super::expression;
use super::owner::reading_as;
use super::row::Row;
use super::settings::invalid;
use super::source::{Source, Sourced};
use crate::domain::evidence::is_late;
use crate::domain::payment::{Empty, PaymentStatus};
use crate::pg::{Problem, Relation, sql};

/// Returns what an empty column contains; `None` if it is not empty.
fn empty(value: &Value) -> Option<Empty> {
    match value {
        Value::Null => Some(Empty::Null),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(Empty::Zero),
        _ => None,
    }
}

/// The further columns that one setting names for one table.
#[derive(Clone, Debug)]
pub(crate) struct Further {
    relation: Relation,
    /// The quoted name, with its schema.
    table: String,
    /// The quoted name by which expressions may qualify columns.
    alias: String,
    columns: BTreeMap<String, Column>,
}

#[derive(Clone, Debug)]
struct Column {
    source: Source,
    /// The type, for use in a cast.
    type_name: String,
}

impl Further {
    /// Checks the columns and their sources against the tables. Fails with 42703 for a column that does not exist, and
    /// with 22023 for an SQL expression that the table's owner cannot evaluate.
    pub(super) fn check(
        sources: BTreeMap<String, Source>,
        table: &Table,
        invoices: &Table,
        setting: &str,
    ) -> Result<Self, Problem> {
        let mut columns = BTreeMap::new();
        for (name, source) in sources {
            let column = table.column(&name, setting)?;
            if column.is_computed && !table.relation().is_view() {
                return Err(invalid(format!(
                    "{setting}: column \"{name}\" is computed and cannot be written"
                )));
            }
            for needed in source.invoice_columns() {
                invoices.column(needed, setting)?;
            }
            for text in source.expressions() {
                expression::check_value(table, column, text, setting)?;
            }
            let type_name = column.type_name.clone();
            columns.insert(name, Column { source, type_name });
        }
        Ok(Self {
            relation: table.relation(),
            table: table.name.clone(),
            alias: expression::alias(table),
            columns,
        })
    }

    /// Fails with 22023 if a column has a setting of its own.
    pub(super) fn must_not_have<'n>(
        &self,
        mut own: impl Iterator<Item = &'n str>,
        setting: &str,
    ) -> Result<(), Problem> {
        match own.find(|own| self.contains(own)) {
            Some(own) => Err(invalid(format!(
                "{setting}: column \"{own}\" is mapped by a setting of its own"
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn contains(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Returns the paths into Stripe's objects that values come from.
    pub(super) fn stripe_paths(&self) -> impl Iterator<Item = String> {
        let sources = self.columns.values();
        sources.flat_map(|column| column.source.stripe_paths())
    }

    /// Returns the paths of the values of Stripe's objects whose columns this row leaves empty. Once it was received, only
    /// those count that Stripe may know later.
    pub(super) fn unfilled(&self, row: &Row, status: PaymentStatus) -> BTreeMap<String, Empty> {
        // Parsed once, and only if there are such columns.
        let row = LazyCell::new(|| row.columns());
        let mut unfilled = BTreeMap::new();
        for (name, column) in &self.columns {
            let mut paths = column.source.stripe_paths();
            paths.retain(|path| status.may_still_come() || is_late(path));
            if paths.is_empty() {
                continue;
            }
            if let Some(empty) = row.get(name).as_ref().and_then(empty) {
                unfilled.extend(paths.into_iter().map(|path| (path, empty)));
            }
        }
        unfilled
    }

    /// Returns the columns that this row leaves empty, with the values that come from these attributes.
    pub(super) fn filling(
        &self,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
        row: &Row,
    ) -> Vec<(&str, Value)> {
        let now = row.columns();
        let is_filled = |(name, column): &(&String, &Column)| {
            let mut paths = column.source.stripe_paths().into_iter();
            paths.any(|path| attributes.contains_key(&path))
                && now.get(name).as_ref().and_then(empty).is_some()
        };
        let columns = self.columns.iter().filter(is_filled);
        self.values_of(columns, invoice, attributes, |_| row.to_string())
    }

    /// Returns the columns with their values; without a value, a column is left out. `row` returns the row as JSON, as
    /// far as it is known; expressions are evaluated over it, as the table's owner.
    pub(super) fn values(
        &self,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
        row: impl FnOnce(&[(&str, Value)]) -> String,
    ) -> Vec<(&str, Value)> {
        self.values_of(self.columns.iter(), invoice, attributes, row)
    }

    fn values_of<'s>(
        &'s self,
        columns: impl Iterator<Item = (&'s String, &'s Column)>,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
        row: impl FnOnce(&[(&str, Value)]) -> String,
    ) -> Vec<(&'s str, Value)> {
        let mut values = Vec::new();
        let mut evaluated: Vec<(&str, &str, Sourced)> = Vec::new();
        for (name, column) in columns {
            let sourced = column.source.value(invoice, attributes);
            if !sourced.expressions.is_empty() {
                evaluated.push((name, &column.type_name, sourced));
            } else if !sourced.otherwise.is_null() {
                values.push((name.as_str(), sourced.otherwise));
            }
        }
        if evaluated.is_empty() {
            return values;
        }
        let row = row(&values);
        let found = self.evaluate(&evaluated, &row);
        for ((name, _, sourced), value) in evaluated.into_iter().zip(found) {
            let value = if value.is_null() {
                sourced.otherwise
            } else {
                value
            };
            if !value.is_null() {
                values.push((name, value));
            }
        }
        values
    }

    /// Evaluates expressions in a statement of their own: only the row's columns are in scope, and names mean what they
    /// meant when the setting was checked, whatever search path the application's triggers need.
    fn evaluate(&self, columns: &[(&str, &str, Sourced)], row: &str) -> Vec<Value> {
        let values: Vec<String> = columns
            .iter()
            .map(|(_, type_name, sourced)| {
                let expressions = sourced.expressions.iter();
                let values: Vec<String> = expressions
                    .map(|text| format!("to_jsonb(({text}\n)::{type_name})"))
                    .collect();
                format!("coalesce({})", values.join(", "))
            })
            .collect();
        let statement = format!(
            "select jsonb_build_array({values}) from jsonb_populate_record(null::{table}, $1::jsonb) as {alias}",
            values = values.join(", "),
            table = self.table,
            alias = self.alias,
        );
        let found = reading_as(&self.relation, || sql::fetch_one(&statement, &[Some(row)]));
        match found {
            Some(Value::Array(values)) => values,
            _ => vec![Value::Null; columns.len()],
        }
    }
}
