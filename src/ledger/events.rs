//! The inbox: Stripe's events, whatever way they came. An event counts as
//! received once it is here, and as done only after it was acted on.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::identity::StripeId;
use crate::pg::sql;

/// How an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Webhook,
    Feed,
}

impl Way {
    fn column(self) -> &'static str {
        match self {
            Self::Webhook => "webhook_at",
            Self::Feed => "feed_at",
        }
    }
}

/// What is to become of an event that has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// To be acted on.
    Pending,
    /// Kept, and nothing more: of another type, mode or account.
    Ignored,
}

/// What became of an event that was acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done(String),
    /// Tried again later, with back-off.
    Again(String),
}

/// Events about one payment that wait to be acted on; a session is asked for
/// rather than its intent, which it brings along.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) money: StripeId,
    pub(crate) events: Vec<String>,
    /// Seconds since the first of them was received.
    pub(crate) waited: i64,
}

#[derive(Deserialize)]
struct RawWaiting {
    money: String,
    events: Vec<String>,
    waited: i64,
}

/// Stores an event, or notes that it came this way too. True where it waits to
/// be acted on: one that was acted on before does not. A concurrent delivery of
/// the same event waits here until the other's transaction ends.
pub(crate) fn receive(event: &Event, way: Way, fate: Fate) -> bool {
    let document = json!({
        "id": event.id,
        "type": event.kind,
        "livemode": event.livemode,
        "account": event.account,
        "session_id": event.ids.session,
        "intent_id": event.ids.intent,
        "charge_id": event.ids.charge,
        "snapshot": event.snapshot,
        "state": match fate {
            Fate::Pending => "pending",
            Fate::Ignored => "ignored",
        },
    });
    let statement = format!(
        "insert into invoice_sync.event as e (
            id, type, livemode, account, session_id, intent_id, charge_id, snapshot, state,
            created, received_at, {way})
        select n.id, n.type, n.livemode, n.account, n.session_id, n.intent_id, n.charge_id,
               n.snapshot, n.state,
               to_timestamp($2::float8), clock_timestamp(), clock_timestamp()
        from jsonb_populate_record(null::invoice_sync.event, $1::jsonb) n
        on conflict (id) do update
        set {way} = coalesce(e.{way}, excluded.{way})
        returning to_jsonb(state = 'pending')",
        way = way.column(),
    );
    sql::fetch_one(
        &statement,
        &[
            Some(&document.to_string()),
            Some(&event.created.to_string()),
        ],
    ) == Some(Value::Bool(true))
}

/// Events that are due, by the payment they are about, the oldest first.
pub(crate) fn waiting(limit: usize) -> Vec<Waiting> {
    sql::fetch(
        "select jsonb_build_object(
            'money', coalesce(min(e.session_id), min(e.intent_id), min(e.charge_id)),
            'events', jsonb_agg(e.id),
            'waited', extract(epoch from clock_timestamp() - min(e.received_at))::bigint)
        from invoice_sync.event e
        where e.state = 'pending' and e.next_attempt_at <= now()
        group by coalesce(e.intent_id, e.session_id, e.charge_id)
        order by min(e.created), 1
        limit $1::bigint",
        &[Some(&limit.to_string())],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value::<RawWaiting>(row).ok())
    .filter_map(|raw| {
        Some(Waiting {
            money: StripeId::parse(&raw.money)?,
            events: raw.events,
            waited: raw.waited,
        })
    })
    .collect()
}

/// Notes what became of events. A failed one comes again after 1, 2, 4 …
/// minutes, at most a day.
pub(crate) fn settle(events: &[String], verdict: &Verdict) {
    let ids = Value::from(events).to_string();
    match verdict {
        Verdict::Done(result) => sql::execute(
            "update invoice_sync.event
            set state = 'done', processed_at = clock_timestamp(), result = $2
            where $1::jsonb ? id and state = 'pending'",
            &[Some(&ids), Some(result)],
        ),
        Verdict::Again(why) => sql::execute(
            "update invoice_sync.event
            set attempts = attempts + 1,
                result = $2,
                next_attempt_at = clock_timestamp()
                    + least(interval '1 day', interval '1 minute' * 2 ^ least(attempts, 11))
            where $1::jsonb ? id and state = 'pending'",
            &[Some(&ids), Some(why)],
        ),
    }
}

/// From when on the feed is to be read, seconds since 1970: the newest event
/// that it brought. `None` before the first time.
pub(crate) fn feed_cursor() -> Option<i64> {
    sql::fetch_one(
        "select to_jsonb(extract(epoch from read_until)::bigint) from invoice_sync.feed",
        &[],
    )
    .and_then(|cursor| cursor.as_i64())
}

/// Notes that the feed was read whole, up to `until` (seconds since 1970).
pub(crate) fn advance_feed(until: i64) {
    sql::execute(
        "insert into invoice_sync.feed as f (read_until, read_at)
        values (to_timestamp($1::float8), clock_timestamp())
        on conflict (singleton) do update
        set read_until = greatest(f.read_until, excluded.read_until),
            read_at = excluded.read_at",
        &[Some(&until.to_string())],
    );
}

/// Webhooks that did not come.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Missed {
    /// Events of the last day that the feed has.
    pub(crate) events: i64,
    /// When a webhook last came.
    pub(crate) last_delivery: Option<String>,
}

/// Whether webhooks came once and have stopped: three events or more within the
/// last day, none younger than a quarter of an hour, and not one delivered.
/// `None` where deliveries are fine, or where none was ever expected.
pub(crate) fn missed_deliveries() -> Option<Missed> {
    sql::fetch_one(
        "select to_jsonb(m) from (
            select count(*) as events,
                   (select max(webhook_at) from invoice_sync.event) as last_delivery
            from invoice_sync.event e
            where e.state <> 'ignored'
              and e.created between now() - interval '1 day' and now() - interval '15 minutes'
            having count(*) >= 3 and count(e.webhook_at) = 0
        ) m
        where m.last_delivery is not null",
        &[],
    )
    .and_then(|row| serde_json::from_value(row).ok())
}

/// Forgets events that were acted on or ignored longer ago than the settings say.
pub(crate) fn forget_old() {
    sql::execute(
        "delete from invoice_sync.event e
        using invoice_sync.settings s
        where e.state <> 'pending' and e.received_at < now() - s.event_retention",
        &[],
    );
}
