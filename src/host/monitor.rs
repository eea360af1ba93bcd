//! The two questions that people asked of their tables by hand.

use serde::Deserialize;

use super::mapping::{Invoices, Mapped, Mapping};
use crate::pg::sql;

/// An invoice, as the monitoring views show it.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) number: Option<String>,
    pub(crate) status: Option<String>,
    /// A decimal text, in the host's unit.
    pub(crate) total: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
}

/// Invoices that are Paid although no payment is recorded.
pub(crate) fn paid_without_payment(mapping: &Mapping) -> Vec<Found> {
    let status = format!("i.{}::text", mapping.invoices.status.quoted);
    let paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid);
    find(mapping, &format!("{status} = {paid}"))
}

/// Invoices that refer to Stripe although no payment is recorded.
pub(crate) fn stripe_without_payment(mapping: &Mapping) -> Vec<Found> {
    let ids = [&mapping.invoices.session, &mapping.invoices.intent]
        .into_iter()
        .flatten()
        .map(|column| format!("nullif(i.{}::text, '') is not null", column.quoted))
        .collect::<Vec<_>>()
        .join(" or ");
    find(mapping, &format!("({ids})"))
}

/// Invoices of which `condition` holds and that have no payment that came in.
fn find(mapping: &Mapping, condition: &str) -> Vec<Found> {
    let Invoices {
        table,
        id,
        number,
        status,
        total,
        currency,
        session,
        intent,
        ..
    } = &mapping.invoices;
    let payments = &mapping.payments;
    let came_in = match &payments.status {
        Some(status) => {
            let pending = mapping
                .payment_words
                .pending
                .iter()
                .map(pgrx::spi::quote_literal)
                .collect::<Vec<_>>()
                .join(", ");
            format!(
                "p.{}::text <> all (array[{pending}]::text[])",
                status.quoted
            )
        }
        None => "true".to_owned(),
    };
    let text = |column: Option<&Mapped>| {
        column.map_or_else(
            || "null".to_owned(),
            |column| format!("i.{}::text", column.quoted),
        )
    };
    let statement = format!(
        "select jsonb_build_object(
            'id', i.{id}::text, 'number', {number}, 'status', {status},
            'total', {total}, 'currency', {currency}, 'session', {session}, 'intent', {intent})
        from {table} i
        where {condition}
          and not exists (select from {payments_table} p
                          where p.{payment_invoice} = i.{id} and {came_in})
        order by i.{id}",
        id = id.quoted,
        number = text(number.as_ref()),
        status = text(Some(status)),
        total = text(Some(total)),
        currency = text(currency.as_ref()),
        session = text(session.as_ref()),
        intent = text(intent.as_ref()),
        payments_table = payments.table,
        payment_invoice = payments.invoice.quoted,
    );
    sql::fetch(&statement, &[])
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}
