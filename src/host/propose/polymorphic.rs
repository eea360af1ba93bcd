//! Proposes the column of a payment's invoice where payments are for invoices and for other things: `payable_type` says
//! for what, `payable_id` for which.

use crate::domain::words::squash;
use crate::host::catalog::{Column, Role, Table};
use crate::host::propose::relations::Relations;
use crate::host::propose::words::Vocabulary;

/// What such columns are named before `_type` and `_id`.
const NAMES: [&str; 11] = [
    "payable",
    "paymentable",
    "invoiceable",
    "billable",
    "chargeable",
    "purchasable",
    "orderable",
    "transactable",
    "reference",
    "source",
    "subject",
];

/// The columns, and the word for invoices.
pub(super) struct Polymorphic {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) word: String,
    /// The condition that only payments of invoices fulfil.
    pub(super) condition: String,
}

impl Relations {
    /// Returns the columns if exactly one word that the rows, the default or a constraint show names the invoices.
    pub(super) fn polymorphic(
        &self,
        payments: &Table,
        invoices: &Table,
        key: &Column,
    ) -> Option<Polymorphic> {
        let column = |wanted: String| {
            let mut columns = payments.columns.iter();
            columns.find(move |(name, _)| squash(name) == wanted)
        };
        NAMES.iter().find_map(|prefix| {
            let (id, of_id) = column(format!("{prefix}id"))?;
            let (kind, of_kind) = column(format!("{prefix}type"))?;
            let is_key = Role::Key.accepts(of_id) && of_id.key_family() == key.key_family();
            if !is_key || of_id.refers || !Role::Word.accepts(of_kind) {
                return None;
            }
            let words = Vocabulary::of(self, payments, kind, of_kind, None).into_words();
            let mut words = words.into_iter().filter(|word| names(word, invoices));
            let (Some(word), None) = (words.next(), words.next()) else {
                return None;
            };
            Some(Polymorphic {
                id: id.clone(),
                kind: kind.clone(),
                condition: format!(
                    "{}::text = {}",
                    of_kind.quoted,
                    pgrx::spi::quote_literal(&word)
                ),
                word,
            })
        })
    }
}

/// Returns whether the word, without the module before it, is the name of the table in the singular or plural.
fn names(word: &str, table: &Table) -> bool {
    let last = word.rsplit(['\\', ':', '.', '/']).next().unwrap_or(word);
    let module = table.bare_name.rsplit('_').next().unwrap_or_default();
    let singular = |name: &str| squash(name).trim_end_matches('s').to_owned();
    [table.bare_name.as_str(), module]
        .iter()
        .any(|name| singular(name) == singular(last))
}
