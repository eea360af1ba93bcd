//! Retries after deadlocks, lock timeouts and unique violations of concurrent sessions.

use pgrx::prelude::PgSqlErrorCode;

use crate::pg::{Problem, in_subtransaction, sql};

/// How often one thing is tried while others are at the same rows.
const ATTEMPTS: u32 = 3;

/// Does `attempt` in a subtransaction; again where somebody wrote the same payment
/// at the same moment: it is there now, or is as soon as they have the lock that
/// both were waiting for.
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

/// After a deadlock, locking the same rows again at once would be faster than
/// the others wake up.
pub(crate) fn pause_for_others(problem: &Problem) {
    if problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED) {
        sql::execute("select pg_sleep(0.05)", &[]);
    }
}

/// A lock that was not to be had in time, a deadlock, a serialization failure.
pub(crate) fn is_contention(problem: &Problem) -> bool {
    locked_by_others(problem)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE)
}

/// A lock that was waited for in vain.
pub(crate) fn locked_by_others(problem: &Problem) -> bool {
    problem.is(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE)
}

/// What may as well be left undone where others are at the same rows.
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
