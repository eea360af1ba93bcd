//! Issues about payments that several invoices have booked: of no invoice, because each of
//! them has it, and each payment has one.

use std::collections::BTreeSet;

use serde_json::json;

use crate::pg::sql;

/// Which of these ids open issues are about.
pub(crate) fn open_about<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let found: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select object from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'duplicate_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($1::jsonb))",
        &[Some(&json!(ids.collect::<Vec<_>>()).to_string())],
    );
    found.into_iter().flat_map(|[object]| object).collect()
}

/// What such issues are about, the one that was looked at longest ago first.
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

/// Resolves those about these payments: no two invoices count too much of them any more.
pub(crate) fn resolve(run: i64, objects: &[String]) {
    if objects.is_empty() {
        return;
    }
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where coalesce(invoice_id, '') = '' and kind = 'duplicate_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($2::jsonb))",
        &[Some(&run.to_string()), Some(&json!(objects).to_string())],
    );
}
