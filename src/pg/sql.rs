//! Statements: text parameters in, one JSON document per row out.
//!
//! That is all the SQL this extension needs from Rust, whatever types the
//! host's columns have: PostgreSQL casts, both ways. Every statement takes a
//! new snapshot, so that what is read after a lock was waited for is current.

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiResult, SpiTupleTable};
use serde_json::Value;

use super::problem::Problem;

/// Runs a statement whose rows have one column of type jsonb.
/// An error of PostgreSQL's unwinds, as everywhere in a backend.
pub(crate) fn fetch(statement: &str, params: &[Option<&str>]) -> Vec<Value> {
    run(statement, params, |table| {
        table
            .map(|row| {
                let document: Option<JsonB> = row.get(1)?;
                Ok(document.map_or(Value::Null, |document| document.0))
            })
            .collect()
    })
}

/// The first row of [`fetch`].
pub(crate) fn fetch_one(statement: &str, params: &[Option<&str>]) -> Option<Value> {
    fetch(statement, params).into_iter().next()
}

/// Runs a statement for its effect.
pub(crate) fn execute(statement: &str, params: &[Option<&str>]) {
    run(statement, params, |_| Ok(()));
}

fn run<T>(
    statement: &str,
    params: &[Option<&str>],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    let params: Vec<DatumWithOid> = params
        .iter()
        .map(|text| DatumWithOid::from(*text))
        .collect();
    let outcome = Spi::connect_mut(|client| read(client.update(statement, None, &params)?));
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
