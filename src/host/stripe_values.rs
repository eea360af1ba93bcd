//! Values of Stripe's objects for further columns of payment rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::amounts::in_host_units;
use super::mapping::Mapping;
use super::read::Reading;
use super::row::Row;
use super::row_key::RowKey;
use super::source::AMOUNTS;
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::pg::Problem;

/// Returns the values from Stripe's objects, with amounts in this unit.
pub(super) fn in_units_of_payments(
    unit: AmountUnit,
    currency: Currency,
    attributes: &BTreeMap<String, String>,
) -> Result<Cow<'_, BTreeMap<String, String>>, Problem> {
    let mut attributes = Cow::Borrowed(attributes);
    for path in AMOUNTS {
        let minor = attributes.get(path).and_then(|value| value.parse().ok());
        if let Some(minor) = minor {
            let amount = Money::new(minor, currency);
            let written = in_host_units(unit, amount)?;
            let text = written
                .as_str()
                .map_or_else(|| written.to_string(), str::to_owned);
            attributes.to_mut().insert(path.to_owned(), text);
        }
    }
    Ok(attributes)
}

/// Returns the columns that a payment's row leaves empty, with the values that these attributes give them.
pub(super) fn filling<'a>(
    mapping: &'a Mapping,
    reading: &Reading,
    row: &Row,
    key: &RowKey,
    attributes: &BTreeMap<String, String>,
) -> Result<Vec<(&'a str, Value)>, Problem> {
    let Ok(currency) = reading.invoice.currency.as_ref() else {
        return Ok(Vec::new());
    };
    let columns = &mapping.payments;
    let invoice = reading.invoice_row.columns();
    let attributes = in_units_of_payments(columns.unit, *currency, attributes)?;
    let of_invoice = |column: &str| invoice.get(column);
    let filling = columns.values.filling(&of_invoice, &attributes, row, key);
    Ok(filling)
}
