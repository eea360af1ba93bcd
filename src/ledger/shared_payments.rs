//! Issues about payments that several invoices have booked. They have no invoice, because an issue belongs to at
//! most one.

use std::collections::BTreeSet;

use serde_json::json;

use crate::pg::sql;

/// Returns which of these ids have open issues.
pub(crate) fn open_about<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let found: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select object from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'duplicate_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($1::jsonb))",
        &[Some(&json!(ids.collect::<Vec<_>>()).to_string())],
    );
    found.into_iter().flat_map(|[object]| object).collect()
}

/// Returns the payments with such an open issue, the one that was checked longest ago first.
pub(crate) fn open(limit: usize) -> Vec<String> {
    let found: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select object from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'duplicate_payment' and state <> 'resolved'
        order by last_seen, id
        limit $1::bigint",
        &[Some(&limit.to_string())],
    );
    found.into_iter().flat_map(|[object]| object).collect()
}
