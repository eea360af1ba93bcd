//! The error of a setting whose value is refused, without the value.

use core::ffi::{CStr, c_char, c_int};
use std::ffi::CString;
use std::ptr;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

/// Why a value is not taken. Constant texts, so that no value can get into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Follows the setting's name: `parameter "x" ` + reason.
    pub(crate) reason: &'static str,
    pub(crate) detail: &'static CStr,
    pub(crate) hint: &'static CStr,
    /// Keeps the refused statement out of the server's log.
    pub(crate) hides_statement: bool,
}

/// A refusal's texts as guc.c expects them: in ErrorContext, as
/// `format_elog_string` in elog.c leaves them.
#[derive(Clone, Copy)]
pub(super) struct Texts {
    message: *mut c_char,
    detail: *mut c_char,
    hint: *mut c_char,
}

impl Texts {
    pub(super) fn of(setting: &CStr, refusal: &Refusal) -> Self {
        let name = setting.to_string_lossy();
        let message = format!("parameter \"{name}\" {}", refusal.reason);
        Self {
            message: in_error_context(&CString::new(message).unwrap_or_default()),
            detail: in_error_context(refusal.detail),
            hint: in_error_context(refusal.hint),
        }
    }

    /// For guc.c, which reports them at the level that fits the value's source.
    pub(super) fn hand_over(self) {
        // SAFETY: the places that the macros GUC_check_errmsg and so on write to.
        unsafe {
            pg_sys::GUC_check_errcode(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE as c_int);
            pg_sys::GUC_check_errmsg_string = self.message;
            pg_sys::GUC_check_errdetail_string = self.detail;
            pg_sys::GUC_check_errhint_string = self.hint;
        }
    }
}

fn in_error_context(text: &CStr) -> *mut c_char {
    // SAFETY: copies a C string into a context that lives as long as the process.
    unsafe { pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, text.as_ptr()) }
}

/// Raises the refusal with `errhidestmt`, so that the STATEMENT line of the
/// server's log does not repeat the value. Nor does the CONTEXT line, which
/// quotes the statement where it runs inside a function.
///
/// pgrx cannot hide statements, and keeps these functions of elog.h to itself.
///
/// # Safety
/// It leaves by longjmp: no frame above up to PostgreSQL's may have destructors
/// pending. Called by the check hook only.
pub(super) unsafe fn raise_without_statement(texts: &Texts) -> ! {
    unsafe extern "C-unwind" {
        fn errstart(level: c_int, domain: *const c_char) -> bool;
        fn errcode(sqlerrcode: c_int) -> c_int;
        fn errmsg(format: *const c_char, ...) -> c_int;
        fn errdetail(format: *const c_char, ...) -> c_int;
        fn errhint(format: *const c_char, ...) -> c_int;
        fn errhidestmt(hides: bool) -> c_int;
        fn errhidecontext(hides: bool) -> c_int;
        fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    }
    const TEXT: *const c_char = c"%s".as_ptr();
    // SAFETY: the sequence that ereport(ERROR, …) expands to; all texts are C
    // strings and go through "%s".
    unsafe {
        errstart(pg_sys::PGERROR as c_int, ptr::null());
        errcode(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE as c_int);
        errmsg(TEXT, texts.message);
        errdetail(TEXT, texts.detail);
        errhint(TEXT, texts.hint);
        errhidestmt(true);
        errhidecontext(true);
        errfinish(
            c"guc.rs".as_ptr(),
            line!() as c_int,
            c"raise_without_statement".as_ptr(),
        );
    }
    unreachable!("an ERROR was reported and execution went on")
}
