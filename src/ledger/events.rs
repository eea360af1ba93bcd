//! The inbox of Stripe's events (`invoice_sync.event`). An event is done only after it was processed.

mod receive;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::identity::{PaymentIds, StripeId};
use crate::pg::sql;

use receive::object;
pub(crate) use receive::{Disposition, Receipt, receive, receive_from_feed};

/// The result of processing an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was held against an invoice. What that changed is recorded as changes; the words are not stored.
    Applied(String),
    /// There is nothing to be done with it, for this reason.
    Done(String),
    /// Retry it later, with back-off.
    Again(String),
}

impl Verdict {
    pub(crate) fn is_done(&self) -> bool {
        !matches!(self, Self::Again(_))
    }

    /// The state and the result of an event.
    fn as_columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Applied(_) => ("done", None),
            Self::Done(result) => ("done", Some(result)),
            Self::Again(why) => ("pending", Some(why)),
        }
    }
}

/// Pending events about one payment. If a session is known, it is requested instead of its intent, because it
/// includes the intent.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) money: StripeId,
    /// If `money` is a Stripe Invoice, which the key may not be able to read: the payment of it that the events name.
    pub(crate) payment: Option<StripeId>,
    pub(crate) events: Vec<String>,
    /// Seconds since the first of them was received.
    pub(crate) waited: i64,
    /// When the payment's object was created, in seconds since 1970, if one of the events contains it.
    pub(crate) created: Option<i64>,
}

impl Waiting {
    /// Returns the ids that Stripe is asked about.
    pub(crate) fn to_ask(&self) -> Vec<String> {
        let ids = std::iter::once(&self.money).chain(&self.payment);
        ids.map(StripeId::to_string).collect()
    }
}

#[derive(Deserialize)]
struct RawWaiting {
    money: String,
    payment: Option<String>,
    events: Vec<String>,
    waited: i64,
    created: Option<i64>,
}

/// Makes the ignored events of an account pending, because the settings name it now: as the account of the key, or as
/// another one.
pub(crate) fn take_up(account: &str, is_own: bool, livemode: Option<bool>, types: &[&str]) {
    let prefix = if is_own { "" } else { account };
    sql::execute(
        r"update invoice_sync.event e
        set state = 'pending',
            id = n.prefix || regexp_replace(e.id, '^.*/', ''),
            session_id = n.prefix || regexp_replace(e.session_id, '^.*/', ''),
            intent_id = n.prefix || regexp_replace(e.intent_id, '^.*/', ''),
            charge_id = n.prefix || regexp_replace(e.charge_id, '^.*/', ''),
            stripe_invoice_id = n.prefix || regexp_replace(e.stripe_invoice_id, '^.*/', ''),
            snapshot = e.snapshot || jsonb_build_object(
                'id', n.prefix || regexp_replace(e.snapshot ->> 'id', '^.*/', ''))
        from (select case $4 when '' then '' else $4 || '/' end) n (prefix)
        where e.state = 'ignored' and e.account = $1
          and e.livemode is not distinct from coalesce($2::boolean, e.livemode)
          and e.type = any ($3::text[])
          and coalesce(e.session_id, e.intent_id, e.charge_id, e.stripe_invoice_id) is not null
          and (e.id = n.prefix || regexp_replace(e.id, '^.*/', '') or not exists (
              select from invoice_sync.event o where o.id = n.prefix || regexp_replace(e.id, '^.*/', '')))",
        &[
            Some(account),
            livemode.map(sql::boolean),
            Some(&sql::array(types.iter().copied())),
            Some(prefix),
        ],
    );
}

/// A payment that a backfill found and did not finish.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// The id of the object that the backfill read.
    pub(crate) object: &'a str,
    pub(crate) ids: &'a PaymentIds,
    /// When the object was created, in seconds since 1970.
    pub(crate) created: Option<i64>,
    pub(crate) livemode: bool,
    /// Why the payment is not finished; `None` if it was not processed yet.
    pub(crate) why: Option<&'a str>,
    /// True if it can be skipped when the ledger already knows that the payment was received.
    pub(crate) unless_known: bool,
}

