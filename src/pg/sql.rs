//! Statements: text parameters in, JSON documents or texts out.
//!
//! Parameters and results are texts or jsonb, whatever types the application's columns have; PostgreSQL casts in both
//! directions. Every statement takes a new snapshot, so that what is read after waiting for a lock is current.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiResult, SpiTupleTable};
use serde_json::Value;

use super::invalidation::Kept;
use super::local_settings::keeping_settings;
use super::problem::Problem;
use super::{prepared, relation, triggers};

/// Runs a statement whose rows have one column of type jsonb. Errors of PostgreSQL unwind.
pub(crate) fn fetch(statement: &str, params: &[Option<&str>]) -> Vec<Value> {
    run(statement, params, documents)
}

/// Runs a statement whose rows have `N` columns of type text. For many rows, where building and parsing a JSON
/// document for each would be slow.
pub(crate) fn fetch_texts<const N: usize>(
    statement: &str,
    params: &[Option<&str>],
) -> Vec<[Option<String>; N]> {
    run(statement, params, texts)
}

/// As [`fetch`], for a statement that finds what its parameters name, `count` things, by indexes, which there are. Its
/// plan is kept for any parameters and reads no table as a whole; of the application's tables while they are few. The
/// parameters are texts, or lists of texts of type text[].
pub(crate) fn look_up<P: Param>(count: usize, statement: &str, params: &[P]) -> Vec<Value> {
    run_planned(Plan::of_lookup(count), statement, params, documents)
}

/// As [`look_up`], for a statement whose rows have `N` columns of type text.
pub(crate) fn look_up_texts<const N: usize>(
    count: usize,
    statement: &str,
    params: &[impl Param],
) -> Vec<[Option<String>; N]> {
    run_planned(Plan::of_lookup(count), statement, params, texts)
}

/// A parameter.
pub(crate) trait Param: IntoDatum + Clone {}

impl Param for Option<&str> {}

impl Param for Vec<&str> {}

/// Returns the first row of [`fetch`].
pub(crate) fn fetch_one(statement: &str, params: &[Option<&str>]) -> Option<Value> {
    fetch(statement, params).into_iter().next()
}

thread_local! {
    /// The answers of [`fetch_catalog`], by statement and parameters.
    static FROM_CATALOGS: Kept<RefCell<HashMap<String, Option<Value>>>> = const { Kept::new() };
}

/// As [`fetch_one`], for a statement that reads catalogs and nothing else: the answer is kept until they change.
pub(crate) fn fetch_catalog(statement: &str, params: &[Option<&str>]) -> Option<Value> {
    let empty = || Ok::<_, Infallible>(RefCell::default());
    let Ok(answers) = FROM_CATALOGS.with(|kept| kept.get_or_load(empty));
    let key = format!("{statement} {params:?}");
    if let Some(known) = answers.borrow().get(&key) {
        return known.clone();
    }
    let answer = fetch_one(statement, params);
    answers.borrow_mut().insert(key, answer.clone());
    answer
}

/// Prepares a statement with one parameter and runs it with each of `values`. Its rows have `N` columns of type
/// text. Returns the rows for each value.
pub(crate) fn fetch_each<const N: usize>(
    statement: &str,
    values: &[&str],
) -> Vec<Vec<[Option<String>; N]>> {
    checked(Spi::connect_mut(|client| {
        let types = [PgBuiltInOids::TEXTOID.oid()];
        let prepared = prepared::checked(client, statement, &types)?;
        values
            .iter()
            .map(|value| texts(client.update(&*prepared, None, &[(*value).into()])?))
            .collect()
    }))
}

/// Runs a statement that returns no rows.
pub(crate) fn execute(statement: &str, params: &[Option<&str>]) {
    run(statement, params, |_| Ok(()));
}

/// As [`execute`], for a statement that writes the rows that its parameters name: planned as [`look_up`] is.
pub(crate) fn write_by_key(statement: &str, params: &[Option<String>]) {
    let params: Vec<Option<&str>> = params.iter().map(Option::as_deref).collect();
    run_planned(Plan::of_lookup(1), statement, &params, |_| Ok(()));
}

/// Parses a statement and resolves its names, and does not run it. Fails as PostgreSQL does.
pub(crate) fn prepare(statement: &str) {
    checked(Spi::connect_mut(|client| {
        prepared::checked_once(client, statement, &[]).map(drop)
    }));
}

/// As [`execute`], for statements that write rows: their AFTER triggers are delayed while a [`super::Postponed`]
/// exists.
pub(crate) fn write(statement: &str, params: &[Option<&str>]) {
    if triggers::are_postponed() {
        triggers::execute_without(statement, params);
    } else {
        execute(statement, params);
    }
}

/// As [`write`], for a statement whose rows have one column of type text.
pub(crate) fn write_returning(statement: &str, params: &[Option<&str>]) -> Vec<Option<String>> {
    if triggers::are_postponed() {
        return triggers::execute_without(statement, params);
    }
    let rows = fetch_texts::<1>(statement, params).into_iter();
    rows.map(|[value]| value).collect()
}

/// Runs a statement that returns no rows. `first` are its first parameters, of type text; the columns of `rows` are
/// the following ones, of type text[], for `unnest`. If the statement says [`ROWS`] instead, those of a single row are of
/// type text. Does nothing if there are no rows. Returns how many it wrote.
pub(crate) fn execute_rows<'a, const N: usize>(
    statement: &str,
    first: &[&str],
    rows: impl Iterator<Item = [Option<&'a str>; N]>,
) -> usize {
    run_with_rows(statement, first, rows, |written| Ok(written.len()))
}

