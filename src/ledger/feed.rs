//! How far the feed of events was read (`invoice_sync.feed`), and what it tells of webhooks.

use serde::Deserialize;
use serde_json::json;

use crate::domain::feed::Place;
use crate::ledger::backfills::FirstLook;
use crate::pg::sql;

/// Returns how far the feed of an account and mode has been read.
pub(crate) fn feed_place(whose: &str) -> Place {
    sql::fetch_one(
        "select place from invoice_sync.feed where whose = $1",
        &[Some(whose)],
    )
    .and_then(|place| serde_json::from_value(place).ok())
    .unwrap_or_default()
}

/// The accounts of which nobody looked further back than their feeds.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct AwaitingFirstLook {
    /// That of the key, whose feed was read to its end.
    pub(crate) own: bool,
    /// Others.
    pub(crate) others: Vec<AwaitingAccount>,
}

/// An account whose invoices a column names, and the name under which the position in its feed is stored.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AwaitingAccount {
    pub(crate) account: String,
    pub(crate) whose: String,
}

/// Returns the accounts that await their first look back. `whose` names the feed of the key's own, `livemode` is the mode
/// of the key, `own` the account of the settings.
pub(crate) fn awaiting_first_look(
    whose: &str,
    livemode: Option<bool>,
    own: Option<&str>,
) -> AwaitingFirstLook {
    sql::fetch_one(
        "select jsonb_build_object(
            'own', exists (
                select from invoice_sync.feed f
                where f.whose = $1 and f.read_at is not null and f.looked_back_to is null),
            'others', coalesce((
                select jsonb_agg(jsonb_build_object('account', a.account, 'whose', a.whose) order by a.account)
                from (
                    select s.account,
                           case coalesce(s.livemode, $2::boolean) when true then 'live ' when false then 'test '
                               else 'any mode ' end || s.account as whose
                    from invoice_sync.stripe_account s
                    where s.account is distinct from $3
                      and exists (select from invoice_sync.settings x where x.invoice_account_column is not null)
                ) a
                where not exists (
                    select from invoice_sync.feed f
                    where f.whose = a.whose and f.looked_back_to is not null)), '[]'))",
        &[Some(whose), livemode.map(sql::boolean), own],
    )
    .and_then(|row| serde_json::from_value(row).ok())
    .unwrap_or_default()
}

/// Records how far back these first looks go. The feed of another account, of which nothing was read yet, will be read from
/// `until` (seconds since 1970), up to which its lists are read.
pub(crate) fn note_first_looks(looks: &[FirstLook], until: i64) {
    sql::execute(
        "insert into invoice_sync.feed as f (whose, account, looked_back_to, place)
        select w.whose, w.account, to_timestamp(w.since),
               case when w.since < $2::float8 then jsonb_build_object('read_at', $2::bigint) else '{}' end
        from jsonb_to_recordset($1::jsonb) w (whose text, account text, since float8)
        order by w.whose
        on conflict (whose) do update
        set looked_back_to = excluded.looked_back_to,
            place = case when f.place ->> 'read_at' is null and f.place ->> 'backlog' is null
                         then excluded.place else f.place end",
        &[Some(&json!(looks).to_string()), Some(&until.to_string())],
    );
}

/// Records how far the feed has been read. `account` is the account if it is another than the key's own.
pub(crate) fn keep_feed_place(whose: &str, account: Option<&str>, place: &Place) {
    sql::execute(
        "insert into invoice_sync.feed (whose, place, read_at, account)
        values ($1, $2::jsonb, to_timestamp($3::float8), $4)
        on conflict (whose) do update
        set place = excluded.place, read_at = excluded.read_at, account = excluded.account",
        &[
            Some(whose),
            Some(&json!(place).to_string()),
            place.read_at.map(|at| at.to_string()).as_deref(),
            account,
        ],
    );
}

/// Records when the feed of another account is read again: with the next run if it brought news within an hour, otherwise
/// after an interval that doubles from 15 minutes up to a day, a little shorter, because runs do not start exactly on time.
pub(crate) fn note_read(whose: &str, account: &str, has_news: bool) {
    sql::execute(
        "insert into invoice_sync.feed (whose, place, account, news_at, back_off, next_read_at)
        select $1, '{}', $2, n.at, b.off, clock_timestamp() + coalesce(b.off - interval '30 seconds', interval '0')
        from (select) one
        left join invoice_sync.feed f on f.whose = $1
        cross join lateral (
            select case when $3::boolean then clock_timestamp() else f.news_at end
        ) n (at)
        cross join lateral (
            select case when n.at > clock_timestamp() - interval '1 hour' then null
                        else least(coalesce(f.back_off * 2, interval '15 minutes'), interval '1 day') end
        ) b (off)
        on conflict (whose) do update
        set account = excluded.account, news_at = excluded.news_at, back_off = excluded.back_off,
            next_read_at = excluded.next_read_at",
        &[Some(whose), Some(account), Some(sql::boolean(has_news))],
    );
}

/// Webhook deliveries that did not arrive.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Missed {
    /// The number of events in the feed during the last day.
    pub(crate) events: i64,
    /// When the last webhook arrived.
    pub(crate) last_delivery: Option<String>,
}

/// Returns whether webhooks arrived in the past and have stopped: the feed has at least three events of the last
/// day that are older than 15 minutes, and none of them was delivered. `None` if deliveries work, or if there never
/// were any.
pub(crate) fn missed_deliveries() -> Option<Missed> {
    // The newest deliveries are looked at first. Only where none is found, the events are counted.
    sql::fetch_one(
        "with said as not materialized (
            select * from invoice_sync.event
            where state <> 'ignored' and type <> 'backfill'
              and created between now() - interval '1 day' and now() - interval '15 minutes'
        )
        select to_jsonb(m) from (
            select count(*) as events,
                   (select at from invoice_sync.last_webhook) as last_delivery
            from said e
            -- Has an index; the clocks differ by less than a day.
            where date_trunc('hour', e.received_at at time zone 'UTC') > (now() - interval '2 days') at time zone 'UTC'
              and (select e.id from said e
                   where e.webhook_at is not null
                     and date_trunc('hour', e.webhook_at at time zone 'UTC')
                             > (now() - interval '2 days') at time zone 'UTC'
                   order by date_trunc('hour', e.webhook_at at time zone 'UTC') desc
                   limit 1) is null
            having count(*) >= 3
        ) m
        where m.last_delivery is not null",
        &[],
    )
    .and_then(|row| serde_json::from_value(row).ok())
}
