//! Stripe's API: requests, retries, and the conversion of its JSON into evidence. Nothing here knows SQL, so all
//! of it may run on threads.

pub(crate) mod client;
mod completion;
pub(crate) mod connections;
pub(crate) mod cost;
mod disputes;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod fetch;
mod fetch_account;
mod fields;
pub(crate) mod history;
mod http_date;
mod invoices;
pub(crate) mod limiter;
pub(crate) mod lists;
pub(crate) mod lookups;
pub(crate) mod objects;
pub(crate) mod planner;
pub(crate) mod probe;
mod reductions;
pub(crate) mod retrieve;
pub(crate) mod retry;
mod returns;
pub(crate) mod sessions;
mod settled;
pub(crate) mod signature;

#[cfg(test)]
#[path = "../../pgrx-tests/stripe/mod.rs"]
mod tests;
