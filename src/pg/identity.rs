//! The roles of a session: who called, and as whom statements run.

use core::ffi::{CStr, c_int};

use pgrx::pg_sys;

/// Runs `work` with the rights of a table's owner in a security-restricted operation, as PostgreSQL runs an owner's
/// code in REFRESH MATERIALIZED VIEW or CREATE INDEX. The owner may always read and write the table, and the table's
/// row security does not hide rows from it. SET ROLE and the like are forbidden in `work`, and so is everything that
/// would run later as another role: cursors WITH HOLD, prepared statements, LISTEN, temporary objects, deferred
/// triggers. Settings that `work` changed are restored.
///
/// The former identity is restored when this returns and when it unwinds.
pub(crate) fn as_table_owner<T>(owner: pg_sys::Oid, work: impl FnOnce() -> T) -> T {
    const RESTRICTED: u32 = pg_sys::SECURITY_LOCAL_USERID_CHANGE
        | pg_sys::SECURITY_RESTRICTED_OPERATION
        | pg_sys::SECURITY_NOFORCE_RLS;
    let former = Identity::now();
    keeping_settings(|| {
        let _restored_on_drop = RestoreIdentity(former);
        Identity {
            user: owner,
            security_context: former.security_context | RESTRICTED as c_int,
        }
        .assume();
        work()
    })
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

/// Runs `work` and restores the settings it changed, also those changed for the session (`set_config(…, false)`), as
/// PostgreSQL does after it calls index functions (`index_build` in index.c). Otherwise a table's owner could change
/// what the caller's next statements mean.
pub(crate) fn keeping_settings<T>(work: impl FnOnce() -> T) -> T {
    const COMMIT: bool = false;
    // SAFETY: opens a level that is closed below; if `work` unwinds, the end of the (sub)transaction closes it.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = work();
    // SAFETY: closes that level, and any level above it.
    unsafe { pg_sys::AtEOXact_GUC(COMMIT, level) };
    result
}

/// Returns the role of the session, after SET ROLE and before any SECURITY DEFINER function: the caller, where
/// `current_user` would return the definer.
pub(crate) fn outer_role() -> String {
    // SAFETY: a plain read of the backend's state.
    role_name(unsafe { pg_sys::GetOuterUserId() })
}

/// Returns the role whose rights apply now: inside a SECURITY DEFINER function, its owner.
#[cfg(any(test, feature = "pg_test"))]
pub(crate) fn current_role_name() -> String {
    // SAFETY: a plain read of the backend's state.
    role_name(unsafe { pg_sys::GetUserId() })
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

/// Returns the search path that RESET would set: that of the session, its role or its database.
pub(crate) fn search_path_of_the_session() -> String {
    // SAFETY: the setting exists; the text is valid until the configuration is reloaded, and is copied.
    unsafe { CStr::from_ptr(pg_sys::GetConfigOptionResetString(c"search_path".as_ptr())) }
        .to_string_lossy()
        .into_owned()
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
