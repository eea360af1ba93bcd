//! What the triggers of the application's tables may do: change rows other than those that are written, or wait.

use serde_json::Value;

use crate::host::mapping::Mapping;
use crate::pg::sql;

/// Which rows a write may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideEffects {
    Invoices,
    Payments,
    Everything,
}

/// Returns true if an insert or update of this table changes no other rows: the table has no triggers except
/// foreign key checks, no rules, and no partitions or children that may have either.
const HAS_NO_SIDE_EFFECTS: &str = "
select to_jsonb(c.relkind = 'r' and not c.relhasrules and not c.relhassubclass and not exists (
    select from pg_trigger t
    join pg_proc p on p.oid = t.tgfoid
    where t.tgrelid = c.oid
      and t.tgtype & 20 <> 0 -- insert or update
      and not (t.tgisinternal and p.proname in (
          'RI_FKey_check_ins', 'RI_FKey_check_upd', 'RI_FKey_noaction_upd', 'RI_FKey_restrict_upd'))))
from pg_class c
where c.oid = $1::regclass";

/// Returns which rows a write to the invoices may have changed. Call it after the write: from then until the end of
/// the transaction, the lock on the table prevents changes to its triggers.
pub(crate) fn of_invoices(mapping: &Mapping) -> SideEffects {
    if has_no_side_effects(&mapping.invoices.table) {
        SideEffects::Invoices
    } else {
        SideEffects::Everything
    }
}

/// Does the same as [`of_invoices`] for a write to the payments.
pub(crate) fn of_payments(mapping: &Mapping) -> SideEffects {
    if has_no_side_effects(&mapping.payments.table) {
        SideEffects::Payments
    } else {
        SideEffects::Everything
    }
}

fn has_no_side_effects(table: &str) -> bool {
    sql::fetch_catalog(HAS_NO_SIDE_EFFECTS, &[Some(table)]) == Some(Value::Bool(true))
}

/// Returns whether these tables have an initially deferred trigger. Of the tables behind a view it is assumed.
pub(crate) fn may_wait(mapping: &Mapping) -> bool {
    if mapping.invoices.relation.is_view() || mapping.payments.relation.is_view() {
        return true;
    }
    let found = sql::fetch_catalog(
        "select to_jsonb(true) from pg_trigger t
        where t.tgrelid in ($1::oid, $2::oid) and t.tginitdeferred and not t.tgisinternal limit 1",
        &[
            Some(&mapping.payments.relation.oid.to_string()),
            Some(&mapping.invoices.relation.oid.to_string()),
        ],
    );
    found.is_some()
}
