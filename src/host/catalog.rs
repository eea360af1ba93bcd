//! A table of the application in PostgreSQL's catalogs: columns, types, keys.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::Value;

use super::mapped::usually_collated;
use crate::pg::{Problem, Relation, sql};

/// A table and its columns.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    /// The quoted name, with its schema, for use in SQL text.
    pub(crate) name: String,
    /// The name as the catalog stores it, without a schema.
    pub(crate) bare_name: String,
    /// The quoted schema.
    pub(crate) schema: String,
    /// The schema, not quoted.
    bare_schema: String,
    pub(crate) owner: u32,
    /// `pg_class.relkind`, such as `r` or `p`.
    kind: String,
    /// True for a view with triggers INSTEAD OF insert.
    pub(crate) has_triggers: bool,
    pub(crate) columns: BTreeMap<String, Column>,
}

/// A column. Domains are resolved to their base types.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Column {
    /// The quoted name, for use in SQL text.
    pub(crate) quoted: String,
    /// The type as `format_type` writes it, for people.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// The type with its schema, for use in a cast under any search path. The declared length is left out, because a
    /// cast would silently truncate a text to it.
    pub(crate) cast_type: String,
    /// The declared length, such as `(10,2)`; empty if there is none.
    pub(crate) length: String,
    /// The base type's name in `pg_type`, such as `int8`.
    pub(crate) base: String,
    /// The base type with its schema.
    pub(crate) base_type: String,
    /// The base type's operator `=`, with its schema.
    pub(crate) equals: String,
    /// True for texts that are compared and sorted otherwise than the database's usual texts.
    pub(crate) has_own_collation: bool,
    /// The labels, if the type is an enum.
    pub(crate) labels: Option<Vec<String>>,
    /// True for a NOT NULL column without a default, an identity or a generation expression.
    pub(crate) must_be_given: bool,
    /// True for a column that gets a value without being given one.
    pub(crate) has_default: bool,
    /// True if it refers to another table.
    pub(crate) refers: bool,
    /// The texts that a domain's check constraint allows, if it lists them.
    pub(crate) allowed: Vec<String>,
    /// The text that the column's default is, if it is a constant.
    pub(crate) default_text: Option<String>,
    /// True if PostgreSQL computes the value, or the view does: the column can be read but not written.
    pub(crate) is_computed: bool,
}

/// The hint of errors about settings.
const ADVICE: &str = "Use \"select * from invoice_sync.propose_mapping()\" to list settings that fit this database and \"select invoice_sync.adopt_mapping()\" to adopt them, or update invoice_sync.settings.";

/// SQL for whether a column `a` of the relation `c` is one of a view and cannot be written: it is not a column of a table
/// that PostgreSQL updates by itself, and no trigger or rule takes care of it.
pub(super) const IS_FIXED: &str = "
    (c.relkind = 'v' and not pg_column_is_updatable(c.oid, a.attnum, false)
     and not exists (select from pg_trigger g
                     where g.tgrelid = c.oid and g.tgtype & 80 = 80 and g.tgenabled <> 'D') -- instead of, update
     and not exists (select from pg_rewrite w where w.ev_class = c.oid and w.ev_type = '2' and w.is_instead))";

