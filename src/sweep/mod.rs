//! The way through, a file a step: whom to ask about, what to do about the
//! answers, what to say in the end.

mod act;
pub(crate) mod apply;
pub(crate) mod backfill;
mod candidates;
pub(crate) mod case;
mod choose;
mod claim;
pub(crate) mod connect;
mod contention;
mod feed;
pub(crate) mod hold;
pub(crate) mod inbox;
pub(crate) mod one;
mod outage;
pub(crate) mod outcome;
mod refusals;
pub(crate) mod report;
pub(crate) mod run;
mod sessions;
pub(crate) mod together;
pub(crate) mod treatment;
pub(crate) mod turn;
pub(crate) mod webhook;
