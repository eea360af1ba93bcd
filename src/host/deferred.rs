//! Makes deferred constraints of the application immediate while its tables are written.
//!
//! Whoever writes in a table owner's name may leave nothing for later, when it would run as somebody else:
//! PostgreSQL refuses it. So they are made immediate before each writing, and put back when the caller goes on.

use serde::Deserialize;

use crate::pg::{identity, sql, triggers};

/// Those of one owner's tables.
#[derive(Deserialize)]
struct Deferred {
    owner: u32,
    /// Quoted, with their schemas: fit for SET CONSTRAINTS.
    names: Vec<String>,
}

/// Of all tables, because triggers write to others. A name stands for all constraints that have it in its
/// schema, so none is taken that one has that is not deferred by itself.
const DEFERRED: &str = r"
select jsonb_build_object('owner', owner, 'names', jsonb_agg(name order by name))
from (
    select min(c.relowner::bigint) as owner, format('%I.%I', n.nspname, x.conname) as name
    from pg_constraint x
    join pg_class c on c.oid = x.conrelid
    join pg_namespace n on n.oid = x.connamespace
    where has_schema_privilege(c.relowner, n.oid, 'usage')
      and (c.relpersistence <> 't' or n.oid = pg_my_temp_schema())
    group by n.nspname, x.conname
    having bool_and(x.condeferred)
) deferred
group by owner
";

/// Does a call's whole `work` in the caller's transaction: what is immediate because of it waits again afterwards. In a
/// transaction of our own nobody comes after us, and its end forgets it.
pub(crate) fn waiting_again_afterwards<T>(work: impl FnOnce() -> T) -> T {
    // What an earlier call has left ended with its transaction.
    triggers::set_immediate(false);
    let result = work();
    if triggers::are_immediate() {
        // Nothing waits; a trigger may have said that something should.
        identity::as_outer_role(triggers::make_immediate);
        defer_again();
    }
    result
}

/// Puts those that are deferred by themselves back to it, for the rest of the transaction. No code runs for
/// it; the names are found with the rights of their tables' owners. What was set by SET CONSTRAINTS before
/// is not known any more.
fn defer_again() {
    // Most databases have none, and this is planned in no time.
    if sql::fetch_one(
        "select to_jsonb(true) from pg_constraint where condeferred limit 1",
        &[],
    )
    .is_none()
    {
        return;
    }
    let all = sql::fetch(DEFERRED, &[])
        .into_iter()
        .filter_map(|row| serde_json::from_value::<Deferred>(row).ok());
    for deferred in all {
        let statement = format!("set constraints {} deferred", deferred.names.join(", "));
        identity::as_table_owner(deferred.owner.into(), || sql::execute(&statement, &[]));
    }
}

/// Fires what the caller's transaction has deferred so far, as the caller, as its end would: later, it would
/// run as the owner of a table. To be called before anything is written in a transaction that is not our own;
/// an error is the caller's.
pub(crate) fn fire_callers() {
    // Only what was written can have triggers that wait.
    if !identity::transaction_has_written() {
        return;
    }
    identity::keeping_settings(|| {
        identity::as_outer_role(|| {
            // The one that the session began with: that of the moment is this function's own.
            identity::set_search_path(&identity::search_path_of_the_session());
            triggers::make_immediate();
        });
    });
}
