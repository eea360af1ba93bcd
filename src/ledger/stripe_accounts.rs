//! The Stripe accounts beside that of the key (`invoice_sync.stripe_account`).

use std::collections::BTreeMap;

use crate::pg::sql;

/// An account that somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StripeAccount {
    pub(crate) account: String,
    /// The mode of its payments; `None` is the key's.
    pub(crate) livemode: Option<bool>,
    /// Reference to a key of its own.
    pub(crate) api_key: Option<String>,
    /// Reference to the secrets of its own webhook endpoint.
    pub(crate) webhook_secret: Option<String>,
}

/// Returns those of these accounts that are named.
pub(crate) fn named<'a>(
    accounts: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, StripeAccount> {
    let wanted = sql::array(accounts.into_iter());
    read("a.account = any ($1::text[])", &[Some(&wanted)])
        .into_iter()
        .map(|account| (account.account.clone(), account))
        .collect()
}

/// Returns the accounts with a webhook endpoint of their own.
pub(crate) fn with_own_secrets() -> Vec<StripeAccount> {
    read("a.webhook_secret is not null", &[])
}

/// Returns the accounts that are named now and about which such an issue is open.
pub(crate) fn named_with_issue(kind: &str) -> Vec<StripeAccount> {
    read(
        "exists (
            select from invoice_sync.issue i
            where coalesce(i.invoice_id, '') = '' and i.kind = $1 and i.object = a.account
              and i.state <> 'resolved')",
        &[Some(kind)],
    )
}

fn read(condition: &str, params: &[Option<&str>]) -> Vec<StripeAccount> {
    let statement = format!(
        "select a.account, a.livemode::text, a.api_key, a.webhook_secret
        from invoice_sync.stripe_account a
        where {condition}
        order by a.account"
    );
    let rows: Vec<[Option<String>; 4]> = sql::fetch_texts(&statement, params);
    rows.into_iter()
        .filter_map(|[account, livemode, api_key, webhook_secret]| {
            Some(StripeAccount {
                account: account?,
                livemode: livemode.map(|mode| mode == "true"),
                api_key,
                webhook_secret,
            })
        })
        .collect()
}
