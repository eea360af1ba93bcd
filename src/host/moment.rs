//! Times: those that are written, and this machine's clock.

use pgrx::datum::{ToIsoString, to_timestamp};
use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use super::mapping::{Mapped, Mapping};
use crate::pg::Problem;

/// Converts seconds since 1970 to a text for the column's type. Dates and local times are in the configured time
/// zone.
pub(super) fn moment(mapping: &Mapping, column: &Mapped, seconds: i64) -> Result<Value, Problem> {
    let has_zone = column.base == "timestamptz";
    let zone = if has_zone { "UTC" } else { &mapping.time_zone };
    let local = to_timestamp(seconds as f64)
        .at_timezone(zone)
        .map_err(|error| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                format!("there is no local time for {seconds} seconds since 1970: {error}"),
            )
        })?;
    let text = local.to_iso_string();
    Ok(Value::from(if has_zone { text + "Z" } else { text }))
}

/// Returns this machine's clock, in seconds since 1970.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
