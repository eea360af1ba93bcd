//! Proposes columns for Stripe's ids by the values in the rows, where no name tells.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::names::Choice;
use crate::domain::words::squash;
use crate::host::catalog::{Column, Role, Table};
use crate::host::owner::reading_as;
use crate::pg::sql;

/// The columns that contain the ids of sessions and of intents.
#[derive(Default)]
pub(super) struct IdColumns {
    pub(super) session: Option<Choice>,
    pub(super) intent: Option<Choice>,
}

/// How many of a column's values begin as Stripe's ids do.
#[derive(Deserialize)]
struct Values {
    name: String,
    all: u64,
    sessions: u64,
    intents: u64,
}

/// The most values of a column that are read.
const SAMPLED: u32 = 1_000;

/// The most rows that are read to find so many values.
const READ: u32 = 100_000;

/// Names of columns for the id of a payment at its provider, whichever that is.
const OF_ANY_PROVIDER: [&str; 9] = [
    "external_id",
    "external_payment_id",
    "provider_payment_id",
    "provider_transaction_id",
    "payment_provider_id",
    "gateway_payment_id",
    "gateway_transaction_id",
    "processor_payment_id",
    "processor_transaction_id",
];

/// Returns whether the type is long enough for the ids of Stripe's sessions (66 characters, for now) or for those of
/// intents and charges (27).
pub(super) fn may_contain(column: &Column, sessions: bool) -> bool {
    let length = column.length.trim_matches(['(', ')']).parse::<u32>();
    let least = if sessions { 60 } else { 27 };
    length.map_or(true, |length| length >= least)
}

/// Returns whether the values of a column that its name does not call Stripe's are others than Stripe's ids: those of
/// another provider, or of the application's own browser session. Reads the rows as the table's owner.
pub(super) fn are_others(table: &Table, name: &str) -> bool {
    let Some(column) = table.columns.get(name) else {
        return false;
    };
    if squash(name).contains("stripe") {
        return false;
    }
    let statement = format!(
        "select to_jsonb(count(*) > 0 and count(*) filter (where v.value ~ '^(cs|pi|ch|py)_') = 0)
        from (select {text} from (select * from {table} limit {READ}) t where {text} <> '' limit {SAMPLED}) v (value)",
        text = column.plain_text("t"),
        table = table.name,
    );
    let found = reading_as(&table.relation(), || sql::fetch_one(&statement, &[]));
    found.is_some_and(|found| found == true)
}

impl IdColumns {
    /// Looks at the columns that are not in use. Reads the rows as the table's owner.
    pub(super) fn of_payments(table: &Table, in_use: &BTreeSet<String>) -> Self {
        let columns = table.columns.iter();
        let columns = columns.filter(|(name, column)| {
            let is_free = !in_use.contains(*name) && !column.refers && !column.is_computed;
            is_free && column.labels.is_none() && Role::Text.accepts(column)
        });
        let parts: Vec<String> = columns
            .map(|(name, column)| {
                format!(
                    "select {name} as name, count(*) as all,
                        count(*) filter (where v.value ~ '^cs_') as sessions,
                        count(*) filter (where v.value ~ '^(pi|ch|py)_') as intents
                    from (select {text} from {table} t where {text} <> '' limit {SAMPLED}) v (value)",
                    name = pgrx::spi::quote_literal(name),
                    text = column.plain_text("t"),
                    table = table.name,
                )
            })
            .collect();
        if parts.is_empty() {
            return Self::default();
        }
        let statement = format!("select to_jsonb(u) from ({}) u", parts.join(" union all "));
        let found = reading_as(&table.relation(), || sql::fetch(&statement, &[])).into_iter();
        let found: Vec<Values> = found
            .filter_map(|row| serde_json::from_value(row).ok())
            .collect();
        let by_values = |count: fn(&Values) -> u64| {
            let most = found.iter().filter(|it| count(it) * 2 > it.all);
            let most = most.max_by_key(|it| count(it))?;
            Some((most.name.clone(), "by its values".to_owned()))
        };
        let ids = Self {
            session: by_values(|it| it.sessions),
            intent: by_values(|it| it.intents),
        };
        if ids.session.is_some() || ids.intent.is_some() {
            return ids;
        }
        let by_name = OF_ANY_PROVIDER.iter().find_map(|usual| {
            let mut empty = found.iter().filter(|it| it.all == 0);
            empty.find(|it| squash(&it.name) == squash(usual))
        });
        Self {
            intent: by_name.map(|it| {
                (
                    it.name.clone(),
                    "by its name; no row has a value".to_owned(),
                )
            }),
            ..Self::default()
        }
    }
}
