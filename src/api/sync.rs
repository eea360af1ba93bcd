//! `sweep` and `sync_invoice`.

use std::time::Duration;

use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::prelude::*;

use super::or_raise;
use crate::host::settings::invalid;
use crate::pg::Problem;
use crate::sweep::apply::Mode;
use crate::sweep::one;
use crate::sweep::run::{self, Batch};

fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Write }
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn sweep(
    dry_run: default!(bool, false),
    max_invoices: default!(i32, 1000),
    max_duration: default!(Interval, "'5 minutes'"),
) -> JsonB {
    let batch = or_raise(batch(max_invoices, max_duration));
    JsonB(or_raise(run::sweep(batch, mode(dry_run))))
}

fn batch(max_invoices: i32, max_duration: Interval) -> Result<Batch, Problem> {
    let invoices = usize::try_from(max_invoices)
        .ok()
        .filter(|invoices| *invoices > 0)
        .ok_or_else(|| invalid("max_invoices must be greater than 0".to_owned()))?;
    let micros = u64::try_from(max_duration.as_micros())
        .ok()
        .filter(|micros| *micros > 0)
        .ok_or_else(|| invalid("max_duration must be greater than 0".to_owned()))?;
    Ok(Batch {
        invoices,
        // Beyond a day it is no batch any more, and beyond some centuries no Instant.
        duration: Duration::from_micros(micros).min(Duration::from_secs(24 * 60 * 60)),
    })
}

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn sync_invoice(invoice_id: Option<&str>, dry_run: default!(bool, false)) -> JsonB {
    let id = invoice_id.ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "the invoice's id is null",
        )
    });
    JsonB(or_raise(
        id.and_then(|id| one::sync_invoice(id, mode(dry_run))),
    ))
}
