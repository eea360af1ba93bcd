//! The Stripe account that an invoice belongs to: a column of it, or the account of the settings.

use std::collections::{BTreeMap, BTreeSet};

use super::indexes::looked_up;
use super::mapping::Mapping;
use super::owner::reading_as;
use crate::pg::sql;
use crate::settings;

/// Returns the account that a value of the column names; `None` for the account that is asked without naming another.
pub(super) fn named(value: Option<&str>) -> Option<String> {
    let named = value.map(str::trim).filter(|text| !text.is_empty())?;
    (settings::stripe_account().as_deref() != Some(named)).then(|| named.to_owned())
}

/// Returns the accounts of these invoices (ids as text), whether or not they count; those of the key's own account are
/// left out. Reads nothing if no column says it.
pub(super) fn accounts(mapping: &Mapping, invoices: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let columns = &mapping.invoices;
    let Some(account) = columns.account.as_ref().filter(|_| !invoices.is_empty()) else {
        return BTreeMap::new();
    };
    let statement = format!(
        "select i.{id}::text, i.{account}::text
        from {table} i
        where i.{id} = any (array(select {key} from unnest($1) w (id)))",
        id = columns.id.quoted,
        account = account.quoted,
        table = columns.table,
        key = columns.id.key_or_null("w.id"),
    );
    let rows: Vec<[Option<String>; 2]> = reading_as(&columns.relation, || {
        let count = looked_up(mapping, invoices.len());
        sql::look_up_texts(
            count,
            &statement,
            &[invoices.iter().copied().collect::<Vec<_>>()],
        )
    });
    let rows = rows.into_iter();
    rows.filter_map(|[id, account]| Some((id?, named(account.as_deref())?)))
        .collect()
}
