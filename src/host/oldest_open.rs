//! How old the oldest open invoice is.

use std::collections::BTreeMap;

use super::candidates::is_past_paid;
use super::catalog::Table;
use super::mapped::Mapped;
use super::mapping::Mapping;
use super::owner::reading_as;
use crate::domain::words::squash;
use crate::pg::{Problem, sql};
use crate::settings;

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

/// Looks up the oldest invoice that is not known to be paid or closed: of those of the key's own account, if a column says
/// which these are. Reads the whole table.
pub(crate) fn oldest_open(mapping: &Mapping) -> Result<OldestOpen, Problem> {
    let found = match &mapping.invoices.account {
        None => look_up(mapping, "''", "true", &[])?,
        Some(column) => {
            let own = settings::stripe_account();
            let account = account_in(column);
            let is_own = format!("coalesce({account}, '') in ('', $1)");
            look_up(mapping, "''", &is_own, &[own.as_deref()])?
        }
    };
    let own = found.into_iter().next();
    Ok(own.map_or(OldestOpen::NoneIsOpen, |(_, oldest)| oldest))
}

/// As [`oldest_open`], for other accounts; those without open invoices are left out.
pub(crate) fn oldest_open_of(
    mapping: &Mapping,
    accounts: &[&str],
) -> Result<BTreeMap<String, OldestOpen>, Problem> {
    let Some(column) = &mapping.invoices.account else {
        return Ok(BTreeMap::new());
    };
    let account = account_in(column);
    let is_wanted = format!("{account} = any ($1::text[])");
    let wanted = sql::array(accounts.iter().copied());
    look_up(mapping, &account, &is_wanted, &[Some(&wanted)])
}

/// The account that the column names, without spaces.
fn account_in(column: &Mapped) -> String {
    format!("btrim(i.{}::text, E' \\t\\r\\n')", column.quoted)
}

/// Looks up the oldest open invoice of each `account`, an expression, among those of the condition.
fn look_up(
    mapping: &Mapping,
    account: &str,
    condition: &str,
    params: &[Option<&str>],
) -> Result<BTreeMap<String, OldestOpen>, Problem> {
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
        "select f.account, extract(epoch from greatest(f.made, timestamptz '2010-01-01 UTC'))::bigint::text
        from (
            select {account}::text as account, {age} as made
            from {table} i
            where {status} is distinct from {paid} and not coalesce({is_past}, false) and {condition}
            group by 1
        ) f",
        table = invoices.counting.rows(),
        paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid),
        is_past = is_past_paid(mapping, &status),
    );
    let rows: Vec<[Option<String>; 2]> =
        reading_as(&invoices.relation, || sql::fetch_texts(&statement, params));
    let of_row = |[account, made]: [Option<String>; 2]| {
        // `greatest` ignores that no row has a time.
        let made = made.filter(|_| made_at.is_some());
        let made = made.and_then(|made| made.parse().ok());
        let oldest = made.map_or(OldestOpen::AgeUnknown, OldestOpen::MadeAt);
        Some((account?, oldest))
    };
    Ok(rows.into_iter().filter_map(of_row).collect())
}
