//! Writes whole rows: as they were before a change, or as a person decided.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::amounts::in_host_units;
use super::catalog::IS_FIXED;
use super::host_table::HostTable;
use super::mapping::Mapping;
use super::moment::{moment, now};
use super::owner::{as_owner, reading_as};
use super::read::Reading;
use super::view::base_column;
use crate::domain::money::Money;
use crate::pg::{Problem, Relation, sql};

/// A row of an invoice or of one of its payments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) table: HostTable,
    /// The row's primary key, as text.
    pub(crate) row: String,
}

/// All rows of one invoice as JSON.
pub(crate) type Rows = BTreeMap<Place, Value>;

/// Returns the rows of a reading. Fails with 54001 if a row is nested too deeply to be parsed.
pub(crate) fn rows_of(reading: &Reading) -> Result<Rows, Problem> {
    let payments = reading.payments.iter().map(|payment| Place {
        table: HostTable::Payment,
        row: payment.id.clone(),
    });
    let invoice = Place {
        table: HostTable::Invoice,
        row: reading.invoice.id.clone(),
    };
    payments
        .zip(&reading.payment_rows)
        .chain([(invoice, &reading.invoice_row)])
        .map(|(place, row)| Ok((place, row.to_value()?)))
        .collect()
}

/// Updates columns of an existing row, as its table's owner.
pub(crate) fn update_row(
    mapping: &Mapping,
    invoice: &str,
    place: &Place,
    values: &Map<String, Value>,
) {
    if values.is_empty() {
        return;
    }
    let table = place.table.name(mapping);
    let list = values
        .keys()
        .map(|column| {
            let column = pgrx::spi::quote_identifier(column);
            format!("{column} = new.{column}")
        })
        .collect::<Vec<_>>()
        .join(", ");
    let statement = format!(
        "update {table} t set {list} from {new} where {condition}",
        new = place.table.types(mapping).rows("new", names(values)),
        condition = place.table.key(mapping, &place.row, invoice).condition(2),
    );
    run(mapping, invoice, place, &statement, Some(&rows(values)));
}

/// Deletes a row that this extension inserted, as its table's owner.
pub(crate) fn delete_row(mapping: &Mapping, invoice: &str, place: &Place) {
    let statement = format!(
        "delete from {} t where {}",
        place.table.name(mapping),
        place.table.key(mapping, &place.row, invoice).condition(1)
    );
    run(mapping, invoice, place, &statement, None);
}

/// Returns the invoice's columns for this amount paid, the rest due, and this status. A person's decision may lower
/// the amounts. Without an amount they stay as they are.
pub(crate) fn amounts(
    mapping: &Mapping,
    reading: &Reading,
    paid: Option<Money>,
    status: Option<&str>,
) -> Result<Map<String, Value>, Problem> {
    let columns = &mapping.invoices;
    let mut values = Map::new();
    if let Some(word) = status {
        let column = &columns.status.column;
        let value = columns
            .status
            .value(word, || moment(mapping, column, now()))?;
        values.insert(column.name.clone(), value);
    }
    let (Some(paid), Some(total)) = (paid, reading.invoice.total.value()) else {
        return Ok(values);
    };
    let due = Money::new(
        total.minor.saturating_sub(paid.minor).max(0),
        total.currency,
    );
    for (column, money) in [(&columns.amount_paid, paid), (&columns.balance, due)] {
        if let Some(column) = column {
            values.insert(column.name.clone(), in_host_units(columns.unit, money)?);
        }
    }
    if let Some(column) = columns.paid_at.as_ref().filter(|_| due.minor > 0) {
        values.insert(column.name.clone(), Value::Null);
    }
    Ok(values)
}

/// Returns the values as the column types represent them. Raises PostgreSQL's error if a type does not accept a
/// value.
pub(crate) fn typed(
    mapping: &Mapping,
    host_table: HostTable,
    values: &Map<String, Value>,
) -> Map<String, Value> {
    if values.is_empty() {
        return Map::new();
    }
    let record = host_table.types(mapping).rows("new", names(values));
    let statement = format!("select to_jsonb(new) from {record}");
    let row = reading_as(host_table.relation(mapping), || {
        sql::fetch_one(&statement, &[Some(&rows(values))])
    });
    match row {
        Some(Value::Object(typed)) => typed,
        _ => Map::new(),
    }
}

fn names(values: &Map<String, Value>) -> impl Iterator<Item = &str> {
    values.keys().map(String::as_str)
}

/// Returns one row, for a statement that reads rows.
fn rows(values: &Map<String, Value>) -> String {
    json!([values]).to_string()
}

/// Inserts a deleted row again, with its key, as its table's owner.
pub(crate) fn insert_row(mapping: &Mapping, host_table: HostTable, values: &Map<String, Value>) {
    let table = host_table.name(mapping);
    let list = values
        .keys()
        .map(pgrx::spi::quote_identifier)
        .collect::<Vec<_>>()
        .join(", ");
    let statement = format!(
        "insert into {table} ({list}) overriding system value select {list} from {new}",
        new = host_table.types(mapping).rows("new", names(values)),
    );
    let json = rows(values);
    as_owner(&mapping.search_path, host_table.relation(mapping), || {
        sql::write(&statement, &[Some(&json)]);
    });
}

