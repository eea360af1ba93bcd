//! What this extension needs from PostgreSQL's backend that pgrx does not wrap. All unsafe code is here, behind safe
//! functions.

mod ending;
pub(crate) mod function;
pub(crate) mod guc;
pub(crate) mod identity;
mod invalidation;
mod local_settings;
pub(crate) mod lock;
mod portals;
mod prepared;
mod problem;
mod relation;
pub(crate) mod sequence;
mod server_log;
mod shared;
pub(crate) mod sql;
pub(crate) mod state;
mod stop;
mod subtransaction;
mod temporary;
mod time_left;
mod transactions;
pub(crate) mod triggers;
pub(crate) mod view;
mod workers;

pub(crate) use invalidation::{Kept, announce_change};
pub(crate) use local_settings::{keeping_settings, with_own_formats};
pub(crate) use problem::{Problem, keep_backtraces_out};
pub(crate) use relation::{Relation, oid_of};
pub(crate) use shared::{SharedNumber, monotonic_nanoseconds, shared_number, shared_numbers};
pub(crate) use stop::{Stop, unpoisoned};
pub(crate) use subtransaction::{in_subtransaction, in_subtransaction_of_a_run, rolled_back};
pub(crate) use time_left::within_the_statement;
pub(crate) use transactions::{LOCK_PATIENCE, Transactions, with_lock_patience};
pub(crate) use triggers::Postponed;
pub(crate) use workers::{Running, Step, run_on_threads, start_on_threads, waited_for_threads};

/// For long computations between two calls of PostgreSQL: raises the error if the statement was canceled or timed
/// out, or the server shuts down.
pub(crate) fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}
