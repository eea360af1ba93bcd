//! An error with SQLSTATE, message, detail and hint, as a value.

use core::ffi::{c_int, c_void};
use std::cell::UnsafeCell;
use std::{fmt, ptr};

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::prelude::PgLogLevel;

/// An error with an SQLSTATE, kept as a value until somebody decides whether it
/// ends the statement ([`Problem::raise`]) or becomes an issue on one invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Boxed because most problems have no place and every `Result` carries one.
    place: Option<Box<Place>>,
}

/// The database object that an error of PostgreSQL names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) constraint: Option<String>,
}

impl Problem {
    /// `message` follows PostgreSQL's style: lower case, short, no full stop.
    pub(crate) fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            sqlstate: SqlState::unpack(code as i32),
            message: message.into(),
            detail: None,
            hint: None,
            place: None,
        }
    }

    /// The facts, as whole sentences.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What to do about it, as whole sentences.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The five characters of the SQLSTATE, such as `23505`.
    pub(crate) fn sqlstate_text(&self) -> &str {
        self.sqlstate.as_str()
    }

    /// Whether this is the condition `code`.
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

    /// The violated constraint, where PostgreSQL named one.
    pub(crate) fn constraint(&self) -> Option<&str> {
        self.place.as_ref()?.constraint.as_deref()
    }

    /// The schema of [`Problem::table`].
    pub(crate) fn schema(&self) -> Option<&str> {
        self.place.as_ref()?.schema.as_deref()
    }

    /// The table that the error is about, where PostgreSQL named one.
    pub(crate) fn table(&self) -> Option<&str> {
        self.place.as_ref()?.table.as_deref()
    }

    /// The column that the error is about, where PostgreSQL named one.
    pub(crate) fn column(&self) -> Option<&str> {
        self.place.as_ref()?.column.as_deref()
    }

    /// Ends the statement with this error, unwinding first.
    ///
    /// pgrx raises only the conditions in PostgreSQL's own list, and no
    /// constraint name. A condition invented by the application's triggers is
    /// therefore raised as `P0001` with its code in the detail.
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

        let mut report = ErrorReport::new(code, for_c(self.message), "invoice_sync");
        if let Some(detail) = detail {
            report = report.set_detail(for_c(detail));
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(for_c(hint));
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an ERROR was reported and execution went on")
    }

    /// The same with an SQLSTATE that PostgreSQL's own list does not have. To be used
    /// only where no Rust code catches what unwinds: the function that PostgreSQL called.
    #[track_caller]
    pub(crate) fn raise_as(self, sqlstate: [u8; 5]) -> ! {
        override_code(SqlState(sqlstate).pack());
        self.raise()
    }

    /// Adds what pgrx drops from a caught error: the exact SQLSTATE and the
    /// objects that it names.
    pub(super) fn with_diagnostics(mut self, packed_sqlstate: i32, place: Place) -> Self {
        self.sqlstate = SqlState::unpack(packed_sqlstate);
        self.place = (place != Place::default()).then(|| Box::new(place));
        self
    }
}

impl fmt::Display for Problem {
    /// The message with its SQLSTATE; detail and hint have their own columns.
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
            place: None,
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
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic {
                ereport: report, ..
            } => Self::from(report),
        }
    }
}

/// What SPI itself complains about (a wrong column number, a type that does not
/// fit) is a mistake in this extension or in the mapping of the host's columns.
impl From<pgrx::spi::SpiError> for Problem {
    fn from(error: pgrx::spi::SpiError) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string())
    }
}

/// Gives the error that is raised next another code, while PostgreSQL puts it
/// together: that is when it asks what the context was, and a callback may still
/// change the error. Whoever catches an error in C, or ends the statement for it,
/// puts the stack of callbacks back to what it was.
fn override_code(packed: i32) {
    unsafe extern "C-unwind" {
        fn errcode(sqlerrcode: c_int) -> c_int;
    }

    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn set_code(packed: *mut c_void) {
        // SAFETY: called by errfinish(), when there is an error to change; it only
        // writes a field of it.
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
    CALLBACK.with(|place| {
        let callback = place.get();
        // SAFETY: on the backend's only thread, for whose life the place stays. It is
        // not on the stack already: an error between then and now took it off.
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

/// Lets no error carry a backtrace of Rust's: pgrx puts one into the DETAIL of every error that passes through Rust where
/// the server's environment has RUST_BACKTRACE. Whether there are backtraces is asked once for all of this library, so
/// it is asked here, and the environment is left as it was. To be called from `_PG_init`.
pub(crate) fn keep_backtraces_out() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(VARIABLE);
    // SAFETY: the library is loaded by a process with one thread.
    unsafe {
        std::env::set_var(VARIABLE, "0");
        drop(std::backtrace::Backtrace::capture());
        match before {
            Some(value) => std::env::set_var(VARIABLE, value),
            None => std::env::remove_var(VARIABLE),
        }
    }
}

/// A C string ends at its first NUL, so none may be inside.
fn for_c(text: String) -> String {
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
    /// The inverse of PostgreSQL's MAKE_SQLSTATE (utils/elog.h): six bits a
    /// character, the first in the lowest bits.
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