fn run(mapping: &Mapping, invoice: &str, place: &Place, statement: &str, json: Option<&str>) {
    let key = place.table.key(mapping, &place.row, invoice);
    let json = json.into_iter().map(Some);
    let params: Vec<Option<&str>> = json.chain(key.values()).collect();
    as_owner(&mapping.search_path, place.table.relation(mapping), || {
        sql::write(statement, &params);
    });
}

/// Returns the columns that PostgreSQL or a view computes from others, which cannot be written.
pub(crate) fn generated_columns(mapping: &Mapping, host_table: HostTable) -> Vec<String> {
    let statement = format!(
        "select a.attname::text, (a.attgenerated <> '' or {IS_FIXED})::text
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        where c.oid = $1::regclass and a.attnum > 0 and not a.attisdropped"
    );
    let relation = host_table.relation(mapping);
    let columns: Vec<[Option<String>; 2]> =
        sql::fetch_texts(&statement, &[Some(host_table.name(mapping))]);
    let fixed = columns.into_iter().filter_map(|[name, is_fixed]| {
        let name = name?;
        let is_generated = || base_column(relation, &name).is_some_and(|base| base.is_generated);
        (is_fixed.as_deref() == Some("true") || is_generated()).then_some(name)
    });
    fixed.collect()
}

/// A foreign key with which deleting a payment would change rows of a third table.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependent {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    schema: String,
    name: String,
    oid: u32,
    owner: u32,
    kind: String,
    statement: String,
    /// The payments' key as the foreign keys name it, if they refer to the table behind a view.
    #[serde(skip)]
    key_behind_view: Option<(String, String)>,
}

/// Reads the foreign keys, each with the query that looks for references to a payment. That query gets the values
/// of the payment's row as a JSON document, so that only the dependent table is read. The values are cast to
/// built-in types if the columns have them, otherwise to the dependent table's types without the checks of domains,
/// so that no code of the payments' owner runs as another role.
const DEPENDENTS: &str = "
    with recursive base (type, oid, is_hosts) as (
        select t.oid, t.oid, t.typnamespace <> 'pg_catalog'::regnamespace
        from pg_type t where t.typtype <> 'd'
        union all
        select t.oid, b.oid, b.is_hosts
        from pg_type t join base b on b.type = t.typbasetype
        where t.typtype = 'd'
    )
    select jsonb_build_object(
        'table', c.oid::regclass::text,
        'schema', (select n.nspname from pg_namespace n where n.oid = c.relnamespace),
        'name', c.relname,
        'oid', c.oid::bigint,
        'owner', c.relowner::bigint,
        'kind', c.relkind,
        'statement', format(
            'select to_jsonb(true) from %s c join jsonb_to_record($1::jsonb) p (%s) on %s limit 1',
            c.oid::regclass, k.columns, k.conditions))
    from pg_constraint f
    join pg_class c on c.oid = f.conrelid
    cross join lateral (
        select string_agg(format('%I %s', p.attname, format_type(
                   case when theirs.is_hosts then mine.oid else theirs.oid end, -1)), ', ') as columns,
               string_agg(format('c.%I = p.%I', d.attname, p.attname), ' and ') as conditions
        from unnest(f.conkey, f.confkey) k (mine, theirs)
        join pg_attribute d on d.attrelid = f.conrelid and d.attnum = k.mine
        join pg_attribute p on p.attrelid = f.confrelid and p.attnum = k.theirs
        join base mine on mine.type = d.atttypid
        join base theirs on theirs.type = p.atttypid
    ) k
    where f.contype = 'f' and f.confrelid = $1::regclass and f.confdeltype in ('c', 'n', 'd')
    order by 1";

impl Dependent {
    /// Returns the foreign keys to the payments table, or to the table whose key a view shows, with ON DELETE CASCADE, SET
    /// NULL or SET DEFAULT.
    pub(crate) fn of_payments(mapping: &Mapping) -> Vec<Self> {
        let payments = &mapping.payments;
        let behind = payments.locked.as_ref();
        let table = behind.map_or(&payments.table, |base| &base.table_name);
        let key_behind_view = behind.map(|base| (payments.id.name.clone(), base.name.clone()));
        let dependents = sql::fetch(DEPENDENTS, &[Some(table)]).into_iter();
        dependents
            .filter_map(|row| serde_json::from_value(row).ok())
            .map(|dependent| Self {
                key_behind_view: key_behind_view.clone(),
                ..dependent
            })
            .collect()
    }

    /// Returns whether a row of the dependent table refers to this payment. Reads the table as its owner.
    pub(crate) fn refers_to(&self, payment: &Value) -> bool {
        let payment = match &self.key_behind_view {
            Some((own, behind)) => json!({ behind: payment.get(own) }).to_string(),
            None => payment.to_string(),
        };
        let table = Relation {
            oid: self.oid,
            schema: self.schema.clone(),
            name: self.name.clone(),
            owner: self.owner,
            kind: self.kind.bytes().next().unwrap_or_default(),
        };
        let found = reading_as(&table, || {
            sql::fetch_one(&self.statement, &[Some(&payment)])
        });
        found.is_some()
    }
}
