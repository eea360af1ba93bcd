//! How a run starts and ends: sweep, backfill, one invoice, webhook.

pub(crate) mod backfill;
pub(crate) mod first_look;
pub(crate) mod log_limit;
pub(crate) mod outage;
pub(crate) mod run_lock;
pub(crate) mod sweep;
pub(crate) mod sync_invoice;
pub(crate) mod webhook;
