//! What the extension's tables contain about one invoice, and about the last sweep, as texts for people.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ledger::events::UNCLAIMED;
use crate::pg::sql;

/// The last known state of a Stripe payment.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KnownPayment {
    pub(crate) id: String,
    /// All ids of the payment.
    pub(crate) ids: Vec<String>,
    pub(crate) currency: String,
    /// In Stripe's smallest unit, as the others.
    pub(crate) received: i64,
    pub(crate) refunded: i64,
    pub(crate) dispute: Option<String>,
    pub(crate) as_of: String,
}

/// Returns the payments that were received for this invoice, by time.
pub(crate) fn known_payments(invoice: &str) -> Vec<KnownPayment> {
    fetch(
        "select jsonb_build_object(
            'id', m.id, 'ids', array_remove(array[
                m.session_id, case when m.id ~ '^([^/]+/)?pi_' then m.id end, m.charge_id, m.stripe_invoice_id], null),
            'currency', m.currency, 'received', m.received,
            'refunded', coalesce(m.refunded_latest, m.refunded), 'dispute', m.dispute,
            'as_of', date_trunc('second', m.as_of)::text)
        from invoice_sync.stripe_payment m
        where m.invoice_id = $1
        order by m.received_at, m.id",
        &[Some(invoice)],
    )
}

/// An event that was not acted on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OpenEvent {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) livemode: bool,
    pub(crate) account: Option<String>,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    /// When the event is processed; `None` if that is due.
    pub(crate) next_attempt_at: Option<String>,
    pub(crate) result: Option<String>,
}

/// Returns the events about payments with one of these ids that are pending, were ignored, or named no invoice, by
/// time.
pub(crate) fn open_events(ids: &[&str]) -> Vec<OpenEvent> {
    fetch(
        "select jsonb_build_object(
            'id', e.id, 'type', e.type, 'livemode', e.livemode, 'account', e.account, 'state', e.state,
            'attempts', e.attempts, 'result', e.result,
            'next_attempt_at', case when e.next_attempt_at > clock_timestamp()
                                    then date_trunc('second', e.next_attempt_at)::text end)
        from invoice_sync.event e
        where (e.session_id = any ($1::text[]) or e.intent_id = any ($1::text[]) or e.charge_id = any ($1::text[])
               or e.stripe_invoice_id is not null and e.stripe_invoice_id = any ($1::text[]))
          and (e.state <> 'done' or e.result = $2)
        order by e.created, e.id",
        &[Some(&sql::array(ids.iter().copied())), Some(UNCLAIMED)],
    )
}

/// When Stripe was asked about an invoice, and is asked again.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CheckTimes {
    pub(crate) checked_at: Option<String>,
    pub(crate) next_check_at: Option<String>,
    /// Whether that time has come.
    pub(crate) is_due: bool,
    /// Whether nothing was left to ask: all that the invoice stored was booked.
    pub(crate) is_over: bool,
}

pub(crate) fn check_times(invoice: &str) -> Option<CheckTimes> {
    fetch(
        "select jsonb_build_object(
            'checked_at', date_trunc('second', coalesce(k.checked_at, m.seen_at))::text,
            'next_check_at', date_trunc('second', k.next_check_at)::text,
            'is_due', coalesce(k.next_check_at <= clock_timestamp(), false),
            'is_over', k.invoice_id is null)
        from (
            select max(seen_at) as seen_at from invoice_sync.stripe_payment where invoice_id = $1
        ) m
        left join invoice_sync.invoice_check k on k.invoice_id = $1
        where coalesce(k.invoice_id, m.seen_at::text) is not null",
        &[Some(invoice)],
    )
    .pop()
}

/// A sweep.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) started_at: String,
    pub(crate) is_finished: bool,
    /// Why it was not complete.
    pub(crate) error: Option<String>,
}

/// Returns the latest sweep.
pub(crate) fn last_sweep() -> Option<Sweep> {
    fetch(
        "select jsonb_build_object(
            'started_at', date_trunc('second', r.started_at)::text,
            'is_finished', r.finished_at is not null, 'error', r.error ->> 'message')
        from invoice_sync.run r
        where r.kind = 'sweep'
        order by r.id desc
        limit 1",
        &[],
    )
    .pop()
}

/// An issue that is open, or that a person has settled.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KnownIssue {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) object: Option<String>,
    pub(crate) summary: String,
    pub(crate) is_open: bool,
    pub(crate) first_seen: String,
    pub(crate) resolution: Option<String>,
    pub(crate) resolved_by: Option<String>,
    pub(crate) resolved_at: Option<String>,
    pub(crate) note: Option<String>,
    /// Who undid the repair that the issue is about, and when.
    pub(crate) undone_by: Option<String>,
    pub(crate) undone_at: Option<String>,
}

/// Returns the issues that are open or that a person has settled: those about this invoice, and of those about no single
/// invoice the ones with one of these objects, about money that names the invoice by one of `names`, or about what keeps
/// sweeps from asking Stripe.
pub(crate) fn issues(invoice: &str, names: &[&str], objects: &[&str]) -> Vec<KnownIssue> {
    fetch(
        "select jsonb_build_object(
            'id', x.id, 'kind', x.kind, 'severity', x.severity, 'object', x.object, 'summary', x.summary,
            'is_open', x.state <> 'resolved', 'first_seen', date_trunc('second', x.first_seen)::text,
            'resolution', x.resolution, 'resolved_by', x.resolved_by,
            'resolved_at', date_trunc('second', x.resolved_at)::text, 'note', x.note,
            'undone_by', r.role, 'undone_at', date_trunc('second', r.started_at)::text)
        from invoice_sync.issue x
        left join invoice_sync.run r on r.id = (x.evidence ->> 'undo_run')::bigint and x.kind = 'repair_undone'
        where (coalesce(x.invoice_id, '') = $1
               or coalesce(x.invoice_id, '') = ''
                  and (x.kind in ('stripe_unreachable', 'misconfigured')
                       or x.object = any ($2::text[])
                       or x.evidence -> 'names_invoice' ?| $3::text[]
                       or x.evidence -> 'uncounted_invoices' ? $1))
          and (x.state <> 'resolved' or x.settled is not null)
        order by x.id",
        &[
            Some(invoice),
            Some(&sql::array(objects.iter().copied())),
            Some(&sql::array(names.iter().copied())),
        ],
    )
}

fn fetch<T: DeserializeOwned>(statement: &str, params: &[Option<&str>]) -> Vec<T> {
    let rows = sql::fetch(statement, params).into_iter();
    rows.filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}
