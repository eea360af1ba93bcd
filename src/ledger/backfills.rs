//! The progress of backfills.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::feed::Gap;
use crate::pg::sql;

/// One list of a backfill that is not read completely.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) id: i64,
    /// The value of `backfill.list`.
    pub(crate) list: String,
    /// Seconds since 1970.
    pub(crate) since: i64,
    pub(crate) until: i64,
    pub(crate) after_id: Option<String>,
    /// When the last object that was read was created, in seconds since 1970.
    pub(crate) reached: Option<i64>,
    pub(crate) objects: u64,
    pub(crate) repaired: u64,
    /// Whether it is for time of which Stripe has no events any more, in which older payments may have changed.
    pub(crate) is_gap: bool,
}

/// What one page added.
#[derive(Clone, Debug)]
pub(crate) struct Progress<'a> {
    pub(crate) last: Option<&'a (String, i64)>,
    pub(crate) objects: u64,
    pub(crate) payments: usize,
    pub(crate) repaired: u64,
    /// How long the page took.
    pub(crate) seconds: f64,
    pub(crate) is_last: bool,
}

/// Requests a backfill of all payments of a period, given as text that PostgreSQL reads as timestamps; null means
/// now. An identical request that is not finished is not started again. Returns false if the period is empty.
pub(crate) fn request(since: &str, until: Option<&str>) -> bool {
    sql::fetch_one(
        "with asked as (
            select greatest(date_trunc('second', $1::timestamptz), timestamptz '2010-01-01 UTC') as since,
                   least(date_trunc('second', coalesce($2::timestamptz, clock_timestamp())),
                         date_trunc('second', clock_timestamp())) as until
        ), put as (
            insert into invoice_sync.backfill (since, until, list)
            select l.since, a.until, l.list
            from asked a
            -- A session may be paid for a day.
            cross join lateral (values ('checkout_sessions', a.since - interval '1 day'),
                                       ('payment_intents', a.since), ('charges', a.since),
                                       ('invoices', a.since)) l (list, since)
            where a.since < a.until
              and not exists (select from invoice_sync.backfill b
                              where b.list = l.list and b.since = l.since and b.finished_at is null
                                and ($2 is null or b.until = a.until))
        )
        select to_jsonb(since < until) from asked",
        &[Some(since), until],
    ) == Some(Value::Bool(true))
}

/// Requests the first look back, over a time in seconds since 1970, unless an earlier backfill goes back as far.
pub(crate) fn request_first_look(since: i64, until: i64) {
    sql::execute(
        "insert into invoice_sync.backfill (since, until, list, first_look)
        select to_timestamp($1::float8) - l.earlier, to_timestamp($2::float8), l.list, true
        -- A session may be paid for a day.
        from (values ('checkout_sessions', interval '1 day'), ('payment_intents', '0'),
                     ('charges', '0'), ('invoices', '0')) l (list, earlier)
        where not exists (
            select from invoice_sync.backfill b
            where b.list = 'payment_intents' and b.since <= to_timestamp($1::float8))
          and (l.list <> 'invoices'
               or exists (select from invoice_sync.event e where e.stripe_invoice_id is not null))",
        &[Some(&since.to_string()), Some(&until.to_string())],
    );
}

/// Requests a backfill of a period for which Stripe has no events any more. Only the part that was not requested
/// before is requested, and only if it is longer than `least` seconds, so that repeated calls have no effect.
///
/// Stripe's lists are ordered by creation time. A session may be paid for one day; a charge may be pending, and a
/// refund unfinished, for two weeks; a Stripe Invoice is usually paid within 30 days. Stripe Invoices are read where there
/// were events of some.
pub(crate) fn request_gap(gap: Gap, least: i64) {
    sql::execute(
        "insert into invoice_sync.backfill (since, until, list, gap_since)
        select c.until - l.earlier, g.until, l.list, g.since
        from (select to_timestamp($1::float8), to_timestamp($2::float8)) g (since, until)
        cross join lateral (
            select coalesce(max(b.until), g.since)
            from invoice_sync.backfill b
            where b.gap_since = g.since
        ) c (until)
        cross join (values ('checkout_sessions', interval '1 day'), ('payment_intents', '1 day'),
                           ('charges', '15 days'), ('refunds', '15 days'), ('disputes', '0'),
                           ('invoices', '30 days')) l (list, earlier)
        where g.until - c.until > make_interval(secs => $3::float8)
          and (l.list <> 'invoices'
               or exists (select from invoice_sync.event e where e.stripe_invoice_id is not null))",
        &[
            Some(&gap.since.to_string()),
            Some(&gap.until.to_string()),
            Some(&least.to_string()),
        ],
    );
}

/// Returns the next unfinished part, the oldest request first.
pub(crate) fn next() -> Option<Part> {
    sql::fetch_one(
        "select jsonb_build_object(
            'id', id, 'list', list, 'after_id', after_id, 'objects', objects, 'repaired', repaired,
            'is_gap', gap_since is not null,
            'since', extract(epoch from since)::bigint, 'until', extract(epoch from until)::bigint,
            'reached', extract(epoch from reached)::bigint)
        from invoice_sync.backfill
        where finished_at is null
        order by id
        limit 1",
        &[],
    )
    .and_then(|row| serde_json::from_value(row).ok())
}

/// Records that a page was processed.
pub(crate) fn advance(part: &Part, progress: &Progress) {
    let document = json!({
        "after_id": progress.last.map(|(id, _)| id),
        "reached": progress.last.map(|(_, made)| made),
        "objects": progress.objects,
        "payments": progress.payments,
        "repaired": progress.repaired,
        "seconds": progress.seconds,
        "is_last": progress.is_last,
    });
    sql::execute(
        "update invoice_sync.backfill b
        set after_id = coalesce(p.after_id, b.after_id),
            reached = coalesce(to_timestamp(p.reached), b.reached),
            pages = b.pages + 1,
            objects = b.objects + p.objects,
            payments = b.payments + p.payments,
            repaired = b.repaired + p.repaired,
            worked = b.worked + make_interval(secs => p.seconds),
            moved_at = clock_timestamp(),
            finished_at = case when p.is_last then clock_timestamp() end
        from jsonb_to_record($2::jsonb) p (
            after_id text, reached float8, objects bigint, payments bigint, repaired bigint,
            seconds float8, is_last boolean)
        where b.id = $1::bigint",
        &[Some(&part.id.to_string()), Some(&document.to_string())],
    );
}

/// Continues by creation time, because the object that was read last does not exist at Stripe any more.
pub(crate) fn resume_by_time(part: &Part) {
    sql::execute(
        "update invoice_sync.backfill set after_id = null, until = coalesce(reached, until) where id = $1::bigint",
        &[Some(&part.id.to_string())],
    );
}
