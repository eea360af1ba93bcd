//! Whoever owns a table of the host's reads and writes it, whoever called.

use super::mapping::Mapping;
use crate::pg::{identity, sql};

/// Does `work` as the owner of a table of the host's, with the host's search
/// path: its triggers run as they do for the application, and row level
/// security hides nothing.
pub(super) fn as_owner(mapping: &Mapping, owner: u32, work: impl FnOnce()) {
    identity::as_table_owner(owner.into(), || {
        set_search_path(&mapping.search_path);
        work();
        // Not the host's any more: what follows runs with other rights. After
        // an error the subtransaction puts it back.
        set_search_path("pg_catalog, pg_temp");
    });
}

/// Reads something of the host's as its table's owner: casts, checks and functions
/// of indexes are the host's code, too, and run while a row is read or a statement
/// is planned. What such code did to settings ends here.
pub(crate) fn reading_as<T>(owner: u32, work: impl FnOnce() -> T) -> T {
    identity::keeping_settings(|| identity::as_table_owner(owner.into(), work))
}

/// Named with its schema: the host's code may have put others first.
fn set_search_path(path: &str) {
    sql::execute(
        "select pg_catalog.set_config('search_path', $1, true)",
        &[Some(path)],
    );
}
