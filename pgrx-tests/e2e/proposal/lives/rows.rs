//! Rows of an application's tables, whole, with what differs from run to run replaced.

use serde_json::{Map, Value};

use crate::harness::Shop;

/// A table or view of the mapping, and the column that contains the invoice's key.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) key: String,
}

/// A row: its columns in order of their names.
pub(super) struct Row(Map<String, Value>);

/// Replaces ids by their kinds, and moments by which they are.
const MASKED: &str = r"
case
    when v.key = 'id' and jsonb_typeof(v.raw) = 'number' then to_jsonb('n'::text)
    when v.value ~ '^[0-9A-F]{8}$' then to_jsonb('random'::text)
    when v.value ~ '^(cs|pi|ch|txn)_' then to_jsonb(split_part(v.value, '_', 1))
    when v.value ~ '^(0{8})-' then to_jsonb(right(v.value, 2))
    when v.value ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then to_jsonb('uuid'::text)
    when v.value !~ '^\d{4}-\d\d-\d\d' then v.raw
    when v.value ~ '^\d{4}-\d\d-\d\d$' and v.value::date >= current_date - 1 then to_jsonb('today'::text)
    when abs(extract(epoch from now() - v.value::timestamptz)) < 600 then to_jsonb('now'::text)
    when abs(extract(epoch from now() - v.value::timestamptz) - 7200) < 600 then to_jsonb('when paid'::text)
    else v.raw
end";

impl Table {
    /// Returns the rows of an invoice.
    pub(super) fn rows(&self, shop: &mut Shop, invoice: &str) -> Vec<Row> {
        let Self { name, key } = self;
        shop.execute("set timezone = 'UTC'");
        let rows = shop.rows(&format!(
            "select (
                select jsonb_object_agg(v.key, {MASKED})
                from (select e.key, e.value as raw, e.value #>> '{{}}' as value from jsonb_each(to_jsonb(t)) e) v)
            from {name} t where t.\"{key}\"::text = '{invoice}' order by to_jsonb(t)::text"
        ));
        let rows = rows.iter().map(|row| row.get::<_, Value>(0));
        let mut rows: Vec<Row> = rows
            .filter_map(|row| row.as_object().cloned().map(Row))
            .collect();
        rows.sort_by_key(Row::filled);
        rows
    }
}

impl Row {
    /// Returns the columns that are not null, with their values.
    pub(super) fn filled(&self) -> String {
        let columns = self.0.iter().filter(|(_, value)| !value.is_null());
        said(columns)
    }

    pub(super) fn has(&self, column: &str) -> bool {
        !self.0.get(column).unwrap_or(&Value::Null).is_null()
    }
}

fn said<'a>(columns: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let columns: Vec<String> = columns
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        })
        .collect();
    columns.join(" | ")
}

/// Returns the columns of the one row that have another value now.
pub(super) fn changed(before: &[Row], now: &[Row]) -> String {
    let ([before], [now]) = (before, now) else {
        panic!(
            "an invoice is one row, not {} and {}",
            before.len(),
            now.len()
        );
    };
    let columns = now.0.iter();
    let columns: Vec<_> = columns
        .filter(|(name, value)| before.0.get(*name) != Some(value))
        .collect();
    if columns.is_empty() {
        return "as it was".to_owned();
    }
    said(columns.into_iter())
}

/// Returns the columns that are null in all rows.
pub(super) fn empty(rows: &[Row]) -> Vec<&str> {
    let names = rows.first().map(|row| row.0.keys()).into_iter().flatten();
    names
        .filter(|name| !rows.iter().any(|row| row.has(name)))
        .map(String::as_str)
        .collect()
}

/// The rows of a table, each as text.
type Stored = (String, Vec<Option<String>>);

/// Returns all rows of all tables of the application, and of the extension's own table of payments, but for a column
/// that a trigger of the application stamps.
pub(super) fn stored(shop: &mut Shop, stamped: &str) -> Vec<Stored> {
    let tables = shop.texts(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and (n.nspname !~ '^pg_|^information_schema$|^invoice_sync$'
            or c.oid = 'invoice_sync.payment'::regclass)
        order by 1",
    );
    let tables = tables.into_iter().flatten();
    tables
        .map(|table| {
            let rows =
                format!("select (to_jsonb(t) - '{stamped}')::text from {table} t order by 1");
            let rows = shop.texts(&rows);
            (table, rows)
        })
        .collect()
}

/// Returns the names of the tables whose rows differ.
pub(super) fn differing<'a>(some: &'a [Stored], others: &[Stored]) -> Vec<&'a str> {
    let pairs = some.iter().zip(others);
    pairs
        .filter(|(one, other)| one != other)
        .map(|((name, _), _)| name.as_str())
        .collect()
}
