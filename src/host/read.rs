//! Reads invoices and their payments, with or without a lock.

use std::collections::BTreeMap;
use std::fmt;

use pgrx::prelude::PgSqlErrorCode;

use super::account::named;
use super::amounts::number_text;
use super::both::{have_one_owner, reading_both};
use super::indexes::looked_up;
use super::mapping::{Invoices, Mapped, Mapping, Payments};
use super::owner::reading_as;
use super::row::Row;
use super::status::Status;
use crate::domain::account::qualified;
use crate::domain::identity::{PaymentIds, other_object, without_secret};
use crate::domain::invoice::{Field, Invoice};
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::host::side_effects::SideEffects;
use crate::pg::{Problem, in_subtransaction, sql};

/// An invoice and its payments as read at one time.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) invoice: Invoice,
    pub(crate) payments: Vec<PaymentRow>,
    /// The complete row, to find out later what changed.
    pub(crate) invoice_row: Row,
    /// In the order of `payments`.
    pub(crate) payment_rows: Vec<Row>,
    /// The table of which several rows have the same key, of which one was read. Such an invoice is not written.
    pub(super) repeated_in: Option<String>,
}

/// By the invoice's id, as the database writes it.
pub(crate) type Readings = BTreeMap<String, Reading>;

pub(super) type Text = Option<String>;

/// The columns of [`invoices_statement`], in order.
type RawInvoice = [Text; 12];

/// The columns of [`payments_statement`], in order.
type RawPayment = [Text; 12];

/// Reads the invoices with these ids and their payments. Leaves out invoices that do not exist. Raises PostgreSQL's
/// error 22P02 for an id that the key's type cannot hold.
///
/// Runs one statement, or one per table if their owners differ, whatever the number of invoices. Each statement sees what
/// was committed before it.
pub(crate) fn read(mapping: &Mapping, ids: &[&str]) -> Result<Readings, Problem> {
    if have_one_owner(mapping) && has_one_spelling(mapping) {
        return read_both(mapping, ids);
    }
    let mut readings = read_invoices(mapping, ids)?;
    read_payments(mapping, &mut all_readings(&mut readings))?;
    Ok(readings)
}

/// Whether both tables are tables, and their keys are equal only if their texts are.
fn has_one_spelling(mapping: &Mapping) -> bool {
    let key = &mapping.invoices.id;
    if mapping.invoices.relation.is_view() || mapping.payments.relation.is_view() {
        return false;
    }
    (key.base == "uuid" || key.is_integer()) && mapping.payments.invoice.base == key.base
}

/// Reads both tables in one statement: of each row, whether it is an invoice, and then its columns.
fn read_both(mapping: &Mapping, ids: &[&str]) -> Result<Readings, Problem> {
    let statement = format!(
        "select true::text, i.* from ({}) i union all select null, p.* from ({}) p",
        invoices_statement(&mapping.invoices),
        payments_statement(mapping),
    );
    let count = looked_up(mapping, ids.len());
    let rows: Vec<[Text; 13]> = reading_both(mapping, || {
        sql::look_up_texts(count, &statement, &[mapping.invoices.id.held(ids)])
    });
    let (mut readings, mut payments) = (Readings::new(), Vec::new());
    for [is_invoice, raw @ ..] in rows {
        if is_invoice.is_some() {
            add_invoice(mapping, &mut readings, raw)?;
        } else {
            payments.push(raw);
        }
    }
    for raw in payments {
        // A payment may refer to an invoice that does not exist, or does not count.
        let reading = raw[0].as_ref().and_then(|of| readings.get_mut(of));
        if let Some(reading) = reading {
            add_payment(mapping, reading, raw)?;
        }
    }
    Ok(readings)
}

fn add_payment(mapping: &Mapping, reading: &mut Reading, raw: RawPayment) -> Result<(), Problem> {
    let (payment, row) = as_payment(mapping, raw, &reading.invoice)?;
    let last = reading.payments.last();
    if last.is_some_and(|last| last.id == payment.id) {
        reading.repeated_in = Some(mapping.payments.table.clone());
        return Ok(());
    }
    reading.payments.push(payment);
    reading.payment_rows.push(row);
    Ok(())
}

pub(super) fn all_readings(readings: &mut Readings) -> Vec<&mut Reading> {
    readings.values_mut().collect()
}

