//! Writing payments and invoices. Values travel as JSON and PostgreSQL turns
//! them into whatever types the columns have (`jsonb_populate_record`).

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Map, Value, json};

use super::mapping::{Mapped, Mapping};
use super::read::Reading;
use crate::domain::identity::PaymentIds;
use crate::domain::money::Money;
use crate::domain::plan::{InvoiceChange, NewPayment, PaymentUpdate};
use crate::pg::{Problem, identity, sql};

/// Columns and their new values.
#[derive(Default)]
struct Assignments {
    values: Map<String, Value>,
    columns: Vec<String>,
}

impl Assignments {
    fn set(&mut self, name: &str, quoted: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
        self.columns.push(quoted.to_owned());
    }

    fn set_mapped(&mut self, column: Option<&Mapped>, value: Option<Value>) {
        if let (Some(column), Some(value)) = (column, value) {
            self.set(&column.name, &column.quoted, value);
        }
    }

    fn json(self) -> String {
        Value::Object(self.values).to_string()
    }
}

/// Does `work` as the owner of a table of the host's, with the host's search
/// path: its triggers run as they do for the application, and row level
/// security hides nothing.
fn as_owner(mapping: &Mapping, owner: u32, work: impl FnOnce()) {
    identity::as_table_owner(owner.into(), || {
        set_search_path(&mapping.search_path);
        work();
        // Not the host's any more: what follows runs with other rights. After
        // an error the subtransaction puts it back.
        set_search_path("pg_catalog, pg_temp");
    });
}

fn set_search_path(path: &str) {
    sql::execute("select set_config('search_path', $1, true)", &[Some(path)]);
}

/// Lets those triggers and constraints have their say that would wait for the
/// end of the transaction: what they refuse is then this invoice's error and not
/// the whole run's, and they run as the owner of their table and not as whoever
/// called.
pub(crate) fn run_deferred_triggers(mapping: &Mapping) {
    for deferred in &mapping.deferred {
        let names = deferred.names.join(", ");
        as_owner(mapping, deferred.owner, || {
            sql::execute(&format!("set constraints {names} immediate"), &[]);
            sql::execute(&format!("set constraints {names} deferred"), &[]);
        });
    }
}

/// Inserts the payment. Nothing is returned: what the host's triggers made of
/// it is read back by the caller.
pub(crate) fn insert_payment(
    mapping: &Mapping,
    reading: &Reading,
    payment: &NewPayment,
) -> Result<(), Problem> {
    let columns = &mapping.payments;
    let mut new = Assignments::default();
    for (name, source) in &columns.values {
        let value = source.value(&reading.invoice_row, &payment.attributes);
        if !value.is_null() {
            new.set(name, &pgrx::spi::quote_identifier(name), value);
        }
    }
    let invoice_id = reading
        .invoice_row
        .get(&mapping.invoices.id.name)
        .cloned()
        .unwrap_or_default();
    new.set(&columns.invoice.name, &columns.invoice.quoted, invoice_id);
    new.set_mapped(
        columns.status.as_ref(),
        mapping.payment_word(payment.status).map(Value::from),
    );
    new.set_mapped(
        Some(&columns.amount),
        Some(in_host_units(mapping, payment.amount)?),
    );
    new.set_mapped(
        columns.gratuity.as_ref(),
        Some(in_host_units(mapping, payment.gratuity)?),
    );
    new.set_mapped(
        columns.refunded.as_ref(),
        Some(in_host_units(mapping, payment.refunded)?),
    );
    let received_at = payment.received_at.unwrap_or_else(now);
    new.set_mapped(
        columns.date.as_ref(),
        columns
            .date
            .as_ref()
            .map(|column| moment(mapping, column, received_at)),
    );
    let (session, intent) = id_columns(mapping, &payment.ids);
    new.set_mapped(columns.session.as_ref(), session);
    new.set_mapped(columns.intent.as_ref(), intent);

    let list = new.columns.join(", ");
    let statement = format!(
        "insert into {table} ({list}) select {list} from jsonb_populate_record(null::{table}, $1::jsonb)",
        table = columns.table,
    );
    as_owner(mapping, columns.owner, || {
        sql::execute(&statement, &[Some(&new.json())]);
    });
    Ok(())
}

