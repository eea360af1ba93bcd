//! Inserts and updates payments and invoices, many in one statement.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::amounts::in_host_units;
use super::assignments::{Assignments, by_columns, update_rows};
use super::further::Over;
use super::host_table::HostTable;
use super::mapping::{Mapped, Mapping};
use super::moment::{moment, now};
use super::new_rows::{keys_must_count, must_count, not_shown};
use super::owner::as_owner;
use super::read::Reading;
use super::row::Row;
use super::stripe_values::{filling, in_units_of_payments};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::InvoiceStatus;
use crate::domain::money::Currency;
use crate::domain::plan::{InvoiceChange, NewPayment, PaymentUpdate};
use crate::pg::{Problem, sql};

/// Inserts payments, each for the invoice of its reading. Does not return the new rows, because the application's
/// triggers may change them; the caller reads them again.
///
/// If payments have no column for ids, returns for each the key of its row; `None` if a trigger did not insert it.
pub(crate) fn insert_payments(
    mapping: &Mapping,
    payments: &[(&Reading, &NewPayment)],
) -> Result<Vec<Option<String>>, Problem> {
    if mapping.payments.have_no_ids() {
        return insert_one_by_one(mapping, payments);
    }
    let rows: Vec<Assignments> = payments
        .iter()
        .map(|(reading, payment)| new_payment(mapping, reading, payment))
        .collect::<Result<_, _>>()?;
    for alike in by_columns(rows)? {
        let statement = alike.insertion(HostTable::Payment, mapping);
        as_owner(&mapping.search_path, &mapping.payments.relation, || {
            sql::write(&statement, &[Some(&alike.rows)]);
        });
    }
    must_count(mapping, payments)?;
    Ok(Vec::new())
}

/// Inserts payments whose rows can be told from each other by their keys alone.
fn insert_one_by_one(
    mapping: &Mapping,
    payments: &[(&Reading, &NewPayment)],
) -> Result<Vec<Option<String>>, Problem> {
    let key = &mapping.payments.id.quoted;
    let mut keys = Vec::new();
    for (reading, payment) in payments {
        for alike in by_columns(vec![new_payment(mapping, reading, payment)?])? {
            let insertion = alike.insertion(HostTable::Payment, mapping);
            let statement = format!("{insertion} returning {key}::pg_catalog.text");
            let mut returned = Vec::new();
            as_owner(&mapping.search_path, &mapping.payments.relation, || {
                returned = sql::write_returning(&statement, &[Some(&alike.rows)]);
            });
            keys.push(match returned.into_iter().next() {
                Some(None) => return Err(not_shown(mapping)),
                returned => returned.flatten(),
            });
        }
    }
    keys_must_count(mapping, payments, &keys)?;
    Ok(keys)
}

fn new_payment<'a>(
    mapping: &'a Mapping,
    reading: &Reading,
    payment: &NewPayment,
) -> Result<Assignments<'a>, Problem> {
    let columns = &mapping.payments;
    let mut new = Assignments::default();
    let invoice_id = Value::from(reading.invoice.id.as_str());
    new.set(&columns.invoice.name, invoice_id);
    new.set_status(
        mapping,
        columns.status.as_ref(),
        mapping.payment_word(payment.status),
        payment.received_at,
    )?;
    new.set_mapped(
        Some(&columns.amount),
        Some(in_host_units(columns.unit, payment.amount)?),
    );
    new.set_mapped(
        columns.gratuity.as_ref(),
        Some(in_host_units(columns.unit, payment.gratuity)?),
    );
    new.set_mapped(
        columns.refunded.as_ref(),
        Some(in_host_units(columns.unit, payment.refunded)?),
    );
    let currency = currency_code(mapping, reading, payment.amount.currency);
    new.set_mapped(columns.currency.as_ref(), Some(currency));
    let received_at = payment.received_at.unwrap_or_else(now);
    new.set_mapped(
        columns.date.as_ref(),
        columns
            .date
            .as_ref()
            .map(|column| moment(mapping, column, received_at))
            .transpose()?,
    );
    let (session, intent) = id_columns(mapping, &payment.ids);
    new.set_mapped(columns.session.as_ref(), session);
    new.set_mapped(columns.intent.as_ref(), intent);
    // Parsed once, and only if a value comes from the invoice.
    let invoice = LazyCell::new(|| reading.invoice_row.columns());
    let currency = payment.amount.currency;
    let attributes = in_units_of_payments(columns.unit, currency, &payment.attributes)?;
    let values = columns
        .values
        .values(&|column| invoice.get(column), &attributes, |known| {
            let known = known.iter().map(|(column, value)| (*column, value));
            let mapped = new.values().iter().map(|(column, value)| (*column, value));
            Over::New(json!(known.chain(mapped).collect::<BTreeMap<_, _>>()))
        });
    new.set_all(values);
    Ok(new)
}

