//! The roles of a session: who called, and as whom statements run.

use core::ffi::{CStr, c_int};
use std::ffi::CString;

use pgrx::pg_sys;

use super::local_settings::{keeping_settings, set_local};
use super::portals::Portals;
#[cfg(any(test, feature = "pg_test"))]
use super::state;
use super::temporary::Temporary;

/// Runs `work` with the rights of a table's owner, as PostgreSQL itself runs an owner's
/// code in maintenance (REFRESH MATERIALIZED VIEW, CREATE INDEX): a security-restricted
/// operation. The owner may always read and write the table, and its own row security does
/// not hide rows from it. SET ROLE and the like are forbidden meanwhile, and so is what
/// would outlive the statement as somebody else: cursors WITH HOLD, prepared statements,
/// LISTEN, temporary objects, deferred triggers. What was done to settings ends here, and
/// other cursors that were opened are closed; temporary objects of any kind are an error.
///
/// The former identity is restored when this returns and when it unwinds.
pub(crate) fn as_table_owner<T>(owner: pg_sys::Oid, work: impl FnOnce() -> T) -> T {
    const RESTRICTED: u32 = pg_sys::SECURITY_LOCAL_USERID_CHANGE
        | pg_sys::SECURITY_RESTRICTED_OPERATION
        | pg_sys::SECURITY_NOFORCE_RLS;
    let former = Identity::now();
    let temporary = Temporary::now();
    let result = keeping_settings(|| {
        let _restored_on_drop = RestoreIdentity(former);
        Identity {
            user: owner,
            security_context: former.security_context | RESTRICTED as c_int,
        }
        .assume();
        let cursors = Portals::keep();
        let result = work();
        cursors.close_others();
        result
    });
    temporary.refuse_others();
    result
}

/// Runs `work` as in a SECURITY DEFINER function of `definer`. For this extension's own code only.
pub(super) fn as_definer<T>(definer: pg_sys::Oid, work: impl FnOnce() -> T) -> T {
    let former = Identity::now();
    let _restored_on_drop = RestoreIdentity(former);
    former.definer(definer).assume();
    work()
}

/// Runs `work` as the session's role without restriction, as at the end of the caller's transaction.
pub(crate) fn as_outer_role<T>(work: impl FnOnce() -> T) -> T {
    let _restored_on_drop = RestoreIdentity(Identity::now());
    Identity {
        // SAFETY: a plain read of the backend's state.
        user: unsafe { pg_sys::GetOuterUserId() },
        security_context: 0,
    }
    .assume();
    work()
}

/// `set local search_path`, without a statement.
pub(crate) fn set_search_path(path: &CStr) {
    set_local(c"search_path", path);
}

/// Returns the role of the session, after SET ROLE and before any SECURITY DEFINER function: the caller, where
/// `current_user` would return the definer.
pub(crate) fn outer_role() -> String {
    // SAFETY: a plain read of the backend's state.
    role_name(unsafe { pg_sys::GetOuterUserId() })
}

/// Returns the name of the role whose rights apply now: inside a SECURITY DEFINER function, its owner.
#[cfg(any(test, feature = "pg_test"))]
pub(crate) fn current_role_name() -> String {
    role_name(state::current_user())
}

/// Returns whether the call is made for a user who was identified by a token. PostgREST and similar services store
/// the token's claims in settings of the transaction.
pub(crate) fn is_rpc() -> bool {
    is_http_request() || is_set(c"request.jwt.claims")
}

/// Returns whether PostgREST calls; it answers with the HTTP status that an error names.
/// Source: <https://docs.postgrest.org/en/stable/references/transactions.html#request-headers-cookies-and-jwt-claims>.
pub(crate) fn is_http_request() -> bool {
    is_set(c"request.headers") || is_set(c"request.method")
}

/// The search path that RESET would give: that of the session, its role or its database.
pub(crate) fn search_path_of_the_session() -> CString {
    // SAFETY: the setting exists; the text stays until the configuration is read again, and is copied.
    unsafe { CStr::from_ptr(pg_sys::GetConfigOptionResetString(c"search_path".as_ptr())) }
        .to_owned()
}

/// Returns whether a custom setting, which any role may set, has a value.
fn is_set(name: &CStr) -> bool {
    const MISSING_OK: bool = true;
    const RESTRICT_PRIVILEGED: bool = false;
    // SAFETY: returns null or a C string that is valid until the setting changes.
    let value = unsafe { pg_sys::GetConfigOption(name.as_ptr(), MISSING_OK, RESTRICT_PRIVILEGED) };
    // SAFETY: as above; one byte of it is read.
    !value.is_null() && unsafe { *value } != 0
}

/// Returns the operating system user that the server runs as. Files with secrets must belong to it.
pub(crate) fn server_user_id() -> u32 {
    // SAFETY: geteuid always succeeds and touches no memory.
    unsafe { libc::geteuid() }
}

/// A role and the security context in which it acts.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    user: pg_sys::Oid,
    security_context: c_int,
}

impl Identity {
    pub(super) fn now() -> Self {
        let mut user = pg_sys::InvalidOid;
        let mut security_context = 0;
        // SAFETY: writes to the two variables it is given.
        unsafe { pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut security_context) };
        Self {
            user,
            security_context,
        }
    }

    /// Returns `user` with the context of a SECURITY DEFINER function of that user, called from this identity.
    pub(super) fn definer(self, user: pg_sys::Oid) -> Self {
        Self {
            user,
            security_context: self.security_context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int,
        }
    }

    pub(super) fn assume(self) {
        // SAFETY: only sets two globals and cannot fail; the end of a (sub)transaction restores the values at its
        // start.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.security_context) };
    }
}

struct RestoreIdentity(Identity);

impl Drop for RestoreIdentity {
    fn drop(&mut self) {
        self.0.assume();
    }
}

/// Returns a role's name, or its OID if the role was dropped in the meantime.
fn role_name(role: pg_sys::Oid) -> String {
    const MISSING_OK: bool = true;
    // SAFETY: returns null or a palloc'd C string, which is copied and freed.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, MISSING_OK);
        if name.is_null() {
            return role.to_u32().to_string();
        }
        let copied = CStr::from_ptr(name).to_string_lossy().into_owned();
        pg_sys::pfree(name.cast());
        copied
    }
}
