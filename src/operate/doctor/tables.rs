//! Checks the application's tables: as the settings say, indexed, and writable.

use serde_json::{Value, json};

use super::{Check, described, own_payments};
use crate::host::indexes::{self, UniqueIds};
use crate::host::mapping::Mapping;
use crate::host::view::BaseColumn;
use crate::pg::{Problem, Relation, in_subtransaction, sql};

pub(super) fn checks() -> Result<Vec<Check>, Problem> {
    let mapping = match in_subtransaction(Mapping::load) {
        Ok((mapping, _)) => mapping,
        Err(problem) => {
            return Ok(vec![Check::bad(
                "settings",
                described(&problem),
                "select * from invoice_sync.propose_mapping();\nselect invoice_sync.adopt_mapping();",
            )]);
        }
    };
    let facts = facts(&mapping);
    let mut checks = vec![
        Check::good(
            "settings",
            format!(
                "invoices are in {}, payments in {}",
                counting(
                    &mapping.invoices.table,
                    mapping.invoices.counting.condition()
                ),
                counting(
                    &mapping.payments.table,
                    mapping.payments.counting.condition()
                ),
            ),
        ),
        required_columns(&mapping, &facts),
        triggers(&facts),
        unique_id(&mapping),
        indexes(&mapping)?,
        rights(&facts),
        row_security(&facts),
    ];
    checks.extend(views(&mapping, &facts));
    checks.extend(own_payments::check(&mapping));
    Ok(checks)
}

/// Returns the table with the condition for its rows.
fn counting(table: &str, condition: Option<&str>) -> String {
    match condition {
        Some(condition) => format!("{table} (rows that count: {condition})"),
        None => table.to_owned(),
    }
}

/// Reads facts about both tables, and those behind views, from the catalogs and the ledger: `triggers`, `fills` (a
/// trigger may fill columns of new payments), `issues` (open ones about triggers and constraints, by kind), `grants`
/// (that the owners lack), `policies` (tables with row level security), `hiding` (policies that apply to the owner of a
/// view), `owners` (statements that make the policies not apply), `undeletable` (views of payments).
fn facts(mapping: &Mapping) -> Value {
    sql::fetch_one(
        r"
        with host (name, oid, owner, needed, view) as (
            select t.name, t.oid, c.relowner, t.needed, case when c.relkind = 'v' then c.oid end
            from (values ($1, $1::regclass, array['select', 'update']),
                         ($2, $2::regclass, array['select', 'insert', 'update'])) t (name, oid, needed)
            join pg_class c on c.oid = t.oid
        ),
        behind (name, oid, owner, needed) as (
            select t.name, t.name::regclass, h.owner, array['select', 'update']
            from (values ($1, $3), ($2, $4)) t (view_name, name)
            join host h on h.name = t.view_name
            where t.name is not null
        ),
        hidden (name, owner, reader, view_name) as (
            select distinct format('%I.%I', n.nspname, c.relname), c.relowner, h.owner, h.name
            from host h
            join pg_rewrite w on w.ev_class = h.view
            join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
                and d.refclassid = 'pg_class'::regclass
            join pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p') and c.relrowsecurity
            join pg_namespace n on n.oid = c.relnamespace
            join pg_roles r on r.oid = h.owner and not r.rolsuper and not r.rolbypassrls
            where not pg_has_role(h.owner, c.relowner, 'usage')
        )
        select jsonb_build_object(
            'triggers', (
                select coalesce(jsonb_agg(format('%s on %s', g.tgname, h.name) order by h.name, g.tgname), '[]')
                from (select name, oid from host union select name, oid from behind) h
                join pg_trigger g on g.tgrelid = h.oid and not g.tgisinternal and g.tgenabled <> 'D'),
            'fills', exists (
                -- Of a row (1), before (2) or instead of (64), insert (4).
                select from pg_trigger g
                where g.tgrelid in ($2::regclass, $4::regclass) and not g.tgisinternal and g.tgenabled <> 'D'
                    and (g.tgtype::int & 7 = 7 or g.tgtype::int & 69 = 69)),
            'issues', (
                select coalesce(jsonb_agg(format('%s %s', count, kind) order by kind), '[]')
                from (select kind, count(*) from invoice_sync.issue
                      where state <> 'resolved' and kind in ('apply_failed', 'overridden_by_trigger')
                      group by kind) k),
            'grants', (
                select coalesce(jsonb_agg(format('grant %s to %I;', g.what, pg_get_userbyid(g.owner)) order by g.what), '[]')
                from (
                    select h.owner, format('%s on %s', p, h.name)
                    from (select name, oid, owner, needed from host union all select * from behind) h
                    cross join unnest(h.needed) p
                    where not has_table_privilege(h.owner, h.oid, p)
                    union
                    select h.owner, format('usage on schema %I', n.nspname)
                    from host h
                    join pg_class c on c.oid = h.oid
                    join pg_namespace n on n.oid = c.relnamespace
                    where not has_schema_privilege(h.owner, n.oid, 'usage')
                ) g (owner, what)),
            'policies', (
                select coalesce(jsonb_agg(h.name order by h.name), '[]')
                from host h
                join pg_class c on c.oid = h.oid
                where c.relrowsecurity),
            'hiding', (
                select coalesce(jsonb_agg(format('enabled on %s, and applies to %I, the owner of the view %s',
                                                 name, pg_get_userbyid(reader), view_name) order by name), '[]')
                from hidden),
            'owners', (
                select coalesce(jsonb_agg(format('alter view %s owner to %I;', view_name, pg_get_userbyid(owner)) order by name), '[]')
                from hidden),
            'undeletable', (
                select coalesce(jsonb_agg(name), '[]')
                from host
                where view is not null and oid = $2::regclass and pg_relation_is_updatable(view, true) & 16 = 0),
            'full_round', (select full_round::text from invoice_sync.settings)
        )",
        &[
            Some(&mapping.invoices.table),
            Some(&mapping.payments.table),
            mapping.invoices.locked.as_ref().map(|base| base.table_name.as_str()),
            mapping.payments.locked.as_ref().map(|base| base.table_name.as_str()),
        ],
    )
    .unwrap_or_default()
}