/// Returns one JSON document per table. The caller appends a condition on `c` or `n`.
const DESCRIPTION: &str = r#"
select jsonb_build_object(
    'oid', c.oid::bigint,
    'bare_name', c.relname,
    'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    'schema', quote_ident(n.nspname),
    'bare_schema', n.nspname,
    'owner', c.relowner::bigint,
    'kind', c.relkind,
    'has_triggers', c.relkind = 'v' and exists (
        select from pg_trigger g where g.tgrelid = c.oid and g.tgtype & 68 = 68 and g.tgenabled <> 'D'),
    'columns', coalesce((
        select jsonb_object_agg(a.attname, jsonb_build_object(
            'quoted', quote_ident(a.attname),
            'type', format_type(a.atttypid, -1),
            'cast_type', format('%s.%I', t.typnamespace::regnamespace, t.typname),
            -- That of an interval is written otherwise in a type with a schema.
            'length', case when a.atttypmod < 0 or t.oid in ('interval'::regtype, 'interval[]'::regtype) then ''
                      else coalesce(substring(format_type(t.oid, a.atttypmod) from '[(].*[)]'), '') end,
            'base', b.typname,
            'base_type', format('%s.%I', b.typnamespace::regnamespace, b.typname),
            'equals', format('operator(%s.=)', b.typnamespace::regnamespace),
            'has_own_collation', a.attcollation not in (0, 'pg_catalog."default"'::regcollation),
            'labels', (select jsonb_agg(e.enumlabel order by e.enumsortorder)
                         from pg_enum e where e.enumtypid = b.oid),
            'allowed', (select coalesce(jsonb_agg(replace(m.texts[1], '''''', '''') order by k.oid, m.place), '[]')
                        from pg_constraint k,
                             regexp_matches(pg_get_constraintdef(k.oid), '''((?:[^'']|'''')*)''', 'g')
                                 with ordinality m (texts, place)
                        where k.contypid = t.oid and k.contype = 'c' and pg_get_constraintdef(k.oid) ~ '= ANY'),
            'default_text', (select replace((regexp_match(
                                 pg_get_expr(d.adbin, d.adrelid), '^''((?:[^'']|'''')*)''::[^(]*(?:\(\d+\))?$'))[1],
                                 '''''', '''')
                             from pg_attrdef d where d.adrelid = c.oid and d.adnum = a.attnum),
            'must_be_given', a.attnotnull and not a.atthasdef
                             and a.attidentity = '' and a.attgenerated = '',
            'has_default', a.atthasdef or a.attidentity <> '',
            'refers', exists (select from pg_constraint k
                              where k.contype = 'f' and k.conrelid = c.oid and a.attnum = any (k.conkey)),
            'is_computed', a.attgenerated <> '' or a.attidentity = 'a' or {is_fixed}))
        from pg_attribute a
        join pg_type t on t.oid = a.atttypid
        join pg_type b on b.oid = case when t.typtype <> 'd' then t.oid else (
            with recursive d (type, base) as (
                select t.oid, t.typbasetype
                union all
                select d.base, n.typbasetype from d join pg_type n on n.oid = d.base
            )
            select d.type from d where d.base = 0
        ) end
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}'))
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
"#;

impl Table {
    /// Returns what identifies the table, to check before the table is used again.
    pub(crate) fn relation(&self) -> Relation {
        Relation {
            oid: self.oid,
            schema: self.bare_schema.clone(),
            name: self.bare_name.clone(),
            owner: self.owner,
            kind: self.kind.bytes().next().unwrap_or_default(),
        }
    }

    pub(crate) fn is_view(&self) -> bool {
        self.relation().is_view()
    }

    /// Looks up a table or a view. Fails with 42P01 if it does not exist, and with 42809 if the name is another
    /// object's. The error names `setting`.
    pub(crate) fn describe(name: &str, setting: &str) -> Result<Self, Problem> {
        // Planned once for all tables: mostly two are described, one after the other.
        let statement = format!("{} where c.oid = to_regclass($1)", description());
        let table = parsed(sql::look_up(1, &statement, &[Some(name)]))?
            .pop()
            .ok_or_else(|| {
                Problem::new(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                    format!("table \"{name}\" does not exist"),
                )
                .detail(format!("The setting {setting} names it."))
                .hint(ADVICE)
            })?;
        table.must_hold_rows(&format!("The setting {setting} names it."))
    }

    /// Returns all tables that meet `condition`, which may refer to `pg_class c` and `pg_namespace n`.
    pub(crate) fn find(condition: &str, params: &[Option<&str>]) -> Result<Vec<Self>, Problem> {
        parsed(sql::fetch(
            &format!("{} {condition}", description()),
            params,
        ))
    }

    /// Fails with 42809 if this is not an ordinary or partitioned table or a view; `why` becomes the error's detail.
    pub(crate) fn must_hold_rows(self, why: &str) -> Result<Self, Problem> {
        if matches!(self.kind.as_str(), "r" | "p" | "v") {
            return Ok(self);
        }
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} is not a table or view", self.name),
        )
        .detail(why)
        .hint("Specify a table, or a view whose rows can be written."))
    }

    /// Returns a column. Fails with 42703 if it does not exist.
    pub(crate) fn column(&self, name: &str, setting: &str) -> Result<&Column, Problem> {
        self.columns.get(name).ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{name}\" of table {} does not exist", self.name),
            )
            .detail(format!("The setting {setting} names it."))
            .hint(format!(
                "Its columns are: {}. If there is no such column, set {setting} to null, unless the setting is NOT NULL. {ADVICE}",
                self.columns.keys().cloned().collect::<Vec<_>>().join(", ")
            ))
        })
    }
}

impl Column {
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.base.as_str(), "int2" | "int4" | "int8")
    }

    /// Returns SQL for the text in a row, with the database's usual collation, so that patterns can be matched.
    pub(super) fn plain_text(&self, alias: &str) -> String {
        let text = format!("{alias}.{}::text", self.quoted);
        match self.has_own_collation {
            true => usually_collated(&text),
            false => text,
        }
    }

    /// See [`key_family`].
    pub(crate) fn key_family(&self) -> &'static str {
        key_family(&self.base)
    }
}

