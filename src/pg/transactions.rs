//! Transactions of a procedure that commits, so that neither snapshot nor lock is held while it waits.

use std::time::Duration;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::Value;

use super::identity::Identity;
use super::problem::Problem;
use super::sql;
use super::subtransaction::catching_the_end_of_a_run;

/// Whose transactions some work is done in.
#[derive(Clone, Copy)]
pub(crate) struct Transactions(Option<Own>);

/// Those of a procedure: called as `caller`, working as the extension's owner.
/// A procedure that commits cannot be SECURITY DEFINER, so this does what that does.
#[derive(Clone, Copy)]
struct Own {
    caller: Identity,
    definer: Identity,
}

impl Transactions {
    /// The one that the caller is in: nothing is committed here.
    pub(crate) const CALLERS: Self = Self(None);

    /// Does `work` in transactions of its own, one after another, with the
    /// rights of the extension's owner. `call` is how PostgreSQL called the
    /// procedure.
    ///
    /// Fails with 2D000 inside a transaction block or a function, where nothing
    /// can be committed.
    pub(crate) fn own<T>(
        call: pg_sys::FunctionCallInfo,
        work: impl FnOnce(Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if is_atomic(call) {
            return Err(Problem::new(
                PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION,
                "this procedure commits in between, which is not possible here",
            )
            .detail("It was called inside a transaction block or a function.")
            .hint(
                "CALL it by itself; inside a transaction there is: select invoice_sync.sweep();",
            ));
        }
        let _connection = SpiConnection::open()?;
        // SAFETY: a portal runs this call; see `begin`.
        unsafe { pg_sys::EnsurePortalSnapshotExists() };
        pin_settings();
        let caller = Identity::now();
        let own = Own {
            caller,
            definer: caller.definer(extension_owner()?),
        };
        own.definer.assume();
        let result = work(Self(Some(own)));
        own.caller.assume();
        // What the pinned search path and the rights were for ends here.
        commit();
        result
    }

    /// Whether there are several: what was done survives what comes.
    pub(crate) fn are_own(self) -> bool {
        self.0.is_some()
    }

    /// Ends the transaction and begins another, where they are our own.
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

/// Ends the transaction; the next one has begun then, but has no snapshot yet.
fn commit() {
    // SAFETY: the innermost SPI connection is the non-atomic one of
    // `Transactions::own`, since every other is closed when its statement is done.
    unsafe { pg_sys::SPI_commit() };
}

fn begin() {
    // SAFETY: the portal that runs the CALL is active (`is_atomic` was false), and
    // its snapshot ended with the transaction before.
    unsafe { pg_sys::EnsurePortalSnapshotExists() };
    pin_settings();
}

/// Until the end of the transaction. Written so that it means the same whatever
/// search path the caller has. Without compiling statements to machine code, which
/// takes longer than any of ours; and without waiting for a lock for ever.
fn pin_settings() {
    sql::execute(
        "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
                pg_catalog.set_config('jit', 'off', true)",
        &[],
    );
    limit_lock_waits(LOCK_PATIENCE);
}

/// So long a sweep waits for a lock of somebody else's, where the caller's
/// `lock_timeout` is not shorter.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Does `work`, and lets it wait for each lock no longer than this, nor than the
/// caller's own `lock_timeout`: what takes longer is an error, 55P03.
pub(crate) fn with_lock_patience<T>(patience: Duration, work: impl FnOnce() -> T) -> T {
    let before = limit_lock_waits(patience);
    let result = work();
    // After an error the end of the (sub)transaction puts it back.
    sql::execute(
        "select pg_catalog.set_config('lock_timeout', $1, true)",
        &[before.as_deref()],
    );
    result
}

/// Gives what it was before.
fn limit_lock_waits(patience: Duration) -> Option<String> {
    let before = sql::fetch_one(
        "select pg_catalog.to_jsonb(pg_catalog.current_setting('lock_timeout'))",
        &[],
    );
    let before = before.as_ref().and_then(Value::as_str).map(str::to_owned);
    let is_shorter = before
        .as_deref()
        .and_then(as_wait)
        .is_some_and(|own| own <= patience);
    if !is_shorter {
        sql::execute(
            "select pg_catalog.set_config('lock_timeout', $1, true)",
            &[Some(&format!("{}ms", patience.as_millis().max(1)))],
        );
    }
    before
}

/// A duration as PostgreSQL shows it: `200ms`, `5s`, `1min`; `None` where it has no end (0).
fn as_wait(shown: &str) -> Option<Duration> {
    let unit_at = shown
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(shown.len());
    let (number, unit) = shown.split_at(unit_at);
    let milliseconds = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => 86_400_000,
    };
    let wait = number.parse::<u64>().ok()? * milliseconds;
    (wait > 0).then(|| Duration::from_millis(wait))
}

/// Needs the pinned search path: who can answer this can become anybody.
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
    // SAFETY: PostgreSQL hands every call a valid FunctionCallInfo, whose context
    // is null or a node; a CALL's is a CallContext (`ExecuteCallStmt`).
    unsafe {
        let context = (*call).context;
        context.is_null()
            || (*context).type_ != pg_sys::NodeTag::T_CallContext
            || (*context.cast::<pg_sys::CallContext>()).atomic
    }
}

/// A connection to SPI that may commit.
struct SpiConnection;

impl SpiConnection {
    fn open() -> Result<Self, Problem> {
        // SAFETY: closed once, when dropped. After an error the end of the
        // transaction closes it (AtEOXact_SPI), and SPI_finish only says so.
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
