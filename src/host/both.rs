//! Statements that name both tables of the application: one role must own both, and none may be the extension's.

use super::mapping::Mapping;
use super::owner::reading_as;

/// Returns whether one role owns both tables, and both are the application's.
pub(super) fn have_one_owner(mapping: &Mapping) -> bool {
    mapping.invoices.relation.owner == mapping.payments.relation.owner
        && !mapping.payments.are_own()
}

/// As [`reading_as`], for a statement that names both tables.
pub(super) fn reading_both<T>(mapping: &Mapping, work: impl FnOnce() -> T) -> T {
    mapping
        .payments
        .relation
        .in_use(|| reading_as(&mapping.invoices.relation, work))
}
