//! The application's tables: mapping, reading, locking, writing. Does not access Stripe.

pub(crate) mod admin;
pub(crate) mod candidates;
pub(crate) mod catalog;
mod counting;
pub(crate) mod deferred;
mod expression;
pub(crate) mod find;
pub(crate) mod indexes;
pub(crate) mod lock;
mod mapped;
pub(crate) mod mapping;
pub(crate) mod monitor;
pub(crate) mod oldest_open;
pub(crate) mod other_invoices;
pub(crate) mod owner;
pub(crate) mod propose;
pub(crate) mod read;
pub(crate) mod received;
pub(crate) mod restore;
pub(crate) mod row;
pub(crate) mod scan;
pub(crate) mod settings;
pub(crate) mod shared_payment;
pub(crate) mod side_effects;
pub(crate) mod source;
pub(crate) mod words;
pub(crate) mod write;
