//! An error with SQLSTATE, message, detail and hint, as a value.

use core::ffi::{c_int, c_void};
use std::cell::UnsafeCell;
use std::{fmt, ptr};

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::prelude::PgLogLevel;

/// An error with an SQLSTATE, kept as a value until the caller decides whether it ends the statement
/// ([`Problem::raise`]) or becomes an issue of one invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Boxed because most problems name no object, and every `Result` has room for one.
    object: Option<Box<ErrorObject>>,
    /// See [`Problem::is_of_postgresql`].
    is_of_postgresql: bool,
}

/// The database object that an error of PostgreSQL names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorObject {
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) constraint: Option<String>,
}

impl Problem {
    /// Creates a problem. `message` follows PostgreSQL's style: lower case, short, no full stop.
    pub(crate) fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            sqlstate: SqlState::unpack(code as i32),
            message: message.into(),
            detail: None,
            hint: None,
            object: None,
            is_of_postgresql: false,
        }
    }

    /// Returns whether PostgreSQL or the application's code raised the error, not this extension.
    pub(crate) fn is_of_postgresql(&self) -> bool {
        self.is_of_postgresql
    }

    /// Sets the DETAIL: facts, in complete sentences.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets the HINT: what to do, in complete sentences.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the SQLSTATE, five characters such as `23505`.
    pub(crate) fn sqlstate_text(&self) -> &str {
        self.sqlstate.as_str()
    }

    /// Returns whether the SQLSTATE is `code`.
    pub(crate) fn is(&self, code: PgSqlErrorCode) -> bool {
        self.sqlstate == SqlState::unpack(code as i32)
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the violated constraint, if PostgreSQL named one.
    pub(crate) fn constraint(&self) -> Option<&str> {
        self.object.as_ref()?.constraint.as_deref()
    }

    /// Returns the schema of [`Problem::table`].
    pub(crate) fn schema(&self) -> Option<&str> {
        self.object.as_ref()?.schema.as_deref()
    }

    /// Returns the table that the error is about, if PostgreSQL named one.
    pub(crate) fn table(&self) -> Option<&str> {
        self.object.as_ref()?.table.as_deref()
    }

    /// Returns the column that the error is about, if PostgreSQL named one.
    pub(crate) fn column(&self) -> Option<&str> {
        self.object.as_ref()?.column.as_deref()
    }

    /// Ends the statement with this error, unwinding first.
    ///
    /// pgrx raises only conditions in PostgreSQL's own list, and no constraint name. A condition that the
    /// application's triggers define is therefore raised as `P0001` with its SQLSTATE in the detail.
    #[track_caller]
    pub(crate) fn raise(self) -> ! {
        let code = PgSqlErrorCode::from(self.sqlstate.pack());
        let is_listed = self.is(code);
        let (code, detail) = if is_listed {
            (code, self.detail)
        } else {
            let own_code = format!("The application raised SQLSTATE {}.", self.sqlstate_text());
            let detail = match self.detail {
                Some(detail) => format!("{detail}\n{own_code}"),
                None => own_code,
            };
            (PgSqlErrorCode::ERRCODE_RAISE_EXCEPTION, Some(detail))
        };

        let mut report = ErrorReport::new(code, without_nul(self.message), "invoice_sync");
        if let Some(detail) = detail {
            report = report.set_detail(without_nul(detail));
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(without_nul(hint));
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an ERROR was reported and execution went on")
    }

    /// As [`Problem::raise`], with an SQLSTATE that is not in PostgreSQL's own list. Only for the function that
    /// PostgreSQL called, where no Rust code catches the error.
    #[track_caller]
    pub(crate) fn raise_as(self, sqlstate: [u8; 5]) -> ! {
        override_code(SqlState(sqlstate).pack());
        self.raise()
    }

    /// Adds what pgrx drops from a caught error: the exact SQLSTATE and the objects that it names.
    pub(super) fn with_diagnostics(mut self, packed_sqlstate: i32, object: ErrorObject) -> Self {
        self.sqlstate = SqlState::unpack(packed_sqlstate);
        self.object = (object != ErrorObject::default()).then(|| Box::new(object));
        self
    }
}

impl fmt::Display for Problem {
    /// Writes the message with its SQLSTATE; detail and hint are stored separately.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate_text())
    }
}

