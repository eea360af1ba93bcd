//! Statements that name both tables of the application: one role must own both.

use super::mapping::Mapping;
use super::owner::reading_as;

/// Returns whether one role owns both tables.
pub(super) fn have_one_owner(mapping: &Mapping) -> bool {
    mapping.invoices.relation.owner == mapping.payments.relation.owner
}

/// As [`reading_as`], for a statement that names both tables.
pub(super) fn reading_both<T>(mapping: &Mapping, work: impl FnOnce() -> T) -> T {
    mapping
        .payments
        .relation
        .in_use(|| reading_as(&mapping.invoices.relation, work))
}
