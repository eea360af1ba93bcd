//! The database's tables, keys and constraints, as the proposals see them.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;

use crate::domain::words::squash;
use crate::host::catalog::{Role, Table, not_understood};
use crate::host::own_payments;
use crate::host::propose::names::Choice;
use crate::host::view::base_column;
use crate::pg::{Problem, sql};

/// The tables that may be those of the application, and their constraints.
pub(super) struct Relations {
    pub(super) tables: Vec<Table>,
    /// The tables or views that were given by name.
    given: Vec<Table>,
    /// The extension's own table of payments.
    pub(super) own: Table,
    constraints: Vec<Constraint>,
}

/// The columns of tables that a view shows: its column, the table's OID, and the table's column.
struct Shown {
    view: u32,
    columns: Vec<(String, u32, String)>,
}

impl Shown {
    fn by(view: &Table) -> Self {
        let relation = view.relation();
        let names = view.columns.keys();
        let columns = names.filter_map(|name| {
            let base = base_column(&relation, name)?;
            Some((name.clone(), base.table.oid, base.name))
        });
        Self {
            view: view.oid,
            columns: columns.collect(),
        }
    }

    /// Copies facts about the tables' columns to those of the view.
    fn describe(&self, view: &mut Table, tables: &[Table]) {
        for (name, table, behind) in &self.columns {
            let table = tables.iter().find(|it| it.oid == *table);
            let behind = table.and_then(|table| table.columns.get(behind));
            if let (Some(behind), Some(column)) = (behind, view.columns.get_mut(name)) {
                column.refers = behind.refers;
                // Of an insert by a trigger, only the trigger knows.
                column.must_be_given = behind.must_be_given && !view.has_triggers;
                column.has_default |= behind.has_default;
                column.default_text = column.default_text.take().or(behind.default_text.clone());
            }
        }
    }

    /// Returns the constraint as one of the view, if the view shows its columns.
    fn own(&self, constraint: &Constraint) -> Option<Constraint> {
        Some(Constraint {
            table: self.view,
            columns: self.names(constraint.table, &constraint.columns)?,
            ..constraint.clone()
        })
    }

    /// Returns the foreign key as one to the view, if the view shows what it refers to.
    fn target(&self, constraint: &Constraint) -> Option<Constraint> {
        Some(Constraint {
            target: self.view,
            target_columns: self.names(constraint.target, &constraint.target_columns)?,
            ..constraint.clone()
        })
    }

    fn names(&self, table: u32, columns: &[String]) -> Option<Vec<String>> {
        let name = |column: &String| {
            let mut shown = self.columns.iter();
            let shown = shown.find(|(_, of, behind)| *of == table && behind == column);
            shown.map(|(name, ..)| name.clone())
        };
        let names: Vec<String> = columns.iter().map(name).collect::<Option<_>>()?;
        (!names.is_empty()).then_some(names)
    }
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
    /// Fails with 42P01 or 42809 if one of the OIDs is not that of a table or view.
    pub(super) fn load(given: [Option<u32>; 2]) -> Result<Self, Problem> {
        let constraints = sql::fetch(CONSTRAINTS, &[])
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<_, _>>()
            .map_err(not_understood)?;
        let given = given.into_iter().flatten().map(given_table);
        let mut relations = Self {
            tables: Table::find(CANDIDATES, &[])?,
            given: given.collect::<Result<_, _>>()?,
            own: Table::describe(own_payments::NAME, "payments_table")?,
            constraints,
        };
        relations.look_behind_views();
        Ok(relations)
    }

    /// Returns the table or view that was given with this OID.
    pub(super) fn given(&self, oid: u32) -> Option<Table> {
        self.given.iter().find(|table| table.oid == oid).cloned()
    }

    /// Adds what is known of the tables behind the given views: of their columns, keys and constraints.
    fn look_behind_views(&mut self) {
        let mut given = std::mem::take(&mut self.given);
        for view in &mut given {
            let shown = Shown::by(view);
            shown.describe(view, &self.tables);
            let constraints = self.constraints.iter();
            let own: Vec<Constraint> = constraints.filter_map(|it| shown.own(it)).collect();
            let keys = own.iter().filter(|it| it.kind == Kind::PrimaryKey).count();
            let is_clear = |it: &Constraint| it.kind != Kind::PrimaryKey || keys == 1;
            self.constraints.extend(own.into_iter().filter(is_clear));
            let to_it = self.constraints.iter().filter_map(|it| shown.target(it));
            let to_it: Vec<Constraint> = to_it.collect();
            self.constraints.extend(to_it);
        }
        self.given = given;
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
        let foreign_keys: Vec<&str> = self
            .foreign_keys(payments, invoices.oid)
            .filter(|(_, target)| *target == key)
            .map(|(column, _)| column)
            .collect();
        let usual = usual_links(invoices);
        let is_usual = |name: &&&str| usual.iter().any(|usual| squash(usual) == squash(name));
        let foreign_key = match foreign_keys.as_slice() {
            [only] => Some(only),
            // Of several, another one may be that of an invoice that is credited, or of a former one.
            several => several.iter().find(is_usual),
        };
        let foreign_key = foreign_key
            .map(|column| ((*column).to_owned(), format!("refers to {}", invoices.name)));
        if foreign_keys.len() > 1 {
            return foreign_key;
        }
        foreign_key.or_else(|| {
            let key_type = invoices.columns.get(&key)?;
            if let Some(found) = self.polymorphic(payments, invoices, key_type) {
                let reason = format!("refers to {} where {}", invoices.name, found.condition);
                return Some((found.id, reason));
            }
            let refers_elsewhere = |name: &str| {
                let mut keys = self.of(payments, Kind::ForeignKey);
                keys.any(|key| key.columns == [name])
            };
            usual
                .iter()
                .find_map(|wanted| {
                    payments.columns.iter().find(|(name, column)| {
                        squash(name) == squash(wanted)
                            && !refers_elsewhere(name)
                            && Role::Key.accepts(column)
                            && (column.key_family() == key_type.key_family()
                                || payments.oid == self.own.oid)
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

/// Returns the usual names of a column for the id of an invoice, the most likely first.
fn usual_links(invoices: &Table) -> Vec<String> {
    let singular = invoices.bare_name.trim_end_matches(['s', 'S']);
    let last = singular.rsplit('_').next().unwrap_or(singular);
    let fixed = [
        "invoice_id",
        "invoice",
        "invoice_uuid",
        "bill_id",
        "order_id",
    ];
    let named = [
        format!("{singular}_id"),
        singular.to_owned(),
        format!("{last}_id"),
        last.to_owned(),
    ];
    fixed.map(str::to_owned).into_iter().chain(named).collect()
}

/// Returns the table or view with this OID.
fn given_table(oid: u32) -> Result<Table, Problem> {
    Table::find("where c.oid = $1::oid", &[Some(&oid.to_string())])?
        .pop()
        .ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("there is no table with the OID {oid}"),
            )
        })?
        .must_hold_rows("It was given as an argument.")
}
