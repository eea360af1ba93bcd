//! Which events, invoices and payments a run looks at.

pub(crate) mod accounts;
pub(crate) mod candidates;
pub(crate) mod due;
pub(crate) mod feed;
pub(crate) mod inbox;
pub(crate) mod sessions;
