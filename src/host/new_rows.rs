//! Checks that new payments can be read as they were written.

use pgrx::prelude::PgSqlErrorCode;

use super::mapping::{Mapping, Payments};
use super::other_invoices::booked;
use super::read::Reading;
use crate::domain::money::Money;
use crate::domain::plan::NewPayment;
use crate::domain::shared_payment::BookedRow;
use crate::pg::Problem;

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
    let table = &mapping.payments.table;
    let refused = |message| Problem::new(PgSqlErrorCode::ERRCODE_CHECK_VIOLATION, message);
    Err(match condition {
        Some(condition) => refused(format!(
            "a new row of {table} does not count by the setting payment_condition"
        ))
        .detail(format!("The condition is: {condition}"))
        .hint("Add the columns that it names to payment_values."),
        None => refused(format!("the view {table} does not show a new row as it was written"))
            .hint("The view must show each row that is inserted into it, with the invoice, the ids and the amount that it was given; columns that decide what it shows can be added to payment_values."),
    })
}