/// Reads again, with one statement per table, the rows that a write may have changed. Fails with P0002 if an
/// invoice was deleted.
pub(crate) fn read_again(
    mapping: &Mapping,
    readings: &mut [&mut Reading],
    reach: SideEffects,
) -> Result<(), Problem> {
    if reach != SideEffects::Payments {
        let ids: Vec<&str> = readings.iter().map(|r| r.invoice.id.as_str()).collect();
        let mut found = read_invoices(mapping, &ids)?;
        for reading in &mut *readings {
            let now = found.remove(&reading.invoice.id).ok_or_else(removed)?;
            (reading.invoice, reading.invoice_row) = (now.invoice, now.invoice_row);
            reading.repeated_in = now.repeated_in;
        }
    }
    if reach != SideEffects::Invoices {
        read_payments(mapping, readings)?;
    }
    Ok(())
}

fn removed() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        "a trigger deleted the invoice while its payment was written",
    )
}

/// Reads invoices without their payments.
pub(super) fn read_invoices(mapping: &Mapping, ids: &[&str]) -> Result<Readings, Problem> {
    let count = looked_up(mapping, ids.len());
    let statement = invoices_statement(&mapping.invoices);
    let rows: Vec<RawInvoice> = reading_as(&mapping.invoices.relation, || {
        sql::look_up_texts(count, &statement, &[mapping.invoices.id.held(ids)])
    });
    let mut readings = Readings::new();
    for raw in rows {
        add_invoice(mapping, &mut readings, raw)?;
    }
    Ok(readings)
}

fn add_invoice(mapping: &Mapping, readings: &mut Readings, raw: RawInvoice) -> Result<(), Problem> {
    let (id, reading) = as_reading(mapping, raw)?;
    let known = readings.entry(id);
    known
        .and_modify(|known| known.repeated_in = Some(mapping.invoices.table.clone()))
        .or_insert(reading);
    Ok(())
}

/// Reads the payments of these invoices and replaces those in the readings.
pub(super) fn read_payments(
    mapping: &Mapping,
    readings: &mut [&mut Reading],
) -> Result<(), Problem> {
    let mut by_id = BTreeMap::new();
    for reading in readings {
        reading.payments.clear();
        reading.payment_rows.clear();
        by_id.insert(reading.invoice.id.clone(), reading);
    }
    let ids: Vec<&str> = by_id.keys().map(String::as_str).collect();
    let count = looked_up(mapping, ids.len());
    let statement = payments_statement(mapping);
    let payments: Vec<RawPayment> = reading_as(&mapping.payments.relation, || {
        sql::look_up_texts(count, &statement, &[mapping.payments.invoice.held(&ids)])
    });
    for raw in payments {
        let [of, ..] = &raw;
        let reading = of.as_ref().and_then(|of| by_id.get_mut(of));
        let reading = reading.ok_or_else(|| misread("nobody asked for it"))?;
        add_payment(mapping, reading, raw)?;
    }
    Ok(())
}

/// Reads the invoice with this id, in any spelling that the key's type accepts. Fails with PostgreSQL's error 22P02 or
/// 22003 for an id that the type does not accept, even if there is no invoice.
pub(crate) fn read_one(mapping: &Mapping, id: &str) -> Result<Option<Reading>, Problem> {
    let Invoices {
        table,
        relation,
        id: key,
        ..
    } = &mapping.invoices;
    let statement = format!("select $1::text::{}", key.cast_type);
    in_subtransaction(|| {
        reading_as(relation, || sql::execute(&statement, &[Some(id)]));
        Ok(())
    })
    .map_err(|problem| {
        let column = format!(
            "The invoice's primary key, column \"{}\" of table {table}, has the type {}.",
            key.name, key.type_name
        );
        problem.detail(column).hint(KEY_NOT_NUMBER)
    })?;
    Ok(read(mapping, &[id])?.into_values().next())
}

/// The hint for an id that is not that of an invoice.
pub(crate) const KEY_NOT_NUMBER: &str = "Specify the invoice's primary key, not its number.";

/// Returns the ids of the payments of this invoice that do not count.
pub(crate) fn uncounted_payments(mapping: &Mapping, invoice: &str) -> Vec<String> {
    let payments = &mapping.payments;
    let Some(rows) = payments.counting.other_rows() else {
        return Vec::new();
    };
    let statement = format!(
        "select p.{id}::text from {rows} p where p.{of} = {wanted} order by p.{id}",
        id = payments.id.quoted,
        of = payments.invoice.quoted,
        wanted = wanted_keys(&payments.invoice),
    );
    let count = looked_up(mapping, 1);
    let rows: Vec<[Text; 1]> = reading_as(&payments.relation, || {
        sql::look_up_texts(count, &statement, &[payments.invoice.held(&[invoice])])
    });
    rows.into_iter().filter_map(|[id]| id).collect()
}

