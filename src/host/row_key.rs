//! The key of a row, for statements that find the row by it.

use super::mapped::Mapped;

/// The key of a row, whose values are parameters of a statement.
pub(super) struct RowKey {
    columns: Vec<Mapped>,
    values: Vec<String>,
}

impl RowKey {
    pub(super) fn new<'k>(columns: impl Iterator<Item = (&'k Mapped, &'k str)>) -> Self {
        let (columns, values) = columns
            .map(|(column, value)| (column.clone(), value.to_owned()))
            .unzip();
        Self { columns, values }
    }

    /// Returns the condition that `t` is the row, with its values as the parameters from the number `first` on.
    pub(super) fn condition(&self, first: usize) -> String {
        let columns = self.columns.iter().enumerate();
        let equals = columns.map(|(number, column)| {
            column.is(&format!("${}::{}", first + number, column.cast_type))
        });
        equals.collect::<Vec<_>>().join(" and ")
    }

    /// Returns the parameters.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.values.iter().map(|value| Some(value.as_str()))
    }
}
