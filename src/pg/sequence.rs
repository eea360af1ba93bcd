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

/// Returns the first of so many values that follow each other, of a sequence whose increment is one. Other sessions may draw
/// some in between: then those that were drawn before them stay unused.
pub(crate) fn next_values(name: &CStr, count: usize) -> i64 {
    let mut last = next_value(name);
    let mut in_a_row = 1;
    while in_a_row < count {
        let next = next_value(name);
        in_a_row = if next == last + 1 { in_a_row + 1 } else { 1 };
        last = next;
    }
    last + 1 - i64::try_from(in_a_row).unwrap_or(i64::MAX)
}

/// Whether the transaction is read-only.
pub(crate) fn is_read_only() -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::XactReadOnly }
}
