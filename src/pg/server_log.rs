//! Keeps an error that strangers cause out of the server's log; the client gets it all the same.

use core::ffi::CStr;
use std::sync::Mutex;

use pgrx::PgLogLevel;
use pgrx::pg_sys;

use super::problem::Problem;

/// The message of the error to leave out.
static LEFT_OUT: Mutex<Option<String>> = Mutex::new(None);

/// Who else looks at what is logged.
static FORMER: Mutex<Option<pg_sys::emit_log_hook_type>> = Mutex::new(None);

impl Problem {
    /// Ends the statement with this error; the server's log does not have it.
    #[track_caller]
    pub(crate) fn raise_unlogged(self) -> ! {
        install();
        if let Ok(mut left_out) = LEFT_OUT.lock() {
            *left_out = Some(self.message().to_owned());
        }
        self.raise()
    }
}

fn install() {
    let Ok(mut former) = FORMER.lock() else {
        return;
    };
    if former.is_none() {
        // SAFETY: on the backend's only thread that reads or writes this variable.
        unsafe {
            *former = Some(pg_sys::emit_log_hook);
            pg_sys::emit_log_hook = Some(look);
        }
    }
}

/// Called by EmitErrorReport() in elog.c with what is about to be logged. It raises no
/// error and asks for no memory of PostgreSQL's.
unsafe extern "C-unwind" fn look(report: *mut pg_sys::ErrorData) {
    // SAFETY: called with a report that nobody else changes meanwhile.
    let report = unsafe { &mut *report };
    // An error that was caught on the way here was never reported; the next one ends
    // the waiting for it.
    if report.elevel >= PgLogLevel::ERROR as i32
        && let Ok(mut left_out) = LEFT_OUT.lock()
        && let Some(message) = left_out.take()
        && !report.message.is_null()
        // SAFETY: a C string that lives as long as the report.
        && unsafe { CStr::from_ptr(report.message) }.to_bytes() == message.as_bytes()
    {
        report.output_to_server = false;
    }
    let former = FORMER.lock().ok().and_then(|former| former.flatten());
    if let Some(former) = former {
        // SAFETY: as PostgreSQL would have called it.
        unsafe { former(report) };
    }
}
