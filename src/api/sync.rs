//! The SQL functions `sweep`, `sync_invoice`, `explain`, `run_sweep` and `backfill`.

use std::time::{Duration, Instant};

use pgrx::JsonB;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;

use super::rpc::admitted;
use crate::apply::context::Mode;
use crate::host::admin::require_admin;
use crate::host::settings::invalid;
use crate::operate::explain::{self, Asking};
use crate::pg::{LOCK_PATIENCE, Problem, Transactions, with_lock_patience, within_the_statement};
use crate::run::backfill;
use crate::run::first_look;
use crate::run::sweep;
use crate::run::sweep::Batch;
use crate::run::sync_invoice;

pub(super) fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Write }
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn sweep(
    dry_run: default!(bool, false),
    max_invoices: default!(i32, 1000),
    max_duration: default!(Interval, "'5 minutes'"),
) -> JsonB {
    JsonB(admitted(|| {
        let batch = batch(max_invoices, max_duration)?;
        with_lock_patience(LOCK_PATIENCE, || {
            sweep::sweep(batch, mode(dry_run), Transactions::CALLERS)
        })
    }))
}

#[pg_extern(sql = r#"
create procedure run_sweep(max_duration interval default '10 minutes')
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn run_sweep(max_duration: Option<Interval>, fcinfo: pg_sys::FunctionCallInfo) {
    let run = max_duration
        .map_or_else(|| Ok(within_the_statement(RUN)), duration)
        .and_then(|duration| {
            let batch = Batch {
                size: sweep::BATCH,
                duration,
            };
            let deadline = Instant::now() + duration;
            Transactions::own(fcinfo, |own| {
                require_admin()?;
                let answer = sweep::sweep(batch, Mode::Write, own)?;
                first_look::request(own, deadline)?;
                backfill::go_on(own, deadline)?;
                Ok(answer)
            })
        });
    let answer = run.unwrap_or_else(|problem| problem.raise());
    // A procedure returns nothing; the run's row has the figures.
    notice!("{}", answer["message"].as_str().unwrap_or_default());
}

#[pg_extern(sql = r#"
create procedure backfill(since timestamptz default null, until timestamptz default null)
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn backfill(
    since: Option<TimestampWithTimeZone>,
    until: Option<TimestampWithTimeZone>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let text = |moment: TimestampWithTimeZone| moment.to_iso_string();
    let (since, until) = (since.map(text), until.map(text));
    Transactions::own(fcinfo, |own| {
        require_admin()?;
        backfill::backfill(since.as_deref(), until.as_deref(), own)
    })
    .unwrap_or_else(|problem| problem.raise());
}

/// How long `run_sweep` works by default: less than the interval between two runs.
const RUN: Duration = Duration::from_secs(10 * 60);

fn batch(max_invoices: i32, max_duration: Interval) -> Result<Batch, Problem> {
    let invoices = usize::try_from(max_invoices)
        .ok()
        .filter(|invoices| *invoices > 0)
        .ok_or_else(|| invalid("max_invoices must be greater than 0".to_owned()))?;
    Ok(Batch {
        size: invoices,
        duration: duration(max_duration)?,
    })
}

fn duration(max_duration: Interval) -> Result<Duration, Problem> {
    let micros = u64::try_from(max_duration.as_micros())
        .ok()
        .filter(|micros| *micros > 0)
        .ok_or_else(|| invalid("max_duration must be greater than 0".to_owned()))?;
    // Limited to a day; an `Instant` cannot hold some centuries more.
    let wanted = Duration::from_micros(micros).min(Duration::from_secs(24 * 60 * 60));
    Ok(within_the_statement(wanted))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn sync_invoice(invoice_id: Option<&str>, dry_run: default!(bool, false)) -> JsonB {
    JsonB(admitted(|| {
        sync_invoice::sync_invoice(given(invoice_id)?, mode(dry_run))
    }))
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn explain(
    invoice_id: Option<&str>,
    ask: default!(bool, false),
) -> TableIterator<
    'static,
    (
        name!(part, String),
        name!(what, String),
        name!(value, Option<String>),
        name!(why, Option<String>),
    ),
> {
    let asking = if ask { Asking::Stripe } else { Asking::Memory };
    let lines = admitted(|| explain::explain(given(invoice_id)?, asking));
    TableIterator::new(
        lines
            .into_iter()
            .map(|line| (line.part, line.what, line.value, line.why)),
    )
}

fn given(invoice_id: Option<&str>) -> Result<&str, Problem> {
    invoice_id.ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "invoice id must not be null",
        )
    })
}
