//! The extension's own table of payments, for an application that has none.
//!
//! It is read and written as any table of payments: by statements that run as its owner, which is the extension's. No
//! statement names it together with a table of the application.

use std::ffi::CStr;

use crate::pg::Relation;

const SCHEMA: &str = "invoice_sync";

const TABLE: &str = "payment";

/// The name, as in the settings.
pub(super) const NAME: &str = "invoice_sync.payment";

/// The search path while it is written: no function or type of the application has a say in what the statements mean.
pub(super) const SEARCH_PATH: &CStr = c"pg_catalog, pg_temp";

/// Returns whether it is this table.
pub(super) fn is_own(relation: &Relation) -> bool {
    relation.schema == SCHEMA && relation.name == TABLE
}
