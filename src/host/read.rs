//! Reading invoices and their payments, with a lock or without.

use std::collections::BTreeMap;
use std::fmt;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::json;

use super::mapping::{Invoices, Mapped, Mapping, Payments};
use super::reach::Reach;
use super::row::Row;
use super::write::reading_as;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::{Field, Invoice};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::pg::{Problem, sql};

/// What to do about a row that another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    /// Leave it out.
    Skip,
}

impl Patience {
    fn clause(self) -> &'static str {
        match self {
            Self::Wait => "for update",
            Self::Skip => "for update skip locked",
        }
    }
}

/// An invoice and its payments, as one reading found them.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) invoice: Invoice,
    pub(crate) payments: Vec<PaymentRow>,
    /// The whole rows, to tell afterwards what changed.
    pub(crate) invoice_row: Row,
    /// By the order of `payments`.
    pub(crate) payment_rows: Vec<Row>,
}

/// By the invoice's id, as the database writes it.
pub(crate) type Readings = BTreeMap<String, Reading>;

type Text = Option<String>;

/// By the order of the columns in [`invoices_statement`].
type RawInvoice = [Text; 11];

/// By the order of the columns in [`payments_statement`].
type RawPayment = [Text; 10];

/// Reads the invoices with these ids and their payments, by the invoice's id as
/// the database writes it; one that is not there is left out. An id that the
/// key's type cannot hold is PostgreSQL's error 22P02.
///
/// Two statements, however many invoices, each as the owner of its table: each sees
/// what was committed before it.
pub(crate) fn read(mapping: &Mapping, ids: &[&str]) -> Result<Readings, Problem> {
    let mut readings = read_invoices(mapping, ids)?;
    read_payments(mapping, &mut all_of(&mut readings))?;
    Ok(readings)
}

fn all_of(readings: &mut Readings) -> Vec<&mut Reading> {
    readings.values_mut().collect()
}

/// Reads again, one statement for each table, what a writing may have changed.
/// Fails with P0002 where an invoice is gone.
pub(crate) fn read_again(
    mapping: &Mapping,
    readings: &mut [&mut Reading],
    reach: Reach,
) -> Result<(), Problem> {
    if reach != Reach::Payments {
        let ids: Vec<&str> = readings.iter().map(|r| r.invoice.id.as_str()).collect();
        let mut found = read_invoices(mapping, &ids)?;
        for reading in &mut *readings {
            let now = found.remove(&reading.invoice.id).ok_or_else(removed)?;
            (reading.invoice, reading.invoice_row) = (now.invoice, now.invoice_row);
        }
    }
    if reach != Reach::Invoices {
        read_payments(mapping, readings)?;
    }
    Ok(())
}

fn removed() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        "a trigger removed the invoice while its payment was written",
    )
}

/// Without their payments.
fn read_invoices(mapping: &Mapping, ids: &[&str]) -> Result<Readings, Problem> {
    let ids = json!(ids).to_string();
    let statement = invoices_statement(&mapping.invoices);
    reading_as(mapping.invoices.owner, || {
        sql::fetch_texts(&statement, &[Some(&ids)])
    })
    .into_iter()
    .map(|raw| as_reading(mapping, raw))
    .collect()
}

/// The payments of these readings' invoices, in place of what is there.
fn read_payments(mapping: &Mapping, readings: &mut [&mut Reading]) -> Result<(), Problem> {
    let mut by_id = BTreeMap::new();
    for reading in readings {
        reading.payments.clear();
        reading.payment_rows.clear();
        by_id.insert(reading.invoice.id.clone(), reading);
    }
    let ids: Vec<&String> = by_id.keys().collect();
    let ids = json!(ids).to_string();
    let statement = payments_statement(mapping);
    let payments: Vec<RawPayment> = reading_as(mapping.payments.owner, || {
        sql::fetch_texts(&statement, &[Some(&ids)])
    });
    for raw in payments {
        let [of, ..] = &raw;
        let reading = of.as_ref().and_then(|of| by_id.get_mut(of));
        let reading = reading.ok_or_else(|| misread("nobody asked for it"))?;
        let (payment, row) = as_payment(mapping, raw, &reading.invoice.currency)?;
        reading.payments.push(payment);
        reading.payment_rows.push(row);
    }
    Ok(())
}

