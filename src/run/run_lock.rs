//! The lock of a run: one sweep and one backfill at a time, and fresh snapshots.

use pgrx::prelude::PgSqlErrorCode;

use crate::ledger::runs::{self, Kind};
use crate::pg::lock::{Purpose, SessionLock, try_lock_transaction};
use crate::pg::{Problem, Transactions, state};

/// One sweep at a time per database, and one backfill beside it.
pub(crate) enum RunLock {
    /// Nothing is written.
    NotNeeded,
    /// Held until the caller's transaction ends.
    OfTheTransaction,
    /// Held until dropped.
    OfTheSession(#[expect(dead_code, reason = "held, never looked at")] SessionLock),
    /// Another session has it.
    Others,
}

impl RunLock {
    /// Returns `None` if another backfill is running.
    pub(crate) fn of_backfills(transactions: Transactions) -> Option<Self> {
        match Self::take(transactions, Purpose::Backfill) {
            Self::Others => None,
            turn => Some(turn),
        }
    }

    pub(crate) fn of_sweeps(transactions: Transactions) -> Self {
        Self::take(transactions, Purpose::Sweep)
    }

    fn take(transactions: Transactions, purpose: Purpose) -> Self {
        let class = runs::lock_class();
        if transactions.are_own() {
            SessionLock::try_take(class, purpose).map_or(Self::Others, Self::OfTheSession)
        } else if try_lock_transaction(class, 0, purpose) {
            Self::OfTheTransaction
        } else {
            Self::Others
        }
    }
}

/// Returns whether this run is in progress in another session. One that was terminated is unfinished, too, but its session
/// no longer has the lock.
pub(crate) fn is_in_progress(run: i64, kind: &str) -> bool {
    let purpose = if kind == Kind::Sweep.as_str() {
        Purpose::Sweep
    } else if kind == Kind::Backfill.as_str() {
        Purpose::Backfill
    } else {
        return false;
    };
    !runs::is_finished(run) && SessionLock::try_take(runs::lock_class(), purpose).is_none()
}

/// Fails with 0A000 in REPEATABLE READ and SERIALIZABLE, where a decision after a wait for a lock would use rows as
/// they were before.
pub(crate) fn require_fresh_snapshots() -> Result<(), Problem> {
    if !state::transaction_keeps_one_snapshot() {
        return Ok(());
    }
    Err(Problem::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        "invoices cannot be repaired in a REPEATABLE READ or SERIALIZABLE transaction",
    )
    .detail("A payment that another session writes at the same time would not be visible.")
    .hint("Use READ COMMITTED, or dry_run => true."))
}
