//! Checks the extension's own table of payments: whether each payment's invoice exists.

use std::collections::BTreeSet;

use super::Check;
use crate::host::find::labels;
use crate::host::mapping::Mapping;
use crate::pg::sql;

/// The most invoices that are looked up.
const LOOKED_UP: u32 = 10_000;

/// Returns the check, if payments are in this table.
pub(super) fn check(mapping: &Mapping) -> Option<Check> {
    if !mapping.payments.are_own() {
        return None;
    }
    let name = "payments of deleted invoices";
    let ids: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select distinct p.invoice_id from invoice_sync.payment p limit $1::bigint",
        &[Some(&LOOKED_UP.to_string())],
    );
    let ids: BTreeSet<String> = ids.into_iter().filter_map(|[id]| id).collect();
    let there = labels(mapping, &ids);
    let gone: Vec<&str> = ids
        .iter()
        .map(String::as_str)
        .filter(|id| !there.contains_key(*id))
        .collect();
    if gone.is_empty() {
        return Some(Check::good(
            name,
            "there are none in invoice_sync.payment, this extension's own table",
        ));
    }
    let found = format!(
        "invoice_sync.payment has payments of {} invoices that no longer exist",
        gone.len()
    );
    if mapping.invoices.id.type_name == "uuid" {
        let detail = format!("{found}; they count for no other");
        return Some(Check::good(name, detail));
    }
    let ids = pgrx::spi::quote_literal(sql::array(gone.into_iter()));
    Some(Check::bad(
        name,
        format!("{found}; they would count for a new invoice with the same id"),
        format!("delete from invoice_sync.payment where invoice_id = any ({ids});"),
    ))
}