/// Adds payments that a backfill did not finish to the pending events.
pub(crate) fn enqueue(backfill: i64, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    let documents: BTreeMap<&str, Value> = entries
        .iter()
        .map(|entry| {
            let money = entry.ids.to_ask().into_iter().next();
            let document = json!({
                "id": format!("backfill {backfill}: {}", entry.object),
                "livemode": entry.livemode,
                "account": entry.ids.account(),
                "session_id": entry.ids.session,
                "intent_id": entry.ids.intent,
                "charge_id": entry.ids.charge,
                "stripe_invoice_id": entry.ids.stripe_invoice,
                "snapshot": { "id": money, "created": entry.created },
                "why": entry.why,
                "unless_known": entry.unless_known,
            });
            (entry.object, document)
        })
        .collect();
    sql::execute(
        "insert into invoice_sync.event (
            id, type, livemode, account, session_id, intent_id, charge_id, stripe_invoice_id, snapshot, state,
            created, received_at, result)
        select n.id, 'backfill', n.livemode, n.account, n.session_id, n.intent_id, n.charge_id, n.stripe_invoice_id,
               n.snapshot, 'pending', clock_timestamp(), clock_timestamp(), n.why
        from jsonb_to_recordset($1::jsonb) n (
            id text, livemode boolean, account text, session_id text, intent_id text, charge_id text,
            stripe_invoice_id text, snapshot jsonb, why text, unless_known boolean)
        where not (n.unless_known and exists (
            select from invoice_sync.stripe_payment m
            where m.id = coalesce(n.intent_id, n.charge_id) and m.received > 0))
          -- What failed already waits for its next turn.
          and not (n.why is not null and exists (
              select from invoice_sync.event e
              where e.state <> 'done' and e.attempts > 0
                and (e.session_id = n.session_id or e.intent_id = n.intent_id or e.charge_id = n.charge_id
                     or e.stripe_invoice_id = n.stripe_invoice_id)
                and coalesce(e.intent_id, e.session_id, e.charge_id, e.stripe_invoice_id)
                    = coalesce(n.intent_id, n.session_id, n.charge_id, n.stripe_invoice_id)))
        order by n.id
        on conflict do nothing",
        &[Some(&Value::from_iter(documents.into_values()).to_string())],
    );
}

/// Returns the events that are due at `now` (seconds since 1970), grouped by payment, the oldest first.
pub(crate) fn waiting(limit: usize, now: f64) -> Vec<Waiting> {
    sql::fetch(
        "select jsonb_build_object(
            'money', w.money, 'payment', w.payment, 'events', w.events, 'waited', w.waited,
            'created', (select min((e.snapshot ->> 'created')::numeric::bigint)
                        from invoice_sync.event e
                        where e.id = any (w.ids) and e.snapshot ->> 'id' = w.money
                          and e.snapshot ->> 'created' ~ '^[0-9]{1,12}$'))
        from (
            select coalesce(min(e.session_id), min(e.stripe_invoice_id), min(e.intent_id), min(e.charge_id)) as money,
                   case when min(e.session_id) is null and min(e.stripe_invoice_id) is not null
                        then coalesce(min(e.intent_id), min(e.charge_id)) end as payment,
                   jsonb_agg(e.id) as events, array_agg(e.id) as ids, min(e.created) as first,
                   extract(epoch from clock_timestamp() - min(e.received_at))::bigint as waited
            from invoice_sync.event e
            where e.state = 'pending' and e.next_attempt_at <= to_timestamp($2::float8)
            group by coalesce(e.intent_id, e.session_id, e.charge_id, e.stripe_invoice_id)
            order by min(e.created), 1
            limit $1::bigint
        ) w
        order by w.first, w.money",
        &[Some(&limit.to_string()), Some(&now.to_string())],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value::<RawWaiting>(row).ok())
    .filter_map(|raw| {
        Some(Waiting {
            money: StripeId::parse(&raw.money)?,
            payment: raw.payment.as_deref().and_then(StripeId::parse),
            events: raw.events,
            waited: raw.waited,
            created: raw.created,
        })
    })
    .collect()
}

