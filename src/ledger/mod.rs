//! The extension's own tables: runs, changes, issues, events, checks.

pub(crate) mod about_invoice;
pub(crate) mod backfills;
pub(crate) mod budget;
mod change_forms;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod concerns;
pub(crate) mod decisions;
pub(crate) mod events;
pub(crate) mod feed;
pub(crate) mod held_repairs;
pub(crate) mod issues;
pub(crate) mod payment_ids;
pub(crate) mod payment_issues;
pub(crate) mod recall;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod scan_rounds;
pub(crate) mod set_back;
pub(crate) mod shared_payments;
pub(crate) mod stripe_accounts;
pub(crate) mod stripe_payments;
pub(crate) mod undone;
pub(crate) mod unwritten_answers;
