//! Indexes that the application's tables lack, with the statements that create them; none is created here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::catalog::not_understood;
use super::host_table::HostTable;
use super::mapping::{Mapped, Mapping, Payments};
use super::view::base_column;
use crate::pg::{Problem, Relation, sql};

/// A column that statements look rows up by and that has no index for these lookups.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Missing {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    pub(crate) column: String,
    /// What is slow without the index.
    pub(crate) why: String,
    /// The statement that creates the index. It cannot run in a transaction block.
    pub(crate) statement: String,
    /// The table or view of the settings, quoted, and its column.
    pub(super) mapped: (String, String),
}

/// An index is sufficient if it begins with the column (for a lookup by the column's text: with that expression)
/// and leaves out nothing but nulls, and rows that do not count if only the others are looked up.
const MISSING: &str = r"
select jsonb_build_object(
    'table', w.in_table, 'column', w.name, 'why', w.why, 'mapped', w.mapped,
    'statement', format('create index concurrently on %s (%s);', w.in_table, w.indexed))
from jsonb_to_recordset($1::jsonb) w (in_table text, name text, why text, indexed text, condition text, mapped jsonb)
join pg_attribute a on a.attrelid = w.in_table::regclass and a.attname = w.name
where not exists (
    select from pg_index x
    where x.indrelid = a.attrelid and x.indisvalid
        and translate(pg_get_indexdef(x.indexrelid, 1, false), '()', '') = translate(w.indexed, '()', '')
        and (x.indpred is null
             or pg_get_expr(x.indpred, x.indrelid) = format('(%I IS NOT NULL)', a.attname)
             or translate(lower(pg_get_expr(x.indpred, x.indrelid)), ' ()', '') = translate(lower(w.condition), ' ()', ''))
)
order by w.in_table, w.name
";

/// A column of a table that is looked up by, also if it is seen through a view.
struct Indexed {
    table: String,
    column: Mapped,
}

impl Indexed {
    /// Returns `None` if a view computes the column.
    fn of(relation: &Relation, table: &str, column: &Mapped) -> Option<Self> {
        if !relation.is_view() {
            return Some(Self {
                table: table.to_owned(),
                column: column.clone(),
            });
        }
        let base = base_column(relation, &column.name)?;
        Some(Self {
            table: base.table_name,
            column: Mapped {
                name: base.name,
                quoted: base.quoted,
                ..column.clone()
            },
        })
    }
}

/// Returns the columns of the mapping that need an index and have none. What a view computes is left out.
pub(crate) fn missing(mapping: &Mapping) -> Result<Vec<Missing>, Problem> {
    const OF_INVOICE: &str = "used to look up the payments of an invoice";
    const IN_BOOKS: &str = "used to look up a payment by its Stripe id";
    const OF_PAYMENT: &str = "used to look up the invoice of a payment";
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    let wanted = [
        (HostTable::Payment, Some(&payments.invoice), OF_INVOICE),
        (HostTable::Payment, payments.session.as_ref(), IN_BOOKS),
        (HostTable::Payment, payments.intent.as_ref(), IN_BOOKS),
        (HostTable::Invoice, invoices.session.as_ref(), OF_PAYMENT),
        (HostTable::Invoice, invoices.intent.as_ref(), OF_PAYMENT),
        (HostTable::Invoice, invoices.number.as_ref(), OF_PAYMENT),
    ];
    let wanted = wanted.into_iter().filter_map(|(table, column, why)| {
        let (seen, name) = (column?, table.name(mapping));
        let Indexed { table, column } = Indexed::of(table.relation(mapping), name, seen)?;
        Some(json!({
            "in_table": table, "name": column.name, "why": why, "indexed": indexed(&column),
            "mapped": [name, seen.name],
            "condition": payments.counting.condition().filter(|_| why == OF_INVOICE),
        }))
    });
    sql::fetch(MISSING, &[Some(&Value::from_iter(wanted).to_string())])
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()
        .map_err(not_understood)
}

/// Returns as how many this number of things is looked up in the tables ([`sql::look_up`]): as it is, if there are indexes
/// for it.
pub(super) fn looked_up(mapping: &Mapping, count: usize) -> usize {
    let is_indexed = mapping.is_indexed.get_or_init(|| are_complete(mapping));
    if *is_indexed { count } else { usize::MAX }
}

/// Returns whether all that is looked up in the tables has an index. Of views it is not known.
fn are_complete(mapping: &Mapping) -> bool {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    if invoices.relation.is_view() || payments.relation.is_view() {
        return false;
    }
    let keys = [
        (&invoices.table, &invoices.id),
        (&payments.table, &payments.id),
    ];
    let keys = keys
        .into_iter()
        .map(|(table, key)| json!({ "in_table": table, "name": key.name, "indexed": key.quoted }));
    sql::fetch(MISSING, &[Some(&Value::from_iter(keys).to_string())]).is_empty()
        && missing(mapping).is_ok_and(|missing| missing.is_empty())
}

/// Returns the expression to index. Invoice numbers are compared as text, whatever their type is.
fn indexed(column: &Mapped) -> String {
    match column.base.as_str() {
        "int2" | "int4" | "int8" | "numeric" => format!("({}::text)", column.quoted),
        _ => column.quoted.clone(),
    }
}

/// Whether an index prevents the same Stripe payment from being booked twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UniqueIds {
    Enforced,
    /// The table, quoted, and the statement that creates the index.
    Missing(String, String),
    /// A view computes the columns for Stripe's ids.
    Unknown,
}

/// Returns whether a unique index prevents the same Stripe payment from being booked twice.
pub(crate) fn unique_ids(payments: &Payments) -> UniqueIds {
    let columns = [&payments.intent, &payments.session].into_iter().flatten();
    let columns: Vec<Indexed> = columns
        .filter_map(|column| Indexed::of(&payments.relation, &payments.table, column))
        .collect();
    let Some(Indexed { table, column }) = columns.first() else {
        return UniqueIds::Unknown;
    };
    let of_table = columns.iter().filter(|it| it.table == *table);
    let names: Vec<&str> = of_table.map(|it| it.column.name.as_str()).collect();
    let is_unique = sql::fetch_one(
        "select to_jsonb(exists (
            select from pg_index x
            join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
            where x.indrelid = $1::regclass and x.indisunique and x.indisvalid and x.indnkeyatts = 1
                and a.attname in (select jsonb_array_elements_text($2::jsonb))))",
        &[Some(table), Some(&json!(names).to_string())],
    );
    if is_unique == Some(Value::Bool(true)) {
        return UniqueIds::Enforced;
    }
    let column = &column.quoted;
    UniqueIds::Missing(
        table.clone(),
        format!("create unique index concurrently on {table} ({column}) where {column} <> '';"),
    )
}
