//! How evidence becomes rows: decided, written in batches, recorded and reported.

pub(crate) mod batch;
pub(crate) mod case;
pub(crate) mod contention;
pub(crate) mod context;
pub(crate) mod holdback;
pub(crate) mod invoices;
pub(crate) mod orphans;
pub(crate) mod outcome;
pub(crate) mod payment_evidence;
pub(crate) mod payment_locks;
pub(crate) mod payments;
pub(crate) mod report;
pub(crate) mod shared_payment;
pub(crate) mod superseded;
pub(crate) mod unknown_words;
