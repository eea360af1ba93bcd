//! Locks invoices and their payments, and reads the locked rows.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;

use super::mapping::{Mapped, Mapping};
use super::owner::reading_as;
use super::read::{
    Reading, Readings, Text, all_readings, as_row, misread, read_invoices, read_payments,
};
use super::row::Row;
use crate::pg::{Problem, sql};

/// What to do with a row that another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    /// Leaves it out.
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

/// A locked invoice, with its payments.
pub(crate) struct Locked {
    pub(crate) reading: Reading,
    /// True if all its rows are the same as in the known reading.
    pub(crate) is_as_known: bool,
}

/// Locks these invoices and their payments until the transaction ends, and reads them, including what other
/// transactions wrote before the lock was acquired. Leaves out invoices that do not exist and, with
/// [`Patience::Skip`], invoices of which another transaction has locked a row. An invoice whose row is the same as
/// in `known` is not read again.
///
/// The ids must be in the order in which every transaction locks. An invoice is locked before its payments, always
/// by equality on the invoice's id.
///
/// Fails with 40001 if another transaction writes payments without locking their invoice.
pub(crate) fn read_locked(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    known: Readings,
) -> Result<BTreeMap<String, Locked>, Problem> {
    let (mut readings, known_payments) = lock_invoices(mapping, ids, patience, known)?;
    read_payments(mapping, &mut all_readings(&mut readings))?;
    let with_payments: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| readings.get(*id).is_some_and(|r| !r.payments.is_empty()))
        .collect();
    if !with_payments.is_empty() {
        lock_payments(mapping, &with_payments, patience, &mut readings)?;
    }
    let locked = readings.into_iter().map(|(id, reading)| {
        let is_as_known = known_payments.get(&id) == Some(&reading.payment_rows);
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

/// The known payments of invoices whose own row has not changed.
type KnownPayments = BTreeMap<String, Vec<Row>>;

/// Locks the invoices and returns them without their payments.
fn lock_invoices(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    mut known: Readings,
) -> Result<(Readings, KnownPayments), Problem> {
    let invoices = &mapping.invoices;
    let selected = format!("t.{}::text, row_to_json(t)::text", invoices.id.quoted);
    let statement = statement(&selected, &invoices.counting.rows(), &invoices.id, patience);
    let locked: Vec<Vec<[Text; 2]>> =
        reading_as(&invoices.relation, || sql::fetch_each(&statement, ids));
    let (mut readings, mut known_payments) = (Readings::new(), KnownPayments::new());
    let mut others = Vec::new();
    for [id, row] in locked.into_iter().flatten() {
        let id = id.ok_or_else(|| misread("its key is null"))?;
        let row = as_row(row)?;
        match known.remove(&id).filter(|it| it.invoice_row == row) {
            Some(mut reading) => {
                known_payments.insert(id.clone(), std::mem::take(&mut reading.payment_rows));
                readings.insert(id, reading);
            }
            None => others.push(id),
        }
    }
    if !others.is_empty() {
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        readings.append(&mut read_invoices(mapping, &others)?);
    }
    Ok((readings, known_payments))
}

/// Locks the payments of these invoices and reads them again.
fn lock_payments(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    readings: &mut Readings,
) -> Result<(), Problem> {
    let payments = &mapping.payments;
    let selected = format!("t.{}::text", payments.id.quoted);
    let statement = statement(
        &selected,
        &payments.counting.rows(),
        &payments.invoice,
        patience,
    );
    let locked: Vec<Vec<[Text; 1]>> =
        reading_as(&payments.relation, || sql::fetch_each(&statement, ids));
    let mut again = all_readings(readings);
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
        format!("a payment of invoice {invoice} was written while its rows were being locked"),
    )
}

/// Returns the statement that locks the rows of `table`, which may be a subquery, whose `key` is the parameter, and selects `selected` from
/// each. If another transaction changed a row meanwhile, PostgreSQL evaluates the expressions for the new version
/// of the row (EvalPlanQual).
fn statement(selected: &str, table: &str, key: &Mapped, patience: Patience) -> String {
    format!(
        "select {selected} from {table} t where t.{key} = $1::{key_type} {clause}",
        key = key.quoted,
        key_type = key.type_name,
        clause = patience.clause(),
    )
}
