//! The monitoring views, and retention.

mod exporter;
mod metrics;
mod plans;
mod retention;
