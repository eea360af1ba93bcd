//! The queries of the views `paid_without_payment` and `stripe_without_payment`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::amounts::number_text;
use super::both::{have_one_owner, reading_both};
use super::candidates::says_paid;
use super::mapping::{Invoices, Mapped, Mapping};
use super::owner::reading_as;
use super::received::brought_nothing;
use crate::pg::sql;

/// An invoice as the monitoring views show it.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) number: Option<String>,
    pub(crate) status: Option<String>,
    /// A decimal number as text, in the application's unit.
    pub(crate) total: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
}

/// Returns the invoices that have the status for paid but no recorded payment; none if the application records no
/// payments.
pub(crate) fn paid_without_payment(mapping: &Mapping) -> Vec<Found> {
    if mapping.payments.are_own() {
        return Vec::new();
    }
    let status = mapping.invoices.status.word("i");
    let paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid);
    find(mapping, &format!("{status} = {paid}"))
}

/// Returns the invoices that store a Stripe id but have no recorded payment, and do not say themselves that they were
/// paid if the application records no payments.
pub(crate) fn stripe_without_payment(mapping: &Mapping) -> Vec<Found> {
    let ids = [&mapping.invoices.session, &mapping.invoices.intent]
        .into_iter()
        .flatten()
        .map(|column| format!("nullif(i.{}::text, '') is not null", column.quoted))
        .collect::<Vec<_>>();
    if ids.is_empty() {
        return Vec::new();
    }
    let stores_one = format!("({})", ids.join(" or "));
    if mapping.payments.are_own() {
        let says_paid = says_paid(mapping, &mapping.invoices.status.word("i"));
        return find(mapping, &format!("{stores_one} and not {says_paid}"));
    }
    find(mapping, &stores_one)
}

/// Returns the invoices that meet `condition` and have no received payment.
fn find(mapping: &Mapping, condition: &str) -> Vec<Found> {
    let Invoices {
        counting,
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
    let came_in = format!("not coalesce({}, false)", brought_nothing(mapping));
    let text = |column: Option<&Mapped>| {
        column.map_or_else(
            || "null".to_owned(),
            |column| format!("i.{}::text", column.quoted),
        )
    };
    // One statement reads both tables only if one owner may read both.
    let in_one = have_one_owner(mapping);
    let unpaid = format!(
        "not exists (select from {payments_table} p
                     where p.{payment_invoice} = i.{id} and {came_in})",
        payments_table = payments.counting.rows(),
        payment_invoice = payments.invoice.quoted,
        id = id.quoted,
    );
    let statement = format!(
        "select jsonb_build_object(
            'id', i.{id}::text, 'number', {number}, 'status', {status},
            'total', {total}, 'currency', {currency}, 'session', {session}, 'intent', {intent})
        from {table} i
        where {condition} and {unpaid}
        order by i.{id}",
        table = counting.rows(),
        id = id.quoted,
        number = text(number.as_ref()),
        status = status.word("i"),
        total = number_text("i", Some(total)),
        currency = text(currency.as_ref()),
        session = text(session.as_ref()),
        intent = text(intent.as_ref()),
        unpaid = if in_one { &unpaid } else { "true" },
    );
    let read = || sql::fetch(&statement, &[]);
    let rows = if in_one {
        reading_both(mapping, read)
    } else {
        reading_as(&mapping.invoices.relation, read)
    };
    let mut found: Vec<Found> = rows
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect();
    if !in_one {
        let paid = paid_among(mapping, &found, &came_in);
        found.retain(|invoice| !paid.contains(&invoice.id));
    }
    found
}

/// Returns which of these invoices have a received payment.
fn paid_among(mapping: &Mapping, found: &[Found], came_in: &str) -> BTreeSet<String> {
    let payments = &mapping.payments;
    let statement = format!(
        "select distinct to_jsonb(p.{invoice}::text)
        from {table} p
        where p.{invoice} = any (array(
            select {key} from jsonb_array_elements_text($1::jsonb) w (id))) and {came_in}",
        invoice = payments.invoice.quoted,
        key = payments.invoice.key_or_null("w.id"),
        table = payments.counting.rows(),
    );
    let ids: Vec<&String> = found.iter().map(|invoice| &invoice.id).collect();
    let ids = json!(ids).to_string();
    reading_as(&payments.relation, || sql::fetch(&statement, &[Some(&ids)]))
        .into_iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}