pub(super) fn misread(why: impl fmt::Display) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a row could not be parsed: {why}"),
    )
}

/// Returns the ids of the first parameter as an array of this column's type, which can hold them ([`Mapped::holds`]). An
/// array is looked up in the primary key's index, whereas a set would be joined with the whole table.
fn wanted_keys(key: &Mapped) -> String {
    format!("any ($1::{}[])", key.cast_type)
}

fn invoices_statement(invoices: &Invoices) -> String {
    format!(
        "select i.{id}::text, {number}, {status}, {total}, {amount_paid}, {balance},
            {paid}, {currency}, {account}, {session}, {intent}, row_to_json(i.*)::text
        from {table} i
        where i.{id} = {wanted}",
        id = invoices.id.quoted,
        wanted = wanted_keys(&invoices.id),
        number = text_of("i", invoices.number.as_ref()),
        status = invoices.status.word("i"),
        total = number_text("i", Some(&invoices.total)),
        amount_paid = number_text("i", invoices.amount_paid.as_ref()),
        balance = number_text("i", invoices.balance.as_ref()),
        paid = match &invoices.paid_at {
            Some(column) => format!("(i.{} is not null)::text", column.quoted),
            None => "null".to_owned(),
        },
        currency = text_of("i", invoices.currency.as_ref()),
        account = text_of("i", invoices.account.as_ref()),
        session = text_of("i", invoices.session.as_ref()),
        intent = text_of("i", invoices.intent.as_ref()),
        table = invoices.counting.rows(),
    )
}

fn payments_statement(mapping: &Mapping) -> String {
    let Payments {
        counting,
        id,
        invoice,
        status,
        amount,
        currency,
        gratuity,
        refunded,
        date,
        session,
        intent,
        ..
    } = &mapping.payments;
    format!(
        "select p.{invoice}::text, p.{id}::text, {status}, {amount}, {gratuity}, {refunded},
            {currency}, {paid_at}, null, {session}, {intent}, row_to_json(p.*)::text
        from {table} p
        where p.{invoice} = {wanted}
        order by p.{id}",
        id = id.quoted,
        status = word_of("p", status.as_ref()),
        amount = number_text("p", Some(amount)),
        currency = text_of("p", currency.as_ref()),
        gratuity = number_text("p", gratuity.as_ref()),
        refunded = number_text("p", refunded.as_ref()),
        paid_at = epoch_of("p", date.as_ref(), &mapping.time_zone),
        session = text_of("p", session.as_ref()),
        intent = text_of("p", intent.as_ref()),
        table = counting.rows(),
        invoice = invoice.quoted,
        wanted = wanted_keys(invoice),
    )
}

pub(super) fn text_of(alias: &str, column: Option<&Mapped>) -> String {
    column.map_or_else(
        || "null".to_owned(),
        |column| format!("{alias}.{}::text", column.quoted),
    )
}

/// As [`text_of`], for the word of a status.
pub(super) fn word_of(alias: &str, status: Option<&Status>) -> String {
    status.map_or_else(|| "null".to_owned(), |status| status.word(alias))
}

fn epoch_of(alias: &str, column: Option<&Mapped>, time_zone: &str) -> String {
    let Some(column) = column else {
        return "null".to_owned();
    };
    let moment = format!("{alias}.{}", column.quoted);
    let instant = if column.base == "timestamptz" {
        moment
    } else {
        let zone = pgrx::spi::quote_literal(time_zone);
        format!("({moment}::timestamp at time zone {zone})")
    };
    // An infinite date is read as null.
    format!("case when isfinite({instant}) then extract(epoch from {instant})::bigint::text end")
}

/// Returns an invoice without its payments, with its id.
fn as_reading(mapping: &Mapping, raw: RawInvoice) -> Result<(String, Reading), Problem> {
    let [
        id,
        number,
        status,
        total,
        amount_paid,
        balance,
        paid,
        currency,
        account,
        session,
        intent,
        row,
    ] = raw;
    let currency = match non_blank(&currency) {
        Some(text) => Currency::parse(text).ok_or_else(|| text.to_owned()),
        None => Ok(mapping.default_currency),
    };
    let invoices = &mapping.invoices;
    let account = named(account.as_deref());
    let word = status.unwrap_or_default();
    let of_invoice = |column: Option<&Mapped>, text: &Text| {
        amount(column, text, invoices.unit, &currency, Rounding::ToPayable)
    };
    let invoice = Invoice {
        id: id.ok_or_else(|| misread("its key is null"))?,
        number: non_blank(&number).map(str::to_owned),
        status: mapping.invoice_words.class(&word),
        status_word: word,
        total: of_invoice(Some(&invoices.total), &total),
        amount_paid: of_invoice(invoices.amount_paid.as_ref(), &amount_paid),
        balance: of_invoice(invoices.balance.as_ref(), &balance),
        paid_at: match paid.as_deref() {
            None => Field::Unmapped,
            Some("true") => Field::Value(()),
            Some(_) => Field::Null,
        },
        stored_ids: stored_ids(account.as_deref(), &session, &intent),
        account,
        currency,
    };
    let reading = Reading {
        invoice_row: as_row(row)?,
        payments: Vec::new(),
        payment_rows: Vec::new(),
        repeated_in: None,
        invoice,
    };
    Ok((reading.invoice.id.clone(), reading))
}

