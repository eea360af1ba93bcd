//! Stores events as they arrive, by webhook or from the feed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::account::qualified;
use crate::domain::event::Event;
use crate::pg::sql;

/// What to do with an event that has just arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Process it.
    Pending,
    /// Only store it: it has another type, mode or account.
    Ignored,
}

/// What is to be done with an event that a webhook brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It is to be processed, and stored as done already: most are, in the same transaction, and then nothing more is
    /// written. See [`settle_own`].
    New,
    /// It is stored as pending, and to be processed.
    Pending,
    /// It was received before, or is ignored.
    Nothing,
}

/// Stores an event that a webhook brought, or records that a webhook brought it, too. An event that is done stays done; an
/// event that was ignored becomes pending if `Disposition` is now `Pending`. A concurrent delivery of the same event waits
/// until the other transaction ends.
pub(crate) fn receive(event: &Event, disposition: Disposition) -> Receipt {
    // Of an event that is done, these are not needed.
    let is_ignored = disposition == Disposition::Ignored;
    let ids = is_ignored.then_some(&event.ids);
    let object = is_ignored.then(|| object(event).to_string());
    let state = if is_ignored { "ignored" } else { "done" };
    let rows: Vec<[Option<String>; 2]> = sql::look_up_texts(
        1,
        "insert into invoice_sync.event as e (
            id, type, livemode, account, stripe_invoice_id, session_id, intent_id, charge_id, snapshot,
            state, next_attempt_at, created, received_at, webhook_at)
        values ($1, $2, $3::boolean, $4, $5, $6, $7, $8, $9::jsonb,
                $10, case $10 when 'ignored' then timestamptz '-infinity' end,
                to_timestamp($11::float8), clock_timestamp(), clock_timestamp())
        on conflict (id) do update
        set webhook_at = coalesce(e.webhook_at, excluded.webhook_at),
            state = case when e.state = 'ignored' and excluded.state = 'done' then 'pending' else e.state end
        where e.webhook_at is null or e.state = 'pending' or e.state = 'ignored' and excluded.state = 'done'
        -- A row that this statement has not inserted has an xmax, its lock.
        returning e.state, (e.xmax = 0)::text",
        &[
            Some(event.id.as_str()),
            Some(event.kind.as_str()),
            Some(sql::boolean(event.livemode)),
            event.account.as_deref(),
            event.ids.stripe_invoice.as_deref(),
            ids.and_then(|ids| ids.session.as_deref()),
            ids.and_then(|ids| ids.intent.as_deref()),
            ids.and_then(|ids| ids.charge.as_deref()),
            object.as_deref(),
            Some(state),
            Some(event.created.to_string().as_str()),
        ],
    );
    match rows.into_iter().next() {
        Some([Some(state), is_new]) => match (state.as_str(), is_new.as_deref()) {
            ("done", Some("true")) => Receipt::New,
            ("pending", _) => Receipt::Pending,
            _ => Receipt::Nothing,
        },
        _ => Receipt::Nothing,
    }
}

/// Stores events that the feed brought, if no webhook or earlier reading did. Returns how many of them are pending now that
/// were not stored before. Those that were ignored become pending if `Disposition` is now `Pending`.
pub(crate) fn receive_from_feed(events: &[(&Event, Disposition)]) -> usize {
    // An event that is listed twice is stored once.
    let documents: BTreeMap<&str, Value> = events
        .iter()
        .map(|(event, disposition)| (event.id.as_str(), document(event, *disposition)))
        .collect();
    let documents = Value::from_iter(documents.into_values());
    let new = sql::fetch_one(
        "with stored as (
            insert into invoice_sync.event as e (
                id, type, livemode, account, session_id, intent_id, charge_id, stripe_invoice_id, snapshot,
                state, created, received_at)
            select n.id, n.type, n.livemode, n.account, n.session_id, n.intent_id, n.charge_id,
                   n.stripe_invoice_id, n.snapshot, n.state, to_timestamp(n.created), clock_timestamp()
            from jsonb_to_recordset($1::jsonb) n (
                id text, type text, livemode boolean, account text, session_id text,
                intent_id text, charge_id text, stripe_invoice_id text, snapshot jsonb, state text,
                created float8)
            -- Each is looked up by its key, whereas a set would be joined with the whole table.
            where (select k.state <> 'ignored' or n.state = 'ignored'
                   from invoice_sync.event k where k.id = n.id) is not true
            order by n.id
            on conflict (id) do update
            set state = excluded.state
            where e.state = 'ignored' and excluded.state = 'pending'
            -- A row that this statement has not inserted has an xmax, its lock.
            returning state, xmax = 0 as is_new
        )
        select to_jsonb(count(*)) from stored where state = 'pending' and is_new",
        &[Some(&documents.to_string())],
    );
    let new = new.and_then(|new| new.as_u64()).unwrap_or_default();
    usize::try_from(new).unwrap_or(usize::MAX)
}

/// Returns what is stored of an event's object. The rest is not needed: a later run asks Stripe, and the object may name a
/// customer.
pub(super) fn object(event: &Event) -> Value {
    let id = event.snapshot.get("id").and_then(Value::as_str);
    let id = id.map(|id| qualified(event.account_of_ids(), id));
    json!({ "id": id, "created": event.snapshot.get("created") })
}

fn document(event: &Event, disposition: Disposition) -> Value {
    json!({
        "id": event.id,
        "type": event.kind,
        "livemode": event.livemode,
        "account": event.account,
        "session_id": event.ids.session,
        "intent_id": event.ids.intent,
        "charge_id": event.ids.charge,
        "stripe_invoice_id": event.ids.stripe_invoice,
        "snapshot": object(event),
        "created": event.created,
        "state": match disposition {
            Disposition::Pending => "pending",
            Disposition::Ignored => "ignored",
        },
    })
}
