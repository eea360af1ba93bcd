//! What the views of the host's tables are made of.

use pgrx::prelude::*;

use super::or_raise;
use crate::host::mapping::Mapping;
use crate::host::monitor;

#[expect(
    clippy::type_complexity,
    reason = "pgrx reads the columns from the signature"
)]
#[pg_extern(security_definer, stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn find_paid_without_payment() -> TableIterator<
    'static,
    (
        name!(invoice_id, String),
        name!(invoice_number, Option<String>),
        name!(status, Option<String>),
        name!(total, Option<AnyNumeric>),
        name!(currency, Option<String>),
        name!(session_id, Option<String>),
        name!(intent_id, Option<String>),
    ),
> {
    let (mapping, _) = or_raise(Mapping::load());
    TableIterator::new(rows(monitor::paid_without_payment(&mapping)))
}

#[expect(
    clippy::type_complexity,
    reason = "pgrx reads the columns from the signature"
)]
#[pg_extern(security_definer, stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn find_stripe_without_payment() -> TableIterator<
    'static,
    (
        name!(invoice_id, String),
        name!(invoice_number, Option<String>),
        name!(status, Option<String>),
        name!(total, Option<AnyNumeric>),
        name!(currency, Option<String>),
        name!(session_id, Option<String>),
        name!(intent_id, Option<String>),
    ),
> {
    let (mapping, _) = or_raise(Mapping::load());
    TableIterator::new(rows(monitor::stripe_without_payment(&mapping)))
}

type Row = (
    String,
    Option<String>,
    Option<String>,
    Option<AnyNumeric>,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn rows(found: Vec<monitor::Found>) -> impl Iterator<Item = Row> {
    found.into_iter().map(|row| {
        (
            row.id,
            row.number,
            row.status,
            row.total
                .and_then(|text| AnyNumeric::try_from(text.as_str()).ok()),
            row.currency,
            row.session,
            row.intent,
        )
    })
}
