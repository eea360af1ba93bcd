//! Stripe's side: HTTP, retries, and the one place where its JSON becomes
//! evidence of the domain. Nothing here knows SQL or a backend's memory, so
//! all of it may run on threads of its own.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod gather;
pub(crate) mod limiter;
pub(crate) mod objects;
pub(crate) mod retrieve;
pub(crate) mod retry;
pub(crate) mod signature;

#[cfg(test)]
#[path = "../../pgrx-tests/stripe_room/mod.rs"]
mod tests;
