//! Whether a word is a status of the application's invoices, by settings, catalogs and data.

use super::mapping::Mapping;
use super::owner::reading_as;
use crate::pg::sql;

/// Returns true if the settings name the word, an invoice has it, or the column's type, default or constraints
/// contain it. Scans the invoices until it finds the word.
pub(crate) fn is_invoice_status(mapping: &Mapping, word: &str) -> bool {
    mapping
        .invoice_words
        .all()
        .iter()
        .any(|named| named == word)
        || mapping.invoices.status.is_known(word)
        || is_in_the_catalog(mapping, word)
        || is_in_use(mapping, word)
}

fn is_in_the_catalog(mapping: &Mapping, word: &str) -> bool {
    let found = sql::fetch_one(
        "select to_jsonb(true)
        from pg_attribute a
        join pg_type t on t.oid = a.atttypid
        where a.attrelid = $1::regclass and a.attname = $2
          and (coalesce(nullif(t.typbasetype, 0), t.oid) = 'bool'::regtype
               or exists (
                   select from pg_enum e
                   where e.enumtypid = coalesce(nullif(t.typbasetype, 0), t.oid) and e.enumlabel = $3)
               or exists (
                   select from pg_constraint c
                   where c.contype = 'c'
                     and (c.contypid = t.oid or c.conrelid = a.attrelid and a.attnum = any (c.conkey))
                     and strpos(pg_get_constraintdef(c.oid), quote_literal($3)) > 0)
               or exists (
                   select from pg_attrdef d
                   where d.adrelid = a.attrelid and d.adnum = a.attnum
                     and strpos(pg_get_expr(d.adbin, d.adrelid), quote_literal($3)) > 0))",
        &[
            Some(&mapping.invoices.table),
            Some(&mapping.invoices.status.column.name),
            Some(word),
        ],
    );
    found.is_some()
}

/// Returns whether an invoice has the word. Scans the invoices until it finds the word.
pub(crate) fn is_in_use(mapping: &Mapping, word: &str) -> bool {
    let invoices = &mapping.invoices;
    let statement = format!(
        "select to_jsonb(true) from {} i where {} = $1 limit 1",
        invoices.counting.rows(),
        invoices.status.word("i")
    );
    let found = reading_as(&invoices.relation, || {
        sql::fetch_one(&statement, &[Some(word)])
    });
    found.is_some()
}
