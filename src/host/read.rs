//! Reading one invoice and its payments, with a lock or without.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::Value;

use super::mapping::{Invoices, Mapped, Mapping, Payments};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::{Field, Invoice};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::rules::Elsewhere;
use crate::pg::{Problem, sql};

/// Whether the rows are to be locked until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    None,
    ForUpdate,
}

impl Lock {
    fn clause(self) -> &'static str {
        match self {
            Self::None => "",
            Self::ForUpdate => " for update",
        }
    }
}

/// An invoice and its payments, as one reading found them.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) invoice: Invoice,
    pub(crate) payments: Vec<PaymentRow>,
    /// The whole rows as JSON, to tell afterwards what changed.
    pub(crate) invoice_row: Value,
    /// By the order of `payments`.
    pub(crate) payment_rows: Vec<Value>,
}

#[derive(Deserialize)]
struct RawInvoice {
    id: String,
    number: Option<String>,
    status: Option<String>,
    total: Option<String>,
    amount_paid: Option<String>,
    balance: Option<String>,
    paid: bool,
    currency: Option<String>,
    session: Option<String>,
    intent: Option<String>,
    row: Value,
}

#[derive(Deserialize)]
struct RawPayment {
    id: String,
    status: Option<String>,
    amount: Option<String>,
    gratuity: Option<String>,
    refunded: Option<String>,
    paid_at: Option<i64>,
    session: Option<String>,
    intent: Option<String>,
    row: Value,
}

/// Reads the invoice with the id `id`; `None` where there is none. An `id`
/// that the key's type cannot hold is PostgreSQL's error 22P02.
///
/// The invoice is locked before its payments are read, each in a statement of
/// its own: what another transaction wrote while the lock was waited for is seen.
pub(crate) fn read(mapping: &Mapping, id: &str, lock: Lock) -> Result<Option<Reading>, Problem> {
    let statement = invoice_statement(&mapping.invoices) + lock.clause();
    let Some(row) = sql::fetch_one(&statement, &[Some(id)]) else {
        return Ok(None);
    };
    let raw: RawInvoice = serde_json::from_value(row).map_err(misread)?;
    let statement = payments_statement(mapping) + lock.clause();
    let raw_payments = sql::fetch(&statement, &[Some(id)])
        .into_iter()
        .map(serde_json::from_value::<RawPayment>)
        .collect::<Result<Vec<_>, _>>()
        .map_err(misread)?;

    let invoice = as_invoice(mapping, &raw);
    let payments = raw_payments
        .iter()
        .map(|payment| as_payment(mapping, payment, &invoice.currency))
        .collect();
    Ok(Some(Reading {
        invoice,
        payments,
        invoice_row: raw.row,
        payment_rows: raw_payments.into_iter().map(|raw| raw.row).collect(),
    }))
}

/// In whose books, other than those of the invoice `invoice`, these payments
/// are: by the id that stands for a payment, what people call the invoice.
pub(crate) fn elsewhere(mapping: &Mapping, invoice: &str, payments: &[PaymentIds]) -> Elsewhere {
    let ids: Vec<&String> = payments
        .iter()
        .flat_map(|ids| [&ids.session, &ids.intent, &ids.charge])
        .flatten()
        .collect();
    let ids = serde_json::json!(ids).to_string();
    let columns = [&mapping.payments.session, &mapping.payments.intent];
    let rows = columns.into_iter().flatten().flat_map(|column| {
        let statement = elsewhere_statement(mapping, column);
        sql::fetch(&statement, &[Some(&ids), Some(invoice)])
    });
    let mut found = Elsewhere::default();
    for row in rows {
        let text = |field: &str| row.get(field).and_then(Value::as_str);
        let theirs = PaymentIds::from_columns([text("session"), text("intent")]);
        let same = payments.iter().filter(|ids| ids.same_payment(&theirs));
        for key in same.filter_map(PaymentIds::key) {
            let label = text("invoice").unwrap_or_default();
            found.0.insert(key.to_owned(), label.to_owned());
        }
    }
    found
}

