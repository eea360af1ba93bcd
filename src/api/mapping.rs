//! Checking the settings, and proposing them.

use pgrx::JsonB;
use pgrx::prelude::*;

use super::or_raise;
use crate::host::mapping::Mapping;
use crate::host::settings::Settings;
use crate::pg::Problem;

/// Called by the trigger on the table `settings` with the row about to be written.
#[pg_extern(parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn check_settings(settings: JsonB) {
    let mapping = or_raise(resolve(settings));
    let unfilled = &mapping.payments.unfilled;
    if !unfilled.is_empty() {
        ereport!(
            WARNING,
            PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
            format!(
                "new payments give no value to these columns of {}, which are NOT NULL and have no default: {}",
                mapping.payments.table,
                unfilled.join(", ")
            ),
            "Unless a trigger fills them, add them to payment_values."
        );
    }
}

fn resolve(settings: JsonB) -> Result<Mapping, Problem> {
    Mapping::resolve(&Settings::from_json(settings.0)?)
}
