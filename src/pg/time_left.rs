//! How long the caller's statement may still take.

use std::ffi::CStr;
use std::time::Duration;

use pgrx::pg_sys;

/// Returns `wanted`, or less if the server would end the statement before: of the time until `statement_timeout`, or
/// `transaction_timeout` (PostgreSQL 17), three quarters. The rest is for writing what was learned. A statement that is ended
/// by the server loses it.
pub(crate) fn within_the_statement(wanted: Duration) -> Duration {
    // SAFETY: plain reads of the backend's state.
    let (now, statement, transaction) = unsafe {
        (
            pg_sys::GetCurrentTimestamp(),
            pg_sys::GetCurrentStatementStartTimestamp(),
            pg_sys::GetCurrentTransactionStartTimestamp(),
        )
    };
    let left = |setting: &CStr, began: pg_sys::TimestampTz| {
        let limit = milliseconds(setting)?;
        let passed = Duration::from_micros(u64::try_from(now - began).unwrap_or(0));
        Some(Duration::from_millis(limit).saturating_sub(passed))
    };
    let limits = [
        left(c"statement_timeout", statement),
        left(c"transaction_timeout", transaction),
    ];
    let left = limits.into_iter().flatten().min();
    left.map_or(wanted, |left| wanted.min(left / 4 * 3))
}

/// Returns the value of a setting in milliseconds; `None` if it is 0, which means no limit, or does not exist in this
/// version.
fn milliseconds(setting: &CStr) -> Option<u64> {
    const MISSING_OK: bool = true;
    const RESTRICT_PRIVILEGED: bool = false;
    // SAFETY: returns null or a C string that is valid until the next call.
    let value =
        unsafe { pg_sys::GetConfigOption(setting.as_ptr(), MISSING_OK, RESTRICT_PRIVILEGED) };
    if value.is_null() {
        return None;
    }
    // SAFETY: as above; it is read at once.
    let text = unsafe { CStr::from_ptr(value) };
    text.to_str().ok()?.parse().ok().filter(|limit| *limit > 0)
}
