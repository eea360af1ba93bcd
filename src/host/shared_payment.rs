//! Stripe payments that are in the books of more than one invoice, found by their ids.

use serde_json::{Value, json};

use super::account::accounts;
use super::both::{have_one_owner, reading_both};
use super::indexes::{self, looked_up};
use super::mapping::{Mapped, Mapping};
use super::owner::reading_as;
use super::received::were_received;
use super::scan::range::{Range, ScannedTable};
use super::view::base_column;
use crate::domain::account::{qualified, unqualified};
use crate::pg::{Relation, sql};

/// Up to this number of ids is looked up in any table, with a plan of PostgreSQL's choice.
const FEW_IDS: usize = 100;

/// A larger number of ids is looked up in a column without an index only if the table has at most this many rows.
const FEW_ROWS: f64 = 100_000.0;

/// Returns the ids of payments that were received for the invoices of a range, and that other invoices may have
/// booked since the last check: those of rows that were written. `last` is the range's last position.
pub(super) fn booked_in(mapping: &Mapping, range: &Range, last: Option<&str>) -> Vec<String> {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    let of = &payments.invoice;
    match range {
        Range::Named(_) => Vec::new(),
        Range::Blocks { blocks, basis } if blocks.of == ScannedTable::Payments => {
            let rows = mapping.payments.counting.placed_rows();
            ids_where(mapping, &rows, &blocks.written("p", *basis), None)
        }
        // The rows of their payments are scanned separately.
        Range::Blocks { basis: Some(_), .. } => Vec::new(),
        Range::Blocks {
            blocks,
            basis: None,
        } => {
            if have_one_owner(mapping) {
                let condition = format!(
                    "p.{} = any (array({}))",
                    of.quoted,
                    blocks.keys(mapping, "")
                );
                return ids_where(mapping, &payments.counting.rows(), &condition, None);
            }
            let keys = blocks.keys(mapping, "::text");
            let keys: Vec<[Option<String>; 1]> =
                reading_as(&invoices.relation, || sql::fetch_texts(&keys, &[]));
            let keys: Vec<String> = keys.into_iter().flat_map(|[key]| key).collect();
            let condition = format!(
                "p.{} = any (array(select {} from jsonb_array_elements_text($1::jsonb) w))",
                of.quoted,
                of.key_or_null("w.value"),
            );
            let rows = mapping.payments.counting.rows();
            ids_where(mapping, &rows, &condition, Some(&json!(keys).to_string()))
        }
        Range::Keys { after, .. } => {
            let Some(last) = last else {
                return Vec::new();
            };
            let bound = |key: &str| {
                let key = pgrx::spi::quote_literal(key);
                format!("{key}::{}", of.cast_type)
            };
            let from = after.map_or_else(String::new, |after| {
                format!("p.{} > {} and", of.quoted, bound(after))
            });
            let condition = format!("{from} p.{} <= {}", of.quoted, bound(last));
            ids_where(mapping, &mapping.payments.counting.rows(), &condition, None)
        }
    }
}

fn ids_where(mapping: &Mapping, rows: &str, condition: &str, param: Option<&str>) -> Vec<String> {
    let payments = &mapping.payments;
    let values: Vec<String> = columns(mapping)
        .map(|column| format!("({})", column.plain_text("p")))
        .collect();
    if values.is_empty() {
        return Vec::new();
    }
    // Whose payment an id is of follows from the invoice.
    let invoice = match mapping.invoices.account {
        Some(_) => format!("p.{}::text", payments.invoice.quoted),
        None => "null::text".to_owned(),
    };
    let statement = format!(
        "select distinct v.id, {invoice}
        from {rows} p
        cross join lateral (values {values}) v (id)
        where v.id <> '' and {received} and {condition}",
        values = values.join(", "),
        received = were_received(mapping),
    );
    let params: Vec<Option<&str>> = param.into_iter().map(Some).collect();
    // The condition may name the invoices, too, where both tables have one owner.
    let read = || sql::fetch_texts(&statement, &params);
    let ids: Vec<[Option<String>; 2]> = if have_one_owner(mapping) {
        reading_both(mapping, read)
    } else {
        reading_as(&payments.relation, read)
    };
    let invoices = ids.iter().filter_map(|[_, invoice]| invoice.as_deref());
    let accounts = accounts(mapping, &invoices.collect());
    let of = |invoice: Option<String>| accounts.get(&invoice?).map(String::as_str);
    ids.into_iter()
        .filter_map(|[id, invoice]| Some(qualified(of(invoice), &id?)))
        .collect()
}

