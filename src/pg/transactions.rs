//! Transactions of a procedure that commits, so that neither snapshot nor lock is held while it waits.

use std::ffi::CString;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::identity::{self, Identity};
use super::local_settings::{set_local, set_own_formats};
use super::problem::Problem;
use super::sql;
use super::state::transaction_keeps_one_snapshot;
use super::subtransaction::catching_the_end_of_a_run;

/// The transactions in which a run works.
#[derive(Clone, Copy)]
pub(crate) struct Transactions(Option<Own>);

/// The transactions of a procedure that is called by `caller` and works as the extension's owner. A procedure that
/// commits cannot be SECURITY DEFINER, so this does the same.
#[derive(Clone, Copy)]
struct Own {
    caller: Identity,
    definer: Identity,
}

impl Transactions {
    /// The caller's transaction: nothing is committed.
    pub(crate) const CALLERS: Self = Self(None);

    /// Runs `work` in its own transactions, one after another, with the rights of the extension's owner. `call` is
    /// how PostgreSQL called the procedure.
    ///
    /// Fails with 2D000 inside a transaction block or a function, where nothing can be committed.
    pub(crate) fn own<T>(
        call: pg_sys::FunctionCallInfo,
        work: impl FnOnce(Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if is_atomic(call) {
            return Err(Problem::new(
                PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION,
                "this procedure cannot commit here",
            )
            .detail("It was called inside a transaction block or a function.")
            .hint("CALL it outside a transaction block, or use: select invoice_sync.sweep();"));
        }
        let _connection = SpiConnection::open()?;
        if transaction_keeps_one_snapshot() {
            // The first transaction has its snapshot already.
            commit();
        }
        begin();
        let caller = Identity::now();
        let own = Own {
            caller,
            definer: caller.definer(extension_owner()?),
        };
        own.definer.assume();
        let result = work(Self(Some(own)));
        own.caller.assume();
        // Ends the pinned search path with the transaction.
        commit();
        result
    }

    /// Returns whether the run has its own transactions, so that what was done is committed before the end.
    pub(crate) fn are_own(self) -> bool {
        self.0.is_some()
    }

    /// Commits and begins another transaction if they are our own; otherwise does nothing.
    pub(crate) fn commit(self) {
        self.wait(|| ());
    }

    /// Does `work`. Where they are our own, a table that was replaced is an error that is returned, and not raised, so that
    /// it can be written down at once how the run ended; what was done until then may be committed.
    pub(crate) fn until_a_table_is_replaced<T>(
        self,
        work: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if self.are_own() {
            catching_the_end_of_a_run(work)
        } else {
            work()
        }
    }

    /// Does `work`, which touches no table: between two transactions where they
    /// are our own, so that it holds nothing that others would wait for.
    pub(crate) fn wait<T>(self, work: impl FnOnce() -> T) -> T {
        let Some(own) = self.0 else {
            return work();
        };
        own.caller.assume();
        commit();
        let result = work();
        begin();
        own.definer.assume();
        result
    }
}

/// Commits. The next transaction has begun then, but has no snapshot yet.
fn commit() {
    // SAFETY: the innermost SPI connection is the non-atomic one of `Transactions::own`, since every other is closed
    // at the end of its statement.
    unsafe { pg_sys::SPI_commit() };
}

/// Begins what follows in a transaction that has no snapshot yet, or whose snapshots are fresh.
fn begin() {
    if transaction_keeps_one_snapshot() {
        // By the default of the database, of the role or of the session.
        set_local(c"transaction_isolation", c"read committed");
    }
    // SAFETY: the portal that runs the CALL is active (`is_atomic` was false); its snapshot ended with the last
    // transaction, or exists.
    unsafe { pg_sys::EnsurePortalSnapshotExists() };
    pin_settings();
}

/// Sets what every transaction needs until its end: a fixed search path (the statement itself works with any search
/// path), formats of names and numbers, no JIT compilation, which takes longer than any statement of this extension, and a
/// limit for waiting on locks.
fn pin_settings() {
    identity::set_search_path(c"pg_catalog, pg_temp");
    set_own_formats();
    set_local(c"jit", c"off");
    limit_lock_waits(LOCK_PATIENCE);
}

/// How long a sweep waits for a lock of another session, unless the caller's `lock_timeout` is shorter.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Runs `work` with a `lock_timeout` of `patience`, unless the caller's is shorter. A longer wait raises 55P03.
pub(crate) fn with_lock_patience<T>(patience: Duration, work: impl FnOnce() -> T) -> T {
    let before = limit_lock_waits(patience);
    let result = work();
    // After an error, the end of the (sub)transaction restores it.
    set_lock_timeout(before);
    result
}

/// Lowers `lock_timeout` to `patience` and returns its former value in milliseconds; 0 means no limit.
fn limit_lock_waits(patience: Duration) -> i32 {
    // SAFETY: a plain read of the backend's state.
    let before = unsafe { pg_sys::LockTimeout };
    let patience = i32::try_from(patience.as_millis())
        .unwrap_or(i32::MAX)
        .max(1);
    if before == 0 || before > patience {
        set_lock_timeout(patience);
    }
    before
}

fn set_lock_timeout(milliseconds: i32) {
    // Digits contain no NUL.
    let value = CString::new(milliseconds.to_string()).unwrap_or_default();
    set_local(c"lock_timeout", &value);
}

/// Requires the pinned search path: with another one, a function or table of the caller's could name any owner.
fn extension_owner() -> Result<pg_sys::Oid, Problem> {
    sql::fetch_one(
        "select to_jsonb(extowner::bigint) from pg_extension where extname = 'invoice_sync'",
        &[],
    )
    .and_then(|owner| u32::try_from(owner.as_u64()?).ok())
    .map(pg_sys::Oid::from)
    .ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "the extension invoice_sync is not installed in this database",
        )
    })
}

fn is_atomic(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: PostgreSQL passes a valid FunctionCallInfo, whose context is null or a node; that of CALL is a
    // CallContext (`ExecuteCallStmt`).
    unsafe {
        let context = (*call).context;
        context.is_null()
            || (*context).type_ != pg_sys::NodeTag::T_CallContext
            || (*context.cast::<pg_sys::CallContext>()).atomic
    }
}

/// A non-atomic SPI connection, which may commit.
struct SpiConnection;

impl SpiConnection {
    fn open() -> Result<Self, Problem> {
        // SAFETY: closed once, when dropped. After an error, the end of the transaction closes it (AtEOXact_SPI), and
        // SPI_finish only returns an error code.
        let status = unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
        if status == pg_sys::SPI_OK_CONNECT as i32 {
            Ok(Self)
        } else {
            Err(Problem::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!("SPI_connect_ext failed with status {status}"),
            ))
        }
    }
}

impl Drop for SpiConnection {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: pairs with `open`.
        unsafe { pg_sys::SPI_finish() };
    }
}
