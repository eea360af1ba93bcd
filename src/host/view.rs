//! Views in place of the application's tables: what can be written, and what is locked.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;

use super::catalog::{Table, not_understood};
use super::mapped::Mapped;
use super::owner::reading_as;
use crate::pg::{Problem, Relation, in_subtransaction, sql, view};

/// A column of a table that a view shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseColumn {
    pub(crate) table: Relation,
    /// The quoted name of the table, with its schema.
    pub(crate) table_name: String,
    /// The column's name, not quoted.
    pub(crate) name: String,
    /// The column's quoted name.
    pub(crate) quoted: String,
    /// True if PostgreSQL computes its value from other columns.
    pub(crate) is_generated: bool,
}

#[derive(Deserialize)]
struct Named {
    oid: u32,
    schema: String,
    table: String,
    table_name: String,
    owner: u32,
    kind: String,
    name: String,
    quoted: String,
    is_generated: bool,
}

const NUMBER: &str =
    "select to_jsonb(a.attnum) from pg_attribute a where a.attrelid = $1::oid and a.attname = $2";

const NAMED: &str = "
select jsonb_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'table', c.relname, 'owner', c.relowner::bigint, 'kind', c.relkind,
    'table_name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    'name', a.attname, 'quoted', quote_ident(a.attname), 'is_generated', a.attgenerated <> '')
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = $2::int
where c.oid = $1::oid";

/// Returns the column of a table that a column of a view shows unchanged, if it does. `column` is not quoted.
pub(crate) fn base_column(relation: &Relation, column: &str) -> Option<BaseColumn> {
    if !relation.is_view() {
        return None;
    }
    let of = [Some(relation.oid.to_string()), Some(column.to_owned())];
    let number = sql::fetch_catalog(NUMBER, &of.each_ref().map(Option::as_deref))?;
    let (table, column) = view::base_column(relation.oid, number.as_i64()?.try_into().ok()?)?;
    let of = [Some(table.to_string()), Some(column.to_string())];
    let named = sql::fetch_catalog(NAMED, &of.each_ref().map(Option::as_deref))?;
    let named: Named = serde_json::from_value(named).ok()?;
    Some(BaseColumn {
        table: Relation {
            oid: named.oid,
            schema: named.schema,
            name: named.table,
            owner: named.owner,
            kind: named.kind.bytes().next().unwrap_or_default(),
        },
        table_name: named.table_name,
        name: named.name,
        quoted: named.quoted,
        is_generated: named.is_generated,
    })
}

/// What must be possible with the rows of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Update,
    InsertAndUpdate,
}

/// As `pg_relation_is_updatable` returns them.
const CAN_UPDATE: i64 = 4;
const CAN_INSERT: i64 = 8;

/// Checks that the rows of a view can be written and locked as its owner. Returns the column by which they are locked:
/// that of a table which the view's `key` shows; `None` for a table, and for a view without such a column, which is
/// locked as a whole row. Fails with 55000 if the view cannot be written, and as PostgreSQL does if its rows cannot be
/// locked.
pub(super) fn check(
    table: &Table,
    key: &Mapped,
    needs: Needs,
    setting: &str,
) -> Result<Option<BaseColumn>, Problem> {
    let relation = table.relation();
    if !relation.is_view() {
        return Ok(None);
    }
    let can = sql::fetch_one(
        "select to_jsonb(pg_relation_is_updatable($1::oid, true))",
        &[Some(&relation.oid.to_string())],
    );
    let can: i64 = can
        .map_or(Ok(0), serde_json::from_value)
        .map_err(not_understood)?;
    let needed = match needs {
        Needs::Update => [(CAN_UPDATE, "UPDATE")].as_slice(),
        Needs::InsertAndUpdate => &[(CAN_INSERT, "INSERT"), (CAN_UPDATE, "UPDATE")],
    };
    let lacking = needed.iter().filter(|(bit, _)| can & bit == 0);
    let lacking: Vec<&str> = lacking.map(|(_, name)| *name).collect();
    if !lacking.is_empty() {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the view {} cannot be written", table.name),
        )
        .detail(format!(
            "The setting {setting} names it, and it does not support {}.",
            lacking.join(" and ")
        ))
        .hint("Create a trigger INSTEAD OF each of these on the view."));
    }
    let base = base_column(&relation, &key.name);
    let statement = match &base {
        Some(base) => format!("select from {} t limit 0 for update", base.table_name),
        None => format!("select from {} t limit 0 for update", table.name),
    };
    in_subtransaction(|| {
        reading_as(&relation, || match &base {
            Some(base) => base.table.in_use(|| sql::execute(&statement, &[])),
            None => sql::execute(&statement, &[]),
        });
        Ok(())
    })
    .map_err(|problem| {
        let what = match &base {
            Some(base) => format!(
                "Rows of the view {} are locked in the table {}, as the view's owner.",
                table.name, base.table_name
            ),
            None => format!(
                "Column \"{}\" of the view {} is not a column of one table, so that its rows are locked through the view.",
                key.name, table.name
            ),
        };
        problem.detail(format!("{what} The setting {setting} names it."))
    })?;
    Ok(base)
}
