//! Whether a write may have changed rows other than those that it names.

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
