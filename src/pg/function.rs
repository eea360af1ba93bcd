//! Calls a function of the application by its OID.

use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary};

use super::identity::as_table_owner;

/// Returns the function's owner; `None` where there is no such function any more.
pub(crate) fn owner_of(function: u32) -> Option<u32> {
    // SAFETY: on the backend's thread, in a transaction; the tuple is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::PROCOID as i32,
            pg_sys::Oid::from(function).into(),
        );
        if tuple.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>()).proowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner.to_u32())
    }
}

/// Calls a function without parameters that returns a boolean, as `owner`. Returns `None` for NULL. Errors of the
/// function unwind.
///
/// By its OID, because a name may refer to another function by the time that it is parsed: ALTER FUNCTION and ALTER
/// SCHEMA take no lock that one could wait for, and a session sees a new row of a catalog before it hears that the
/// cached ones are outdated.
pub(crate) fn call_boolean(function: u32, owner: u32) -> Option<bool> {
    as_table_owner(owner.into(), || {
        // SAFETY: on the backend's thread, in a transaction, whose end pops the snapshot if an error unwinds.
        // `fmgr_info` raises an error if there is no such function, and sets `fn_addr` otherwise; a function without
        // parameters reads no more of the call's information than its fixed part, which is zeroed, as
        // `InitFunctionCallInfoData` leaves it.
        unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let mut function_info = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info(function.into(), &mut function_info);
            let mut call = pg_sys::FunctionCallInfoBaseData {
                flinfo: &mut function_info,
                ..Default::default()
            };
            let address = function_info.fn_addr?;
            let answer = pg_guard_ffi_boundary(|| address(&mut call));
            pg_sys::PopActiveSnapshot();
            (!call.isnull).then(|| answer.value() != 0)
        }
    })
}
