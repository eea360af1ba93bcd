//! Proposes values for further columns of a new payment that must not be null.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::domain::words::squash;
use crate::host::catalog::{Column, Role, Table};
use crate::host::propose::relations::Relations;
use crate::host::source::Source;

/// A proposal for `payment_values`.
pub(super) struct Proposed {
    pub(super) values: Value,
    /// The columns for which no value was found, and the reason.
    pub(super) lacking: Vec<(String, String)>,
    added: Vec<String>,
}

impl Proposed {
    pub(super) fn reason(&self) -> String {
        match (self.added.as_slice(), self.lacking.len()) {
            ([], 0) => "no other column needs a value".to_owned(),
            ([], _) => "some columns need a value that was not found; see below".to_owned(),
            (added, _) => format!("NOT NULL and without a default: {}", added.join(", ")),
        }
    }
}

/// Keeps valid current entries, and adds the columns without which a new row cannot be inserted.
pub(super) fn propose(
    relations: &Relations,
    invoices: &Table,
    payments: &Table,
    mapped: &BTreeSet<String>,
    set: Option<&Value>,
) -> Proposed {
    let mut values = Map::new();
    let mut added = Vec::new();
    let mut lacking = Vec::new();
    let set = set.and_then(Value::as_object).into_iter().flatten();
    for (name, source) in set.filter(|(name, _)| !mapped.contains(*name)) {
        let fits = payments
            .columns
            .get(name)
            .is_some_and(|column| fits(source, column, invoices));
        if fits {
            values.insert(name.clone(), source.clone());
        }
    }
    let key = relations.key_of(payments).map(|(key, _)| key);
    for (name, column) in payments.columns.iter().filter(|(_, c)| c.must_be_given) {
        if values.contains_key(name) || (mapped.contains(name) && key.as_ref() != Some(name)) {
            continue;
        }
        if key.as_ref() == Some(name) {
            lacking.push((name.clone(), "the primary key needs a default".to_owned()));
        } else if is_row_timestamp(name, column) {
            let reason = "NOT NULL: give the column a default, now() for example";
            lacking.push((name.clone(), reason.to_owned()));
        } else if let Some(source) = from_invoice(relations, invoices, payments, name, column)
            .or_else(|| usual_value(name, column))
        {
            values.insert(name.clone(), source);
            added.push(name.clone());
        } else {
            let reason = "NOT NULL and without a default: add it to payment_values";
            lacking.push((name.clone(), reason.to_owned()));
        }
    }
    Proposed {
        values: Value::Object(values),
        lacking,
        added,
    }
}

/// Returns whether the configured value can be written into the column.
fn fits(source: &Value, column: &Column, invoices: &Table) -> bool {
    let Ok(source) = Source::parse(source) else {
        return false;
    };
    let has_columns = source
        .invoice_columns()
        .iter()
        .all(|name| invoices.columns.contains_key(*name));
    let is_a_label = match (&source, &column.labels) {
        (Source::Constant(Value::String(word)), Some(labels)) => labels.contains(word),
        (_, labels) => labels.is_none(),
    };
    has_columns && is_a_label && !column.is_computed
}

/// Returns whether the column contains the time at which its row was created or changed. The invoice's time would
/// be wrong for the payment.
fn is_row_timestamp(name: &str, column: &Column) -> bool {
    let name = squash(name);
    Role::Moment.accepts(column)
        && ["created", "updated", "inserted", "modified", "changed"]
            .iter()
            .any(|word| name.contains(word))
}

/// Returns the invoice's column of the same name and type, or the one with a foreign key to the same column.
fn from_invoice(
    relations: &Relations,
    invoices: &Table,
    payments: &Table,
    name: &str,
    column: &Column,
) -> Option<Value> {
    let key = relations.key_of(invoices).map(|(key, _)| key);
    let same_name = invoices.columns.iter().find(|(theirs, other)| {
        squash(theirs) == squash(name)
            && other.type_name == column.type_name
            && key.as_ref() != Some(*theirs)
    });
    same_name
        .map(|(theirs, _)| theirs.as_str())
        .or_else(|| relations.column_with_same_target(payments, name, invoices))
        .map(|theirs| json!({ "invoice": theirs }))
}

/// Returns a usual value for such a column.
fn usual_value(name: &str, column: &Column) -> Option<Value> {
    const METHODS: [&str; 6] = [
        "paymentmethod",
        "method",
        "paymentprovider",
        "provider",
        "gateway",
        "source",
    ];
    const NAMES: [&str; 4] = ["paymentname", "name", "title", "description"];
    const LABELS: [&str; 5] = ["stripe", "card", "creditcard", "online", "other"];
    let name = squash(name);
    match &column.labels {
        Some(labels) if METHODS.contains(&name.as_str()) => LABELS
            .iter()
            .find_map(|wanted| labels.iter().find(|label| squash(label) == **wanted))
            .map(|label| json!({ "value": label })),
        Some(_) => None,
        None if !Role::Text.accepts(column) => None,
        None if METHODS.contains(&name.as_str()) => Some(json!({ "value": "Stripe" })),
        None if NAMES.contains(&name.as_str()) => Some(json!([
            { "stripe": "payment_intent.description" },
            { "value": "Stripe payment" }
        ])),
        None if name == "currency" => Some(json!([
            { "stripe": "payment_intent.currency" },
            { "stripe": "checkout_session.currency" }
        ])),
        None => None,
    }
}
