//! Checks the columns and words in the settings against a table.

use pgrx::prelude::PgSqlErrorCode;

use super::catalog::{Column, Role, Table};
use super::mapped::Mapped;
use super::status::Status;
use crate::pg::Problem;

/// A table whose settings are being checked.
pub(super) struct Checker<'a> {
    pub(super) table: &'a Table,
}

impl Checker<'_> {
    pub(super) fn required(
        &self,
        name: &str,
        setting: &str,
        role: Role,
    ) -> Result<Mapped, Problem> {
        let column = self.table.column(name, setting)?;
        role.check(self.table, name, column, setting)?;
        Ok(mapped(name, column))
    }

    pub(super) fn optional(
        &self,
        name: Option<&String>,
        setting: &str,
        role: Role,
    ) -> Result<Option<Mapped>, Problem> {
        // A computed column cannot be written, and its value follows from other columns. It is treated as if it did
        // not exist.
        let is_writable = |name: &&String| {
            let column = self.table.columns.get(*name);
            !column.is_some_and(|column| column.is_computed)
                || !matches!(role, Role::Amount | Role::Moment)
        };
        name.filter(is_writable)
            .map(|name| self.required(name, setting, role))
            .transpose()
    }

    /// Fails if the column is an enum and a word to be written is not one of its labels.
    pub(super) fn words<'w>(
        &self,
        status: &'w Status,
        column: &Mapped,
        words: impl IntoIterator<Item = (&'static str, &'w str)>,
    ) -> Result<(), Problem> {
        let Some(labels) = self
            .table
            .columns
            .get(&column.name)
            .and_then(|column| column.labels.as_ref())
        else {
            return Ok(());
        };
        for (setting, word) in words {
            let word = status.text_of(word);
            if !labels.iter().any(|label| label == word) {
                return Err(Problem::new(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!(
                        "\"{word}\" is not a value of column \"{}\" of table {}",
                        column.name, self.table.name
                    ),
                )
                .detail(format!(
                    "The setting {setting} contains it; the values of type {} are: {}.",
                    column.type_name,
                    labels.join(", ")
                )));
            }
        }
        Ok(())
    }
}

fn mapped(name: &str, column: &Column) -> Mapped {
    Mapped {
        name: name.to_owned(),
        quoted: column.quoted.clone(),
        type_name: column.type_name.clone(),
        cast_type: column.cast_type.clone(),
        base: column.base.clone(),
        base_type: column.base_type.clone(),
        equals: column.equals.clone(),
        has_own_collation: column.has_own_collation,
        is_computed: column.is_computed,
    }
}