/// The invoice whose id is written `id`, in whatever way its type allows. An `id`
/// that it does not allow is PostgreSQL's error 22P02, even where there is no invoice.
pub(crate) fn read_one(mapping: &Mapping, id: &str) -> Result<Option<Reading>, Problem> {
    let statement = format!("select $1::text::{}", mapping.invoices.id.type_name);
    reading_as(mapping.invoices.owner, || {
        sql::execute(&statement, &[Some(id)]);
    });
    Ok(read(mapping, &[id])?.into_values().next())
}

/// An invoice that is locked, with its payments.
pub(crate) struct Locked {
    pub(crate) reading: Reading,
    /// Whether all of its rows are what they were in the reading that was known.
    pub(crate) is_as_known: bool,
}

/// Locks these invoices and their payments until the transaction ends, and reads
/// them: what another transaction wrote before the lock was had is seen. Left out
/// are those that are not there, and with [`Patience::Skip`] those of which
/// somebody else has a row. An invoice whose row is what it was in `known` is not
/// read again.
///
/// The ids must be in the order that everybody locks in. An invoice is locked
/// first, then its payments, always by equality on the invoice's id.
///
/// Fails with 40001 where somebody writes payments and does not lock the invoice.
pub(crate) fn read_locked(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    known: Readings,
) -> Result<BTreeMap<String, Locked>, Problem> {
    let mut former = Former::default();
    let mut readings = lock_invoices(mapping, ids, patience, known, &mut former)?;
    read_payments(mapping, &mut all_of(&mut readings))?;
    let with_payments: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| readings.get(*id).is_some_and(|r| !r.payments.is_empty()))
        .collect();
    if !with_payments.is_empty() {
        lock_payments(mapping, &with_payments, patience, &mut readings)?;
    }
    let locked = readings.into_iter().map(|(id, reading)| {
        let is_as_known = former.get(&id) == Some(&reading.payment_rows);
        (
            id,
            Locked {
                reading,
                is_as_known,
            },
        )
    });
    Ok(locked.collect())
}

/// The payments of invoices as they were known, of those whose own row is so still.
type Former = BTreeMap<String, Vec<Row>>;

/// Gives the invoices without their payments.
fn lock_invoices(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    mut known: Readings,
    former: &mut Former,
) -> Result<Readings, Problem> {
    let statement = lock_invoice_statement(mapping, patience);
    let locked: Vec<Vec<[Text; 2]>> =
        reading_as(mapping.invoices.owner, || sql::fetch_each(&statement, ids));
    let (mut readings, mut others) = (Readings::new(), Vec::new());
    for [id, row] in locked.into_iter().flatten() {
        let id = id.ok_or_else(|| misread("its key is null"))?;
        let row = as_row(row)?;
        match known.remove(&id).filter(|it| it.invoice_row == row) {
            Some(mut reading) => {
                former.insert(id.clone(), std::mem::take(&mut reading.payment_rows));
                readings.insert(id, reading);
            }
            None => others.push(id),
        }
    }
    if !others.is_empty() {
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        readings.append(&mut read_invoices(mapping, &others)?);
    }
    Ok(readings)
}

