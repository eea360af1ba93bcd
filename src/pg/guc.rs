//! Text settings (GUCs) with check and show hooks, which pgrx does not wrap.

mod refusal;

use core::ffi::{CStr, c_char, c_void};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pgrx::pg_sys::panic::pgrx_extern_c_guard;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

pub(crate) use refusal::Refusal;
use refusal::{Texts, raise_without_statement};

/// A text setting that only superusers may read and set, with a check of its values.
pub(crate) trait TextSetting {
    const NAME: &'static CStr;
    const SHORT_DESCRIPTION: &'static CStr;
    const LONG_DESCRIPTION: &'static CStr;

    fn variable() -> &'static GucSetting<Option<CString>>;

    /// Returns the current value, trimmed; the empty string if it is not set.
    fn value() -> String {
        let value = Self::variable().get();
        value.map_or_else(String::new, |text| text.to_string_lossy().trim().to_owned())
    }

    /// Checks whether `value` may be accepted from `source`. Must not access the database: check hooks run in the
    /// postmaster, too.
    fn check(value: &str, source: ValueSource) -> Result<(), Refusal>;

    /// Whether the setting may hold a secret. Such a setting is left out of pg_settings and SHOW ALL, because
    /// pg_settings.reset_val does not go through the show hook.
    const HOLDS_SECRET: bool = false;

    /// Returns whether SHOW prints [`MASK`] instead of `value`.
    fn is_masked(_value: &CStr) -> bool {
        false
    }
}

/// What SHOW prints for a value that is masked.
pub(crate) const MASK: &CStr = c"********";

/// Where a setting's value comes from, as far as checks distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueSource {
    /// The built-in default, or a configuration file or the command line when the library was loaded.
    Start,
    /// A configuration file that was reloaded and has another value than at the start. PostgreSQL writes such a value
    /// into the server's log (`ProcessConfigFileInternal` in guc.c).
    Reload,
    /// An SQL statement: SET, set_config, ALTER DATABASE, ALTER ROLE, ALTER SYSTEM, or a function's SET clause.
    /// Statements are logged and visible in pg_stat_activity.
    Statement,
    /// The catalog that stores what ALTER DATABASE or ALTER ROLE set; every role can read it.
    Catalog,
    /// The client's startup packet.
    Client,
}

/// True while `_PG_init` defines the settings. Values that were set before are checked then, and an error would leave
/// the library half loaded.
static IS_DEFINING: AtomicBool = AtomicBool::new(false);
static IS_PRELOADED: AtomicBool = AtomicBool::new(false);

/// The values of settings that hold secrets when the server started, by name. Every reload and every parallel worker
/// checks these values again.
static STARTED_WITH: Mutex<Vec<(&CStr, CString)>> = Mutex::new(Vec::new());

/// Runs `define`, which defines all settings. Called from `_PG_init` only.
pub(crate) fn define_settings(prefix: &'static CStr, define: impl FnOnce()) {
    // SAFETY: a plain read of the backend's state.
    let is_preloading = unsafe { pg_sys::process_shared_preload_libraries_in_progress };
    IS_PRELOADED.store(is_preloading, Ordering::Relaxed);
    IS_DEFINING.store(true, Ordering::Relaxed);
    define();
    IS_DEFINING.store(false, Ordering::Relaxed);
    // SAFETY: `prefix` is a constant C string. Placeholders with this prefix that no setting was defined for are
    // dropped with a WARNING, which reports misspelt settings.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// Returns whether the library was loaded by shared_preload_libraries. Otherwise, in sessions that have not loaded
/// it, its settings are placeholders, which any role can read.
pub(crate) fn is_preloaded() -> bool {
    IS_PRELOADED.load(Ordering::Relaxed)
}

pub(crate) fn define_text<S: TextSetting>() {
    // SAFETY: the hooks are guarded, so no Rust panic leaves them.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            S::NAME,
            S::SHORT_DESCRIPTION,
            S::LONG_DESCRIPTION,
            S::variable(),
            GucContext::Suset,
            flags_of::<S>(),
            Some(check_text::<S>),
            None,
            Some(show_text::<S>),
        );
    }
    record_start_value::<S>();
}

fn flags_of<S: TextSetting>() -> GucFlags {
    if S::HOLDS_SECRET {
        GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL
    } else {
        GucFlags::SUPERUSER_ONLY
    }
}

