//! One of the two tables, where the same is done with either.

use super::column_types::ColumnTypes;
use super::mapped::Mapped;
use super::mapping::Mapping;
use super::row_key::RowKey;
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

    pub(crate) fn types(self, mapping: &Mapping) -> &ColumnTypes {
        match self {
            Self::Payment => &mapping.payments.types,
            Self::Invoice => &mapping.invoices.types,
        }
    }

    /// Returns whether this extension reads or writes the column.
    pub(crate) fn uses(self, mapping: &Mapping, column: &str) -> bool {
        match self {
            Self::Payment => mapping.payments.id.name == column || mapping.payments.fills(column),
            Self::Invoice => mapping.invoices.columns().any(|own| own.name == column),
        }
    }

    /// Returns the mapped columns that this extension writes.
    pub(crate) fn written(self, mapping: &Mapping) -> Vec<&Mapped> {
        let mut columns: Vec<&Mapped> = match self {
            Self::Invoice => mapping.invoices.written_columns().collect(),
            Self::Payment => mapping.payments.own_columns().collect(),
        };
        columns.retain(|column| !column.is_computed);
        columns
    }

    /// Returns the columns by which a row is found. For a payment the invoice is one of them, because tables may be
    /// distributed by it.
    pub(super) fn key_columns(self, mapping: &Mapping) -> Vec<&Mapped> {
        match self {
            Self::Invoice => vec![&mapping.invoices.id],
            Self::Payment => vec![&mapping.payments.id, &mapping.payments.invoice],
        }
    }

    /// Returns the key of a row of this invoice.
    pub(super) fn key(self, mapping: &Mapping, row: &str, invoice: &str) -> RowKey {
        let columns = self.key_columns(mapping).into_iter();
        RowKey::new(columns.zip([row, invoice]))
    }
}
