//! SQL expressions in the settings, checked against a table as its owner.

use pgrx::prelude::PgSqlErrorCode;

use super::catalog::{Column, Table};
use super::owner::reading_as;
use crate::pg::{Problem, in_subtransaction, sql};

/// Checks that the text is one expression of type boolean over the table's columns. Fails with 22023.
///
/// The text is parsed alone first, at the end of a statement: what passes has no open quote, comment or parenthesis,
/// and so stays inside the parentheses in which every other statement has it. Nothing is executed before both pass.
pub(super) fn check_condition(table: &Table, text: &str, setting: &str) -> Result<(), Problem> {
    let (name, alias) = (&table.name, alias(table));
    let alone = format!("select from {name} as {alias} where {text}");
    let checked = format!(
        "select from {name} t where exists (select from (select t.*) as {alias} where ({text}\n)) limit 0"
    );
    check(table, &alone, &checked).map_err(|problem| refused(table, text, setting, &problem))
}

/// Checks that the text is one expression over the table's columns that can be cast to the type of `column`, as
/// [`check_condition`] does.
pub(super) fn check_value(
    table: &Table,
    column: &Column,
    text: &str,
    setting: &str,
) -> Result<(), Problem> {
    let (name, alias) = (&table.name, alias(table));
    // Never executed: it is a statement that ends with an expression of any type.
    let alone = format!("delete from {name} as {alias} returning {text}");
    // Without parentheses of its own in the second place, where a list is an error.
    let checked = format!(
        "select to_jsonb(({text}\n)::{cast_type}), (select {text}\n) from (select * from {name}) as {alias} limit 0",
        cast_type = column.cast_type,
    );
    check(table, &alone, &checked).map_err(|problem| refused(table, text, setting, &problem))
}

fn check(table: &Table, alone: &str, checked: &str) -> Result<(), Problem> {
    in_subtransaction(|| {
        reading_as(&table.relation(), || {
            sql::prepare(alone);
            sql::prepare(checked);
            sql::execute(checked, &[]);
        });
        Ok(())
    })
}

/// Returns the quoted name by which an expression may qualify the table's columns.
pub(super) fn alias(table: &Table) -> String {
    pgrx::spi::quote_identifier(&table.bare_name)
}

fn refused(table: &Table, text: &str, setting: &str, problem: &Problem) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!(
            "{setting} \"{text}\" cannot be evaluated for rows of {}",
            table.name
        ),
    )
    .detail(problem.to_string())
    .hint("It must be an SQL expression over the table's columns, with schema-qualified names, and is evaluated as the table's owner.")
}
