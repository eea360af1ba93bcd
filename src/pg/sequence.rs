//! Sequences of this extension, by their names.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::relation::oid_of;

/// Returns the next value, as `nextval` does, without a statement that has to be planned. Raises an error in a read-only
/// transaction.
pub(crate) fn next_value(name: &CStr) -> i64 {
    let sequence = oid_of(c"invoice_sync", name);
    // SAFETY: on the backend's thread, in a transaction; `nextval` takes an OID, and raises an error if there is no such
    // sequence.
    let value = unsafe {
        pg_sys::OidFunctionCall1Coll(
            pg_sys::Oid::from(pg_sys::F_NEXTVAL),
            pg_sys::InvalidOid,
            sequence.into(),
        )
    };
    value.value() as i64
}

/// Whether the transaction is read-only.
pub(crate) fn is_read_only() -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::XactReadOnly }
}
