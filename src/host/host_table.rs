//! One of the two tables, where the same is done with either.

use super::mapped::Mapped;
use super::mapping::Mapping;
use crate::pg::Relation;

/// One of the application's two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostTable {
    Payment,
    Invoice,
}

impl HostTable {
    /// Returns the table with this quoted name; `None` if the settings name other tables.
    pub(crate) fn of(mapping: &Mapping, table: &str) -> Option<Self> {
        [Self::Payment, Self::Invoice]
            .into_iter()
            .find(|host_table| host_table.name(mapping) == table)
    }

    /// Returns the quoted name, with its schema.
    pub(crate) fn name(self, mapping: &Mapping) -> &str {
        match self {
            Self::Payment => &mapping.payments.table,
            Self::Invoice => &mapping.invoices.table,
        }
    }

    pub(crate) fn relation(self, mapping: &Mapping) -> &Relation {
        match self {
            Self::Payment => &mapping.payments.relation,
            Self::Invoice => &mapping.invoices.relation,
        }
    }

    /// Returns whether this extension reads or writes the column.
    pub(crate) fn uses(self, mapping: &Mapping, column: &str) -> bool {
        match self {
            Self::Payment => mapping.payments.id.name == column || mapping.payments.fills(column),
            Self::Invoice => mapping.invoices.columns().any(|own| own.name == column),
        }
    }

    /// Returns the condition `t.key = $first`. For a payment it also compares the invoice, because tables may be
    /// distributed by it.
    pub(super) fn condition(self, mapping: &Mapping, first: u8) -> String {
        let equals = |column: &Mapped, number: u8| {
            format!("t.{} = ${number}::{}", column.quoted, column.type_name)
        };
        match self {
            Self::Invoice => equals(&mapping.invoices.id, first),
            Self::Payment => format!(
                "{} and {}",
                equals(&mapping.payments.id, first),
                equals(&mapping.payments.invoice, first + 1)
            ),
        }
    }
}
