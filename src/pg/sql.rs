//! Statements: text parameters in, JSON documents or texts out.
//!
//! That is all the SQL this extension needs from Rust, whatever types the
//! host's columns have: PostgreSQL casts, both ways. Every statement takes a
//! new snapshot, so that what is read after a lock was waited for is current.

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult, SpiTupleTable};
use serde_json::Value;

use super::problem::Problem;
use super::{relation, triggers};

/// Runs a statement whose rows have one column of type jsonb.
/// An error of PostgreSQL's unwinds, as everywhere in a backend.
pub(crate) fn fetch(statement: &str, params: &[Option<&str>]) -> Vec<Value> {
    run(statement, params, documents)
}

/// Runs a statement whose rows have `N` columns of type text: for many rows, of
/// which a JSON document would be built, and read, one by one.
pub(crate) fn fetch_texts<const N: usize>(
    statement: &str,
    params: &[Option<&str>],
) -> Vec<[Option<String>; N]> {
    run(statement, params, texts)
}

/// The first row of [`fetch`].
pub(crate) fn fetch_one(statement: &str, params: &[Option<&str>]) -> Option<Value> {
    fetch(statement, params).into_iter().next()
}

/// Runs a statement whose rows have `N` columns of type text with one parameter for
/// each of these values, one after the other, planned once: the rows of each.
pub(crate) fn fetch_each<const N: usize>(
    statement: &str,
    values: &[&str],
) -> Vec<Vec<[Option<String>; N]>> {
    checked(Spi::connect_mut(|client| {
        let types = [PgBuiltInOids::TEXTOID.oid()];
        let prepared = relation::prepared(|| client.prepare_mut(statement, &types))?;
        values
            .iter()
            .map(|value| texts(client.update(&prepared, None, &[(*value).into()])?))
            .collect()
    }))
}

/// Runs a statement for its effect.
pub(crate) fn execute(statement: &str, params: &[Option<&str>]) {
    run(statement, params, |_| Ok(()));
}

/// Writes rows: as [`execute`], but for their AFTER triggers, which wait where [`super::Postponed`] holds them back.
pub(crate) fn write(statement: &str, params: &[Option<&str>]) {
    if triggers::are_postponed() {
        triggers::execute_without(statement, params);
    } else {
        execute(statement, params);
    }
}

/// Runs a statement for its effect, with texts as its first parameters and the
/// columns of `rows`, each an array of text, as those that follow: for `unnest`.
/// Without a row it is not run.
pub(crate) fn execute_rows<'a, const N: usize>(
    statement: &str,
    first: &[&str],
    rows: impl Iterator<Item = [Option<&'a str>; N]>,
) {
    run_with_rows(statement, first, rows, |_| Ok(()));
}

/// As [`execute_rows`], a statement whose rows have `M` columns of type text.
pub(crate) fn fetch_for_rows<'a, const N: usize, const M: usize>(
    statement: &str,
    first: &[&str],
    rows: impl Iterator<Item = [Option<&'a str>; N]>,
) -> Vec<[Option<String>; M]> {
    run_with_rows(statement, first, rows, texts)
}

/// A row of texts for [`execute_rows`] and [`fetch_for_rows`].
pub(crate) fn borrowed<const N: usize>(row: &[Option<String>; N]) -> [Option<&str>; N] {
    row.each_ref().map(Option::as_deref)
}

/// An array of texts as a text that can be cast to one, as `array_out` in arrayfuncs.c
/// writes it.
pub(crate) fn array<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted = |word: &str| {
        let plain = !word.is_empty()
            && !word.eq_ignore_ascii_case("null")
            && !word.chars().any(|c| {
                matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\u{b}'
            });
        if plain {
            return word.to_owned();
        }
        let escaped = word.replace('\\', r"\\").replace('"', r#"\""#);
        format!("\"{escaped}\"")
    };
    format!("{{{}}}", words.map(quoted).collect::<Vec<_>>().join(","))
}

/// A boolean as a parameter.
pub(crate) fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn run<T>(
    statement: &str,
    params: &[Option<&str>],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    checked(Spi::connect_mut(|client| {
        // Here, so that they go with the connection.
        let params: Vec<DatumWithOid> = params
            .iter()
            .map(|text| DatumWithOid::from(*text))
            .collect();
        update(client, statement, &params, read)
    }))
}

/// While tables are in use that must be those that were looked up, the statement is prepared
/// first, so that the meaning of its names can be checked.
fn update<T>(
    client: &mut SpiClient<'_>,
    statement: &str,
    params: &[DatumWithOid<'_>],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> SpiResult<T> {
    if !relation::are_in_use() {
        return read(client.update(statement, None, params)?);
    }
    let types: Vec<PgOid> = params
        .iter()
        .map(|param| PgOid::from(param.oid()))
        .collect();
    let prepared = relation::prepared(|| client.prepare_mut(statement, &types))?;
    read(client.update(&prepared, None, params)?)
}

fn run_with_rows<'a, T: Default, const N: usize>(
    statement: &str,
    first: &[&str],
    rows: impl Iterator<Item = [Option<&'a str>; N]>,
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    let mut columns = [const { Vec::new() }; N];
    for row in rows {
        for (column, text) in columns.iter_mut().zip(row) {
            column.push(text);
        }
    }
    if columns.first().is_none_or(Vec::is_empty) {
        return T::default();
    }
    checked(Spi::connect_mut(|client| {
        let columns = columns.map(DatumWithOid::from);
        let first = first.iter().map(|text| DatumWithOid::from(*text));
        let params: Vec<DatumWithOid> = first.chain(columns).collect();
        update(client, statement, &params, read)
    }))
}

fn documents(table: SpiTupleTable) -> SpiResult<Vec<Value>> {
    table
        .map(|row| {
            let document: Option<JsonB> = row.get(1)?;
            Ok(document.map_or(Value::Null, |document| document.0))
        })
        .collect()
}

fn texts<const N: usize>(table: SpiTupleTable) -> SpiResult<Vec<[Option<String>; N]>> {
    table
        .map(|row| {
            let mut texts = [const { None }; N];
            for (column, text) in texts.iter_mut().enumerate() {
                *text = row.get(column + 1)?;
            }
            Ok(texts)
        })
        .collect()
}

fn checked<T>(outcome: SpiResult<T>) -> T {
    outcome.unwrap_or_else(|error| {
        // A status of SPI itself: our mistake, never the user's.
        internal(format!(
            "a statement of invoice_sync could not be run: {error}"
        ))
        .raise()
    })
}

fn internal(message: String) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
}