fn description() -> String {
    DESCRIPTION.replace("{is_fixed}", IS_FIXED)
}

fn parsed(documents: Vec<Value>) -> Result<Vec<Table>, Problem> {
    let tables = documents.into_iter().map(serde_json::from_value);
    tables.collect::<Result<_, _>>().map_err(not_understood)
}

/// Returns one name for all key types that PostgreSQL compares with each other.
pub(crate) fn key_family(base: &str) -> &'static str {
    match base {
        "int2" | "int4" | "int8" => "integer",
        "text" | "varchar" | "bpchar" | "citext" | "name" => "text",
        _ => "uuid",
    }
}

/// Returns the error for a catalog query's answer that cannot be parsed, which is a bug in this extension.
pub(super) fn not_understood(error: serde_json::Error) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("the result of a catalog query could not be parsed: {error}"),
    )
}

/// What a column is used for. It decides which types are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Key,
    Amount,
    Status,
    Word,
    Text,
    Moment,
    Any,
}

impl Role {
    pub(crate) fn accepts(self, column: &Column) -> bool {
        const TEXTS: [&str; 5] = ["text", "varchar", "bpchar", "citext", "name"];
        const MOMENTS: [&str; 3] = ["date", "timestamp", "timestamptz"];
        const NUMBERS: [&str; 3] = ["numeric", "float8", "float4"];
        let base = column.base.as_str();
        match self {
            Self::Key => column.is_integer() || TEXTS.contains(&base) || base == "uuid",
            Self::Amount => column.is_integer() || NUMBERS.contains(&base),
            Self::Status => {
                Self::Word.accepts(column) || column.is_integer() || MOMENTS.contains(&base)
            }
            Self::Word => TEXTS.contains(&base) || column.labels.is_some() || base == "bool",
            Self::Text => TEXTS.contains(&base),
            Self::Moment => MOMENTS.contains(&base),
            Self::Any => true,
        }
    }

    pub(crate) fn wants(self) -> &'static str {
        match self {
            Self::Key => "uuid, bigint, integer, smallint or text",
            Self::Amount => "numeric, bigint, integer, smallint, double precision or real",
            Self::Status => "text, an enum, boolean, an integer, date or timestamp",
            Self::Word => "text, an enum or boolean",
            Self::Text => "text",
            Self::Moment => "date, timestamp or timestamp with time zone",
            Self::Any => "any type",
        }
    }

    /// Fails with 42804 if the column's type is not accepted.
    pub(crate) fn check(
        self,
        table: &Table,
        name: &str,
        column: &Column,
        setting: &str,
    ) -> Result<(), Problem> {
        if self.accepts(column) {
            return Ok(());
        }
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!(
                "column \"{name}\" of table {} has the type {}",
                table.name, column.type_name
            ),
        )
        .detail(format!("The setting {setting} requires {}.", self.wants()))
        .hint(ADVICE))
    }
}
