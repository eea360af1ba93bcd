//! Proposes values for further columns of new payments and of rows that are updated.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::domain::words::squash;
use crate::host::catalog::{Column, Role, Table};
use crate::host::expression::check_value;
use crate::host::propose::columns;
use crate::host::propose::relations::Relations;
use crate::host::propose::units::{Unit, without_unit};
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
            (added, _) => format!("new rows need values for: {}", added.join(", ")),
        }
    }
}

/// Keeps valid current entries, and adds the columns without which a new row cannot be inserted, and those that are
/// filled in all rows of the application. `usual` are the values of columns that all payments by Stripe have, `unit` is
/// that of the payments' amounts.
pub(super) fn propose(
    relations: &Relations,
    (invoices, payments): (&Table, &Table),
    mapped: &BTreeSet<String>,
    set: Option<&Value>,
    usual: &BTreeMap<String, Value>,
    unit: Option<Unit>,
    clock: &Clock,
) -> Proposed {
    let mut values = Map::new();
    let mut added = Vec::new();
    let mut lacking = Vec::new();
    let set = set.and_then(Value::as_object).into_iter().flatten();
    for (name, source) in set.filter(|(name, _)| !mapped.contains(*name)) {
        let fits = payments
            .columns
            .get(name)
            .is_some_and(|column| fits(source, payments, column, invoices));
        if fits {
            values.insert(name.clone(), source.clone());
        }
    }
    let key = relations.key_of(payments).map(|(key, _)| key);
    for (name, column) in &payments.columns {
        let is_key = key.as_ref() == Some(name);
        if values.contains_key(name) || (mapped.contains(name) && !is_key) || column.is_computed {
            continue;
        }
        let is_needed = column.must_be_given;
        let source = if is_key {
            new_key(column).filter(|_| is_needed)
        } else if let Some(written) = usual.get(name) {
            Some(written.clone())
        } else if let Some(written) = of_stripe(name, column, unit) {
            Some(written)
        } else if column.has_default {
            None
        } else if is_needed && is_row_timestamp(name, column) || is_stamp(name, column) {
            Some(clock.now(column))
        } else if is_needed {
            from_invoice(relations, invoices, payments, name, column)
                .or_else(|| usual_value(name, column))
        } else {
            shared(relations, invoices, payments, name)
        };
        match source {
            Some(source) => {
                values.insert(name.clone(), source);
                added.push(name.clone());
            }
            None if is_needed && is_key => {
                lacking.push((name.clone(), "the primary key needs a default".to_owned()));
            }
            None if is_needed => {
                let reason = format!(
                    "{}, NOT NULL and without a default: add it to payment_values",
                    column.type_name
                );
                lacking.push((name.clone(), reason));
            }
            None => {}
        }
    }
    Proposed {
        values: Value::Object(values),
        lacking,
        added,
    }
}

/// Returns whether the configured value can be written into the column.
fn fits(source: &Value, table: &Table, column: &Column, invoices: &Table) -> bool {
    let Ok(source) = Source::parse(source) else {
        return false;
    };
    let has_columns = source
        .invoice_columns()
        .iter()
        .all(|name| invoices.columns.contains_key(*name));
    let is_a_label = match (&source, &column.labels) {
        (Source::Constant(Value::String(word)), Some(labels)) => labels.contains(word),
        (source, labels) => labels.is_none() || !source.expressions().is_empty(),
    };
    let are_evaluated = source
        .expressions()
        .iter()
        .all(|text| check_value(table, column, text, "payment_values").is_ok());
    has_columns && is_a_label && are_evaluated && !column.is_computed
}

/// How the present moment is written: columns without a time zone have the zone of the settings.
pub(super) struct Clock(String);

impl Clock {
    pub(super) fn of(time_zone: Option<&str>) -> Self {
        Self(pgrx::spi::quote_literal(time_zone.unwrap_or("UTC")))
    }

    fn now(&self, column: &Column) -> Value {
        let zone = &self.0;
        let expression = match column.base.as_str() {
            "timestamptz" => "now()".to_owned(),
            "date" => format!("(now() at time zone {zone})::date"),
            _ => format!("now() at time zone {zone}"),
        };
        json!({ "sql": expression })
    }
}