/// Returns the code of a payment's currency as the invoice writes it, or as the settings do.
fn currency_code(mapping: &Mapping, reading: &Reading, currency: Currency) -> Value {
    let column = mapping.invoices.currency.as_ref();
    let written = column.and_then(|column| reading.invoice_row.columns().get(&column.name));
    let written = written.as_ref().and_then(Value::as_str).map(str::trim);
    let is_upper = match written.filter(|text| !text.is_empty()) {
        Some(text) => text.chars().all(char::is_uppercase),
        None => mapping.currency_is_upper_case,
    };
    Value::from(if is_upper {
        currency.to_string()
    } else {
        currency.code().to_owned()
    })
}

/// Updates payment rows, each of the invoice of its reading.
pub(crate) fn update_payments(
    mapping: &Mapping,
    updates: &[(&Reading, &PaymentUpdate)],
) -> Result<(), Problem> {
    let rows = updates
        .iter()
        .map(|(reading, update)| changed_payment(mapping, reading, update))
        .collect::<Result<_, _>>()?;
    update_rows(mapping, HostTable::Payment, rows)
}

fn changed_payment<'a>(
    mapping: &'a Mapping,
    reading: &Reading,
    update: &PaymentUpdate,
) -> Result<Assignments<'a>, Problem> {
    let columns = &mapping.payments;
    let mut new = Assignments::default();
    new.set_status(
        mapping,
        columns.status.as_ref(),
        update
            .status
            .and_then(|status| mapping.payment_word(status)),
        update.received_at,
    )?;
    for (column, money) in [
        (Some(&columns.amount), update.amount),
        (columns.gratuity.as_ref(), update.gratuity),
        (columns.refunded.as_ref(), update.refunded),
    ] {
        let value = money
            .map(|money| in_host_units(columns.unit, money))
            .transpose()?;
        new.set_mapped(column, value);
    }
    let row = reading
        .payments
        .iter()
        .position(|row| row.id == update.row)
        .and_then(|at| reading.payment_rows.get(at));
    let values = row.map(Row::columns);
    let value_of = |column: Option<&Mapped>| values.as_ref()?.get(&column?.name);
    let is_blank = |column: Option<&Mapped>| {
        value_of(column)
            .is_none_or(|value| value.as_str().is_none_or(|text| text.trim().is_empty()))
    };
    let (session, intent) = id_columns(mapping, &update.missing_ids);
    new.set_mapped(
        columns.session.as_ref(),
        session.filter(|_| is_blank(columns.session.as_ref())),
    );
    new.set_mapped(
        columns.intent.as_ref(),
        intent.filter(|_| is_blank(columns.intent.as_ref())),
    );
    if let (Some(date), Some(at), true) = (
        columns.date.as_ref(),
        update.received_at,
        update.status.is_some() && value_of(columns.date.as_ref()).is_none_or(|it| it.is_null()),
    ) {
        new.set_mapped(Some(date), Some(moment(mapping, date, at)?));
    }
    if let Some(row) = row {
        let key = HostTable::Payment.key(mapping, &update.row, &reading.invoice.id);
        if !update.attributes.is_empty() {
            new.set_all(filling(mapping, reading, row, &key, &update.attributes)?);
        }
        if !new.is_empty() {
            new.set_with_update(&columns.update_values, reading, &key);
        }
    }
    new.find(&columns.invoice, &reading.invoice.id);
    new.find(&columns.id, &update.row);
    Ok(new)
}

