//! Checks that new payments can be read as they were written.

use std::collections::BTreeSet;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::json;

use super::mapping::{Mapping, Payments};
use super::other_invoices::booked;
use super::owner::reading_as;
use super::read::Reading;
use crate::domain::money::Money;
use crate::domain::plan::NewPayment;
use crate::domain::shared_payment::BookedRow;
use crate::pg::{Problem, sql};

/// Fails with 23514 if a new row does not count, or if the view does not show it, or shows another amount that it
/// computes: nobody would see that the payment is booked, or it would pay more than was received.
pub(super) fn must_count(
    mapping: &Mapping,
    payments: &[(&Reading, &NewPayment)],
) -> Result<(), Problem> {
    let Payments { unit, amount, .. } = &mapping.payments;
    let condition = mapping.payments.counting.condition();
    if condition.is_none() && !mapping.payments.relation.is_view() && !amount.is_computed {
        return Ok(());
    }
    let ids = payments.iter().flat_map(|(_, payment)| payment.ids.each());
    let rows = booked(mapping, ids);
    let is_whole = |row: &BookedRow, money: Money| {
        let shown = row.amount.as_deref();
        let shown = shown.and_then(|text| Money::from_units(text, *unit, money.currency).ok());
        !amount.is_computed || shown == Some(money)
    };
    let counts = |(reading, payment): &(&Reading, &NewPayment)| {
        rows.iter().any(|row| {
            row.row_counts
                && row.invoice == reading.invoice.id
                && row.ids.same_payment(&payment.ids)
                && is_whole(row, payment.amount)
        })
    };
    if payments.iter().all(counts) {
        return Ok(());
    }
    Err(not_shown(mapping))
}

/// As [`must_count`], for rows without Stripe's ids, by their keys.
pub(super) fn keys_must_count(mapping: &Mapping, keys: &[Option<String>]) -> Result<(), Problem> {
    let payments = &mapping.payments;
    if payments.counting.condition().is_none() && !payments.relation.is_view() {
        return Ok(());
    }
    let keys: BTreeSet<&String> = keys.iter().flatten().collect();
    let statement = format!(
        "select p.{key}::text from {rows} p
        where p.{key}::text in (select jsonb_array_elements_text($1::jsonb))",
        key = payments.id.quoted,
        rows = payments.counting.rows(),
    );
    let wanted = json!(keys).to_string();
    let shown: Vec<[Option<String>; 1]> = reading_as(&payments.relation, || {
        sql::fetch_texts(&statement, &[Some(&wanted)])
    });
    if shown.len() == keys.len() {
        Ok(())
    } else {
        Err(not_shown(mapping))
    }
}

/// Returns the error for a new row that does not count, or that a view does not show as it was written.
pub(super) fn not_shown(mapping: &Mapping) -> Problem {
    let table = &mapping.payments.table;
    let refused = |message| Problem::new(PgSqlErrorCode::ERRCODE_CHECK_VIOLATION, message);
    match mapping.payments.counting.condition() {
        Some(condition) => refused(format!(
            "a new row of {table} does not count by the setting payment_condition"
        ))
        .detail(format!("The condition is: {condition}"))
        .hint("Add the columns that it names to payment_values."),
        None => refused(format!("the view {table} does not show a new row as it was written"))
            .hint("The view must show each row that is inserted into it, with the invoice, the ids and the amount that it was given; columns that decide what it shows can be added to payment_values."),
    }
}
