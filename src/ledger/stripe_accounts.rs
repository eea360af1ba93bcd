//! The Stripe accounts beside that of the key (`invoice_sync.stripe_account`).

use std::collections::{BTreeMap, BTreeSet};

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

/// Returns the accounts, at most so many: those with secrets of their own first.
pub(crate) fn all(limit: usize) -> Vec<StripeAccount> {
    read_of(
        "(
            select s.* from invoice_sync.stripe_account s
            order by num_nonnulls(s.api_key, s.webhook_secret) desc, s.account
            limit $1::bigint
        )",
        "true",
        &[Some(&limit.to_string())],
    )
}

/// Returns the names of the accounts that have a key of their own.
pub(crate) fn with_own_keys() -> BTreeSet<String> {
    let statement =
        "select a.account from invoice_sync.stripe_account a where a.api_key is not null";
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(statement, &[]);
    rows.into_iter().filter_map(|[account]| account).collect()
}

/// Returns whether an account has a key of its own.
pub(crate) fn have_own_keys() -> bool {
    let exists =
        "select to_jsonb(true) from invoice_sync.stripe_account where api_key is not null limit 1";
    sql::fetch_one(exists, &[]).is_some()
}

/// Returns accounts with a webhook endpoint of their own, at most `limit`: this account first, then those that were added
/// first.
pub(crate) fn with_own_secrets(first: Option<&str>, limit: usize) -> Vec<StripeAccount> {
    read_of(
        "(
            select s.* from invoice_sync.stripe_account s
            where s.webhook_secret is not null
            order by s.account = $1 desc nulls last, s.since, s.account
            limit $2::bigint
        )",
        "true",
        &[first, Some(&limit.to_string())],
    )
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

/// Returns the accounts whose feeds are due at `now` (seconds since 1970), beside that of the settings, `own`. All that
/// are busy: their feed brought news within an hour, or invoices of theirs are due for a check. Of the others, `quiet`, the
/// longest due first. `livemode` is the mode of the key, which an account has unless it says otherwise.
pub(crate) fn with_feed_due(
    among: Among,
    quiet: usize,
    livemode: Option<bool>,
    own: Option<&str>,
    now: f64,
) -> Vec<StripeAccount> {
    read_of(
        "(
            with waiting as materialized (
                select distinct split_part(s.id, '/', 1) as account
                from invoice_sync.invoice_check c
                cross join unnest(c.stored_ids) s (id)
                where exists (select from invoice_sync.stripe_account)
                  and c.next_check_at <= to_timestamp($4::float8) and s.id like '%/%'
            ), due as (
                select a.*, f.next_read_at,
                       w.account is not null or f.news_at is not null and f.back_off is null as is_busy
                from invoice_sync.stripe_account a
                left join invoice_sync.feed f on f.whose =
                    case coalesce(a.livemode, $2::boolean) when true then 'live ' when false then 'test '
                        else 'any mode ' end || a.account
                left join waiting w on w.account = a.account
                where a.account is distinct from $3
                  and (a.api_key is not null or not $6::boolean)
                  and (w.account is not null
                       or coalesce(f.next_read_at, '-infinity') <= to_timestamp($4::float8))
            )
            select d.*, row_number() over (
                partition by d.is_busy order by d.next_read_at nulls first, d.account) as place
            from due d
        )",
        "a.place <= case when a.is_busy then $5::bigint else $1::bigint end",
        &[
            Some(&quiet.to_string()),
            livemode.map(sql::boolean),
            own,
            Some(&now.to_string()),
            Some(&MOST_BUSY.to_string()),
            Some(sql::boolean(among == Among::OwnKeys)),
        ],
    )
}

/// Which accounts can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    All,
    /// Those with a key of their own, because that of the settings does not serve.
    OwnKeys,
}

/// How many feeds of busy accounts one run reads.
const MOST_BUSY: usize = 1_000;

fn read(condition: &str, params: &[Option<&str>]) -> Vec<StripeAccount> {
    read_of("invoice_sync.stripe_account", condition, params)
}

fn read_of(rows: &str, condition: &str, params: &[Option<&str>]) -> Vec<StripeAccount> {
    let statement = format!(
        "select a.account, a.livemode::text, a.api_key, a.webhook_secret
        from {rows} a
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
