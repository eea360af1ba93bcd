//! Others at the same rows: tried again, and in the end left to a later run.

use pgrx::prelude::PgSqlErrorCode;

use crate::pg::{Problem, in_subtransaction, sql};

/// How often one thing is tried while others are at the same rows.
const ATTEMPTS: u32 = 3;

/// Does `attempt` in a subtransaction; again where somebody wrote the same payment
/// at the same moment: it is there now, or is as soon as they have the lock that
/// both were waiting for.
pub(super) fn until_nobody_interferes<T>(
    mut attempt: impl FnMut() -> Result<T, Problem>,
) -> Result<T, Problem> {
    for _ in 1..ATTEMPTS {
        match in_subtransaction(&mut attempt) {
            Err(problem) if is_interference(&problem) => let_others_pass(&problem),
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
pub(super) fn let_others_pass(problem: &Problem) {
    if problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED) {
        sql::execute("select pg_sleep(0.05)", &[]);
    }
}

/// A lock that was not to be had in time, a deadlock, a serialization failure.
pub(super) fn is_contention(problem: &Problem) -> bool {
    was_not_to_be_had(problem)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED)
        || problem.is(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE)
}

/// A lock that was waited for in vain.
pub(super) fn was_not_to_be_had(problem: &Problem) -> bool {
    problem.is(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE)
}

/// What may as well be left undone where others are at the same rows.
pub(super) fn if_nobody_is_at_it(work: impl Fn()) -> Result<(), Problem> {
    let done = until_nobody_interferes(|| {
        work();
        Ok(())
    });
    match done {
        Err(problem) if is_contention(&problem) => Ok(()),
        other => other,
    }
}
