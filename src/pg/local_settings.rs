//! Settings that are changed for a while, without a statement.

use core::ffi::{CStr, c_int};

use pgrx::pg_sys;

/// Runs `work` and restores the settings it changed, also those changed for the session (`set_config(…, false)`), as
/// PostgreSQL does after it calls index functions (`index_build` in index.c). Otherwise a table's owner could change
/// what the caller's next statements mean.
pub(crate) fn keeping_settings<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: opens a level, which is closed when this is dropped.
    let _put_back_on_drop = SettingsLevel(unsafe { pg_sys::NewGUCNestLevel() });
    work()
}

/// Runs `work` with names quoted only where they need it and numbers written with all their digits, whatever the session
/// prefers: both are stored and compared as texts.
pub(crate) fn with_own_formats<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: plain reads of the backend's state.
    let are_ours = unsafe { !pg_sys::quote_all_identifiers && pg_sys::extra_float_digits > 0 };
    if are_ours {
        return work();
    }
    keeping_settings(|| {
        set_own_formats();
        work()
    })
}

/// As [`with_own_formats`], until the transaction ends.
pub(super) fn set_own_formats() {
    set_local(c"quote_all_identifiers", c"off");
    // Any number above 0 means the same. Source: float8out_internal in float.c.
    set_local(c"extra_float_digits", c"1");
}

struct SettingsLevel(c_int);

impl Drop for SettingsLevel {
    fn drop(&mut self) {
        const COMMIT: bool = false;
        // SAFETY: closes that level, and those above it if there are any. While an error unwinds this does
        // what the end of the (sub)transaction is about to do.
        unsafe { pg_sys::AtEOXact_GUC(COMMIT, self.0) };
    }
}

/// `set local`, without a statement.
pub(super) fn set_local(setting: &CStr, value: &CStr) {
    const CHANGE: bool = true;
    const RAISE: c_int = 0;
    const IS_RELOAD: bool = false;
    // SAFETY: as `set_config_by_name` in guc.c calls it; a value that cannot be read is an error that unwinds.
    unsafe {
        pg_sys::set_config_option(
            setting.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            CHANGE,
            RAISE,
            IS_RELOAD,
        );
    }
}
