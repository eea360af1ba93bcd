//! The SQL functions that check the settings and propose them.

use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation};

use super::rpc::{admitted, or_raise};
use crate::alert::settings::AlertSettings;
use crate::host::admin::AdminCheck;
use crate::host::mapping::Mapping;
use crate::host::propose::propose;
use crate::host::settings::Settings;
use crate::pg::{Problem, announce_change, with_own_formats};

/// Called by the trigger on the table `settings` with the row about to be written.
#[pg_extern(parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn check_settings(settings: JsonB) {
    let mapping = or_raise(with_own_formats(|| resolve(settings)));
    let unfilled = &mapping.payments.unfilled;
    if !unfilled.is_empty() {
        ereport!(
            WARNING,
            PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
            format!(
                "new payments have no value for these columns of {}, which are NOT NULL and have no default: {}",
                mapping.payments.table,
                unfilled.join(", ")
            ),
            "Add them to payment_values, unless a trigger sets them."
        );
    }
}

/// The trigger after every change of the table `settings`.
#[pg_trigger]
fn settings_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, PgTriggerError> {
    announce_change(trigger.relid()?);
    Ok(None)
}

#[pg_extern(security_definer, stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn propose_mapping(
    invoices: default!(Option<PgRelation>, "null"),
    payments: default!(Option<PgRelation>, "null"),
    overrides: default!(JsonB, "'{}'"),
) -> TableIterator<
    'static,
    (
        name!(setting, String),
        name!(current, Option<String>),
        name!(proposed, Option<String>),
        name!(reason, String),
    ),
> {
    let oid = |table: Option<PgRelation>| table.map(|table| table.oid().to_u32());
    let (invoices, payments) = (oid(invoices), oid(payments));
    let proposals = admitted(|| propose(invoices, payments, overrides.0));
    TableIterator::new(
        proposals
            .into_iter()
            .map(|row| (row.setting, row.current, row.proposed, row.reason)),
    )
}

fn resolve(settings: JsonB) -> Result<Mapping, Problem> {
    AlertSettings::from_json(settings.0.clone())?;
    let settings = Settings::from_json(settings.0)?;
    AdminCheck::find(&settings)?;
    Mapping::resolve(&settings)
}
