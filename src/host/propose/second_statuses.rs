//! Proposes values for columns beside the status that say whether an invoice is paid, too: `paid` beside `status`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::columns::{OF_PAYMENT, PAID_FLAGS, is_flag};
use crate::domain::words::is_among;
use crate::host::catalog::{Column, Table};
use crate::host::propose::relations::Relations;
use crate::host::propose::words::Vocabulary;

/// Returns the values, by column. `paid` is the word for paid in the column `status`; `mapped` columns have a setting.
pub(super) fn values(
    relations: &Relations,
    table: &Table,
    status: &Column,
    paid: &str,
    mapped: &BTreeSet<String>,
) -> BTreeMap<String, Value> {
    // A number has no word, and a time is not compared with one.
    if status.is_integer() || is_flag(status) {
        return BTreeMap::new();
    }
    let free = table
        .columns
        .iter()
        .filter(|(name, column)| !mapped.contains(*name) && !column.is_computed);
    let said = free.filter_map(|(name, column)| {
        let value = if is_among(&PAID_FLAGS, name) && column.base == "bool" {
            "true".to_owned()
        } else if is_among(&OF_PAYMENT, name) && !column.is_integer() && column.base != "bool" {
            let words = Vocabulary::of(relations, table, name, column, None);
            pgrx::spi::quote_literal(words.only_paid()?)
        } else {
            return None;
        };
        let expression = format!(
            "case when {status}::text = {paid} then {value} else {column} end",
            status = status.quoted,
            paid = pgrx::spi::quote_literal(paid),
            column = column.quoted,
        );
        Some((name.clone(), json!({ "sql": expression })))
    });
    said.collect()
}