/// An update of an invoice, as its reading found it.
pub(crate) struct InvoiceUpdate<'a> {
    pub(crate) reading: &'a Reading,
    pub(crate) change: Option<&'a InvoiceChange>,
    /// Whether payments of it were written: then its further columns are written, whatever else changes. A closed
    /// invoice stays as it is: the application may refuse any change of it, and with it the payment.
    pub(crate) follows_payments: bool,
}

/// Updates invoices.
pub(crate) fn update_invoices(mapping: &Mapping, updates: &[InvoiceUpdate]) -> Result<(), Problem> {
    let rows = updates
        .iter()
        .map(|update| changed_invoice(mapping, update))
        .collect::<Result<_, _>>()?;
    update_rows(mapping, HostTable::Invoice, rows)
}

fn changed_invoice<'a>(
    mapping: &'a Mapping,
    update: &InvoiceUpdate,
) -> Result<Assignments<'a>, Problem> {
    let (columns, reading) = (&mapping.invoices, update.reading);
    let mut new = Assignments::default();
    if let Some(change) = update.change {
        new.set_status(
            mapping,
            Some(&columns.status),
            change
                .status
                .and_then(|status| mapping.invoice_word(status)),
            change.paid_at,
        )?;
        for (column, money) in [
            (columns.amount_paid.as_ref(), change.amount_paid),
            (columns.balance.as_ref(), change.balance),
        ] {
            let value = money
                .map(|money| in_host_units(columns.unit, money))
                .transpose()?;
            new.set_mapped(column, value);
        }
        if let (Some(column), Some(at)) = (columns.paid_at.as_ref(), change.paid_at) {
            new.set_mapped(Some(column), Some(moment(mapping, column, at)?));
        }
    }
    let is_closed = reading.invoice.status == InvoiceStatus::Closed;
    if update.follows_payments && !is_closed || !new.is_empty() {
        let id = &reading.invoice.id;
        let key = HostTable::Invoice.key(mapping, id, id);
        new.set_with_update(&columns.update_values, reading, &key);
    }
    new.find(&columns.id, &reading.invoice.id);
    Ok(new)
}

/// Returns the further columns of an invoice in which `written` is updated, with their values.
pub(crate) fn invoice_update_values(
    mapping: &Mapping,
    reading: &Reading,
    written: &Map<String, Value>,
) -> Vec<(String, Value)> {
    let id = &reading.invoice.id;
    let key = HostTable::Invoice.key(mapping, id, id);
    let further = &mapping.invoices.update_values;
    let values = further.values_of_update(&reading.invoice_row, &key, written.clone());
    let owned = |(column, value): (&str, Value)| (column.to_owned(), value);
    values.into_iter().map(owned).collect()
}

/// Returns the ids for the two columns. If one column is not mapped, the other takes the id that exists, because
/// the payment must be recognized later.
fn id_columns(mapping: &Mapping, ids: &PaymentIds) -> (Option<Value>, Option<Value>) {
    let payments = &mapping.payments;
    let ids = ids.unqualified();
    let charge = ids.charge.as_ref();
    let intent = ids.intent.as_ref();
    let session = ids.session.as_ref();
    let json = |id: Option<&String>| id.map(|id| json!(id));
    match (&payments.session, &payments.intent) {
        (Some(_), None) => (json(session.or(intent).or(charge)), None),
        (None, Some(_)) => (None, json(intent.or(session).or(charge))),
        _ => (
            json(session),
            json(intent.or_else(|| charge.filter(|_| session.is_none()))),
        ),
    }
}