/// Says of views what is locked, whose rights hold, and how changes are found; nothing if there are none.
fn views(mapping: &Mapping, facts: &Value) -> Option<Check> {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    let tables = [
        (&invoices.table, &invoices.relation, &invoices.locked),
        (&payments.table, &payments.relation, &payments.locked),
    ];
    let of_view = |(view, relation, locked): (&String, &Relation, &Option<BaseColumn>)| {
        relation.is_view().then(|| match locked {
            Some(base) => format!(
                "{view}: rows are locked in {} by {}",
                base.table_name, base.quoted
            ),
            None => format!("{view}: rows are locked in all of its tables"),
        })
    };
    let mut parts: Vec<String> = tables.into_iter().filter_map(of_view).collect();
    if parts.is_empty() {
        return None;
    }
    let within = facts["full_round"].as_str().unwrap_or_default();
    parts.push("statements run as the owner of the view".to_owned());
    parts.push(format!(
        "sweeps read all rows to find changes, in the order of the keys, and take up to {within} for it"
    ));
    let undeletable = texts(facts, "undeletable");
    parts.extend(undeletable.iter().map(|view| {
        format!("no row of {view} can be deleted, so that a new payment cannot be undone")
    }));
    Some(Check::good("views", parts.join("; ")))
}

fn texts(facts: &Value, field: &str) -> Vec<String> {
    let list = facts[field].as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

fn required_columns(mapping: &Mapping, facts: &Value) -> Check {
    let name = "columns of new payments";
    let unfilled = &mapping.payments.unfilled;
    if unfilled.is_empty() {
        return match blanks() {
            blanks if blanks.is_empty() => Check::good(name, "all required columns get a value"),
            blanks => Check::bad(
                name,
                format!(
                    "payment_values contains the placeholder {BLANK:?} of the hint for {}; every new payment would contain it",
                    blanks.join(", ")
                ),
                fill(&blanks),
            ),
        };
    }
    let detail = format!(
        "NOT NULL, without a default and not in payment_values: {}",
        unfilled.join(", ")
    );
    if facts["fills"] == json!(true) {
        return Check::good(name, format!("{detail}; a trigger may set them"));
    }
    Check::bad(name, detail, fill(unfilled))
}

/// The placeholder in a hint for a value that only the user knows.
const BLANK: &str = "?";

/// Returns a statement into which the user puts the values.
fn fill(columns: &[String]) -> String {
    let values: serde_json::Map<String, Value> = columns
        .iter()
        .map(|column| (column.clone(), json!({ "value": BLANK })))
        .collect();
    format!(
        "update invoice_sync.settings set payment_values = payment_values || {};",
        pgrx::spi::quote_literal(Value::Object(values).to_string())
    )
}

/// Returns the columns for which the user ran such a statement without putting a value in.
fn blanks() -> Vec<String> {
    let found = sql::fetch(
        "select to_jsonb(v.key) from invoice_sync.settings s, jsonb_each(s.payment_values) v
        where v.value @> jsonb_build_object('value', $1) order by 1",
        &[Some(BLANK)],
    );
    found
        .into_iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

fn triggers(facts: &Value) -> Check {
    let (triggers, issues) = (texts(facts, "triggers"), texts(facts, "issues"));
    let detail = match triggers.as_slice() {
        [] => "there are none".to_owned(),
        some => format!("these run with every repair: {}", some.join(", ")),
    };
    if issues.is_empty() {
        return Check::good("triggers", detail);
    }
    Check::bad(
        "triggers",
        format!("{detail}; open issues: {}", issues.join(", ")),
        "select * from invoice_sync.open_issues where kind in ('apply_failed', 'overridden_by_trigger');",
    )
}

fn unique_id(mapping: &Mapping) -> Check {
    let name = "one row for one Stripe payment";
    const ONCE: &str = "this extension inserts each payment once, but other code may not";
    if mapping.payments.have_no_ids() {
        return Check::good(
            name,
            "payments have no column for Stripe's ids; this extension remembers which row is which payment, but other code may insert it again",
        );
    }
    if mapping.payments.are_own() {
        return Check::good(name, "only this extension writes its table of payments");
    }
    match indexes::unique_ids(&mapping.payments) {
        UniqueIds::Enforced => Check::good(name, "a unique index enforces it"),
        UniqueIds::Missing(table, statement) => Check::good(
            name,
            format!("no unique index of {table} enforces it; {ONCE}"),
        )
        .advice(statement),
        UniqueIds::Unknown => Check::good(
            name,
            format!(
                "the view {} computes its columns for Stripe's ids; {ONCE}",
                mapping.payments.table
            ),
        ),
    }
}

fn indexes(mapping: &Mapping) -> Result<Check, Problem> {
    let missing = indexes::missing(mapping)?;
    if missing.is_empty() {
        return Ok(Check::good("indexes", "none is missing"));
    }
    let columns = missing
        .iter()
        .map(|missing| format!("{} ({})", missing.table, missing.column));
    let statements = missing.iter().map(|missing| missing.statement.clone());
    Ok(Check::bad(
        "indexes",
        format!("missing: {}", columns.collect::<Vec<_>>().join(", ")),
        statements.collect::<Vec<_>>().join("\n"),
    ))
}

/// Checks the rights of the tables' owners, as whom the tables are written; an owner may have lost a right.
fn rights(facts: &Value) -> Check {
    let lacking = texts(facts, "grants");
    Check::judged(
        "rights on the tables",
        lacking.is_empty(),
        match lacking.len() {
            0 => "the owners of the tables can read and write them",
            _ => "statements run as the owners of the tables, who lack privileges",
        },
        &lacking.join("\n"),
    )
}

fn row_security(facts: &Value) -> Check {
    let hiding = texts(facts, "hiding");
    if !hiding.is_empty() {
        let detail = format!(
            "{}: rows that it hides do not exist for this extension",
            hiding.join("; ")
        );
        let owners = texts(facts, "owners").join("\n");
        return Check::bad("row level security", detail, owners);
    }
    let policies = texts(facts, "policies").join(" and ");
    let detail = match policies.as_str() {
        "" => "there is none".to_owned(),
        on => format!(
            "enabled on {on}; it hides no rows from statements of this extension, which run as the owners of the tables"
        ),
    };
    Check::good("row level security", detail)
}
