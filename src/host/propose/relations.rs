//! The database's tables, keys and constraints, as the proposals see them.

use serde::Deserialize;

use crate::domain::words::squash;
use crate::host::catalog::{Role, Table, not_understood};
use crate::host::propose::names::Choice;
use crate::pg::{Problem, sql};

/// The tables that may be those of the application, and their constraints.
pub(super) struct Relations {
    pub(super) tables: Vec<Table>,
    constraints: Vec<Constraint>,
}

/// A primary key, foreign key, check constraint, or unique constraint or index.
#[derive(Clone, Debug, Deserialize)]
struct Constraint {
    table: u32,
    kind: Kind,
    columns: Vec<String>,
    target: u32,
    target_columns: Vec<String>,
    /// The text literals of a check constraint that lists the allowed values.
    literals: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    #[serde(rename = "p")]
    PrimaryKey,
    #[serde(rename = "f")]
    ForeignKey,
    #[serde(rename = "c")]
    Check,
    #[serde(rename = "u")]
    Unique,
}

const CANDIDATES: &str = "
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema', 'invoice_sync')
  and not exists (select from pg_depend d
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')";

const CONSTRAINTS: &str = r#"
select jsonb_build_object(
    'table', o.conrelid::bigint,
    'kind', o.contype,
    'columns', (select coalesce(jsonb_agg(a.attname order by k.place), '[]')
                from unnest(o.conkey) with ordinality k (number, place)
                join pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number),
    'target', o.confrelid::bigint,
    'target_columns', (select coalesce(jsonb_agg(a.attname order by k.place), '[]')
                       from unnest(o.confkey) with ordinality k (number, place)
                       join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number),
    'literals', case when o.contype = 'c' and pg_get_constraintdef(o.oid) ~ '= ANY' then (
        select coalesce(jsonb_agg(replace(m.texts[1], '''''', '''') order by m.place), '[]')
        from regexp_matches(pg_get_constraintdef(o.oid), '''((?:[^'']|'''')*)''', 'g')
             with ordinality m (texts, place)) else '[]' end)
from pg_constraint o
where o.conrelid <> 0 and o.contype in ('p', 'f', 'c')
union all
select jsonb_build_object(
    'table', x.indrelid::bigint, 'kind', 'u', 'target', 0, 'target_columns', '[]'::jsonb, 'literals', '[]'::jsonb,
    'columns', (select coalesce(jsonb_agg(a.attname), '[]')
                from pg_attribute a where a.attrelid = x.indrelid and a.attnum = any (x.indkey)))
from pg_index x
where x.indisunique and not x.indisprimary
order by 1
"#;

impl Relations {
    pub(super) fn load() -> Result<Self, Problem> {
        let constraints = sql::fetch(CONSTRAINTS, &[])
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<_, _>>()
            .map_err(not_understood)?;
        Ok(Self {
            tables: Table::find(CANDIDATES, &[])?,
            constraints,
        })
    }

    /// Returns the key column: the only column of the primary key, or one with a usual name.
    pub(super) fn key_of(&self, table: &Table) -> Option<Choice> {
        let primary = self.of(table, Kind::PrimaryKey).next();
        let fits = |name: &str| {
            table
                .columns
                .get(name)
                .is_some_and(|c| Role::Key.accepts(c))
        };
        match primary.map(|key| key.columns.as_slice()) {
            Some([only]) if fits(only) => Some((only.clone(), "the primary key".to_owned())),
            Some(several) => several
                .iter()
                .find(|name| squash(name) == "id" && fits(name))
                .map(|name| (name.clone(), "part of the primary key".to_owned())),
            None => table
                .columns
                .keys()
                .find(|name| squash(name) == "id" && fits(name))
                .map(|name| {
                    (
                        name.clone(),
                        "by its name; there is no primary key".to_owned(),
                    )
                }),
        }
    }

    /// Returns the column of `payments` that refers to the invoice.
    pub(super) fn link_between(&self, payments: &Table, invoices: &Table) -> Option<Choice> {
        let (key, _) = self.key_of(invoices)?;
        let foreign_key = self
            .foreign_keys(payments, invoices.oid)
            .find(|(_, target)| *target == key)
            .map(|(column, _)| (column.to_owned(), format!("refers to {}", invoices.name)));
        foreign_key.or_else(|| {
            let key_type = invoices.columns.get(&key)?;
            let singular = invoices.bare_name.trim_end_matches(['s', 'S']);
            let last = singular.rsplit('_').next().unwrap_or(singular);
            let refers_elsewhere = |name: &str| {
                let mut keys = self.of(payments, Kind::ForeignKey);
                keys.any(|key| key.columns == [name] && key.target != invoices.oid)
            };
            [
                "invoice_id",
                "invoice",
                "invoice_uuid",
                "bill_id",
                "order_id",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("{singular}_id"), singular.to_owned()])
            .chain([format!("{last}_id"), last.to_owned()])
            .find_map(|wanted| {
                payments.columns.iter().find(|(name, column)| {
                    squash(name) == squash(&wanted)
                        && !refers_elsewhere(name)
                        && Role::Key.accepts(column)
                        && column.key_family() == key_type.key_family()
                })
            })
            .map(|(name, _)| {
                let reason = "by its name and type; there is no foreign key";
                (name.clone(), reason.to_owned())
            })
        })
    }

    /// Returns the table's single-column foreign keys to `target`: the column and the referenced one.
    pub(super) fn foreign_keys<'a>(
        &'a self,
        table: &'a Table,
        target: u32,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.of(table, Kind::ForeignKey)
            .filter(move |key| key.target == target)
            .filter_map(
                |key| match (key.columns.as_slice(), key.target_columns.as_slice()) {
                    ([column], [referred]) => Some((column.as_str(), referred.as_str())),
                    _ => None,
                },
            )
    }

    /// Returns the column of `other` with a foreign key to the same target as this column's, if there is exactly
    /// one.
    pub(super) fn column_with_same_target<'a>(
        &'a self,
        table: &Table,
        column: &str,
        other: &'a Table,
    ) -> Option<&'a str> {
        let foreign_key = self
            .of(table, Kind::ForeignKey)
            .find(|key| key.columns == [column])?;
        let mut matching = self.of(other, Kind::ForeignKey).filter(|key| {
            key.target == foreign_key.target && key.target_columns == foreign_key.target_columns
        });
        match (matching.next()?.columns.as_slice(), matching.next()) {
            ([only], None) => Some(only),
            _ => None,
        }
    }

    /// Returns whether no two rows may have the same value of this column.
    pub(super) fn is_unique(&self, table: &Table, column: &str) -> bool {
        let keys = self.of(table, Kind::PrimaryKey);
        keys.chain(self.of(table, Kind::Unique))
            .any(|key| key.columns == [column])
    }

    /// Returns the texts that a check constraint on this column alone allows.
    pub(super) fn allowed_words(&self, table: &Table, column: &str) -> Option<Vec<String>> {
        self.of(table, Kind::Check)
            .find(|check| check.columns == [column] && check.literals.len() > 1)
            .map(|check| check.literals.clone())
    }

    fn of<'a>(&'a self, table: &'a Table, kind: Kind) -> impl Iterator<Item = &'a Constraint> {
        self.constraints
            .iter()
            .filter(move |constraint| constraint.table == table.oid && constraint.kind == kind)
    }
}
