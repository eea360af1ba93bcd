//! The extension's own tables: what was done, why, and what a person has to
//! look at.

pub(crate) mod backfills;
pub(crate) mod budget;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod desk;
pub(crate) mod events;
pub(crate) mod issues;
pub(crate) mod memory;
pub(crate) mod retention;
pub(crate) mod rounds;
pub(crate) mod runs;
pub(crate) mod undone;