/// As [`execute_rows`], for a statement whose rows have `M` columns of type text.
pub(crate) fn fetch_for_rows<'a, const N: usize, const M: usize>(
    statement: &str,
    first: &[&str],
    rows: impl Iterator<Item = [Option<&'a str>; N]>,
) -> Vec<[Option<String>; M]> {
    run_with_rows(statement, first, rows, texts)
}

/// Borrows a row of texts for [`execute_rows`] and [`fetch_for_rows`].
pub(crate) fn borrowed<const N: usize>(row: &[Option<String>; N]) -> [Option<&str>; N] {
    row.each_ref().map(Option::as_deref)
}

/// Formats an array of texts as a text that can be cast to one, as `array_out` in arrayfuncs.c does.
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

/// Formats a boolean as a parameter.
pub(crate) fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn run<T>(
    statement: &str,
    params: &[Option<&str>],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    run_planned(Plan::Kept, statement, params, read)
}

fn run_planned<T>(
    plan: Plan,
    statement: &str,
    params: &[impl Param],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    checked(Spi::connect_mut(|client| {
        // Inside the closure, so that the parameters are freed with the connection.
        let params: Vec<DatumWithOid> = params
            .iter()
            .map(|param| DatumWithOid::from(param.clone()))
            .collect();
        update(client, statement, &params, plan, read)
    }))
}

/// Whether the plan of a statement is kept for the next call.
#[derive(Clone, Copy, PartialEq)]
enum Plan {
    Kept,
    /// The same one for any parameters, by indexes alone: they are a few rows, and every table has an index for what is
    /// looked up in it. PostgreSQL would plan for each anew where it takes them for many.
    Lookup,
    /// Made for these parameters: a kept plan knows nothing of how many rows they are.
    Once,
}

/// More rows are worth a plan of their own.
const FEW_ROWS: usize = 50;

impl Plan {
    fn of_lookup(count: usize) -> Self {
        // A plan that reads a table of ours as a whole compares each row with everything that is looked up.
        if count <= FEW_ROWS || !relation::are_in_use() {
            Self::Lookup
        } else {
            Self::Kept
        }
    }
}

/// Returns the SQL condition that a text is one of the `count` in the parameter, of type text[]. Without an index on
/// the column, PostgreSQL looks each row up in a set, but goes through all of an array.
pub(crate) fn is_one_of(count: usize) -> &'static str {
    if count <= FEW_ROWS {
        "= any ($1)"
    } else {
        "in (select unnest($1))"
    }
}

/// Runs a statement. While tables are in use, the statement is prepared first, so that its names can be checked.
fn update<T>(
    client: &mut SpiClient<'_>,
    statement: &str,
    params: &[DatumWithOid<'_>],
    plan: Plan,
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> SpiResult<T> {
    let types = prepared::types_of(params);
    let prepared = match (relation::are_in_use(), plan) {
        (false, Plan::Once) => return read(client.update(statement, None, params)?),
        (false, Plan::Kept) => prepared::kept(client, statement, &types)?,
        (false, Plan::Lookup) => {
            let prepared = prepared::kept(client, statement, &types)?;
            let _by_indexes = prepared::by_indexes();
            return read(client.update(&*prepared, None, params)?);
        }
        (true, Plan::Once) => prepared::checked_once(client, statement, &types)?,
        (true, Plan::Kept) => prepared::checked(client, statement, &types)?,
        (true, Plan::Lookup) => {
            let prepared = prepared::checked(client, statement, &types)?;
            return keeping_settings(|| {
                prepared::look_up_by_indexes();
                read(client.update(&*prepared, None, params)?)
            });
        }
    };
    read(client.update(&*prepared, None, params)?)
}

/// Stands for the rows given to a statement on the extension's own tables, in its `from`: a name and the columns' names
/// follow.
pub(crate) const ROWS: &str = "$rows";

/// Returns the statement with what [`ROWS`] stands for: parameters `first` + 1 to `last`, for one row or for many.
fn with_rows(statement: &str, first: usize, last: usize, is_one: bool) -> String {
    let params: Vec<String> = (first + 1..=last)
        .map(|number| format!("${number}"))
        .collect();
    let params = params.join(", ");
    let rows = match is_one {
        true => format!("(values ({params}))"),
        false => format!("unnest({params})"),
    };
    statement.replace(ROWS, &rows)
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
    let is_few = columns
        .first()
        .is_some_and(|column| column.len() <= FEW_ROWS);
    // The application's tables may have no index.
    let plan = match (is_few, relation::are_in_use()) {
        (false, _) => Plan::Once,
        (true, false) => Plan::Lookup,
        (true, true) => Plan::Kept,
    };
    // A column of the application's may have this name.
    let says_rows = !relation::are_in_use() && statement.contains(ROWS);
    let is_one = says_rows && columns.first().is_some_and(|column| column.len() == 1);
    let statement = match says_rows {
        true => Cow::Owned(with_rows(statement, first.len(), first.len() + N, is_one)),
        false => Cow::Borrowed(statement),
    };
    checked(Spi::connect_mut(|client| {
        let columns = columns.map(|column| match is_one {
            true => DatumWithOid::from(column.into_iter().next().flatten()),
            false => DatumWithOid::from(column),
        });
        let first = first.iter().map(|text| DatumWithOid::from(*text));
        let params: Vec<DatumWithOid> = first.chain(columns).collect();
        update(client, &statement, &params, plan, read)
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
        // A status of SPI itself is a bug in this extension.
        internal(format!("a statement of invoice_sync failed: {error}")).raise()
    })
}

fn internal(message: String) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
}
