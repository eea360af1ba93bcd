//! Keeps an error that any caller can cause out of the server's log; the client still gets it.

use core::ffi::CStr;
use std::sync::Mutex;

use pgrx::PgLogLevel;
use pgrx::pg_sys;

use super::problem::Problem;

/// The message of the error to keep out of the log.
static UNLOGGED_MESSAGE: Mutex<Option<String>> = Mutex::new(None);

/// The hook that was installed before.
static PREVIOUS_HOOK: Mutex<Option<pg_sys::emit_log_hook_type>> = Mutex::new(None);

impl Problem {
    /// Ends the statement with this error and keeps it out of the server's log.
    #[track_caller]
    pub(crate) fn raise_unlogged(self) -> ! {
        install_hook();
        if let Ok(mut unlogged) = UNLOGGED_MESSAGE.lock() {
            *unlogged = Some(self.message().to_owned());
        }
        self.raise()
    }
}

fn install_hook() {
    let Ok(mut previous) = PREVIOUS_HOOK.lock() else {
        return;
    };
    if previous.is_none() {
        // SAFETY: on the backend's only thread that reads or writes this variable.
        unsafe {
            *previous = Some(pg_sys::emit_log_hook);
            pg_sys::emit_log_hook = Some(filter_report);
        }
    }
}

/// The hook, called by EmitErrorReport() in elog.c with the report to log. Raises no error and allocates no memory of
/// PostgreSQL's.
unsafe extern "C-unwind" fn filter_report(report: *mut pg_sys::ErrorData) {
    // SAFETY: called with a report that nothing else changes at the same time.
    let report = unsafe { &mut *report };
    // If the error was caught, it was never reported: any next error clears the message.
    if report.elevel >= PgLogLevel::ERROR as i32
        && let Ok(mut unlogged) = UNLOGGED_MESSAGE.lock()
        && let Some(message) = unlogged.take()
        && !report.message.is_null()
        // SAFETY: a C string that lives as long as the report.
        && unsafe { CStr::from_ptr(report.message) }.to_bytes() == message.as_bytes()
    {
        report.output_to_server = false;
    }
    let previous = PREVIOUS_HOOK
        .lock()
        .ok()
        .and_then(|previous| previous.flatten());
    if let Some(previous) = previous {
        // SAFETY: called as PostgreSQL would have called it.
        unsafe { previous(report) };
    }
}
