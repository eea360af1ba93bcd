//! Whether a write may have changed rows other than those that it names.

use serde_json::Value;

use crate::host::mapping::Mapping;
use crate::pg::sql;

/// Where rows may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideEffects {
    Invoices,
    Payments,
    Everything,
}

/// Whether an insert or update of this table ends in the rows that it names: no
/// trigger but those that check foreign keys, no rule, no partition that may have
/// either.
const ENDS_THERE: &str = "
select to_jsonb(c.relkind = 'r' and not c.relhasrules and not c.relhassubclass and not exists (
    select from pg_trigger t
    join pg_proc p on p.oid = t.tgfoid
    where t.tgrelid = c.oid
      and t.tgtype & 20 <> 0 -- insert or update
      and not (t.tgisinternal and p.proname in (
          'RI_FKey_check_ins', 'RI_FKey_check_upd', 'RI_FKey_noaction_upd', 'RI_FKey_restrict_upd'))))
from pg_class c
where c.oid = $1::regclass";

/// How far the writing of invoices has reached. To be asked after it: until the
/// transaction ends the table's lock keeps triggers as they are.
pub(crate) fn of_invoices(mapping: &Mapping) -> SideEffects {
    if ends_there(&mapping.invoices.table) {
        SideEffects::Invoices
    } else {
        SideEffects::Everything
    }
}

/// As [`of_invoices`], of payments.
pub(crate) fn of_payments(mapping: &Mapping) -> SideEffects {
    if ends_there(&mapping.payments.table) {
        SideEffects::Payments
    } else {
        SideEffects::Everything
    }
}

fn ends_there(table: &str) -> bool {
    sql::fetch_one(ENDS_THERE, &[Some(table)]) == Some(Value::Bool(true))
}