/// Locks the payments that these invoices have, and reads them again.
fn lock_payments(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    readings: &mut Readings,
) -> Result<(), Problem> {
    let statement = lock_payments_statement(mapping, patience);
    let locked: Vec<Vec<[Text; 1]>> =
        reading_as(mapping.payments.owner, || sql::fetch_each(&statement, ids));
    let mut again = all_of(readings);
    again.retain(|reading| !reading.payments.is_empty());
    read_payments(mapping, &mut again)?;
    for (id, rows) in ids.iter().zip(locked) {
        let all_held = readings.get(*id).is_some_and(|reading| {
            let has = |id: &String| rows.iter().any(|[row]| row.as_ref() == Some(id));
            reading.payments.iter().all(|payment| has(&payment.id))
        });
        if all_held {
            continue;
        }
        if patience == Patience::Wait {
            return Err(written_meanwhile(id));
        }
        readings.remove(*id);
    }
    Ok(())
}

fn written_meanwhile(invoice: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("a payment of the invoice {invoice} was written while it was being locked"),
    )
}

fn misread(why: impl fmt::Display) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a row was not understood: {why}"),
    )
}

/// What it gives is the row as it is once it is locked: PostgreSQL evaluates it anew
/// where somebody else changed it meanwhile (EvalPlanQual).
fn lock_invoice_statement(mapping: &Mapping, patience: Patience) -> String {
    let invoices = &mapping.invoices;
    format!(
        "select i.{id}::text, row_to_json(i)::text from {table} i where i.{id} = $1::{key} {clause}",
        table = invoices.table,
        id = invoices.id.quoted,
        key = invoices.id.type_name,
        clause = patience.clause(),
    )
}

fn lock_payments_statement(mapping: &Mapping, patience: Patience) -> String {
    let payments = &mapping.payments;
    format!(
        "select p.{id}::text from {table} p where p.{invoice} = $1::{key} {clause}",
        table = payments.table,
        id = payments.id.quoted,
        invoice = payments.invoice.quoted,
        key = payments.invoice.type_name,
        clause = patience.clause(),
    )
}

/// The ids of the first parameter as keys of this column: an array, because that is
/// looked up in the primary key's index, where a set is joined with the whole table.
fn wanted_keys(key: &Mapped) -> String {
    format!(
        "any (array(select w.id::{key} from jsonb_array_elements_text($1::jsonb) w (id)))",
        key = key.type_name,
    )
}

fn invoices_statement(invoices: &Invoices) -> String {
    format!(
        "select i.{id}::text, {number}, i.{status}::text, i.{total}::text, {amount_paid}, {balance},
            {paid}, {currency}, {session}, {intent}, row_to_json(i)::text
        from {table} i
        where i.{id} = {wanted}",
        id = invoices.id.quoted,
        wanted = wanted_keys(&invoices.id),
        number = text_of("i", invoices.number.as_ref()),
        status = invoices.status.quoted,
        total = invoices.total.quoted,
        amount_paid = text_of("i", invoices.amount_paid.as_ref()),
        balance = text_of("i", invoices.balance.as_ref()),
        paid = match &invoices.paid_at {
            Some(column) => format!("(i.{} is not null)::text", column.quoted),
            None => "null".to_owned(),
        },
        currency = text_of("i", invoices.currency.as_ref()),
        session = text_of("i", invoices.session.as_ref()),
        intent = text_of("i", invoices.intent.as_ref()),
        table = invoices.table,
    )
}

