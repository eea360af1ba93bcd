//! The invoices that Stripe payments are for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::mapping::{Mapped, Mapping};
use crate::domain::identity::PaymentIds;
use crate::pg::sql;

/// By what the invoices of a payment are found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traces<'a> {
    pub(crate) ids: &'a PaymentIds,
    /// Invoices that the payment names, by id or number.
    pub(crate) references: &'a [String],
}

/// For each payment the ids, as text, of the invoices that store one of its ids,
/// themselves or in their payments, or for which the ledger has seen it; where
/// there is none, of those that it names.
pub(crate) fn invoices_of(mapping: &Mapping, payments: &[Traces]) -> Vec<BTreeSet<String>> {
    let ids_of = |traces: &Traces| {
        let ids = traces.ids;
        [&ids.session, &ids.intent, &ids.charge]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<String>>()
    };
    let names_of = |traces: &Traces| traces.references.to_vec();
    let mut found = run(&linked_statement(mapping), payments.iter().map(ids_of));
    let mut unlinked = found.iter_mut().zip(payments);
    let unlinked: Vec<_> = unlinked
        .by_ref()
        .filter(|(found, traces)| found.is_empty() && !traces.references.is_empty())
        .collect();
    if unlinked.is_empty() {
        return found;
    }
    let names = unlinked.iter().map(|(_, traces)| names_of(traces));
    let named = run(&named_statement(mapping), names);
    for ((found, _), named) in unlinked.into_iter().zip(named) {
        *found = named;
    }
    found
}

#[derive(Deserialize)]
struct Row {
    /// One of the values that were looked for.
    value: String,
    invoice: String,
}

/// One statement for all values; each group gets what was found for its own.
fn run(statement: &str, groups: impl Iterator<Item = Vec<String>>) -> Vec<BTreeSet<String>> {
    let groups: Vec<Vec<String>> = groups.collect();
    let values: Vec<&String> = groups.iter().flatten().collect();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in sql::fetch(statement, &[Some(&json!(values).to_string())])
        .into_iter()
        .filter_map(|row| serde_json::from_value::<Row>(row).ok())
    {
        found.entry(row.value).or_default().insert(row.invoice);
    }
    groups
        .iter()
        .map(|group| {
            let invoices = group.iter().filter_map(|value| found.get(value));
            invoices.flatten().cloned().collect()
        })
        .collect()
}

/// The values as a set: an index on the column serves, and where there is none
/// each row is looked up in the set.
const WANTED: &str = "(select jsonb_array_elements_text($1::jsonb))";

fn linked_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let payments = &mapping.payments;
    let by_column = |columns: [&Option<Mapped>; 2], table: &str, key: &Mapped| {
        columns
            .into_iter()
            .flatten()
            .map(|column| {
                format!(
                    "select t.{column}::text, t.{key}::text from {table} t where t.{column} in {WANTED}",
                    key = key.quoted,
                    column = column.quoted,
                )
            })
            .collect::<Vec<_>>()
    };
    let mut parts = by_column(
        [&invoices.session, &invoices.intent],
        &invoices.table,
        &invoices.id,
    );
    parts.extend(by_column(
        [&payments.session, &payments.intent],
        &payments.table,
        &payments.invoice,
    ));
    parts.push(format!(
        "select m.id, m.invoice_id from invoice_sync.stripe_payment m where m.id in {WANTED}"
    ));
    format!(
        "select to_jsonb(f) from ({}) f (value, invoice) where f.invoice is not null",
        parts.join(" union ")
    )
}

/// A reference that the key's type cannot hold names nothing.
fn named_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let id = &invoices.id.quoted;
    let by_number = invoices.number.as_ref().map_or_else(String::new, |number| {
        format!(
            " union select i.{number}::text, i.{id}::text from {table} i where i.{number}::text in {WANTED}",
            table = invoices.table,
            number = number.quoted,
        )
    });
    format!(
        "select to_jsonb(f) from (
            select r.value, i.{id}::text
            from jsonb_array_elements_text($1::jsonb) r
            join {table} i on i.{id} = {key}
            {by_number}
        ) f (value, invoice)",
        table = invoices.table,
        key = invoices.id.key_or_null("r.value"),
    )
}
