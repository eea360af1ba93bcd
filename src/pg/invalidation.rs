//! What is derived from the catalogs and the settings is kept until PostgreSQL says that they have changed.
//!
//! PostgreSQL tells every session about changes of catalogs (inval.c): those of other sessions when they commit, those
//! of its own transaction with the end of each command, and again if it is rolled back. A trigger announces changes of
//! the settings by the same means ([`announce_change`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pgrx::pg_sys;

use super::state::{current_user, transaction_keeps_one_snapshot};

thread_local! {
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };

    /// The number of changes so far, those of this session's own transactions included.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Returns a number that differs from an earlier one if a table, type, function or schema of this database, or the
/// settings, have changed since.
pub(super) fn changes() -> u64 {
    // SAFETY: on the backend's thread, in a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    so_far()
}

/// As [`changes`], of those that this session has already heard of.
pub(super) fn so_far() -> u64 {
    register();
    CHANGES.get()
}

/// Tells all sessions, once this transaction commits, that what they derived from this table is outdated.
pub(crate) fn announce_change(table: pg_sys::Oid) {
    // SAFETY: on the backend's thread, in a transaction that has locked the table.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
}

/// A value that is loaded when it is needed and kept until something changes that it may depend on.
pub(crate) struct Kept<T>(RefCell<Option<(Conditions, Rc<T>)>>);

/// Under what a value was loaded. Rights decide which tables a name can refer to.
#[derive(PartialEq)]
struct Conditions {
    changes: u64,
    user: pg_sys::Oid,
}

impl<T> Kept<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Returns the value; loads it if there is none or something has changed.
    pub(crate) fn get_or_load<E>(&self, load: impl FnOnce() -> Result<T, E>) -> Result<Rc<T>, E> {
        // A transaction with one snapshot may load what is outdated already, and must not leave it to the next one.
        if transaction_keeps_one_snapshot() {
            return load().map(Rc::new);
        }
        let now = Conditions {
            changes: changes(),
            user: current_user(),
        };
        let found = self
            .0
            .borrow()
            .as_ref()
            .and_then(|(conditions, value)| (*conditions == now).then(|| Rc::clone(value)));
        if let Some(value) = found {
            return Ok(value);
        }
        let value = Rc::new(load()?);
        *self.0.borrow_mut() = Some((now, Rc::clone(&value)));
        Ok(value)
    }
}

/// Has PostgreSQL tell of all changes that a mapping may depend on. A change of a table's columns, defaults,
/// constraints, triggers, rules, owner or name is one of the table.
fn register() {
    if IS_REGISTERED.replace(true) {
        return;
    }
    let nothing = pg_sys::Datum::from(0);
    // SAFETY: on the backend's thread. The functions stay, as the library is never unloaded, and only count.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), nothing);
        for cache in [
            pg_sys::SysCacheIdentifier::NAMESPACEOID,
            pg_sys::SysCacheIdentifier::TYPEOID,
            pg_sys::SysCacheIdentifier::ENUMOID,
            pg_sys::SysCacheIdentifier::PROCOID,
            pg_sys::SysCacheIdentifier::AUTHOID,
            pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
        ] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(on_catalog), nothing);
        }
    }
}

unsafe extern "C-unwind" fn on_relation(_nothing: pg_sys::Datum, _relation: pg_sys::Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
}

unsafe extern "C-unwind" fn on_catalog(_nothing: pg_sys::Datum, _cache: i32, _hash: u32) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
}
