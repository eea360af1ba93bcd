//! A table looked up by name, compared with what it was and locked before each use.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::invalidation;
use super::problem::Problem;

/// A table as it was at lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    /// As in the catalog, not quoted.
    pub(crate) schema: String,
    /// As in the catalog, not quoted.
    pub(crate) name: String,
    pub(crate) owner: u32,
    /// As in `pg_class.relkind`.
    pub(crate) kind: u8,
}

/// How the message of the error begins that ends the whole run: see [`is_replaced`].
const REPLACED: &str = "a table is not the one that was looked up: ";

thread_local! {
    /// The tables that the current statements name.
    static IN_USE: RefCell<Vec<Rc<Relation>>> = const { RefCell::new(Vec::new()) };

    /// How often the catalogs had changed when all of these were checked last.
    static CHECKED_AT: Cell<u64> = const { Cell::new(0) };
}

impl Relation {
    pub(crate) fn is_view(&self) -> bool {
        self.kind == pg_sys::RELKIND_VIEW
    }

    /// Locks the table by its OID until the end of the transaction. Fails with 55000 if its name refers to another
    /// table now, or if its owner or kind changed. The error ends the run and does not become an issue of an invoice
    /// (`subtransaction::ends_the_statement`).
    fn lock_and_check(&self) {
        // SAFETY: on the backend's thread, in a transaction; an OID without a table may be locked.
        unsafe {
            pg_sys::LockRelationOid(self.oid.into(), pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        }
        if !self.is_as_it_was() {
            Problem::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{REPLACED}{}.{}", self.schema, self.name),
            )
            .detail("It was dropped, renamed, replaced or given to another owner meanwhile. Nothing was written to it.")
            .hint("After a migration, the next run uses the new table.")
            .raise();
        }
    }

    /// Compares the table with the system caches, without a statement.
    fn is_as_it_was(&self) -> bool {
        let (Ok(schema), Ok(name)) = (
            CString::new(self.schema.as_str()),
            CString::new(self.name.as_str()),
        ) else {
            return false;
        };
        if oid_of(&schema, &name).to_u32() != self.oid {
            return false;
        }
        // SAFETY: on the backend's thread, in a transaction; the tuple is read before it is released.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(
                pg_sys::SysCacheIdentifier::RELOID as i32,
                pg_sys::Oid::from(self.oid).into(),
            );
            if tuple.is_null() {
                return false;
            }
            let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
            let is_same =
                (*form).relowner.to_u32() == self.owner && (*form).relkind as u8 == self.kind;
            pg_sys::ReleaseSysCache(tuple);
            is_same
        }
    }

    /// Locks and checks the table, then runs `work`, whose statements name it. It is checked again where the catalogs
    /// change before a statement is prepared.
    pub(crate) fn in_use<T>(&self, work: impl FnOnce() -> T) -> T {
        let seen = changes_of_catalogs();
        self.lock_and_check();
        IN_USE.with_borrow_mut(|tables| {
            // Those around it were checked at an earlier count, which holds for this one, too.
            if tables.is_empty() {
                CHECKED_AT.set(seen);
            }
            tables.push(Rc::new(self.clone()));
        });
        let _ended = PopOnDrop;
        work()
    }
}

/// What the name means now, by the caches of the catalogs alone, which follow every change of them; `InvalidOid` where
/// there is none.
pub(crate) fn oid_of(schema: &CStr, name: &CStr) -> pg_sys::Oid {
    const MISSING_IS_FINE: bool = true;
    // SAFETY: on the backend's thread, in a transaction; both are C strings.
    unsafe {
        match pg_sys::get_namespace_oid(schema.as_ptr(), MISSING_IS_FINE) {
            pg_sys::InvalidOid => pg_sys::InvalidOid,
            namespace => pg_sys::get_relname_relid(name.as_ptr(), namespace),
        }
    }
}

struct PopOnDrop;

impl Drop for PopOnDrop {
    fn drop(&mut self) {
        IN_USE.with_borrow_mut(Vec::pop);
    }
}

/// Prepares a statement, once what is in use was compared after the last change of the catalogs; again where they change
/// meanwhile. Renaming a schema takes no lock that one could wait for, so the count of changes tells (as in
/// `RangeVarGetRelidExtended`); `prepare` is given that count, and may return what it prepared at the same one.
pub(super) fn prepared<T>(mut prepare: impl FnMut(u64) -> T) -> T {
    let tables = IN_USE.with_borrow(Clone::clone);
    if tables.is_empty() {
        return prepare(changes_of_catalogs());
    }
    loop {
        let seen = changes_of_catalogs();
        if seen != CHECKED_AT.get() {
            tables.iter().for_each(|table| table.lock_and_check());
            CHECKED_AT.set(seen);
        }
        let statement = prepare(seen);
        if seen == changes_of_catalogs() {
            return statement;
        }
    }
}

/// How many changes of the catalogs this session has heard of, those of its own transaction included.
fn changes_of_catalogs() -> u64 {
    // SAFETY: a plain read of the backend's state.
    let shared = unsafe { pg_sys::SharedInvalidMessageCounter };
    shared.wrapping_add(invalidation::so_far())
}

/// Whether a statement may be prepared anew because of tables in use.
pub(super) fn are_in_use() -> bool {
    IN_USE.with_borrow(|tables| !tables.is_empty())
}

/// Returns whether this is the error of a table that was replaced. Only for errors raised in Rust, which the
/// application's code cannot raise.
pub(super) fn is_replaced(problem: &Problem) -> bool {
    problem.is(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
        && problem.message().starts_with(REPLACED)
}
