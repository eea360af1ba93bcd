//! The SQL functions that the monitoring views call.

use pgrx::prelude::*;

use super::rpc::admitted;
use crate::domain::money::Currency;
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
    let (mapping, _) = admitted(Mapping::load);
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
    let (mapping, _) = admitted(Mapping::load);
    TableIterator::new(rows(monitor::stripe_without_payment(&mapping)))
}

#[pg_extern(security_definer, stable, parallel_restricted)]
#[search_path(pg_catalog, pg_temp)]
fn find_currencies() -> TableIterator<
    'static,
    (
        name!(currency, String),
        name!(iso_digits, i16),
        name!(stripe_digits, i16),
    ),
> {
    let digits = |exponent: u32| i16::try_from(exponent).unwrap_or(i16::MAX);
    admitted(|| Ok(()));
    TableIterator::new(Currency::without_two_decimals().map(move |currency| {
        (
            currency.code().to_owned(),
            digits(currency.iso_exponent()),
            digits(currency.stripe_exponent()),
        )
    }))
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
