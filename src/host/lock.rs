//! Locks invoices and their payments, and reads the locked rows.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::prelude::PgSqlErrorCode;

use super::counting::Counting;
use super::mapping::{Invoices, Mapped, Mapping};
use super::owner::reading_as;
use super::read::{
    Reading, Readings, Text, all_readings, as_row, misread, read_invoices, read_payments,
};
use super::row::Row;
use super::view::BaseColumn;
use crate::pg::{Problem, Relation, sql};

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
/// Fails with 40001 if another transaction writes payments without locking their invoice, and with 21000 if several rows
/// have the same key.
pub(crate) fn read_locked(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    known: Readings,
) -> Result<BTreeMap<String, Locked>, Problem> {
    let (mut readings, known_payments) = if mapping.invoices.relation.is_view() {
        lock_invoices_of_view(mapping, ids, patience, known)?
    } else {
        lock_invoices(mapping, ids, patience, known)?
    };
    read_payments(mapping, &mut all_readings(&mut readings))?;
    let with_payments: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| readings.get(*id).is_some_and(|r| !r.payments.is_empty()))
        .collect();
    if !with_payments.is_empty() {
        lock_payments(mapping, &with_payments, patience, &mut readings)?;
    }
    if let Some(repeated) = readings.values().find_map(repeated) {
        return Err(repeated);
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

/// Locks the row of an invoice until the transaction ends, unless another transaction has locked it. Returns whether it
/// is locked now. A view is not locked.
pub(crate) fn try_lock_invoice(mapping: &Mapping, invoice: &str) -> bool {
    let Invoices {
        relation,
        counting,
        id,
        ..
    } = &mapping.invoices;
    if relation.is_view() {
        return false;
    }
    let locked = lock_by_invoice(relation, counting, [id; 2], Patience::Skip, &[invoice]);
    locked.iter().any(|locked| locked.contains(invoice))
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
    let selected = format!("t.{}::text, row_to_json(t.*)::text", invoices.id.quoted);
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

/// As [`lock_invoices`], for a view. It may show what was written before the lock was acquired and is not locked, such
/// as sums over other tables, so that it is read after that.
fn lock_invoices_of_view(
    mapping: &Mapping,
    ids: &[&str],
    patience: Patience,
    mut known: Readings,
) -> Result<(Readings, KnownPayments), Problem> {
    let invoices = &mapping.invoices;
    let locked = match &invoices.locked {
        Some(base) => lock_base(&invoices.relation, base, &invoices.id, patience, ids),
        None => lock_by_invoice(
            &invoices.relation,
            &invoices.counting,
            [&invoices.id; 2],
            patience,
            ids,
        )
        .into_iter()
        .flatten()
        .collect(),
    };
    let locked: Vec<&str> = locked.iter().map(String::as_str).collect();
    let readings = read_invoices(mapping, &locked)?;
    let as_known = readings.iter().filter_map(|(id, reading)| {
        let known = known.remove(id)?;
        (known.invoice_row == reading.invoice_row).then(|| (id.clone(), known.payment_rows))
    });
    let known_payments = as_known.collect();
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
    let held: Vec<BTreeSet<String>> = match &payments.locked {
        Some(base) => {
            let of = |id: &&str| readings.get(*id).into_iter().flat_map(|it| &it.payments);
            let keys: Vec<&str> = ids.iter().flat_map(of).map(|it| it.id.as_str()).collect();
            vec![lock_base(&payments.relation, base, &payments.id, patience, &keys); ids.len()]
        }
        None => lock_by_invoice(
            &payments.relation,
            &payments.counting,
            [&payments.invoice, &payments.id],
            patience,
            ids,
        ),
    };
    let mut again = all_readings(readings);
    again.retain(|reading| !reading.payments.is_empty());
    read_payments(mapping, &mut again)?;
    for (id, held) in ids.iter().zip(held) {
        let all_held = readings.get(*id).is_some_and(|reading| {
            let mut payments = reading.payments.iter();
            payments.all(|payment| held.contains(&payment.id))
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

/// Locks the rows in which the first column is the id of an invoice. Returns, for each invoice, the values of the second
/// column.
fn lock_by_invoice(
    relation: &Relation,
    counting: &Counting,
    [invoice, key]: [&Mapped; 2],
    patience: Patience,
    ids: &[&str],
) -> Vec<BTreeSet<String>> {
    let selected = format!("t.{}::text", key.quoted);
    let statement = statement(&selected, &counting.rows(), invoice, patience);
    let locked: Vec<Vec<[Text; 1]>> = reading_as(relation, || sql::fetch_each(&statement, ids));
    let keys = |rows: Vec<[Text; 1]>| rows.into_iter().filter_map(|[key]| key).collect();
    locked.into_iter().map(keys).collect()
}

/// Locks the rows of a table that a view shows with these keys, as the view's owner. Returns their keys.
fn lock_base(
    view: &Relation,
    base: &BaseColumn,
    key: &Mapped,
    patience: Patience,
    keys: &[&str],
) -> BTreeSet<String> {
    let key = Mapped {
        quoted: base.quoted.clone(),
        ..key.clone()
    };
    let selected = format!("t.{}::text", key.quoted);
    let statement = statement(&selected, &base.table_name, &key, patience);
    let locked: Vec<Vec<[Text; 1]>> = reading_as(view, || {
        base.table.in_use(|| sql::fetch_each(&statement, keys))
    });
    let rows = locked.into_iter().flatten();
    rows.filter_map(|[key]| key).collect()
}

/// Returns the error for an invoice of which several rows were read as one.
fn repeated(reading: &Reading) -> Option<Problem> {
    let table = reading.repeated_in.as_ref()?;
    let problem = Problem::new(
        PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
        format!("{table} has several rows with the same key"),
    );
    let of = format!(
        "They belong to invoice {}, which is not changed.",
        reading.invoice.id
    );
    Some(problem.detail(of).hint("The column of the setting invoice_id_column or payment_id_column must be unique; a view must not repeat a row that it joins with several others."))
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
        key_type = key.cast_type,
        clause = patience.clause(),
    )
}
