//! A table of the application in PostgreSQL's catalogs: columns, types, keys.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;

use crate::pg::{Problem, Relation, sql};

/// A table and its columns.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    /// Quoted, with its schema: fit for SQL text.
    pub(crate) name: String,
    /// As the catalog has it, without a schema.
    pub(crate) bare_name: String,
    /// Quoted.
    pub(crate) schema: String,
    /// Not quoted.
    bare_schema: String,
    pub(crate) owner: u32,
    /// `r`, `p` and so on, as in `pg_class.relkind`.
    kind: String,
    pub(crate) columns: BTreeMap<String, Column>,
}

/// A column, domains resolved to their base types.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Column {
    /// Quoted: fit for SQL text.
    pub(crate) quoted: String,
    /// The type, as `format_type` writes it: fit for a cast. Without the declared
    /// length, to which a cast would cut a text silently.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// The base type's name in `pg_type`, such as `int8`.
    pub(crate) base: String,
    /// The labels, where the type is an enum.
    pub(crate) labels: Option<Vec<String>>,
    /// NOT NULL, and nothing fills it by itself.
    pub(crate) must_be_given: bool,
    /// PostgreSQL computes it: it can be read, never written.
    pub(crate) is_computed: bool,
}

/// Where errors send who does not know what to write into the settings.
const ADVICE: &str = "\"select * from invoice_sync.propose_mapping()\" shows what fits this database, and \"select invoice_sync.adopt_mapping()\" takes it over; or update invoice_sync.settings yourself.";

/// One JSON document for each table; a condition on `c` or `n` is to follow.
const DESCRIPTION: &str = r#"
select jsonb_build_object(
    'oid', c.oid::bigint,
    'bare_name', c.relname,
    'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    'schema', quote_ident(n.nspname),
    'bare_schema', n.nspname,
    'owner', c.relowner::bigint,
    'kind', c.relkind,
    'columns', coalesce((
        select jsonb_object_agg(a.attname, jsonb_build_object(
            'quoted', quote_ident(a.attname),
            'type', format_type(a.atttypid, -1),
            'base', b.typname,
            'labels', (select jsonb_agg(e.enumlabel order by e.enumsortorder)
                         from pg_enum e where e.enumtypid = b.oid),
            'must_be_given', a.attnotnull and not a.atthasdef
                             and a.attidentity = '' and a.attgenerated = '',
            'is_computed', a.attgenerated <> '' or a.attidentity = 'a'))
        from pg_attribute a
        join pg_type t on t.oid = a.atttypid
        join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}'))
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
"#;

impl Table {
    /// What it is known by, to be compared before it is used again.
    pub(crate) fn relation(&self) -> Relation {
        Relation {
            oid: self.oid,
            schema: self.bare_schema.clone(),
            name: self.bare_name.clone(),
            owner: self.owner,
            kind: self.kind.bytes().next().unwrap_or_default(),
        }
    }

    /// Looks a table up. Fails with 42P01 where there is none, and with 42809
    /// where the name is a view's or another thing's. `setting` is named in the error.
    pub(crate) fn describe(name: &str, setting: &str) -> Result<Self, Problem> {
        let table = Self::find("where c.oid = to_regclass($1)", &[Some(name)])?
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

    /// All tables for which `condition` holds; it may speak of `pg_class c` and `pg_namespace n`.
    pub(crate) fn find(condition: &str, params: &[Option<&str>]) -> Result<Vec<Self>, Problem> {
        sql::fetch(&format!("{DESCRIPTION} {condition}"), params)
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<_, _>>()
            .map_err(not_understood)
    }

    /// Fails with 42809 for a view and the like; `why` says how it came into play.
    pub(crate) fn must_hold_rows(self, why: &str) -> Result<Self, Problem> {
        if matches!(self.kind.as_str(), "r" | "p") {
            return Ok(self);
        }
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} is not a table", self.name),
        )
        .detail(why)
        .hint("Name the table itself, not a view of it."))
    }

    /// A column that must be there. Fails with 42703.
    pub(crate) fn column(&self, name: &str, setting: &str) -> Result<&Column, Problem> {
        self.columns.get(name).ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{name}\" of table {} does not exist", self.name),
            )
            .detail(format!("The setting {setting} names it."))
            .hint(format!(
                "Its columns are: {}. Where there is no such column, set {setting} to null if it may be. {ADVICE}",
                self.columns.keys().cloned().collect::<Vec<_>>().join(", ")
            ))
        })
    }
}

impl Column {
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.base.as_str(), "int2" | "int4" | "int8")
    }

    /// See [`key_family`].
    pub(crate) fn key_family(&self) -> &'static str {
        key_family(&self.base)
    }
}

/// Types of keys that PostgreSQL compares with each other, as one.
pub(crate) fn key_family(base: &str) -> &'static str {
    match base {
        "int2" | "int4" | "int8" => "integer",
        "text" | "varchar" | "bpchar" | "citext" | "name" => "text",
        _ => "uuid",
    }
}

/// Our mistake: the catalogs answer what they are asked.
pub(super) fn not_understood(error: serde_json::Error) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("the catalog's answer was not understood: {error}"),
    )
}

/// What a column is used for decides which types will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Key,
    Amount,
    Word,
    Text,
    Moment,
    Any,
}

impl Role {
    pub(crate) fn accepts(self, column: &Column) -> bool {
        const TEXTS: [&str; 5] = ["text", "varchar", "bpchar", "citext", "name"];
        const MOMENTS: [&str; 3] = ["date", "timestamp", "timestamptz"];
        let base = column.base.as_str();
        match self {
            Self::Key => column.is_integer() || TEXTS.contains(&base) || base == "uuid",
            Self::Amount => column.is_integer() || base == "numeric",
            Self::Word => TEXTS.contains(&base) || column.labels.is_some() || base == "bool",
            Self::Text => TEXTS.contains(&base),
            Self::Moment => MOMENTS.contains(&base),
            Self::Any => true,
        }
    }

    fn wants(self) -> &'static str {
        match self {
            Self::Key => "uuid, bigint, integer, smallint or text",
            Self::Amount => "numeric, bigint, integer or smallint",
            Self::Word => "text, an enum or boolean",
            Self::Text => "text",
            Self::Moment => "date, timestamp or timestamp with time zone",
            Self::Any => "any type",
        }
    }

    /// Fails with 42804 where the column's type will not do.
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
        .detail(format!("The setting {setting} wants {}.", self.wants()))
        .hint(ADVICE))
    }
}
