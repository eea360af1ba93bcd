//! The monitoring views, and retention.

mod metrics;
mod plans;
mod retention;
