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

/// A text setting that only superusers may read and set, with a rule for its
/// values.
pub(crate) trait TextSetting {
    const NAME: &'static CStr;
    const SHORT_DESCRIPTION: &'static CStr;
    const LONG_DESCRIPTION: &'static CStr;

    fn variable() -> &'static GucSetting<Option<CString>>;

    /// The present value, trimmed; empty where it is not set.
    fn value() -> String {
        let value = Self::variable().get();
        value.map_or_else(String::new, |text| text.to_string_lossy().trim().to_owned())
    }

    /// Whether `value` may be taken from where it came. Must not touch the
    /// database: it is asked in the postmaster, too.
    fn judge(value: &str, arrival: Arrival) -> Result<(), Refusal>;

    /// Whether the setting may hold a secret. It is then left out of pg_settings
    /// and SHOW ALL: pg_settings.reset_val is read past the show hook.
    const HOLDS_SECRET: bool = false;

    /// Whether SHOW prints [`MASK`] in place of `value`.
    fn is_masked(_value: &CStr) -> bool {
        false
    }
}

/// What stands for a value that is not shown.
pub(crate) const MASK: &CStr = c"********";

/// Where a setting's value comes from, as far as the rules tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The built-in default, and what the configuration files or the command line
    /// said when the library was loaded.
    Start,
    /// A configuration file that was read again and says something else than at
    /// the start. PostgreSQL writes such a value into the server's log
    /// (`ProcessConfigFileInternal` in guc.c).
    Reload,
    /// An SQL statement: SET, set_config, ALTER DATABASE, ALTER ROLE, ALTER
    /// SYSTEM, a function's SET clause. Logged and seen in pg_stat_activity.
    Statement,
    /// What ALTER DATABASE or ALTER ROLE left in a catalog that every role reads.
    Catalog,
    /// The client's startup packet.
    Client,
}

/// Set while `_PG_init` defines the settings: values that were there before are
/// tried then, and an error in the middle of loading would leave half a library.
static IS_DEFINING: AtomicBool = AtomicBool::new(false);
static IS_PRELOADED: AtomicBool = AtomicBool::new(false);

/// What the settings that hold secrets were when the server started, by name.
/// Every reload, and every parallel worker, offers these values again.
static STARTED_WITH: Mutex<Vec<(&CStr, CString)>> = Mutex::new(Vec::new());

/// Runs `define`, which defines all settings; from `_PG_init` only.
pub(crate) fn define_settings(prefix: &'static CStr, define: impl FnOnce()) {
    // SAFETY: a plain read of the backend's state.
    let is_preloading = unsafe { pg_sys::process_shared_preload_libraries_in_progress };
    IS_PRELOADED.store(is_preloading, Ordering::Relaxed);
    IS_DEFINING.store(true, Ordering::Relaxed);
    define();
    IS_DEFINING.store(false, Ordering::Relaxed);
    // SAFETY: `prefix` is a constant C string; placeholders that nobody defined
    // are dropped with a WARNING, which finds misspelt settings.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// Whether the library came with shared_preload_libraries. Otherwise its settings
/// are placeholders in every session that has not loaded it, and any role reads
/// those.
pub(crate) fn is_preloaded() -> bool {
    IS_PRELOADED.load(Ordering::Relaxed)
}

pub(crate) fn define_text<S: TextSetting>() {
    // SAFETY: the hooks below are guarded: no panic of Rust leaves them.
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
    remember_start::<S>();
}

fn flags_of<S: TextSetting>() -> GucFlags {
    if S::HOLDS_SECRET {
        GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL
    } else {
        GucFlags::SUPERUSER_ONLY
    }
}

/// The check hook (`call_string_check_hook` in guc.c). Where it refuses without a
/// message of its own PostgreSQL's message quotes the value, so it always gives one.
unsafe extern "C-unwind" fn check_text<S: TextSetting>(
    new_value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a place that holds null or a C string. The guard
    // turns panics into errors, and nothing with a destructor is left behind it.
    unsafe {
        let refusal = pgrx_extern_c_guard(|| refusal_of::<S>(*new_value, source));
        let Some(refusal) = refusal else { return true };

        let texts = pgrx_extern_c_guard(|| Texts::of(S::NAME, &refusal));
        if refusal.hides_statement && raises_errors(source) {
            raise_without_statement(&texts);
        }
        pgrx_extern_c_guard(|| texts.hand_over());
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
        Ok(text) => S::judge(text, arrival_of::<S>(value, source)).err(),
        Err(_) => Some(Refusal {
            reason: "must be UTF-8",
            detail: c"The value holds bytes that are not UTF-8.",
            hint: c"Use plain ASCII characters.",
            hides_statement: false,
        }),
    }
}

fn arrival_of<S: TextSetting>(value: &CStr, source: pg_sys::GucSource::Type) -> Arrival {
    use pg_sys::GucSource::*;
    match source {
        _ if is_statement(source) => Arrival::Statement,
        PGC_S_GLOBAL | PGC_S_DATABASE | PGC_S_USER | PGC_S_DATABASE_USER => Arrival::Catalog,
        PGC_S_CLIENT => Arrival::Client,
        PGC_S_FILE if !is_defining() && !server_started_with::<S>(value) => Arrival::Reload,
        _ => Arrival::Start,
    }
}

/// Whether the value comes from a statement. ALTER SYSTEM has its value checked
/// as if it came from a file, but files are read between statements.
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

fn remember_start<S: TextSetting>() {
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

/// Whether a client's statement is being executed.
fn is_in_statement() -> bool {
    // SAFETY: plain reads of the backend's state.
    unsafe { pg_sys::IsUnderPostmaster && !pg_sys::debug_query_string.is_null() }
}

/// Whether guc.c answers a refusal of a value from `source` with an ERROR, so
/// that the hook may raise it in its place. At start, at reload and for what
/// catalogs hold it only warns.
fn raises_errors(source: pg_sys::GucSource::Type) -> bool {
    is_statement(source) && !is_defining()
}

/// The show hook. It answers with the value itself or a constant, both of which
/// outlive the call.
unsafe extern "C-unwind" fn show_text<S: TextSetting>() -> *const c_char {
    // SAFETY: the variable holds null or a C string that guc.c owns. (pgrx's
    // `get` would hand out a copy, which could not be returned.)
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
