//! Runs work in a subtransaction, and returns its error as a value.

use core::ffi::{CStr, c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_guard, pg_sys};

use super::problem::{Place, Problem};
use super::relation::is_replaced;
use super::triggers;

/// Runs `work` in a subtransaction, the way PL/pgSQL runs a block with an
/// EXCEPTION clause (`exec_stmt_block` in pl_exec.c).
///
/// `Ok` keeps what `work` wrote. `Err`, an error of PostgreSQL or one raised
/// through pgrx rolls it back and is returned as a [`Problem`], with the
/// constraint, table and column that PostgreSQL named.
///
/// What asks the whole statement to end is not swallowed: the subtransaction is rolled back
/// and the error goes on ([`ends_the_statement`]).
pub(crate) fn in_subtransaction<T>(
    work: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    attempt(work, |caught| {
        ends_the_statement(caught) || ends_the_run(caught)
    })
}

/// As [`in_subtransaction`], around a whole run: what ends the run is returned, too.
pub(crate) fn in_subtransaction_of_a_run<T>(
    work: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    attempt(work, ends_the_statement)
}

/// Does `work`, and gives back the error of a table that is not the one that the run began with; any other goes on. That
/// one was raised in Rust and passed nothing but Rust: the transaction is as sound as before.
pub(super) fn catching_the_end_of_a_run<T>(
    work: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    catch_errors(work).unwrap_or_else(|caught| {
        if ends_the_run(&caught) {
            Err(Problem::from(&*caught))
        } else {
            caught.rethrow()
        }
    })
}

fn attempt<T>(
    work: impl FnOnce() -> Result<T, Problem>,
    goes_on: impl FnOnce(&CaughtError) -> bool,
) -> Result<T, Problem> {
    let surroundings = SavedState::now();
    begin(&surroundings);

    let watch = ErrorWatch::start();
    let outcome = catch_errors(work);
    let last_error = watch.stop();

    match outcome {
        Ok(Ok(value)) => {
            release(&surroundings);
            Ok(value)
        }
        Ok(Err(problem)) => {
            roll_back(&surroundings);
            Err(problem)
        }
        Err(caught) => {
            roll_back(&surroundings);
            if goes_on(&caught) {
                caught.rethrow();
            }
            log_panic(&caught);
            Err(describe(&caught, last_error))
        }
    }
}

/// What a subtransaction moves and its end does not put back by itself. (The
/// user identity it does put back: `AbortSubTransaction` in xact.c.)
struct SavedState {
    memory_context: pg_sys::MemoryContext,
    resource_owner: pg_sys::ResourceOwner,
    /// Whether constraints had been made immediate.
    immediate: bool,
}

impl SavedState {
    fn now() -> Self {
        // SAFETY: plain reads of the backend's globals, on the backend's thread.
        unsafe {
            Self {
                memory_context: pg_sys::CurrentMemoryContext,
                resource_owner: pg_sys::CurrentResourceOwner,
                immediate: triggers::are_immediate(),
            }
        }
    }
}

fn begin(surroundings: &SavedState) {
    // SAFETY: an unnamed internal subtransaction may begin wherever a
    // transaction is in progress; else PostgreSQL raises an error. `work` runs
    // in the caller's memory context, so what it returns outlives the rollback.
    unsafe {
        pg_sys::BeginInternalSubTransaction(ptr::null());
        pg_sys::CurrentMemoryContext = surroundings.memory_context;
    }
}

fn release(surroundings: &SavedState) {
    // SAFETY: pairs with `begin`; the saved context and owner belong to the
    // surrounding transaction and are alive.
    unsafe {
        pg_sys::ReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = surroundings.memory_context;
        pg_sys::CurrentResourceOwner = surroundings.resource_owner;
    }
}

fn roll_back(surroundings: &SavedState) {
    // SAFETY: as in `release`. SPI connections that `work` left open are closed
    // by the rollback itself (AtEOSubXact_SPI), outer ones stay.
    unsafe {
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = surroundings.memory_context;
        pg_sys::CurrentResourceOwner = surroundings.resource_owner;
    }
    // `AfterTriggerEndSubXact` has put its own state back, too.
    triggers::set_immediate(surroundings.immediate);
}

fn catch_errors<T>(work: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
        .catch_others(|caught| Err(Box::new(caught)))
        .execute()
}

/// Whether PostgreSQL itself asks the statement to end. A SQLSTATE does not tell, for a trigger may raise any; the
/// function that raised it does: a cancel, a timeout or a shutdown comes from `ProcessInterrupts` in postgres.c, and
/// code in SQL, PL/pgSQL or another language cannot raise anything in its name.
///
/// A lack of memory (53200) is no such thing: what was rolled back has given its memory back. Where there is none
/// left, what follows outside of the subtransaction fails and ends the statement.
fn ends_the_statement(caught: &CaughtError) -> bool {
    let CaughtError::PostgresError(report) = caught else {
        return false;
    };
    let problem = Problem::from(report);
    report.function_name() == Some("ProcessInterrupts")
        && (problem.is(PgSqlErrorCode::ERRCODE_QUERY_CANCELED)
            || problem.sqlstate_text().starts_with("57P"))
}