impl std::error::Error for Problem {}

impl From<&ErrorReportWithLevel> for Problem {
    fn from(report: &ErrorReportWithLevel) -> Self {
        Self {
            sqlstate: SqlState::unpack(report.sql_error_code() as i32),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
            object: None,
            is_of_postgresql: false,
        }
    }
}

impl From<ErrorReportWithLevel> for Problem {
    fn from(report: ErrorReportWithLevel) -> Self {
        Self::from(&report)
    }
}

impl From<&CaughtError> for Problem {
    fn from(caught: &CaughtError) -> Self {
        match caught {
            CaughtError::PostgresError(report) => Self {
                is_of_postgresql: true,
                ..Self::from(report)
            },
            CaughtError::ErrorReport(report)
            | CaughtError::RustPanic {
                ereport: report, ..
            } => Self::from(report),
        }
    }
}

/// An error of SPI itself (a wrong column number, a type that does not fit) is a bug in this extension or a mistake
/// in the mapping of the application's columns.
impl From<pgrx::spi::SpiError> for Problem {
    fn from(error: pgrx::spi::SpiError) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string())
    }
}

/// Changes the SQLSTATE of the error that is raised next. It pushes an error context callback, which errfinish()
/// calls while it builds the error and which may still change it. Code that catches the error in C, or ends the
/// statement, restores the stack of callbacks.
fn override_code(packed: i32) {
    unsafe extern "C-unwind" {
        fn errcode(sqlerrcode: c_int) -> c_int;
    }

    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn set_code(packed: *mut c_void) {
        // SAFETY: called by errfinish() with an error on its stack; only writes a field of it.
        unsafe { errcode(packed.addr() as c_int) };
    }

    thread_local! {
        static CALLBACK: UnsafeCell<pg_sys::ErrorContextCallback> =
            const { UnsafeCell::new(pg_sys::ErrorContextCallback {
                previous: ptr::null_mut(),
                callback: None,
                arg: ptr::null_mut(),
            }) };
    }
    CALLBACK.with(|cell| {
        let callback = cell.get();
        // SAFETY: on the backend's only thread, for whose life the cell exists. If the callback is still on top of
        // the stack, it is not linked again; a callback further down was removed by the error since then.
        unsafe {
            if pg_sys::error_context_stack != callback {
                (*callback).previous = pg_sys::error_context_stack;
            }
            (*callback).callback = Some(set_code);
            (*callback).arg = ptr::without_provenance_mut(packed as usize);
            pg_sys::error_context_stack = callback;
        }
    });
}

/// Prevents Rust backtraces in errors: if RUST_BACKTRACE is set in the server's environment, pgrx adds one to the
/// DETAIL of every error that passes through Rust. Rust's library reads the variable once per copy of the library, so
/// this makes it read it here with backtraces off, and restores the environment. Called from `_PG_init`.
pub(crate) fn keep_backtraces_out() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(VARIABLE);
    // SAFETY: the process that loads the library has one thread.
    unsafe {
        std::env::set_var(VARIABLE, "0");
        drop(std::backtrace::Backtrace::capture());
        match before {
            Some(value) => std::env::set_var(VARIABLE, value),
            None => std::env::remove_var(VARIABLE),
        }
    }
}

/// Removes NULs, because a C string ends at its first NUL.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text
    }
}

/// The five characters of an SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SqlState([u8; 5]);

impl SqlState {
    /// The inverse of PostgreSQL's MAKE_SQLSTATE (utils/elog.h): six bits per character, the first in the lowest
    /// bits.
    fn unpack(packed: i32) -> Self {
        Self(std::array::from_fn(|position| {
            ((packed >> (6 * position)) & 0x3f) as u8 + b'0'
        }))
    }

    fn pack(self) -> i32 {
        self.0
            .iter()
            .rev()
            .fold(0, |packed, byte| (packed << 6) | i32::from(byte - b'0'))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