/// What a verdict `v` changes in an event `e`. Of an event that is done, its ids and the object are not needed any more,
/// unless a row of the application's may refer to its payment later.
const SETTLED: &str = "set state = v.state,
    result = v.result,
    processed_at = case v.state when 'done' then clock_timestamp() end,
    attempts = e.attempts + (v.state = 'pending')::int,
    next_attempt_at = case v.state when 'pending' then clock_timestamp()
        + least(interval '1 day', interval '1 minute' * 2 ^ least(e.attempts, 11)) end,
    session_id = case when v.state = 'pending' or v.result = 'names no invoice' then v.session_id end,
    intent_id = case when v.state = 'pending' or v.result = 'names no invoice' then v.intent_id end,
    charge_id = case when v.state = 'pending' or v.result = 'names no invoice' then v.charge_id end,
    snapshot = case when v.state = 'pending' or v.result = 'names no invoice' then v.snapshot end";

/// Records the results of processing events. Skips events that another transaction has locked: it records the
/// result itself, and waiting for it could deadlock because it may have locked the same invoice. A failed event is
/// due again after 1, 2, 4 … minutes, at most a day. Returns the events that have failed `limit` times or more.
pub(crate) fn settle(verdicts: &[(&[String], &Verdict)], limit: i32) -> Vec<FailingEvent> {
    let documents = verdicts.iter().flat_map(|(events, verdict)| {
        let (state, result) = verdict.as_columns();
        events
            .iter()
            .map(move |id| json!({ "id": id, "state": state, "result": result }))
    });
    let count = verdicts.iter().map(|(events, _)| events.len()).sum();
    let statement = format!(
        "with mine as (
            select e.*, v.state, v.result
            from jsonb_to_recordset($1::jsonb) v (id text, state text, result text)
            -- Each is looked up by its key, whereas a set would be joined with the whole table.
            cross join lateral (
                select x.id, x.session_id, x.intent_id, x.charge_id, x.snapshot from invoice_sync.event x
                where x.id = v.id and x.state = 'pending'
                for update skip locked
            ) e
        ),
        settled as (
            update invoice_sync.event e
            {SETTLED}
            from mine v
            where e.id = v.id and e.id = any (array(select m.id from mine m))
            returning e.*
        )
        select jsonb_build_object('id', id, 'type', type, 'attempts', attempts, 'result', result,
                                  'object', coalesce(intent_id, session_id, charge_id, stripe_invoice_id))
        from settled
        where state = 'pending' and attempts >= $2::int"
    );
    sql::look_up(
        count,
        &statement,
        &[
            Some(Value::from_iter(documents).to_string().as_str()),
            Some(&limit.to_string()),
        ],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Records the verdict on an event that this transaction stored or locked: nothing, if it was stored as done and is.
pub(crate) fn settle_own(event: &Event, receipt: Receipt, verdict: &Verdict) {
    if receipt == Receipt::New && matches!(verdict, Verdict::Applied(_)) {
        return;
    }
    let (state, result) = verdict.as_columns();
    let statement = format!(
        "update invoice_sync.event e
        {SETTLED}
        from (select $2 as state, $3 as result, $4 as session_id, $5 as intent_id, $6 as charge_id,
                     $7::jsonb as snapshot) v
        where e.id = $1 and (e.state <> 'done' or $8::boolean)"
    );
    let ids = &event.ids;
    let params = [
        Some(event.id.clone()),
        Some(state.to_owned()),
        result.map(str::to_owned),
        ids.session.clone(),
        ids.intent.clone(),
        ids.charge.clone(),
        Some(object(event).to_string()),
        Some(sql::boolean(receipt == Receipt::New).to_owned()),
    ];
    sql::write_by_key(&statement, &params);
}

/// Returns the pending events by the id of their payment.
pub(crate) fn pending_of(objects: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut pending: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if objects.is_empty() {
        return pending;
    }
    let rows: Vec<[Option<String>; 2]> = sql::fetch_texts(
        "select coalesce(e.intent_id, e.session_id, e.charge_id, e.stripe_invoice_id), e.id
        from invoice_sync.event e
        where e.state = 'pending'
          and coalesce(e.intent_id, e.session_id, e.charge_id, e.stripe_invoice_id) = any ($1::text[])",
        &[Some(&sql::array(objects.iter().copied()))],
    );
    for row in rows {
        if let [Some(object), Some(event)] = row {
            pending.entry(object).or_default().insert(event);
        }
    }
    pending
}

/// The events that have failed before, and were received before one of their ids was requested.
const STUCK: &str = "
from (select array(select w.id from jsonb_to_recordset($1::jsonb) w (id text)) as ids) w
cross join jsonb_to_recordset($1::jsonb) p (id text, as_of bigint)
join (invoice_sync.event e
      cross join lateral (
          values (e.session_id), (e.intent_id), (e.charge_id), (e.stripe_invoice_id)) own (id)) on own.id = p.id
where e.state <> 'done' and e.attempts > 0
  and (e.session_id = any (w.ids) or e.intent_id = any (w.ids) or e.charge_id = any (w.ids)
       or e.stripe_invoice_id = any (w.ids))
  and e.received_at <= timestamptz 'epoch' + p.as_of * interval '1 microsecond'";

/// Takes ids with the times of their requests (`[{"id": …, "as_of": …}]`, microseconds since 1970). Returns the ids
/// of payments that were requested after one of their events had failed or could not be parsed.
pub(crate) fn stuck(asked: &Value) -> BTreeSet<String> {
    let statement = format!(
        "select p.id {STUCK}
        union
        select p.id
        from jsonb_to_recordset($1::jsonb) p (id text, as_of bigint)
        join invoice_sync.issue x on x.evidence -> 'ids' ? p.id
        where x.kind = 'event_failing' and x.state <> 'resolved'
          and x.first_seen <= timestamptz 'epoch' + p.as_of * interval '1 microsecond'"
    );
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(&statement, &[Some(&asked.to_string())]);
    rows.into_iter().flatten().flatten().collect()
}

/// Marks the events of [`STUCK`] as done, except those that another transaction has locked. Returns their ids.
pub(crate) fn supersede(asked: &Value) -> Vec<String> {
    let statement = format!(
        "with mine as (
            select x.id from invoice_sync.event x
            where x.state = 'pending' and x.id in (select e.id {STUCK})
            for update skip locked
        )
        update invoice_sync.event e
        set state = 'done', processed_at = clock_timestamp(), next_attempt_at = null,
            session_id = null, intent_id = null, charge_id = null, snapshot = null,
            result = 'what Stripe said of it later was acted on'
        from mine
        where e.id = mine.id
        returning e.id"
    );
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(&statement, &[Some(&asked.to_string())]);
    rows.into_iter().flatten().flatten().collect()
}

