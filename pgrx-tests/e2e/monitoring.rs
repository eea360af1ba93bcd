//! What operators look at, and what is forgotten in time.

mod metrics;
mod plans;
mod retention;