fn elsewhere_statement(mapping: &Mapping, column: &Mapped) -> String {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    format!(
        "select jsonb_build_object('session', {session}, 'intent', {intent},
                                   'invoice', coalesce({number}, i.{key}::text))
        from {payments_table} p
        join {invoices_table} i on i.{key} = p.{of}
        where p.{column} = any (array(select jsonb_array_elements_text($1::jsonb)))
          and i.{key}::text <> $2",
        session = text_of("p", payments.session.as_ref()),
        intent = text_of("p", payments.intent.as_ref()),
        number = text_of("i", invoices.number.as_ref()),
        column = column.quoted,
        payments_table = payments.table,
        invoices_table = invoices.table,
        key = invoices.id.quoted,
        of = payments.invoice.quoted,
    )
}

fn misread(error: serde_json::Error) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a row was not understood: {error}"),
    )
}

fn invoice_statement(invoices: &Invoices) -> String {
    format!(
        "select jsonb_build_object(
            'id', i.{id}::text, 'number', {number}, 'status', i.{status}::text,
            'total', i.{total}::text, 'amount_paid', {amount_paid}, 'balance', {balance},
            'paid', {paid}, 'currency', {currency},
            'session', {session}, 'intent', {intent}, 'row', to_jsonb(i))
        from {table} i
        where i.{id} = $1::{key}",
        id = invoices.id.quoted,
        key = invoices.id.type_name,
        number = text_of("i", invoices.number.as_ref()),
        status = invoices.status.quoted,
        total = invoices.total.quoted,
        amount_paid = text_of("i", invoices.amount_paid.as_ref()),
        balance = text_of("i", invoices.balance.as_ref()),
        paid = match &invoices.paid_at {
            Some(column) => format!("i.{} is not null", column.quoted),
            None => "false".to_owned(),
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
        "select jsonb_build_object(
            'id', p.{id}::text, 'status', {status}, 'amount', p.{amount}::text,
            'gratuity', {gratuity}, 'refunded', {refunded}, 'paid_at', {paid_at},
            'session', {session}, 'intent', {intent}, 'row', to_jsonb(p))
        from {table} p
        where p.{invoice} = $1::{key}
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
        key = invoice.type_name,
    )
}

fn text_of(alias: &str, column: Option<&Mapped>) -> String {
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
    format!("case when isfinite({instant}) then extract(epoch from {instant})::bigint end")
}

fn as_invoice(mapping: &Mapping, raw: &RawInvoice) -> Invoice {
    let currency = match non_blank(&raw.currency) {
        Some(text) => Currency::parse(text).ok_or_else(|| text.to_owned()),
        None => Ok(mapping.default_currency),
    };
    let invoices = &mapping.invoices;
    let word = raw.status.clone().unwrap_or_default();
    Invoice {
        id: raw.id.clone(),
        number: non_blank(&raw.number).map(str::to_owned),
        status: mapping.invoice_words.class(&word),
        status_word: word,
        total: amount(mapping, true, &raw.total, &currency),
        amount_paid: amount(
            mapping,
            invoices.amount_paid.is_some(),
            &raw.amount_paid,
            &currency,
        ),
        balance: amount(mapping, invoices.balance.is_some(), &raw.balance, &currency),
        paid_at: match (&invoices.paid_at, raw.paid) {
            (None, _) => Field::Unmapped,
            (Some(_), true) => Field::Value(()),
            (Some(_), false) => Field::Null,
        },
        stored_ids: stored_ids(&raw.session, &raw.intent),
        currency,
    }
}

fn as_payment(
    mapping: &Mapping,
    raw: &RawPayment,
    currency: &Result<Currency, String>,
) -> PaymentRow {
    let payments = &mapping.payments;
    let word = raw.status.clone().unwrap_or_default();
    PaymentRow {
        id: raw.id.clone(),
        status: if payments.status.is_some() {
            mapping.payment_words.class(&word)
        } else {
            PaymentStatus::Paid
        },
        status_word: word,
        amount: amount(mapping, true, &raw.amount, currency),
        gratuity: amount(
            mapping,
            payments.gratuity.is_some(),
            &raw.gratuity,
            currency,
        ),
        refunded: amount(
            mapping,
            payments.refunded.is_some(),
            &raw.refunded,
            currency,
        ),
        ids: PaymentIds::from_columns([raw.session.as_deref(), raw.intent.as_deref()]),
        paid_at: raw.paid_at,
    }
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