/// The result of an event whose payment names no invoice, and that no invoice referred to.
pub(crate) const UNCLAIMED: &str = "names no invoice";

/// Makes the events of [`UNCLAIMED`] due again whose payments have one of these ids, except payments that were looked
/// up for an invoice since: a row of the application's refers to them now. Leaves out events that another transaction
/// has locked. Returns their ids.
pub(crate) fn reopen_unclaimed(ids: &BTreeSet<String>) -> Vec<String> {
    if ids.is_empty() {
        return Vec::new();
    }
    // The conditions on state and result, and that there is an id, are those of the partial indexes.
    let reopened: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "update invoice_sync.event e
        set state = 'pending', processed_at = null, next_attempt_at = '-infinity'
        where e.id in (
            select x.id from invoice_sync.event x
            where x.state = 'done' and x.result = 'names no invoice'
              and (x.intent_id = any ($1::text[]) or x.session_id = any ($1::text[])
                   or x.stripe_invoice_id is not null and x.stripe_invoice_id = any ($1::text[]))
              and not exists (
                  select from invoice_sync.stripe_payment m
                  where m.id = coalesce(x.intent_id, x.session_id) and m.received > 0)
              and not exists (
                  select from invoice_sync.stripe_payment m
                  where m.stripe_invoice_id = x.stripe_invoice_id and m.received > 0)
            for update skip locked)
        returning e.id",
        &[Some(&sql::array(ids.iter().map(String::as_str)))],
    );
    reopened.into_iter().flatten().flatten().collect()
}

/// An event that has failed too often.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FailingEvent {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) attempts: i32,
    /// The error of the last attempt.
    pub(crate) result: String,
    /// The id of the payment that the event is about.
    pub(crate) object: String,
}
