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
