//! What the backend's state says about the session and its transaction.

use std::ffi::c_int;

use pgrx::pg_sys;

/// Returns the role whose rights apply now.
pub(super) fn current_user() -> pg_sys::Oid {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::GetUserId() }
}

/// Returns whether this transaction has written anything or locked a row.
pub(crate) fn transaction_has_written() -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

/// Returns whether all statements of this transaction use one snapshot (REPEATABLE READ and SERIALIZABLE). If so,
/// reading a row again after locking it does not show what others committed in the meantime.
pub(crate) fn transaction_keeps_one_snapshot() -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as c_int }
}
