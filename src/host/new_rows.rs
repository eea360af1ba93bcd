//! Checks that new payments can be read as they were written.

use std::collections::BTreeSet;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::json;

use super::amounts::number_text;
use super::mapping::{Mapping, Payments};
use super::other_invoices::booked;
use super::owner::reading_as;
use super::read::Reading;
use crate::domain::money::Money;
use crate::domain::plan::NewPayment;
use crate::pg::{Problem, sql};

/// Fails with 23514 if a new row does not count, or if the view does not show it, or shows another amount that it
/// computes: nobody would see that the payment is booked, or it would pay more than was received.
pub(super) fn must_count(
    mapping: &Mapping,
    payments: &[(&Reading, &NewPayment)],
) -> Result<(), Problem> {
    let amount = &mapping.payments.amount;
    let condition = mapping.payments.counting.condition();
    if condition.is_none() && !mapping.payments.relation.is_view() && !amount.is_computed {
        return Ok(());
    }
    let ids = payments.iter().flat_map(|(_, payment)| payment.ids.each());
    let rows = booked(mapping, ids);
    let counts = |(reading, payment): &(&Reading, &NewPayment)| {
        rows.iter().any(|row| {
            row.row_counts
                && row.invoice == reading.invoice.id
                && row.ids.same_payment(&payment.ids)
                && is_whole(&mapping.payments, row.amount.as_deref(), payment.amount)
        })
    };
    if payments.iter().all(counts) {
        return Ok(());
    }
    Err(not_shown(mapping))
}

/// As [`must_count`], for rows without Stripe's ids, each with its key; a row without one was not inserted.
pub(super) fn keys_must_count(
    mapping: &Mapping,
    payments: &[(&Reading, &NewPayment)],
    keys: &[Option<String>],
) -> Result<(), Problem> {
    let columns = &mapping.payments;
    if columns.counting.condition().is_none()
        && !columns.relation.is_view()
        && !columns.amount.is_computed
    {
        return Ok(());
    }
    let statement = format!(
        "select p.{key}::text, p.{of}::text, {amount} from {rows} p
        where p.{key}::text in (select jsonb_array_elements_text($1::jsonb))",
        key = columns.id.quoted,
        of = columns.invoice.quoted,
        amount = number_text("p", Some(&columns.amount)),
        rows = columns.counting.rows(),
    );
    let wanted = json!(keys.iter().flatten().collect::<BTreeSet<_>>()).to_string();
    let shown: Vec<[Option<String>; 3]> = reading_as(&columns.relation, || {
        sql::fetch_texts(&statement, &[Some(&wanted)])
    });
    let mut written = payments.iter().zip(keys);
    let counts = |((reading, payment), key): (&(&Reading, &NewPayment), &Option<String>)| {
        let mut of_it = shown.iter().filter(|[shown, ..]| shown == key);
        let (Some([_, invoice, amount]), None) = (of_it.next(), of_it.next()) else {
            return key.is_none();
        };
        invoice.as_deref() == Some(reading.invoice.id.as_str())
            && is_whole(columns, amount.as_deref(), payment.amount)
    };
    if written.all(counts) {
        Ok(())
    } else {
        Err(not_shown(mapping))
    }
}

/// Returns whether the amount that is shown is what was received. That of a table, which its triggers may change, is
/// judged as it is read back.
fn is_whole(payments: &Payments, shown: Option<&str>, money: Money) -> bool {
    let shown = shown.and_then(|text| Money::from_units(text, payments.unit, money.currency).ok());
    let is_written = !payments.amount.is_computed && !payments.relation.is_view();
    is_written || shown == Some(money)
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
