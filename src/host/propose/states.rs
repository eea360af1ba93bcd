//! Chooses between the status of an invoice and that of its payment, where a table has both.

use std::collections::BTreeSet;

use super::columns::{OF_PAYMENT, PAID_FLAGS, is_of_orders};
use super::names::Choice;
use crate::domain::words::squash;
use crate::host::catalog::{Role, Table};
use crate::host::propose::relations::Relations;
use crate::host::propose::words::Vocabulary;

/// Returns the column that says whether an invoice is paid: the chosen one, unless none of its words says so and there
/// is one for the status of the payment.
pub(super) fn of_payment(
    relations: &Relations,
    table: &Table,
    in_use: &BTreeSet<String>,
    chosen: Choice,
) -> Choice {
    let is_of_payment = |name: &str| OF_PAYMENT.iter().any(|usual| squash(usual) == squash(name));
    let Some(column) = table
        .columns
        .get(&chosen.0)
        .filter(|_| !is_of_payment(&chosen.0))
    else {
        return chosen;
    };
    let find = |names: &[&str]| {
        names.iter().find_map(|usual| {
            let mut columns = table.columns.iter();
            columns.find(|(name, column)| {
                let is_free = !in_use.contains(*name) && !column.is_computed;
                squash(name) == squash(usual) && Role::Status.accepts(column) && is_free
            })
        })
    };
    let flag = || find(&PAID_FLAGS).filter(|(_, column)| column.base == "bool");
    let Some((name, other)) = find(&OF_PAYMENT).or_else(flag) else {
        return chosen;
    };
    let words = Vocabulary::of(relations, table, &chosen.0, column, None);
    // What nothing shows yet may be said by the status of an invoice as well.
    let is_open = words.is_empty() && other.base == "bool" && !is_of_orders(table);
    if words.says_paid() || is_open {
        return chosen;
    }
    let reason = format!("by its name; no status in {} says paid", chosen.0);
    (name.clone(), reason)
}