fn payments_statement(mapping: &Mapping) -> String {
    let Payments {
        table,
        id,
        invoice,
        status,
        amount,
        gratuity,
        refunded,
        date,
        session,
        intent,
        ..
    } = &mapping.payments;
    format!(
        "select p.{invoice}::text, p.{id}::text, {status}, p.{amount}::text, {gratuity}, {refunded},
            {paid_at}, {session}, {intent}, row_to_json(p)::text
        from {table} p
        where p.{invoice} = {wanted}
        order by p.{id}",
        id = id.quoted,
        status = text_of("p", status.as_ref()),
        amount = amount.quoted,
        gratuity = text_of("p", gratuity.as_ref()),
        refunded = text_of("p", refunded.as_ref()),
        paid_at = epoch_of("p", date.as_ref(), &mapping.time_zone),
        session = text_of("p", session.as_ref()),
        intent = text_of("p", intent.as_ref()),
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
    // An infinite date is no moment.
    format!("case when isfinite({instant}) then extract(epoch from {instant})::bigint::text end")
}

/// An invoice without its payments, by its id.
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
        session,
        intent,
        row,
    ] = raw;
    let currency = match non_blank(&currency) {
        Some(text) => Currency::parse(text).ok_or_else(|| text.to_owned()),
        None => Ok(mapping.default_currency),
    };
    let invoices = &mapping.invoices;
    let word = status.unwrap_or_default();
    let has_amount_paid = invoices.amount_paid.is_some();
    let invoice = Invoice {
        id: id.ok_or_else(|| misread("its key is null"))?,
        number: non_blank(&number).map(str::to_owned),
        status: mapping.invoice_words.class(&word),
        status_word: word,
        total: amount(mapping, true, &total, &currency),
        amount_paid: amount(mapping, has_amount_paid, &amount_paid, &currency),
        balance: amount(mapping, invoices.balance.is_some(), &balance, &currency),
        paid_at: match paid.as_deref() {
            None => Field::Unmapped,
            Some("true") => Field::Value(()),
            Some(_) => Field::Null,
        },
        stored_ids: stored_ids(&session, &intent),
        currency,
    };
    let reading = Reading {
        invoice_row: as_row(row)?,
        payments: Vec::new(),
        payment_rows: Vec::new(),
        invoice,
    };
    Ok((reading.invoice.id.clone(), reading))
}

fn as_payment(
    mapping: &Mapping,
    raw: RawPayment,
    currency: &Result<Currency, String>,
) -> Result<(PaymentRow, Row), Problem> {
    let [
        _of,
        id,
        status,
        total,
        gratuity,
        refunded,
        paid_at,
        session,
        intent,
        row,
    ] = raw;
    let payments = &mapping.payments;
    let word = status.unwrap_or_default();
    let payment = PaymentRow {
        id: id.ok_or_else(|| misread("its key is null"))?,
        status: if payments.status.is_some() {
            mapping.payment_words.class(&word)
        } else {
            PaymentStatus::Paid
        },
        status_word: word,
        amount: amount(mapping, true, &total, currency),
        gratuity: amount(mapping, payments.gratuity.is_some(), &gratuity, currency),
        refunded: amount(mapping, payments.refunded.is_some(), &refunded, currency),
        ids: PaymentIds::from_columns([session.as_deref(), intent.as_deref()]),
        paid_at: paid_at.and_then(|seconds| seconds.parse().ok()),
    };
    Ok((payment, as_row(row)?))
}

fn as_row(row: Text) -> Result<Row, Problem> {
    row.map(Row::new).ok_or_else(|| misread("it is null"))
}

/// The ids that an invoice stores, sessions first, each once; blank is none.
pub(crate) fn stored_ids(session: &Option<String>, intent: &Option<String>) -> Vec<String> {
    let mut ids: Vec<String> = [session, intent]
        .into_iter()
        .filter_map(|id| non_blank(id).map(str::to_owned))
        .collect();
    ids.dedup();
    ids
}

fn non_blank(text: &Option<String>) -> Option<&str> {
    text.as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn amount(
    mapping: &Mapping,
    is_mapped: bool,
    text: &Option<String>,
    currency: &Result<Currency, String>,
) -> Field<Money> {
    match (is_mapped, text, currency) {
        (false, _, _) => Field::Unmapped,
        (true, None, _) => Field::Null,
        (true, Some(text), Ok(currency)) => Money::from_units(text, mapping.unit, *currency)
            .map_or_else(|error| Field::Unreadable(error.to_string()), Field::Value),
        (true, Some(text), Err(code)) => Field::Unreadable(format!("{text} in \"{code}\"")),
    }
}
