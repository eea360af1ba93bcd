//! The SQL functions `doctor` and `missing_indexes`, and those that the view `status` calls.

use pgrx::prelude::*;

use super::rpc::admitted;
use crate::domain::cron::Cron;
use crate::host::indexes;
use crate::host::mapping::Mapping;
use crate::operate::doctor as surgery;

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn doctor() -> TableIterator<
    'static,
    (
        name!(check, String),
        name!(ok, bool),
        name!(detail, String),
        name!(hint, Option<String>),
    ),
> {
    let checks = admitted(|| Ok(surgery::examine())).into_iter();
    TableIterator::new(checks.map(|check| (check.name, check.ok, check.detail, check.hint)))
}

#[pg_extern(security_definer, stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn missing_indexes() -> TableIterator<
    'static,
    (
        name!(table_name, String),
        name!(column_name, String),
        name!(why, String),
        name!(statement, String),
    ),
> {
    let missing = admitted(|| indexes::missing(&Mapping::load()?.0)).into_iter();
    TableIterator::new(missing.map(|index| (index.table, index.column, index.why, index.statement)))
}

/// Both times are in seconds since 1970; null if the schedule cannot be parsed.
#[pg_extern(immutable, parallel_safe)]
fn next_due(schedule: &str, after: i64) -> Option<i64> {
    Cron::parse(schedule)?.next_after(after)
}