fn as_payment(
    mapping: &Mapping,
    raw: RawPayment,
    invoice: &Invoice,
) -> Result<(PaymentRow, Row), Problem> {
    let [
        _of,
        id,
        status,
        total,
        gratuity,
        refunded,
        code,
        paid_at,
        _,
        session,
        intent,
        row,
    ] = raw;
    let currency = &invoice.currency;
    let payments = &mapping.payments;
    let word = status.unwrap_or_default();
    let own = code.as_deref().and_then(Currency::parse);
    let other = own.filter(|own| currency.as_ref().is_ok_and(|currency| currency != own));
    let of_payment = |column: Option<&Mapped>, text: &Text| {
        let read = amount(column, text, payments.unit, currency, Rounding::OfFloats);
        match (read, other) {
            (Field::Value(_), Some(other)) => Field::Unreadable(format!(
                "{} is in {other}, which is not the invoice's currency",
                text.as_deref().unwrap_or_default()
            )),
            (read, _) => read,
        }
    };
    let row = as_row(row)?;
    let other_object = other_object([&session, &intent]);
    let class = |_| mapping.payment_words.class(&word);
    let status = payments.status.as_ref().map_or(PaymentStatus::Paid, class);
    let payment = PaymentRow {
        status,
        id: id.ok_or_else(|| misread("its key is null"))?,
        status_word: word,
        amount: of_payment(Some(&payments.amount), &total),
        gratuity: of_payment(payments.gratuity.as_ref(), &gratuity),
        refunded: of_payment(payments.refunded.as_ref(), &refunded),
        other_object,
        ids: PaymentIds::of_row(invoice.account.as_deref(), [session, intent]),
        paid_at: paid_at.and_then(|seconds| seconds.parse().ok()),
        unfilled: payments.values.unfilled(&row, status),
    };
    Ok((payment, row))
}

pub(super) fn as_row(row: Text) -> Result<Row, Problem> {
    row.map(Row::new).ok_or_else(|| misread("it is null"))
}

/// Returns the ids that an invoice of this account stores, sessions first, each once. Blank ids are left out.
pub(crate) fn stored_ids(account: Option<&str>, session: &Text, intent: &Text) -> Vec<String> {
    let mut ids: Vec<String> = [session, intent]
        .into_iter()
        .filter_map(|id| non_blank(id).map(|id| qualified(account, without_secret(id))))
        .collect();
    ids.dedup();
    ids
}

fn non_blank(text: &Option<String>) -> Option<&str> {
    let text = text.as_deref()?.trim();
    (!text.is_empty()).then_some(text)
}

/// Which amounts are rounded that are finer than the currency's smallest unit; the others cannot be read.
#[derive(Clone, Copy)]
enum Rounding {
    /// Those of invoices: nobody can pay the rest.
    ToPayable,
    /// Those of binary floating-point numbers, which are seldom exact.
    OfFloats,
}

fn amount(
    column: Option<&Mapped>,
    text: &Text,
    unit: AmountUnit,
    currency: &Result<Currency, String>,
    rounding: Rounding,
) -> Field<Money> {
    let Some(column) = column else {
        return Field::Unmapped;
    };
    let read = match rounding {
        Rounding::ToPayable => Money::payable_from_units,
        Rounding::OfFloats if column.is_float() => Money::rounded_from_units,
        Rounding::OfFloats => Money::from_units,
    };
    match (text, currency) {
        (None, _) => Field::Null,
        (Some(text), Ok(currency)) => read(text, unit, *currency)
            .map_or_else(|error| Field::Unreadable(error.to_string()), Field::Value),
        (Some(text), Err(code)) => Field::Unreadable(format!("{text} in \"{code}\"")),
    }
}
