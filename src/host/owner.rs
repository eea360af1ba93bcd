//! Runs statements on the application's tables as the tables' owner.

use std::ffi::{CStr, CString};

use super::own_payments::{self, is_own};
use crate::pg::{Postponed, Relation, identity, triggers};

/// Writes to a table as its owner, with the application's search path: triggers run as they do for the application,
/// and row level security hides no rows.
///
/// Constraints are checked immediately, because PostgreSQL does not allow to leave deferred triggers that would
/// later run as another role. They are deferred again before control returns to the caller (`host::deferred`).
///
/// Triggers that are held back ([`Firing`]) fire as the owner, too.
pub(super) fn as_owner(search_path: &CStr, table: &Relation, work: impl FnOnce()) {
    let search_path = if is_own(table) {
        own_payments::SEARCH_PATH
    } else {
        search_path
    };
    table.in_use(|| {
        identity::as_table_owner(table.owner.into(), || {
            triggers::make_immediate();
            identity::set_search_path(search_path);
            work();
        });
    });
}

/// Returns a search path for [`as_owner`], with the schema of temporary objects at its end: PostgreSQL searches it before
/// all others if it is not named, and everybody may create objects in their own. `None` if the text contains a NUL.
pub(super) fn temporary_last(search_path: &str) -> Option<CString> {
    let separator = if search_path.trim().is_empty() {
        ""
    } else {
        ", "
    };
    CString::new(format!("{search_path}{separator}pg_temp")).ok()
}

/// When the AFTER triggers fire if payments and invoices are written one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firing {
    /// With each write.
    AtOnce,
    /// After both were written, for deferred constraints that hold only then.
    AtTheEnd,
}

/// The triggers held back for the table that is written next.
pub(crate) struct Held(Option<Postponed>);

impl Firing {
    pub(crate) fn hold_back(self) -> Held {
        Held((self == Self::AtTheEnd).then(Postponed::begin))
    }
}

impl Held {
    /// Fires the triggers that were held back. Call it in reverse order of `hold_back`.
    pub(crate) fn fire(self, search_path: &CStr, table: &Relation) {
        if let Some(held) = self.0 {
            as_owner(search_path, table, || held.fire());
        }
    }
}

/// Reads from the application's table as its owner. Casts, checks and index functions are the application's code,
/// too, and run while a row is read or a statement is planned. Settings that such code changed are restored
/// afterwards.
pub(crate) fn reading_as<T>(table: &Relation, work: impl FnOnce() -> T) -> T {
    table.in_use(|| identity::as_table_owner(table.owner.into(), work))
}