/// Whether a table is not the one that the run began with. No code of the host's raises this: what comes from there is
/// an error of PostgreSQL's.
fn ends_the_run(caught: &CaughtError) -> bool {
    matches!(caught, CaughtError::ErrorReport(report) if is_replaced(&Problem::from(report)))
}

/// A panic is a mistake of ours; whose invoice it was becomes an issue, and the log tells where it happened.
fn log_panic(caught: &CaughtError) {
    if let CaughtError::RustPanic { ereport, .. } = caught {
        pgrx::log!(
            "invoice_sync: a fault in {} line {}: {}",
            ereport.file(),
            ereport.line_number(),
            ereport.message()
        );
    }
}

/// The caught error together with what the watch saw of it. An error raised in
/// Rust never passes the watch, so an older sighting must not be mistaken for it.
fn describe(caught: &CaughtError, last_error: Option<ErrorDetails>) -> Problem {
    let problem = Problem::from(caught);
    match (caught, last_error) {
        (CaughtError::PostgresError(report), Some(seen))
            if PgSqlErrorCode::from(seen.packed_sqlstate) == report.sql_error_code()
                && seen.message == report.message() =>
        {
            problem.with_diagnostics(seen.packed_sqlstate, seen.place)
        }
        _ => problem,
    }
}

/// What pgrx does not copy from an error of PostgreSQL.
struct ErrorDetails {
    packed_sqlstate: i32,
    message: String,
    place: Place,
}

/// Looks at errors while they are raised. pgrx's own catch keeps neither the
/// constraint's name nor a condition that is not in PostgreSQL's list; an error
/// context callback is called before that, when all is still there.
struct ErrorWatch(*mut WatchState);

struct WatchState {
    link: pg_sys::ErrorContextCallback,
    memory_context: pg_sys::MemoryContext,
    last_error: Option<ErrorDetails>,
}

impl ErrorWatch {
    fn start() -> Self {
        // SAFETY: the state is on the heap and stays until `unlink`, which runs
        // on every way out (`stop` or drop), so the list never dangles.
        unsafe {
            let state = Box::into_raw(Box::new(WatchState {
                link: pg_sys::ErrorContextCallback {
                    previous: pg_sys::error_context_stack,
                    callback: Some(note_error),
                    arg: ptr::null_mut(),
                },
                memory_context: pg_sys::CurrentMemoryContext,
                last_error: None,
            }));
            (*state).link.arg = state.cast();
            pg_sys::error_context_stack = &raw mut (*state).link;
            Self(state)
        }
    }

    fn stop(mut self) -> Option<ErrorDetails> {
        self.unlink()
    }

    fn unlink(&mut self) -> Option<ErrorDetails> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: made by `Box::into_raw` in `start`, taken back once.
        let state = unsafe { Box::from_raw(std::mem::replace(&mut self.0, ptr::null_mut())) };
        // SAFETY: pgrx restores the list at each of its borders, so this
        // callback is its head again and `previous` is what was there before.
        unsafe { pg_sys::error_context_stack = state.link.previous };
        state.last_error
    }
}

impl Drop for ErrorWatch {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// The callback. It adds no context line: it only reads.
#[pg_guard]
unsafe extern "C-unwind" fn note_error(state: *mut c_void) {
    // SAFETY: PostgreSQL hands back the state that `start` linked, while an
    // error is on its stack.
    unsafe {
        // No copying where there is no memory or where memory may not be asked for.
        if pg_sys::CritSectionCount > 0
            || pg_sys::geterrcode() == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as i32
        {
            return;
        }
        let state = state.cast::<WatchState>();
        // CopyErrorData must not run in ErrorContext, where callbacks are called.
        let error_context = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*state).memory_context;
        let error = pg_sys::CopyErrorData();
        if (*error).elevel >= pg_sys::PGERROR as i32 {
            (*state).last_error = Some(ErrorDetails {
                packed_sqlstate: (*error).sqlerrcode,
                message: text_at((*error).message).unwrap_or_default(),
                place: Place {
                    schema: text_at((*error).schema_name),
                    table: text_at((*error).table_name),
                    column: text_at((*error).column_name),
                    constraint: text_at((*error).constraint_name),
                },
            });
        }
        pg_sys::FreeErrorData(error);
        pg_sys::CurrentMemoryContext = error_context;
    }
}

/// # Safety
/// `text` is null or a C string.
unsafe fn text_at(text: *const c_char) -> Option<String> {
    // SAFETY: as promised by the caller.
    (!text.is_null()).then(|| {
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    })
}