/// The check hook (`call_string_check_hook` in guc.c). It always gives a message, because PostgreSQL's default
/// message quotes the value.
unsafe extern "C-unwind" fn check_text<S: TextSetting>(
    new_value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to null or to a C string. The guard turns panics into errors; no value with
    // a destructor is alive when `raise_without_statement` leaves by longjmp.
    unsafe {
        let refusal = pgrx_extern_c_guard(|| refusal_of::<S>(*new_value, source));
        let Some(refusal) = refusal else { return true };

        let texts = pgrx_extern_c_guard(|| Texts::of(S::NAME, &refusal));
        if refusal.hides_statement && raises_errors(source) {
            raise_without_statement(&texts);
        }
        pgrx_extern_c_guard(|| texts.pass_to_guc());
        false
    }
}

unsafe fn refusal_of<S: TextSetting>(
    value: *const c_char,
    source: pg_sys::GucSource::Type,
) -> Option<Refusal> {
    if value.is_null() {
        return None;
    }
    // SAFETY: not null, so a C string (see `check_text`).
    let value = unsafe { CStr::from_ptr(value) };
    match value.to_str() {
        Ok(text) => S::check(text, value_source_of::<S>(value, source)).err(),
        Err(_) => Some(Refusal {
            reason: "must be UTF-8",
            detail: c"The value contains bytes that are not UTF-8.",
            hint: c"Use plain ASCII characters.",
            hides_statement: false,
        }),
    }
}

fn value_source_of<S: TextSetting>(value: &CStr, source: pg_sys::GucSource::Type) -> ValueSource {
    use pg_sys::GucSource::*;
    match source {
        _ if is_statement(source) => ValueSource::Statement,
        PGC_S_GLOBAL | PGC_S_DATABASE | PGC_S_USER | PGC_S_DATABASE_USER => ValueSource::Catalog,
        PGC_S_CLIENT => ValueSource::Client,
        PGC_S_FILE if !is_defining() && !server_started_with::<S>(value) => ValueSource::Reload,
        _ => ValueSource::Start,
    }
}

/// Returns whether the value comes from a statement. ALTER SYSTEM checks its value with the source PGC_S_FILE, but
/// configuration files are only read between statements.
fn is_statement(source: pg_sys::GucSource::Type) -> bool {
    use pg_sys::GucSource::*;
    match source {
        PGC_S_FILE => !is_defining() && is_in_statement(),
        PGC_S_OVERRIDE | PGC_S_INTERACTIVE | PGC_S_TEST | PGC_S_SESSION => true,
        _ => false,
    }
}

fn is_defining() -> bool {
    IS_DEFINING.load(Ordering::Relaxed)
}

fn record_start_value<S: TextSetting>() {
    if S::HOLDS_SECRET
        && is_preloaded()
        && let Some(value) = S::variable().get()
    {
        started_with().push((S::NAME, value));
    }
}

fn server_started_with<S: TextSetting>(value: &CStr) -> bool {
    started_with()
        .iter()
        .any(|(name, at_start)| *name == S::NAME && at_start.as_c_str() == value)
}

fn started_with() -> MutexGuard<'static, Vec<(&'static CStr, CString)>> {
    STARTED_WITH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a client's statement is being executed.
fn is_in_statement() -> bool {
    // SAFETY: plain reads of the backend's state.
    unsafe { pg_sys::IsUnderPostmaster && !pg_sys::debug_query_string.is_null() }
}

/// Returns whether guc.c raises an ERROR if a value from `source` is refused, so that the hook may raise its own
/// instead. At start, at reload and for values stored in catalogs, guc.c only warns.
fn raises_errors(source: pg_sys::GucSource::Type) -> bool {
    is_statement(source) && !is_defining()
}

/// The show hook. It returns the value itself or a constant; both outlive the call.
unsafe extern "C-unwind" fn show_text<S: TextSetting>() -> *const c_char {
    // SAFETY: the variable holds null or a C string that guc.c owns. (pgrx's `get` returns a copy, which would be
    // freed too early.)
    unsafe {
        pgrx_extern_c_guard(|| {
            let value: *const c_char = *S::variable().as_ptr();
            if value.is_null() {
                c"".as_ptr()
            } else if S::is_masked(CStr::from_ptr(value)) {
                MASK.as_ptr()
            } else {
                value
            }
        })
    }
}
