//! The progress of backfills.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::feed::Gap;
use crate::pg::sql;
use crate::settings;

/// One list of a backfill that is not read completely.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) id: i64,
    /// The account whose list it is; `None` is the key's own.
    pub(crate) account: Option<String>,
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

/// The accounts `w` whose lists are read: that of the key where `$1` is true, and those of the table, but for that of the
/// settings (`$2`), if a column says which invoices belong to them.
const ACCOUNTS: &str = "(
    select null::text as account where $1::boolean
    union all
    select s.account from invoice_sync.stripe_account s
    where s.account is distinct from $2
      and exists (select from invoice_sync.settings x where x.invoice_account_column is not null)
) w";

/// The lists `l` in which all payments of a period are. A session may be paid for a day, so that list begins `earlier`.
const LISTS: &str =
    "(values (1, 'checkout_sessions', interval '1 day'), (2, 'payment_intents', '0'),
                     (3, 'charges', '0'), (4, 'invoices', '0')) l (place, list, earlier)";

/// Requests a backfill of all payments of a period, given as text that PostgreSQL reads as timestamps; null means
/// now. An identical request that is not finished is not started again; one up to now is a request that was up to its own
/// now. The key's own account is left out where no key is set. Returns false if the period is empty.
pub(crate) fn request(since: &str, until: Option<&str>, with_own: bool) -> bool {
    let statement = format!(
        "with asked as (
            select greatest(date_trunc('second', $3::timestamptz), timestamptz '2010-01-01 UTC') as since,
                   least(date_trunc('second', coalesce($4::timestamptz, clock_timestamp())),
                         date_trunc('second', clock_timestamp())) as until
        ), put as (
            insert into invoice_sync.backfill (since, until, list, account)
            select a.since - l.earlier, a.until, l.list, w.account
            from asked a
            cross join {ACCOUNTS}
            cross join {LISTS}
            where a.since < a.until
              and not exists (select from invoice_sync.backfill b
                              where b.list = l.list and b.since = a.since - l.earlier and b.finished_at is null
                                and b.account is not distinct from w.account
                                and case when $4 is null then b.until >= b.requested_at - interval '1 minute'
                                         else b.until = a.until end)
            order by w.account nulls first, l.place
        )
        select to_jsonb(since < until) from asked"
    );
    let own = settings::stripe_account();
    let params = [
        Some(sql::boolean(with_own)),
        own.as_deref(),
        Some(since),
        until,
    ];
    sql::fetch_one(&statement, &params) == Some(Value::Bool(true))
}

/// The first look back of an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FirstLook {
    /// `None` is the key's own.
    pub(crate) account: Option<String>,
    /// The name under which the position in its feed is stored.
    pub(crate) whose: String,
    /// How far back it goes, in seconds since 1970.
    pub(crate) since: i64,
}

/// Requests these first looks, up to a time in seconds since 1970, except where an earlier backfill of the account goes
/// back as far. Of the key's own account, Stripe Invoices are read where there were events of some; those of others may
/// have been read from no feed yet.
pub(crate) fn request_first_looks(looks: &[FirstLook], until: i64) {
    let statement = format!(
        "insert into invoice_sync.backfill (since, until, list, first_look, account)
        select to_timestamp(w.since) - l.earlier, to_timestamp($2::float8), l.list, true, w.account
        from jsonb_to_recordset($1::jsonb) w (account text, since float8)
        cross join {LISTS}
        where w.since < $2::float8
          and not exists (
            select from invoice_sync.backfill b
            where b.list = 'payment_intents' and b.account is not distinct from w.account
              and b.since <= to_timestamp(w.since))
          and (l.list <> 'invoices' or w.account is not null
               or exists (select from invoice_sync.event e where e.stripe_invoice_id is not null))
        order by w.account nulls first, l.place"
    );
    sql::execute(
        &statement,
        &[Some(&json!(looks).to_string()), Some(&until.to_string())],
    );
}

/// Requests a backfill of a period for which Stripe has no events of this account any more; `None` is the key's own. Only
/// the part of each list that was not requested before is requested, and only if it is longer than `least` seconds, so that
/// repeated calls have no effect.
///
/// Stripe's lists are ordered by creation time. A session may be paid for one day; a charge may be pending, and a
/// refund unfinished, for two weeks; a Stripe Invoice is usually paid within 30 days. Stripe Invoices are read where there
/// were events of some.
pub(crate) fn request_gap(account: Option<&str>, gap: Gap, least: i64) {
    sql::execute(
        "insert into invoice_sync.backfill (since, until, list, gap_since, account)
        select c.until - l.earlier, g.until, l.list, g.since, $4
        from (select to_timestamp($1::float8), to_timestamp($2::float8)) g (since, until)
        cross join (values (1, 'checkout_sessions', interval '1 day'), (2, 'payment_intents', '1 day'),
                           (3, 'charges', '15 days'), (4, 'refunds', '15 days'), (5, 'disputes', '0'),
                           (6, 'invoices', '30 days')) l (place, list, earlier)
        cross join lateral (
            select coalesce(max(b.until), g.since)
            from invoice_sync.backfill b
            where b.gap_since = g.since and b.list = l.list and b.account is not distinct from $4
        ) c (until)
        where g.until - c.until > make_interval(secs => $3::float8)
          and (l.list <> 'invoices'
               or exists (select from invoice_sync.event e
                          where e.stripe_invoice_id is not null and ($4 is null or e.account = $4)))
        order by l.place",
        &[
            Some(&gap.since.to_string()),
            Some(&gap.until.to_string()),
            Some(&least.to_string()),
            account,
        ],
    );
}

/// Which unfinished parts are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// Whether those of the key's own account are left out.
    pub(crate) without_own: bool,
    /// When somebody asked for them, in seconds since 1970: accounts that refused before are asked again now.
    pub(crate) asked_at: Option<f64>,
}

/// Returns the next unfinished part, the oldest request first. Those of accounts that are not named any more are left out,
/// and those of accounts that refused wait as long again as they have waited, at least 15 minutes and at most a day, a
/// little shorter, because runs do not start exactly on time.
pub(crate) fn next(due: Due) -> Option<Part> {
    let own = settings::stripe_account();
    let asked_at = due.asked_at.map(|at| at.to_string());
    sql::fetch_one(
        "select jsonb_build_object(
            'id', b.id, 'account', b.account, 'list', b.list, 'after_id', b.after_id, 'objects', b.objects,
            'repaired', b.repaired, 'is_gap', b.gap_since is not null,
            'since', extract(epoch from b.since)::bigint, 'until', extract(epoch from b.until)::bigint,
            'reached', extract(epoch from b.reached)::bigint)
        from invoice_sync.backfill b
        where b.finished_at is null
          and case when b.account is null then not $1::boolean
              else exists (select from invoice_sync.stripe_account s
                           where s.account = b.account and s.account is distinct from $2)
                and (b.refused_at is null or b.refused_at < to_timestamp($3::float8)
                     or b.refused_at + least(interval '1 day',
                         greatest(interval '15 minutes', b.refused_at - b.requested_at))
                        <= clock_timestamp() + interval '30 seconds') end
        order by b.id
        limit 1",
        &[
            Some(sql::boolean(due.without_own)),
            own.as_deref(),
            asked_at.as_deref(),
        ],
    )
    .and_then(|row| serde_json::from_value(row).ok())
}

/// Records that this account could not be asked for its lists.
pub(crate) fn refuse(account: &str) {
    sql::execute(
        "update invoice_sync.backfill set refused_at = clock_timestamp()
        where account = $1 and finished_at is null",
        &[Some(account)],
    );
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
            refused_at = null,
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