/// Usual names of the column for the time at which its row was changed last.
const CHANGED: [&str; 12] = [
    "updated_at",
    "updated",
    "updated_on",
    "modified_at",
    "modified",
    "modified_on",
    "last_modified",
    "last_modified_at",
    "last_updated",
    "last_updated_at",
    "date_updated",
    "date_modified",
];

/// Usual names of the column for the time at which its row was made.
const MADE: [&str; 5] = [
    "created_at",
    "created",
    "created_on",
    "date_created",
    "inserted_at",
];

fn is_changed_at(name: &str, column: &Column) -> bool {
    let is_usual = CHANGED.iter().any(|usual| squash(usual) == squash(name));
    is_usual && Role::Moment.accepts(column) && !column.is_computed
}

/// Returns whether it has the name of a column that frameworks fill in every row.
fn is_stamp(name: &str, column: &Column) -> bool {
    let is_usual = MADE.iter().any(|usual| squash(usual) == squash(name));
    is_usual && Role::Moment.accepts(column) || is_changed_at(name, column)
}

/// Keeps valid current entries, and adds the columns that frameworks set with every update, and those that contain the
/// amount of the column `paid` in cents. Returns the reason, too.
pub(super) fn propose_updates(
    (table, invoices): (&Table, &Table),
    mapped: &BTreeSet<String>,
    set: Option<&Value>,
    paid: Option<&(String, Column)>,
    clock: &Clock,
) -> (Value, String) {
    let mut values = Map::new();
    let set = set.and_then(Value::as_object).into_iter().flatten();
    for (name, source) in set.filter(|(name, _)| !mapped.contains(*name)) {
        let column = table.columns.get(name);
        if column.is_some_and(|column| fits(source, table, column, invoices)) {
            values.insert(name.clone(), source.clone());
        }
    }
    let mut added = Vec::new();
    for (name, column) in &table.columns {
        if values.contains_key(name) || mapped.contains(name) {
            continue;
        }
        let source = if is_changed_at(name, column) {
            clock.now(column)
        } else if squash(name) == "lockversion" && column.is_integer() {
            json!({ "sql": format!("{} + 1", column.quoted) })
        } else if let Some(in_cents) = paid.and_then(|paid| in_cents(name, column, paid)) {
            in_cents
        } else {
            continue;
        };
        values.insert(name.clone(), source);
        added.push(name.clone());
    }
    let reason = match added.as_slice() {
        [] => "no other column is set with every update".to_owned(),
        added => format!("set with every update: {}", added.join(", ")),
    };
    (Value::Object(values), reason)
}

/// Returns the amount paid in cents, if the column is to contain it beside the one in major units.
fn in_cents(name: &str, column: &Column, (paid, of_paid): &(String, Column)) -> Option<Value> {
    let is_of_cents = squash(name).ends_with("cents") && column.is_integer();
    let is_same = || columns::is_name_of("invoice_amount_paid_column", without_unit(&squash(name)));
    (is_of_cents && is_same() && Unit::of(paid, of_paid) == Unit::Major)
        .then(|| json!({ "sql": format!("round({} * 100)", of_paid.quoted) }))
}

/// Returns the value of Stripe's objects that the column's name says. An amount is written in the unit of the payments.
fn of_stripe(name: &str, column: &Column, unit: Option<Unit>) -> Option<Value> {
    const AMOUNTS: [(&str, &str); 5] = [
        ("stripefee", "balance_transaction.fee"),
        ("stripefeeamount", "balance_transaction.fee"),
        ("stripeprocessingfee", "balance_transaction.fee"),
        ("stripenet", "balance_transaction.net"),
        ("stripenetamount", "balance_transaction.net"),
    ];
    const TEXTS: [(&str, &str); 4] = [
        ("stripechargeid", "charge.id"),
        ("stripebalancetransactionid", "balance_transaction.id"),
        ("stripereceipturl", "charge.receipt_url"),
        ("stripecustomerid", "payment_intent.customer"),
    ];
    let squashed = squash(name);
    let find = |known: &[(&str, &str)], name: &str| {
        let path = known.iter().find(|(usual, _)| *usual == name)?.1;
        Some(json!({ "stripe": path }))
    };
    if Role::Amount.accepts(column) && unit == Some(Unit::of(name, column)) {
        return find(&AMOUNTS, without_unit(&squashed));
    }
    find(&TEXTS, &squashed).filter(|_| Role::Text.accepts(column) && column.labels.is_none())
}

