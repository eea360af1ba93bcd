//! Retries after deadlocks, lock timeouts and unique violations of concurrent sessions.

use pgrx::prelude::PgSqlErrorCode;

use crate::pg::{Problem, in_subtransaction, sql};

/// How often work is tried while other sessions use the same rows.
const ATTEMPTS: u32 = 3;

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
