//! Retries after deadlocks, lock timeouts and unique violations of concurrent sessions.

use std::time::Duration;

use pgrx::prelude::PgSqlErrorCode;

use crate::pg::{Problem, in_subtransaction, sql, with_lock_patience};

/// How often work is tried while other sessions use the same rows.
const ATTEMPTS: u32 = 3;

/// How long a part of what was waited for once waits for a lock.
pub(crate) const SHORT_PATIENCE: Duration = Duration::from_millis(50);

/// After so many timeouts, what is locked is no longer searched for.
pub(crate) const MOST_TIMEOUTS: u32 = 100;

/// Runs `attempt` in a subtransaction. Tries again if another session wrote the same payment at the same time: its
/// row is visible now, or as soon as that session has the lock for which both were waiting.
pub(crate) fn retry_on_contention<T>(
    mut attempt: impl FnMut() -> Result<T, Problem>,
) -> Result<T, Problem> {
    for _ in 1..ATTEMPTS {
        match in_subtransaction(&mut attempt) {
            Err(problem) if is_interference(&problem) => pause_for_others(&problem),
            other => return other,
        }
    }
    in_subtransaction(attempt)
}

fn is_interference(problem: &Problem) -> bool {
    problem.is(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE)
}

/// Sleeps briefly after a deadlock; otherwise this session would lock the same rows again before the others wake
/// up.
pub(crate) fn pause_for_others(problem: &Problem) {
    if problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED) {
        sql::execute("select pg_sleep(0.05)", &[]);
    }
}

/// Returns whether the error, after the last attempt, is a lock timeout, a deadlock, or a serialization failure that this
/// extension found. One that PostgreSQL still reports then, in READ COMMITTED, is the application's: it refuses the write.
pub(crate) fn is_contention(problem: &Problem) -> bool {
    locked_by_others(problem)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE)
            && !problem.is_of_postgresql()
}

/// Returns whether the error is a lock timeout.
pub(crate) fn locked_by_others(problem: &Problem) -> bool {
    problem.is(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE)
}

/// Runs `work`, and does nothing if other sessions have locked its rows; a later run repeats it.
pub(crate) fn skip_if_locked(mut work: impl FnMut()) -> Result<(), Problem> {
    let done = retry_on_contention(|| {
        work();
        Ok(())
    });
    match done {
        Err(problem) if is_contention(&problem) => Ok(()),
        other => other,
    }
}

/// Runs `work` on all of these items, and if other sessions have locked the rows of some, on each half by itself, so that
/// only those are left out; a later run repeats it for them.
pub(crate) fn leave_out_locked<T>(items: &[T], work: impl Fn(&[T])) -> Result<(), Problem> {
    leave_out(items, &work, &mut 0)
}

fn leave_out<T>(items: &[T], work: &impl Fn(&[T]), timeouts: &mut u32) -> Result<(), Problem> {
    if items.is_empty() {
        return Ok(());
    }
    let done = retry_on_contention(|| {
        work(items);
        Ok(())
    });
    match done {
        Err(problem) if is_contention(&problem) => {
            *timeouts += 1;
            if items.len() == 1 || *timeouts > MOST_TIMEOUTS {
                return Ok(());
            }
            let (first, second) = items.split_at(items.len() / 2);
            with_lock_patience(SHORT_PATIENCE, || {
                leave_out(first, work, timeouts)?;
                leave_out(second, work, timeouts)
            })
        }
        other => other,
    }
}
