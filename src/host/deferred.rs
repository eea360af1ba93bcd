//! Makes deferred constraints of the application immediate while its tables are written.
//!
//! PostgreSQL refuses to leave deferred triggers behind when a write as a table's owner ends, because they would
//! later run as another role. Constraints are therefore made immediate before each write, and deferred again before
//! control returns to the caller.

use serde::Deserialize;

use crate::pg::{identity, keeping_settings, sql, state, triggers};

/// The deferred constraints of one owner's tables.
#[derive(Deserialize)]
struct Deferred {
    owner: u32,
    /// The quoted names, with their schemas, for SET CONSTRAINTS.
    names: Vec<String>,
}

/// Reads the deferred constraints of all tables, because triggers may write to other tables. A name stands for all
/// constraints that have it in its schema, so it is listed only if all of them are initially deferred.
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

/// Runs `work` in the caller's transaction, then defers the constraints again that were made immediate meanwhile. A
/// transaction of the extension's own does not need this: nothing follows in it, and its end resets the
/// constraints.
pub(crate) fn waiting_again_afterwards<T>(work: impl FnOnce() -> T) -> T {
    // The flag of an earlier call became invalid when its transaction ended.
    triggers::set_immediate(false);
    let result = work();
    if triggers::are_immediate() {
        // Nothing is pending now, but a trigger may have deferred constraints itself.
        identity::as_outer_role(triggers::make_immediate);
        defer_again();
    }
    result
}

/// Defers the initially deferred constraints again for the rest of the transaction. This runs no code of the
/// application; the names are looked up with the rights of the tables' owners. Modes that were set by SET
/// CONSTRAINTS before are not known any more and are not restored.
fn defer_again() {
    // Most databases have no such constraints.
    if sql::fetch_catalog(
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

/// Fires the triggers that the caller's transaction has deferred so far, as the caller, as its commit would: later,
/// they would run as the owner of a table. Call it before the first write in a transaction that is not the
/// extension's own. Errors of the triggers are raised to the caller.
pub(crate) fn fire_callers() {
    // A transaction that has written nothing has no pending triggers.
    if !state::transaction_has_written() {
        return;
    }
    keeping_settings(|| {
        identity::as_outer_role(|| {
            // Uses the search path of the session: the current one belongs to the extension's function.
            identity::set_search_path(&identity::search_path_of_the_session());
            triggers::make_immediate();
        });
    });
}
