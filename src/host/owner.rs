//! Whoever owns a table of the host's reads and writes it, whoever called.

use super::deferred::{check_at_once, defer_again};
use super::mapping::Mapping;
use crate::pg::{Relation, identity, sql};

/// Writes to a table as its owner, with the host's search path: its triggers run as they
/// do for the application, and row level security hides nothing.
///
/// Constraints are checked at once, as nothing may be left for the end of the transaction:
/// PostgreSQL would run it as somebody else. Afterwards those that are deferred by
/// themselves are so again.
pub(super) fn as_owner(mapping: &Mapping, table: &Relation, work: impl FnOnce()) {
    table.in_use(|| {
        identity::as_table_owner(table.owner.into(), || {
            check_at_once();
            set_search_path(&mapping.search_path);
            work();
        });
    });
    defer_again();
}

/// Reads something of the host's as its table's owner: casts, checks and functions
/// of indexes are the host's code, too, and run while a row is read or a statement
/// is planned. What such code did to settings ends here.
pub(crate) fn reading_as<T>(table: &Relation, work: impl FnOnce() -> T) -> T {
    table.in_use(|| identity::as_table_owner(table.owner.into(), work))
}

/// Named with its schema: the host's code may have put others first.
fn set_search_path(path: &str) {
    sql::execute(
        "select pg_catalog.set_config('search_path', $1, true)",
        &[Some(path)],
    );
}