/// Returns a source for a primary key that the application makes.
fn new_key(column: &Column) -> Option<Value> {
    match column.base.as_str() {
        "uuid" => Some(json!({ "sql": "gen_random_uuid()" })),
        _ if Role::Text.accepts(column) => Some(json!({ "sql": "gen_random_uuid()::text" })),
        _ => None,
    }
}

/// Returns the invoice's column of the same name, if both refer to the same column of a third table: a tenant, a
/// contact, a project. Who wrote the invoice did not write the payment.
fn shared(relations: &Relations, invoices: &Table, payments: &Table, name: &str) -> Option<Value> {
    const AUTHORS: [&str; 10] = [
        "created",
        "updated",
        "modified",
        "deleted",
        "approved",
        "recorded",
        "entered",
        "processed",
        "author",
        "editor",
    ];
    let is_author = AUTHORS.iter().any(|word| squash(name).contains(word));
    let theirs = relations.column_with_same_target(payments, name, invoices)?;
    let is_same = squash(theirs) == squash(name);
    (is_same && !is_author && !relations.is_unique(payments, name))
        .then(|| json!({ "invoice": theirs }))
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
    // What is unique cannot be copied.
    if is_own(name, column) || relations.is_unique(payments, name) {
        return None;
    }
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

/// Returns whether the column says something of the payment itself: its state, its kind, its number, an amount.
fn is_own(name: &str, column: &Column) -> bool {
    const LAST: [&str; 3] = ["status", "state", "type"];
    const WHOLE: [&str; 7] = [
        "kind",
        "number",
        "reference",
        "code",
        "token",
        "key",
        "uuid",
    ];
    const AMOUNTS: [&str; 9] = [
        "amount", "total", "price", "paid", "balance", "fee", "net", "tax", "discount",
    ];
    let name = squash(name);
    let is_amount = Role::Amount.accepts(column) && AMOUNTS.iter().any(|part| name.contains(part));
    is_amount || WHOLE.contains(&name.as_str()) || LAST.iter().any(|last| name.ends_with(last))
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
    const KEYS: [&str; 5] = ["uid", "uuid", "guid", "publicid", "token"];
    const FEES: [&str; 6] = [
        "fee",
        "feeamount",
        "stripefee",
        "processingfee",
        "feecents",
        "stripefeecents",
    ];
    const DOCUMENTS: [&str; 3] = ["data", "metadata", "extra"];
    const STATES: [&str; 8] = [
        "refunded",
        "isrefunded",
        "disputed",
        "isdisputed",
        "cancelled",
        "canceled",
        "voided",
        "istest",
    ];
    const RECEIVED: [&str; 7] = [
        "success",
        "successful",
        "succeeded",
        "issuccess",
        "issuccessful",
        "paid",
        "ispaid",
    ];
    let name = squash(name);
    if column.base == "bool" && STATES.contains(&name.as_str()) {
        return Some(json!({ "value": false }));
    }
    if column.base == "bool" && RECEIVED.contains(&name.as_str()) {
        return Some(json!({ "value": true }));
    }
    if FEES.contains(&name.as_str()) && Role::Amount.accepts(column) {
        return Some(json!([{ "stripe": "balance_transaction.fee" }, { "value": 0 }]));
    }
    if KEYS.contains(&name.as_str()) {
        return new_key(column);
    }
    if column.base == "jsonb" && DOCUMENTS.contains(&name.as_str()) {
        return Some(json!({ "value": {} }));
    }
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
