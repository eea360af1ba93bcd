//! The rules of the product as pure functions: no database, no HTTP, no clock.
//!
//! [`reconcile`] takes evidence from Stripe and the facts of one invoice and returns a plan. The other modules define
//! the types for this.

pub(crate) mod account;
pub(crate) mod cron;
pub(crate) mod event;
pub(crate) mod evidence;
pub(crate) mod feed;
pub(crate) mod identity;
pub(crate) mod invoice;
pub(crate) mod issue;
pub(crate) mod money;
pub(crate) mod moved_status;
pub(crate) mod payment;
pub(crate) mod plan;
pub(crate) mod recheck;
pub(crate) mod reconcile;
pub(crate) mod reductions;
pub(crate) mod resolution;
pub(crate) mod rules;
pub(crate) mod shared_payment;
pub(crate) mod unknown_word;
pub(crate) mod words;

#[cfg(test)]
mod tests;