/// Takes ids, each with the key of its payment. Returns the keys of the payments that rows of more than one invoice
/// have as received.
pub(crate) fn of_several_invoices(mapping: &Mapping, ids: &[(&str, &str)]) -> Vec<String> {
    let payments = &mapping.payments;
    let parts: Vec<String> = serving_columns(mapping, ids.len())
        .into_iter()
        .map(|(column, lookup)| {
            let end = match lookup {
                Lookup::AnyPlan => "",
                // `offset 0` forces one index lookup per id; otherwise the set would be joined with the whole
                // table.
                Lookup::ByIndex => "offset 0",
            };
            format!(
                "select w.key, p.invoice
                from unnest($1, $2) w (id, key)
                cross join lateral (
                    select p.{of}::text as invoice
                    from {table} p
                    where p.{column} = w.id and {received}
                    {end}
                ) p",
                of = payments.invoice.quoted,
                table = payments.counting.rows(),
                column = column.quoted,
                received = were_received(mapping),
            )
        })
        .collect();
    if parts.is_empty() || ids.is_empty() {
        return Vec::new();
    }
    let statement = format!(
        "select t.key from ({}) t (key, invoice)
        group by t.key having min(t.invoice) <> max(t.invoice)",
        parts.join(" union all ")
    );
    let pairs = ids.iter().map(|(id, key)| (unqualified(id), *key));
    let keys: Vec<[Option<String>; 1]> = reading_as(&payments.relation, || {
        if ids.len() > FEW_IDS {
            // Planned for as many as they are, and for the tables as they are now.
            return sql::fetch_for_rows(&statement, &[], pairs.map(|it| [Some(it.0), Some(it.1)]));
        }
        let (of_ids, of_keys): (Vec<_>, Vec<_>) = pairs.unzip();
        let count = looked_up(mapping, ids.len());
        sql::look_up_texts::<1>(count, &statement, &[of_ids, of_keys])
    });
    keys.into_iter().flat_map(|[key]| key).collect()
}

fn columns(mapping: &Mapping) -> impl Iterator<Item = &Mapped> {
    let payments = &mapping.payments;
    [&payments.session, &payments.intent].into_iter().flatten()
}

/// How a column is looked up: with a plan of PostgreSQL's choice, or with one index lookup per id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    AnyPlan,
    ByIndex,
}

/// Returns the columns in which this number of ids is looked up. Leaves out a column without an index if the table
/// is large, because the whole table would be read for each portion of ids.
fn serving_columns(mapping: &Mapping, ids: usize) -> Vec<(&Mapped, Lookup)> {
    let payments = &mapping.payments;
    if ids <= FEW_IDS {
        let lookup = if looked_up(mapping, ids) == ids {
            Lookup::ByIndex
        } else {
            Lookup::AnyPlan
        };
        return columns(mapping).map(|it| (it, lookup)).collect();
    }
    let missing = indexes::missing(mapping).unwrap_or_default();
    let behind = payments.locked.as_ref().map(|base| &base.table);
    let is_small = rows_of(behind.unwrap_or(&payments.relation)) <= FEW_ROWS;
    columns(mapping)
        .filter_map(|column| {
            let mut missing = missing.iter();
            let lacks_index = missing
                .any(|it| it.mapped == (payments.table.clone(), column.name.clone()))
                || payments.relation.is_view()
                    && base_column(&payments.relation, &column.name).is_none();
            match (lacks_index, is_small) {
                (false, _) => Some((column, Lookup::ByIndex)),
                (true, true) => Some((column, Lookup::AnyPlan)),
                (true, false) => None,
            }
        })
        .collect()
}

/// Returns the planner's estimate of a table's row count.
fn rows_of(relation: &Relation) -> f64 {
    let oid = relation.oid.to_string();
    sql::fetch_one(
        "select to_jsonb(c.reltuples) from pg_class c where c.oid = $1::oid",
        &[Some(&oid)],
    )
    .as_ref()
    .and_then(Value::as_f64)
    .unwrap_or_default()
}
