//! How far the feed of events was read (`invoice_sync.feed`), and what it tells of webhooks.

use serde::Deserialize;
use serde_json::json;

use crate::domain::feed::Place;
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

/// Returns whether the feed was read to its end, and nobody looked further back.
pub(crate) fn awaits_first_look(whose: &str) -> bool {
    sql::fetch_one(
        "select to_jsonb(true) from invoice_sync.feed
        where whose = $1 and read_at is not null and looked_back_to is null",
        &[Some(whose)],
    )
    .is_some()
}

/// Records how far back the first look goes, in seconds since 1970.
pub(crate) fn note_first_look(whose: &str, since: i64) {
    sql::execute(
        "update invoice_sync.feed set looked_back_to = to_timestamp($2::float8) where whose = $1",
        &[Some(whose), Some(&since.to_string())],
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
    sql::fetch_one(
        "select to_jsonb(m) from (
            select count(*) as events,
                   (select max(webhook_at) from invoice_sync.event) as last_delivery
            from invoice_sync.event e
            where e.state <> 'ignored' and e.type <> 'backfill'
              and e.created between now() - interval '1 day' and now() - interval '15 minutes'
              -- Has an index; the clocks differ by less than a day.
              and e.received_at > now() - interval '2 days'
            having count(*) >= 3 and count(e.webhook_at) = 0
        ) m
        where m.last_delivery is not null",
        &[],
    )
    .and_then(|row| serde_json::from_value(row).ok())
}