/// Changes a payment row.
pub(crate) fn update_payment(
    mapping: &Mapping,
    reading: &Reading,
    update: &PaymentUpdate,
) -> Result<(), Problem> {
    let columns = &mapping.payments;
    let mut new = Assignments::default();
    new.set_mapped(
        columns.status.as_ref(),
        update
            .status
            .and_then(|status| mapping.payment_word(status))
            .map(Value::from),
    );
    for (column, money) in [
        (Some(&columns.amount), update.amount),
        (columns.gratuity.as_ref(), update.gratuity),
        (columns.refunded.as_ref(), update.refunded),
    ] {
        let value = money
            .map(|money| in_host_units(mapping, money))
            .transpose()?;
        new.set_mapped(column, value);
    }
    let row = reading
        .payments
        .iter()
        .position(|row| row.id == update.row)
        .and_then(|at| reading.payment_rows.get(at));
    let is_blank = |column: Option<&Mapped>| {
        column
            .and_then(|column| row?.get(&column.name)?.as_str())
            .is_none_or(|text| text.trim().is_empty())
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
        update.status.is_some() && is_null(row, columns.date.as_ref()),
    ) {
        new.set_mapped(Some(date), Some(moment(mapping, date, at)));
    }
    update_row(
        mapping,
        Target {
            table: &columns.table,
            owner: columns.owner,
            id: &columns.id,
            // Looked up with its invoice, always: distributed tables are split by it.
            invoice: Some((&columns.invoice, &reading.invoice.id)),
        },
        &update.row,
        new,
    );
    Ok(())
}

/// Changes the invoice.
pub(crate) fn update_invoice(
    mapping: &Mapping,
    reading: &Reading,
    change: &InvoiceChange,
) -> Result<(), Problem> {
    let columns = &mapping.invoices;
    let mut new = Assignments::default();
    new.set_mapped(
        Some(&columns.status),
        change
            .status
            .and_then(|status| mapping.invoice_word(status))
            .map(Value::from),
    );
    for (column, money) in [
        (columns.amount_paid.as_ref(), change.amount_paid),
        (columns.balance.as_ref(), change.balance),
    ] {
        let value = money
            .map(|money| in_host_units(mapping, money))
            .transpose()?;
        new.set_mapped(column, value);
    }
    if let (Some(column), Some(at)) = (columns.paid_at.as_ref(), change.paid_at) {
        new.set_mapped(Some(column), Some(moment(mapping, column, at)));
    }
    update_row(
        mapping,
        Target {
            table: &columns.table,
            owner: columns.owner,
            id: &columns.id,
            invoice: None,
        },
        &reading.invoice.id,
        new,
    );
    Ok(())
}

/// The row that is written.
struct Target<'a> {
    table: &'a str,
    owner: u32,
    id: &'a Mapped,
    invoice: Option<(&'a Mapped, &'a str)>,
}

fn update_row(mapping: &Mapping, target: Target, row: &str, new: Assignments) {
    if new.columns.is_empty() {
        return;
    }
    let list = new
        .columns
        .iter()
        .map(|column| format!("{column} = new.{column}"))
        .collect::<Vec<_>>()
        .join(", ");
    let of_invoice = target.invoice.map_or_else(String::new, |(column, _)| {
        format!(" and t.{} = $3::{}", column.quoted, column.type_name)
    });
    let statement = format!(
        "update {table} t set {list} from jsonb_populate_record(null::{table}, $1::jsonb) new
        where t.{id} = $2::{key}{of_invoice}",
        table = target.table,
        id = target.id.quoted,
        key = target.id.type_name,
    );
    let json = new.json();
    let mut params = vec![Some(json.as_str()), Some(row)];
    params.extend(target.invoice.map(|(_, id)| Some(id)));
    as_owner(mapping, target.owner, || sql::execute(&statement, &params));
}

/// As JSON text, which `jsonb_populate_record` reads into numeric and integers alike.
fn in_host_units(mapping: &Mapping, money: Money) -> Result<Value, Problem> {
    money
        .to_units(mapping.unit)
        .map(Value::from)
        .map_err(|error| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                format!("{money} cannot be written in the unit of amount_unit"),
            )
            .detail(error.to_string())
        })
}

/// The ids for the two columns. Where one of the columns is not there, the
/// other takes what there is: a payment must be recognised again.
fn id_columns(mapping: &Mapping, ids: &PaymentIds) -> (Option<Value>, Option<Value>) {
    let payments = &mapping.payments;
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

/// Seconds since 1970 as a text for the column's type; a day or a local time
/// is that of the configured time zone.
fn moment(mapping: &Mapping, column: &Mapped, seconds: i64) -> Value {
    let seconds = seconds.to_string();
    let zone = if column.base == "timestamptz" {
        "UTC"
    } else {
        &mapping.time_zone
    };
    let local = sql::fetch_one(
        "select to_jsonb(to_char(to_timestamp($1::float8) at time zone $2, 'YYYY-MM-DD HH24:MI:SS'))",
        &[Some(&seconds), Some(zone)],
    );
    match local {
        Some(Value::String(text)) if column.base == "timestamptz" => Value::from(text + "+00"),
        Some(text) => text,
        None => Value::Null,
    }
}

fn is_null(row: Option<&Value>, column: Option<&Mapped>) -> bool {
    column
        .and_then(|column| row?.get(&column.name))
        .is_none_or(Value::is_null)
}

/// Seconds since 1970, by this machine's clock.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
