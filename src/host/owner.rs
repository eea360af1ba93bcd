//! Runs statements on the application's tables as the tables' owner.

use super::mapping::Mapping;
use crate::pg::{Postponed, Relation, identity, sql, triggers};

/// Writes to a table as its owner, with the host's search path: its triggers run as they
/// do for the application, and row level security hides nothing.
///
/// Constraints are checked at once, as nothing may be left for the end of the transaction:
/// PostgreSQL would run it as somebody else. They wait again when the caller goes on
/// (`host::deferred`).
///
/// Where triggers are held back ([`Firing`]), they fire as the owner, too.
pub(super) fn as_owner(mapping: &Mapping, table: &Relation, work: impl FnOnce()) {
    table.in_use(|| {
        identity::as_table_owner(table.owner.into(), || {
            triggers::make_immediate();
            identity::set_search_path(&mapping.search_path);
            work();
        });
    });
}

/// When the AFTER triggers of payments and invoices that are written one after the other fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firing {
    /// With each writing.
    AtOnce,
    /// When both are written: for constraints that hold only then, and wait for it by being deferred.
    AtTheEnd,
}

/// Those that are held back, of the table that is written from here on.
pub(crate) struct Held(Option<Postponed>);

impl Firing {
    pub(crate) fn hold_back(self) -> Held {
        Held((self == Self::AtTheEnd).then(Postponed::begin))
    }
}

impl Held {
    /// What was held back last fires first.
    pub(crate) fn fire(self, mapping: &Mapping, table: &Relation) {
        if let Some(held) = self.0 {
            as_owner(mapping, table, || held.fire());
        }
    }
}

/// Whether a trigger of these tables waits for the end of a transaction by itself.
pub(crate) fn may_wait(mapping: &Mapping) -> bool {
    let found = sql::fetch_one(
        "select to_jsonb(true) from pg_trigger t
        where t.tgrelid in ($1::oid, $2::oid) and t.tginitdeferred and not t.tgisinternal limit 1",
        &[
            Some(&mapping.payments.relation.oid.to_string()),
            Some(&mapping.invoices.relation.oid.to_string()),
        ],
    );
    found.is_some()
}

/// Reads something of the host's as its table's owner: casts, checks and functions
/// of indexes are the host's code, too, and run while a row is read or a statement
/// is planned. What such code did to settings ends here.
pub(crate) fn reading_as<T>(table: &Relation, work: impl FnOnce() -> T) -> T {
    table.in_use(|| identity::as_table_owner(table.owner.into(), work))
}
