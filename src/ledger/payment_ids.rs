//! Stripe's ids of the application's payments whose table has no column for them (`invoice_sync.payment_ids`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::identity::PaymentIds;
use crate::pg::sql;

/// What [`super::recall`] reads of them: those of the payments of the invoices in the first parameter.
pub(super) const RECALLED: &str = "
select jsonb_build_object('tied', jsonb_build_object(
    'invoice', m.invoice_id, 'row', m.row_id, 'ids', jsonb_build_object(
        'session', m.session_id, 'intent', m.intent_id, 'charge', m.charge_id)))
from invoice_sync.payment_ids m
where m.invoice_id = any ($1)";

/// A row of [`RECALLED`].
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) invoice: String,
    pub(super) row: String,
    pub(super) ids: PaymentIds,
}

/// Returns the ids of the payments of an invoice, by the key of their rows, which may have been deleted since.
pub(crate) fn of_invoice(invoice: &str) -> BTreeMap<String, PaymentIds> {
    let statement = format!("select u.tied -> 'tied' from ({RECALLED}) u (tied)");
    let rows = sql::look_up(1, &statement, &[vec![invoice]]).into_iter();
    let rows = rows.filter_map(|row| serde_json::from_value::<Row>(row).ok());
    rows.map(|row| (row.row, row.ids)).collect()
}

/// Stores the ids of payments, by the key of their rows, each with its invoice.
pub(crate) fn note<'a>(rows: impl Iterator<Item = (&'a str, &'a BTreeMap<String, PaymentIds>)>) {
    let rows: Vec<Value> = rows
        .flat_map(|(invoice, rows)| rows.iter().map(move |(row, ids)| (invoice, row, ids)))
        .map(|(invoice, row, ids)| {
            json!({
                "invoice_id": invoice, "row_id": row,
                "session_id": ids.session, "intent_id": ids.intent, "charge_id": ids.charge,
            })
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    sql::execute(
        "insert into invoice_sync.payment_ids as p (invoice_id, row_id, session_id, intent_id, charge_id)
        select n.* from jsonb_populate_recordset(null::invoice_sync.payment_ids, $1::jsonb) n
        order by n.invoice_id, n.row_id
        on conflict (invoice_id, row_id) do update
        set session_id = excluded.session_id, intent_id = excluded.intent_id, charge_id = excluded.charge_id",
        &[Some(&Value::from(rows).to_string())],
    );
}
