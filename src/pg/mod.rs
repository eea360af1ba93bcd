//! The ground: what this extension needs from PostgreSQL's backend that pgrx
//! does not wrap. All unsafe code lives here, behind safe functions.

pub(crate) mod guc;
pub(crate) mod identity;
mod problem;
pub(crate) mod sql;
mod subtransaction;
mod workers;

pub(crate) use problem::Problem;
pub(crate) use subtransaction::in_subtransaction;
pub(crate) use workers::{Stop, run_on_threads};
