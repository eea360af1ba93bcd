//! Fires AFTER triggers: those of several statements together, as PostgreSQL does for the statements of a
//! cascade, and deferred ones at once.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::ptr;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::prelude::*;

use super::problem::Problem;

thread_local! {
    /// How many levels are open that hold triggers back.
    static OPEN_LEVELS: Cell<u32> = const { Cell::new(0) };

    /// See [`are_immediate`].
    static IMMEDIATE: Cell<bool> = const { Cell::new(false) };
}

/// `set constraints all immediate`: fires what waits for the commit, with the rights of the moment, and lets nothing wait
/// from here on. What is violated is an error.
pub(crate) fn make_immediate() {
    IMMEDIATE.set(true);
    let mut all_immediate = pg_sys::ConstraintsSetStmt {
        type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
        constraints: ptr::null_mut(),
        deferred: false,
    };
    // SAFETY: what the statement does (`standard_ProcessUtility`), in a transaction; no list of names stands for all.
    unsafe { pg_sys::AfterTriggerSetState(&raw mut all_immediate) };
}

/// Whether [`make_immediate`] was called since [`set_immediate`] last said otherwise. As PostgreSQL's own state, this one
/// ends with the subtransaction that is rolled back.
pub(crate) fn are_immediate() -> bool {
    IMMEDIATE.get()
}

pub(crate) fn set_immediate(immediate: bool) {
    IMMEDIATE.set(immediate);
}

/// Delays the AFTER triggers of rows written by [`super::sql::write`] until [`Postponed::fire`]. An error before that
/// rolls back the subtransaction and the delayed triggers with it.
pub(crate) struct Postponed(());

impl Postponed {
    pub(crate) fn begin() -> Self {
        // SAFETY: paired with AfterTriggerEndQuery in `fire`, or ended by the subtransaction's rollback.
        unsafe { pg_sys::AfterTriggerBeginQuery() };
        OPEN_LEVELS.set(OPEN_LEVELS.get() + 1);
        Self(())
    }

    /// Fires the triggers with the current rights.
    pub(crate) fn fire(self) {
        // SAFETY: ends the level of `begin`, which is the innermost one, because every statement has ended its own.
        // Without an executor state the triggers get one of their own.
        unsafe { pg_sys::AfterTriggerEndQuery(ptr::null_mut()) };
    }
}

impl Drop for Postponed {
    fn drop(&mut self) {
        OPEN_LEVELS.set(OPEN_LEVELS.get() - 1);
    }
}

pub(super) fn are_postponed() -> bool {
    OPEN_LEVELS.get() > 0
}

/// Runs a statement and leaves its AFTER triggers to the open level, as `ri_PerformCheck` in ri_triggers.c does.
/// Returns the first column of the rows that it returns, as text.
pub(super) fn execute_without(statement: &str, params: &[Option<&str>]) -> Vec<Option<String>> {
    let text = CString::new(statement)
        .unwrap_or_else(|_| failed("the statement contains a NUL character").raise());
    let mut types = vec![pg_sys::TEXTOID; params.len()];
    let mut values: Vec<pg_sys::Datum> = Vec::new();
    let mut nulls: Vec<core::ffi::c_char> = Vec::new();
    for param in params {
        let datum = param.and_then(IntoDatum::into_datum);
        nulls.push(if datum.is_none() { b'n' } else { b' ' } as core::ffi::c_char);
        values.push(datum.unwrap_or(pg_sys::Datum::from(0)));
    }
    // SAFETY: the connection is closed below, or after an error by the end of the subtransaction. The arrays are as
    // long as the plan has parameters.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
            failed("SPI_connect failed").raise();
        }
        let plan = super::relation::prepared(|_| {
            pg_sys::SPI_prepare(text.as_ptr(), params.len() as i32, types.as_mut_ptr())
        });
        if plan.is_null() {
            failed("SPI_prepare failed").raise();
        }
        const READ_ONLY: bool = false;
        const FIRE_TRIGGERS: bool = false;
        let status = pg_sys::SPI_execute_snapshot(
            plan,
            values.as_mut_ptr(),
            nulls.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            READ_ONLY,
            FIRE_TRIGGERS,
            0,
        );
        if status < 0 {
            failed("SPI_execute_snapshot failed").raise();
        }
        let returned = first_column();
        pg_sys::SPI_finish();
        returned
    }
}

/// Returns the first column of the rows that the last statement returned, as text.
///
/// # Safety
/// The connection of that statement must be open.
unsafe fn first_column() -> Vec<Option<String>> {
    // SAFETY: as above; the texts are copied before the connection is closed.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return Vec::new();
        }
        let rows = 0..(*table).numvals as usize;
        rows.map(|row| {
            let text = pg_sys::SPI_getvalue(*(*table).vals.add(row), (*table).tupdesc, 1);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        })
        .collect()
    }
}

fn failed(why: &str) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, why)
}
