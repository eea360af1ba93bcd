//! Further columns of rows that are written, and the sources of their values.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::catalog::Table;
use super::column_types::ColumnTypes;
use super::expression;
use super::owner::reading_as;
use super::row::Row;
use super::row_key::RowKey;
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
    types: ColumnTypes,
    /// The quoted name, with its schema.
    table: String,
    /// The quoted name by which expressions may qualify columns.
    alias: String,
    columns: BTreeMap<String, Column>,
}

#[derive(Clone, Debug)]
struct Column {
    source: Source,
    /// The type with its schema, for use in a cast.
    cast_type: String,
}

/// The row over which expressions are evaluated.
pub(super) enum Over<'r> {
    /// A new row: its columns, as far as they are known.
    New(Value),
    /// A row of the table, in which these columns change. It is read where it is, because a value may have a form as JSON
    /// that its type does not read.
    Existing(&'r RowKey, Map<String, Value>),
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
            let cast_type = column.cast_type.clone();
            columns.insert(name, Column { source, cast_type });
        }
        Ok(Self {
            relation: table.relation(),
            types: ColumnTypes::of(table),
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
        key: &RowKey,
    ) -> Vec<(&str, Value)> {
        let now = row.columns();
        let is_filled = |(name, column): &(&String, &Column)| {
            let mut paths = column.source.stripe_paths().into_iter();
            paths.any(|path| attributes.contains_key(&path))
                && now.get(name).as_ref().and_then(empty).is_some()
        };
        let columns = self.columns.iter().filter(is_filled);
        let over = |_: &[(&str, Value)]| Over::Existing(key, Map::new());
        self.values_of(columns, invoice, attributes, over)
    }

    /// Returns the columns with their values; without a value, a column is left out. Expressions are evaluated over the
    /// row that `over` returns, as the table's owner.
    pub(super) fn values<'r>(
        &self,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
        over: impl FnOnce(&[(&str, Value)]) -> Over<'r>,
    ) -> Vec<(&str, Value)> {
        self.values_of(self.columns.iter(), invoice, attributes, over)
    }

    /// Returns the columns of a row that is updated, with their values. `written` is what else is written to it.
    pub(super) fn values_of_update(
        &self,
        invoice: &Row,
        key: &RowKey,
        written: Map<String, Value>,
    ) -> Vec<(&str, Value)> {
        // Parsed once, and only if a value comes from the invoice.
        let invoice = LazyCell::new(|| invoice.columns());
        let over = |_: &[(&str, Value)]| Over::Existing(key, written);
        self.values(&|column| invoice.get(column), &BTreeMap::new(), over)
    }

    fn values_of<'s, 'r>(
        &'s self,
        columns: impl Iterator<Item = (&'s String, &'s Column)>,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
        over: impl FnOnce(&[(&str, Value)]) -> Over<'r>,
    ) -> Vec<(&'s str, Value)> {
        let mut values = Vec::new();
        let mut evaluated: Vec<(&str, &str, Sourced)> = Vec::new();
        for (name, column) in columns {
            let sourced = column.source.value(invoice, attributes);
            if !sourced.expressions.is_empty() {
                evaluated.push((name, &column.cast_type, sourced));
            } else if !sourced.otherwise.is_null() {
                values.push((name.as_str(), sourced.otherwise));
            }
        }
        if evaluated.is_empty() {
            return values;
        }
        let over = over(&values);
        let found = self.evaluate(&evaluated, over);
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
    fn evaluate(&self, columns: &[(&str, &str, Sourced)], over: Over) -> Vec<Value> {
        let values: Vec<String> = columns
            .iter()
            .map(|(_, cast_type, sourced)| {
                let expressions = sourced.expressions.iter();
                let values: Vec<String> = expressions
                    .map(|text| format!("to_jsonb(({text}\n)::{cast_type})"))
                    .collect();
                format!("coalesce({})", values.join(", "))
            })
            .collect();
        let (row, json, key) = match over {
            Over::New(columns) => {
                let row = self.types.whole_rows(&self.alias);
                (row, json!([columns]), None)
            }
            Over::Existing(key, changes) => {
                let row = format!(
                    "(select r.* from {table} t, jsonb_populate_record(t, $1::jsonb) r where {condition}) as {alias}",
                    table = self.table,
                    condition = key.condition(2),
                    alias = self.alias,
                );
                (row, Value::Object(changes), Some(key))
            }
        };
        let statement = format!(
            "select jsonb_build_array({values}) from {row}",
            values = values.join(", "),
        );
        let json = json.to_string();
        let key = key.into_iter().flat_map(RowKey::values);
        let params: Vec<Option<&str>> = [Some(json.as_str())].into_iter().chain(key).collect();
        let found = reading_as(&self.relation, || sql::fetch_one(&statement, &params));
        match found {
            Some(Value::Array(values)) => values,
            _ => vec![Value::Null; columns.len()],
        }
    }
}
