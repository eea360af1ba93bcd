//! The invoices that a Stripe payment is for.

use super::mapping::{Mapped, Mapping};
use crate::domain::identity::PaymentIds;
use crate::pg::sql;

/// The ids, as text, of the invoices that store one of `ids`, themselves or in
/// their payments, or for which the ledger has seen the payment; where there
/// is none, of those that `references` name, by id or number.
pub(crate) fn invoices_of(
    mapping: &Mapping,
    ids: &PaymentIds,
    references: &[String],
) -> Vec<String> {
    let ids: Vec<&String> = [&ids.session, &ids.intent, &ids.charge]
        .into_iter()
        .flatten()
        .collect();
    let linked = run(&linked_statement(mapping), &serde_json::json!(ids));
    if !linked.is_empty() || references.is_empty() {
        return linked;
    }
    run(&named_statement(mapping), &serde_json::json!(references))
}

fn run(statement: &str, values: &serde_json::Value) -> Vec<String> {
    sql::fetch(statement, &[Some(&values.to_string())])
        .into_iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}

/// The values as an array, so that an index on the column serves.
const WANTED: &str = "array(select jsonb_array_elements_text($1::jsonb))";

fn linked_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let payments = &mapping.payments;
    let by_column = |columns: [&Option<Mapped>; 2], table: &str, key: &Mapped| {
        columns
            .into_iter()
            .flatten()
            .map(|column| {
                format!(
                    "select t.{key}::text from {table} t where t.{column} = any ({WANTED})",
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
        "select m.invoice_id from invoice_sync.stripe_payment m where m.id = any ({WANTED})"
    ));
    format!(
        "select to_jsonb(f.id) from ({}) f (id) where f.id is not null order by 1",
        parts.join(" union ")
    )
}

/// A reference that the key's type cannot hold names nothing.
fn named_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let id = &invoices.id.quoted;
    let shape = match invoices.id.base.as_str() {
        "uuid" => "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
        "int2" => "^[0-9]{1,4}$",
        "int4" => "^[0-9]{1,9}$",
        "int8" => "^[0-9]{1,18}$",
        _ => "",
    };
    let by_number = invoices.number.as_ref().map_or_else(String::new, |number| {
        format!(
            " union select i.{id}::text from {table} i where i.{number}::text = any ({WANTED})",
            table = invoices.table,
            number = number.quoted,
        )
    });
    format!(
        "select to_jsonb(f.id) from (
            select i.{id}::text from {table} i
            where i.{id} = any (array(
                select r.value::{key} from jsonb_array_elements_text($1::jsonb) r
                where r.value ~ {shape}))
            {by_number}
        ) f (id) order by 1",
        table = invoices.table,
        key = invoices.id.type_name,
        shape = pgrx::spi::quote_literal(shape),
    )
}
