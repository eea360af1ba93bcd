//! How old the oldest open invoice is.

use super::candidates::is_past_paid;
use super::catalog::Table;
use super::mapping::Mapping;
use super::owner::reading_as;
use crate::domain::words::squash;
use crate::pg::{Problem, sql};

/// Usual names of the column that says when an invoice was made, the most likely first.
const NAMES: [&str; 12] = [
    "created_at",
    "created",
    "created_on",
    "date_created",
    "creation_date",
    "inserted_at",
    "issued_at",
    "issued_on",
    "issue_date",
    "invoice_date",
    "invoiced_at",
    "date",
];

/// Whether there are open invoices, and how old they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldestOpen {
    NoneIsOpen,
    /// No column says when invoices were made.
    AgeUnknown,
    /// Seconds since 1970.
    MadeAt(i64),
}

/// Looks up the oldest invoice that is not known to be paid or closed. Reads the whole table.
pub(crate) fn oldest_open(mapping: &Mapping) -> Result<OldestOpen, Problem> {
    let invoices = &mapping.invoices;
    let table = Table::describe(&invoices.table, "invoices_table")?;
    let is_date = |base: &str| matches!(base, "date" | "timestamp" | "timestamptz");
    let made_at = NAMES.iter().find_map(|wanted| {
        let mut columns = table.columns.iter();
        columns.find(|(name, column)| squash(name) == squash(wanted) && is_date(&column.base))
    });
    let age = made_at.map_or_else(
        || "null::timestamptz".to_owned(),
        |(_, column)| {
            let column = format!("i.{}", column.quoted);
            format!("min({column}) filter (where isfinite({column}))::timestamptz")
        },
    );
    let status = invoices.status.word("i");
    let statement = format!(
        "select f.open::text, extract(epoch from greatest(f.made, timestamptz '2010-01-01 UTC'))::bigint::text
        from (
            select count(*) as open, {age} as made
            from {table} i
            where {status} is distinct from {paid} and not coalesce({is_past}, false)
        ) f",
        table = invoices.counting.rows(),
        paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid),
        is_past = is_past_paid(mapping, &status),
    );
    let rows: Vec<[Option<String>; 2]> =
        reading_as(&invoices.relation, || sql::fetch_texts(&statement, &[]));
    let Some([open, made]) = rows.into_iter().next() else {
        return Ok(OldestOpen::NoneIsOpen);
    };
    if open.as_deref() == Some("0") {
        return Ok(OldestOpen::NoneIsOpen);
    }
    let made = made.filter(|_| made_at.is_some());
    Ok(made
        .and_then(|made| made.parse().ok())
        .map_or(OldestOpen::AgeUnknown, OldestOpen::MadeAt))
}
