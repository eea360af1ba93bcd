//! What the application writes in all payments by Stripe: the name of the provider, the gateway or the method, and the
//! id of the charge or the balance transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::words::squash;
use crate::host::catalog::{Column, Role, Table};
use crate::host::owner::reading_as;
use crate::pg::sql;

/// Usual names of such a column.
const NAMES: [&str; 19] = [
    "app",
    "app_id",
    "driver",
    "gateway",
    "gateway_id",
    "gateway_name",
    "method",
    "payment_app",
    "payment_gateway",
    "payment_method",
    "payment_method_type",
    "payment_processor",
    "payment_provider",
    "payment_source",
    "processor",
    "provider",
    "provider_id",
    "provider_name",
    "source",
];

/// Usual names of a column for the kind of a payment. What all have is a value for new ones only if they need one.
const KINDS: [&str; 4] = ["payment_type", "transaction_type", "type", "kind"];

/// The most payments that are read.
const SAMPLED: u32 = 5_000;

/// A column in which all payments by Stripe have one value.
#[derive(Deserialize)]
struct Common {
    name: String,
    value: String,
}

/// Returns sources of values, by column, for those of the columns of `ids` that contain Stripe's ids. Reads the rows
/// as the table's owner.
pub(super) fn in_payments(table: &Table, ids: &[Option<&str>]) -> BTreeMap<String, Value> {
    let ids: BTreeSet<&str> = ids.iter().copied().flatten().collect();
    let by_stripe: Vec<String> = ids
        .iter()
        .filter_map(|name| table.columns.get(*name))
        .map(|column| format!("{} ~ '^(cs|pi|ch|py)_'", column.plain_text("t")))
        .collect();
    let columns = table.columns.iter();
    let parts: Vec<String> = columns
        .filter(|(name, column)| !ids.contains(name.as_str()) && is_for_provider(name, column))
        .map(|(name, column)| {
            // Not an object's id: that is one payment's.
            format!(
                "select {name} as name, min(v.value) as value
                from (select {text} from {table} t where {by_stripe} limit {SAMPLED}) v (value)
                having count(distinct v.value) = 1 and count(*) = count(v.value)
                    and min(v.value) !~ '^[a-z]+_[0-9A-Za-z]{{8,}}$'
                    and min(v.value) !~ '^[0-9a-fA-F]{{8}}-[0-9a-fA-F-]{{27}}$|^[0-9]*$'",
                name = pgrx::spi::quote_literal(name),
                text = column.plain_text("t"),
                table = table.name,
                by_stripe = by_stripe.join(" or "),
            )
        })
        .collect();
    if by_stripe.is_empty() {
        return BTreeMap::new();
    }
    let read = |parts: Vec<String>| {
        let statement = format!("select to_jsonb(u) from ({}) u", parts.join(" union all "));
        let found = match parts.is_empty() {
            true => Vec::new(),
            false => reading_as(&table.relation(), || sql::fetch(&statement, &[])),
        };
        let found = found.into_iter();
        found.filter_map(|row| serde_json::from_value::<Common>(row).ok())
    };
    let values = read(parts).map(|common| (common.name, json!({ "value": common.value })));
    let objects = table.columns.iter();
    let objects = objects
        .filter(|(name, column)| !ids.contains(name.as_str()) && is_for_object(name, column))
        .map(|(name, column)| {
            format!(
                "select {name} as name,
                    case when bool_and(v.value ~ '^txn_') then 'balance_transaction.id' else 'charge.id' end as value
                from (
                    select {text} from {table} t
                    where ({by_stripe}) and t.{quoted} is not null limit {SAMPLED}) v (value)
                having bool_and(v.value ~ '^txn_') or bool_and(v.value ~ '^(ch|py)_')",
                name = pgrx::spi::quote_literal(name),
                text = column.plain_text("t"),
                quoted = column.quoted,
                table = table.name,
                by_stripe = by_stripe.join(" or "),
            )
        });
    let objects = read(objects.collect());
    values
        .chain(objects.map(|common| (common.name, json!({ "stripe": common.value }))))
        .collect()
}

/// Returns whether the rows may contain the ids of Stripe's charges or balance transactions in this column.
fn is_for_object(name: &str, column: &Column) -> bool {
    let name = squash(name);
    let is_usual = ["charge", "transaction", "txn"]
        .iter()
        .any(|word| name.contains(word));
    is_usual && Role::Text.accepts(column) && column.labels.is_none() && !column.is_computed
}

fn is_for_provider(name: &str, column: &Column) -> bool {
    let is_among = |names: &[&str]| names.iter().any(|usual| squash(usual) == squash(name));
    let is_usual = is_among(&NAMES) || is_among(&KINDS) && column.must_be_given;
    let is_word = Role::Text.accepts(column) || column.labels.is_some();
    is_usual && is_word && !column.is_computed
}
