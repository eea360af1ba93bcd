//! Runs work in a subtransaction, and returns its error as a value.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_guard, pg_sys};

use super::problem::{ErrorObject, Problem};
use super::relation::is_replaced;
use super::triggers;

/// Runs `work` in a subtransaction, as PL/pgSQL runs a block with an EXCEPTION clause (`exec_stmt_block` in
/// pl_exec.c).
///
/// `Ok` commits what `work` wrote. `Err`, an error of PostgreSQL or one raised through pgrx rolls it back and is
/// returned as a [`Problem`], with the constraint, table and column that PostgreSQL named.
///
/// An error that must end the whole statement is raised again after the rollback ([`ends_the_statement`],
/// [`ends_the_run`]).
pub(crate) fn in_subtransaction<T>(
    work: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    attempt(work, |caught| {
        ends_the_statement(caught) || ends_the_run(caught)
    })
}

/// As [`in_subtransaction`], for a whole run: an error that ends the run is returned, too.
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
    is_raised_again: impl FnOnce(&CaughtError) -> bool,
) -> Result<T, Problem> {
    let saved = SavedState::now();
    begin(&saved);

    let watch = ErrorWatch::start();
    let outcome = catch_errors(work);
    let last_error = watch.stop();

    match outcome {
        Ok(Ok(value)) => {
            release(&saved);
            Ok(value)
        }
        Ok(Err(problem)) => {
            roll_back(&saved);
            Err(problem)
        }
        Err(caught) => {
            roll_back(&saved);
            if is_raised_again(&caught) {
                caught.rethrow();
            }
            log_panic(&caught);
            Err(describe(&caught, last_error))
        }
    }
}

/// The backend's state that a subtransaction changes and that its end does not restore. (`AbortSubTransaction` in
/// xact.c restores the user identity.)
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

fn begin(saved: &SavedState) {
    // SAFETY: an unnamed internal subtransaction may begin in any transaction; otherwise PostgreSQL raises an error.
    // `work` runs in the caller's memory context, so what it returns outlives the rollback.
    unsafe {
        pg_sys::BeginInternalSubTransaction(ptr::null());
        pg_sys::CurrentMemoryContext = saved.memory_context;
    }
}

fn release(saved: &SavedState) {
    // SAFETY: pairs with `begin`; the saved context and owner belong to the surrounding transaction and are alive.
    unsafe {
        pg_sys::ReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = saved.memory_context;
        pg_sys::CurrentResourceOwner = saved.resource_owner;
    }
}

thread_local! {
    static ROLLED_BACK: Cell<u64> = const { Cell::new(0) };
}

/// Returns how many subtransactions of this process were rolled back so far: what was written before the number grew may
/// be gone.
pub(crate) fn rolled_back() -> u64 {
    ROLLED_BACK.get()
}

fn roll_back(saved: &SavedState) {
    ROLLED_BACK.set(ROLLED_BACK.get() + 1);
    // SAFETY: as in `release`. The rollback closes SPI connections that `work` left open (AtEOSubXact_SPI); outer
    // ones stay.
    unsafe {
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = saved.memory_context;
        pg_sys::CurrentResourceOwner = saved.resource_owner;
    }
    // `AfterTriggerEndSubXact` has put its own state back, too.
    triggers::set_immediate(saved.immediate);
}

fn catch_errors<T>(work: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
        .catch_others(|caught| Err(Box::new(caught)))
        .execute()
}

/// Returns whether PostgreSQL itself requests the end of the statement. The SQLSTATE does not show this, because a
/// trigger may raise any; the C function that raised the error does. A cancel, a timeout or a shutdown is raised by
/// `ProcessInterrupts` in postgres.c, and code in SQL, PL/pgSQL or another language cannot set that name.
///
/// Out of memory (53200) does not end the statement: the rollback freed memory. If there is still too little, the
/// code after the subtransaction fails and ends the statement.
fn ends_the_statement(caught: &CaughtError) -> bool {
    let CaughtError::PostgresError(report) = caught else {
        return false;
    };
    let problem = Problem::from(report);
    report.function_name() == Some("ProcessInterrupts")
        && (problem.is(PgSqlErrorCode::ERRCODE_QUERY_CANCELED)
            || problem.sqlstate_text().starts_with("57P"))
}

/// Returns whether a table was replaced since the run began. The application's code cannot raise this error: its
/// errors arrive as errors of PostgreSQL.
fn ends_the_run(caught: &CaughtError) -> bool {
    matches!(caught, CaughtError::ErrorReport(report) if is_replaced(&Problem::from(report)))
}

/// Logs where a panic happened. A panic is a bug in this extension; it becomes an issue of the current invoice.
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

/// Converts the caught error, with what the watch recorded of it. An error raised in Rust does not pass the watch, so
/// the record is only used if it is of the same error.
fn describe(caught: &CaughtError, last_error: Option<ErrorDetails>) -> Problem {
    let problem = Problem::from(caught);
    match (caught, last_error) {
        (CaughtError::PostgresError(report), Some(seen))
            if PgSqlErrorCode::from(seen.packed_sqlstate) == report.sql_error_code()
                && seen.message == report.message() =>
        {
            problem.with_diagnostics(seen.packed_sqlstate, seen.object)
        }
        _ => problem,
    }
}

/// What pgrx does not copy from an error of PostgreSQL.
struct ErrorDetails {
    packed_sqlstate: i32,
    message: String,
    object: ErrorObject,
}

/// Records errors while they are raised. pgrx keeps neither the constraint's name nor a condition that is not in
/// PostgreSQL's list; an error context callback runs before that, when the error is complete.
struct ErrorWatch(*mut WatchState);

struct WatchState {
    link: pg_sys::ErrorContextCallback,
    memory_context: pg_sys::MemoryContext,
    last_error: Option<ErrorDetails>,
}

impl ErrorWatch {
    fn start() -> Self {
        // SAFETY: the state is on the heap until `unlink`, which runs on every exit (`stop` or drop), so the list
        // never dangles.
        unsafe {
            let state = Box::into_raw(Box::new(WatchState {
                link: pg_sys::ErrorContextCallback {
                    previous: pg_sys::error_context_stack,
                    callback: Some(record_error),
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
        // SAFETY: made by `Box::into_raw` in `start` and taken back once.
        let state = unsafe { Box::from_raw(std::mem::replace(&mut self.0, ptr::null_mut())) };
        // SAFETY: pgrx restores the list wherever it catches errors, so this callback is its head again and
        // `previous` is the former head.
        unsafe { pg_sys::error_context_stack = state.link.previous };
        state.last_error
    }
}

impl Drop for ErrorWatch {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// The error context callback. It reads the error and adds no context line.
#[pg_guard]
unsafe extern "C-unwind" fn record_error(state: *mut c_void) {
    // SAFETY: PostgreSQL passes the state that `start` linked, while an error is on its stack.
    unsafe {
        // Do not copy when memory is exhausted, or in a critical section, where no memory may be allocated.
        if pg_sys::CritSectionCount > 0
            || pg_sys::geterrcode() == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as i32
        {
            return;
        }
        let state = state.cast::<WatchState>();
        // CopyErrorData must not run in ErrorContext, the current context of callbacks.
        let error_context = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*state).memory_context;
        let error = pg_sys::CopyErrorData();
        if (*error).elevel >= pg_sys::PGERROR as i32 {
            (*state).last_error = Some(ErrorDetails {
                packed_sqlstate: (*error).sqlerrcode,
                message: text_at((*error).message).unwrap_or_default(),
                object: ErrorObject {
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
