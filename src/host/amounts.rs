//! SQL for amounts: columns as numbers, and those of invoices in the unit of the payments.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use super::mapped::Mapped;
use super::mapping::Mapping;
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::pg::Problem;

/// Returns SQL for the number in a column of the row `alias`. Of a binary floating-point number, the digits that its
/// type does not keep are left out: 0.1 + 0.2 is 0.3.
pub(super) fn numeric(alias: &str, column: &Mapped) -> String {
    let name = format!("{alias}.{}", column.quoted);
    match column.base.as_str() {
        // The cast to numeric would round to six digits.
        "float4" => format!("{name}::text::numeric"),
        _ => format!("{name}::numeric"),
    }
}

/// As [`numeric`], as text; `null` without a column.
pub(super) fn number_text(alias: &str, column: Option<&Mapped>) -> String {
    match column {
        None => "null".to_owned(),
        Some(column) if column.is_float() => format!("({})::text", numeric(alias, column)),
        Some(column) => format!("{alias}.{}::text", column.quoted),
    }
}

/// Returns SQL for the amount of a column of the invoice `i`, in the unit of the payments.
pub(super) fn in_payment_unit(mapping: &Mapping, column: &Mapped) -> String {
    let amount = numeric("i", column);
    let (from, to) = (mapping.invoices.unit, mapping.payments.unit);
    if from == to {
        return amount;
    }
    let shift = |currency| to.exponent(currency) as i32 - from.exponent(currency) as i32;
    let factor = by_currency(
        mapping,
        |currency| power_of_ten(shift(currency)),
        &power_of_ten(to.usual_exponent() - from.usual_exponent()),
    );
    format!("{amount} * {factor}")
}

/// As [`in_payment_unit`], rounded to what can be paid, as invoices are read.
pub(super) fn payable_in_payment_unit(mapping: &Mapping, column: &Mapped) -> String {
    let amount = in_payment_unit(mapping, column);
    let unit = mapping.payments.unit;
    let digits = |currency: Currency| {
        let digits = currency.payable_exponent() as i32 - unit.exponent(currency) as i32;
        digits.to_string()
    };
    let digits = by_currency(mapping, digits, &(2 - unit.usual_exponent()).to_string());
    format!("round({amount}, {digits})")
}

/// Returns SQL for a value that depends on the currency of the invoice `i`: `usual` for those with two decimals.
fn by_currency(mapping: &Mapping, value: impl Fn(Currency) -> String, usual: &str) -> String {
    let default = mapping.default_currency;
    let Some(column) = &mapping.invoices.currency else {
        return value(default);
    };
    let mut by_value: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for special in Currency::without_two_decimals() {
        let codes = by_value.entry(value(special)).or_default();
        codes.push(format!("'{}'", special.code()));
    }
    by_value.remove(usual);
    let currency = currency_of_invoice(mapping);
    let cases: String = by_value
        .into_iter()
        .map(|(value, codes)| format!("when {currency} in ({}) then {value} ", codes.join(", ")))
        .collect();
    if cases.is_empty() {
        return usual.to_owned();
    }
    // Most invoices are in the default currency: its code is compared as it is written, for lower() and btrim() cost
    // a third of what it takes to read a row.
    let (code, written) = (default.code(), column.plain_text("i"));
    let capitals = code.to_uppercase();
    format!(
        "case when {written} in ('{code}', '{capitals}') then {} {cases}else {usual} end",
        value(default)
    )
}

/// Returns SQL for the code of the currency of the invoice `i`.
pub(super) fn currency_of_invoice(mapping: &Mapping) -> String {
    let default = mapping.default_currency.code();
    match &mapping.invoices.currency {
        None => format!("'{default}'"),
        Some(column) => format!(
            "coalesce(nullif(lower(btrim({})), ''), '{default}')",
            column.plain_text("i")
        ),
    }
}

fn power_of_ten(exponent: i32) -> String {
    let zeros = "0".repeat(exponent.unsigned_abs() as usize);
    if exponent < 0 {
        format!("(1.0 / 1{zeros})")
    } else {
        format!("1{zeros}")
    }
}

/// Returns an amount in the application's unit as JSON text, which `jsonb_populate_record` reads into numeric and
/// integer columns alike.
pub(super) fn in_host_units(unit: AmountUnit, money: Money) -> Result<Value, Problem> {
    money.to_units(unit).map(Value::from).map_err(|error| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{money} cannot be written in the unit of the settings"),
        )
        .detail(error.to_string())
    })
}
