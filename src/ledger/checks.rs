//! When the next request to Stripe about an invoice is due (`invoice_sync.invoice_check`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use crate::domain::invoice::Invoice;
use crate::domain::recheck::Recheck;
use crate::pg::sql;

/// Returns the invoices that are due at `now` (seconds since 1970), the longest due first.
pub(crate) fn due(limit: usize, now: f64) -> Vec<String> {
    sql::fetch(
        "select to_jsonb(invoice_id) from invoice_sync.invoice_check
        where next_check_at <= to_timestamp($2::float8)
        order by next_check_at
        limit $1::bigint",
        &[Some(&limit.to_string()), Some(&now.to_string())],
    )
    .into_iter()
    .filter_map(|id| id.as_str().map(str::to_owned))
    .collect()
}

/// Takes invoices, each with the session id and the intent id that it stores. Returns those that need a request to
/// Stripe: those that were never requested, or with other ids, and those that are due at `now` (seconds since
/// 1970).
pub(crate) fn to_be_asked<'a>(
    invoices: impl Iterator<Item = [Option<&'a str>; 3]>,
    now: f64,
) -> BTreeSet<String> {
    let rows: Vec<[Option<String>; 1]> = sql::fetch_for_rows(
        "select i.id
        from unnest($2::text[], $3::text[], $4::text[]) i (id, session, intent)
        -- One by one: a set would be joined with the whole table.
        left join lateral (
            select * from invoice_sync.invoice_check c
            where c.invoice_id = i.id
            offset 0
        ) k on true
        where k.invoice_id is null
           or k.stored_ids is distinct from array_remove(array[i.session, i.intent], null)
           or k.next_check_at <= to_timestamp($1::float8)",
        &[&now.to_string()],
        invoices,
    );
    rows.into_iter().filter_map(|[id]| id).collect()
}

/// Returns those of these invoices, whose rows contradict each other, that have had a payment whose row only the
/// extension knows, and about which Stripe was not asked for a day before `now` (seconds since 1970), nor will be.
pub(crate) fn with_lost_payments<'a>(
    invoices: impl Iterator<Item = &'a str>,
    now: f64,
) -> BTreeSet<String> {
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select distinct p.invoice_id from invoice_sync.payment_ids p
        left join invoice_sync.invoice_check c on c.invoice_id = p.invoice_id
        where p.invoice_id = any ($2::text[]) and c.next_check_at is null
          and coalesce(c.checked_at < to_timestamp($1::float8) - interval '1 day', true)",
        &[Some(&now.to_string()), Some(&sql::array(invoices))],
    );
    rows.into_iter().filter_map(|[id]| id).collect()
}

/// What [`super::recall`] reads of checks: the ids that the invoices in the first parameter stored when Stripe was last
/// asked, of invoices that need no more requests though not all their ids are booked; and the payments whose rows await
/// values. A row for each invoice with a check.
pub(super) const RECALLED: &str = "
select jsonb_build_object('finished', jsonb_build_object(
    'invoice', k.invoice_id, 'awaited', k.awaited,
    'ids', case when k.checked_at is not null and k.next_check_at is null then k.stored_ids else '{}' end))
from invoice_sync.invoice_check k
where k.invoice_id = any ($1)";

/// A row of [`RECALLED`].
#[derive(Deserialize)]
pub(super) struct Finished {
    pub(super) invoice: String,
    pub(super) ids: BTreeSet<String>,
    pub(super) awaited: BTreeSet<String>,
}

/// Returns the payments whose rows await values, of the invoices that are due at `now` (seconds since 1970), by invoice.
pub(crate) fn awaited(now: f64) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<[Option<String>; 2]> = sql::fetch_texts(
        "select k.invoice_id, a.id
        from invoice_sync.invoice_check k
        cross join lateral unnest(k.awaited) a (id)
        where k.next_check_at <= to_timestamp($1::float8) and k.awaited <> '{}'
        order by 1, 2",
        &[Some(&now.to_string())],
    );
    let mut payments: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let [Some(invoice), Some(id)] = row {
            payments.entry(invoice).or_default().push(id);
        }
    }
    payments
}

/// Makes these invoices due from now on, whatever this run comes to: a later run has them, until their answers or what
/// their rows tell are recorded. Leaves out those whose checks another transaction has locked.
pub(crate) fn leave_due(invoices: &[String]) {
    if invoices.is_empty() {
        return;
    }
    sql::execute(
        "with asked as materialized (
            select distinct id from jsonb_array_elements_text($1::jsonb) t (id)
        ), had as (
            select k.invoice_id
            from (select id from asked order by id) a
            -- Each is looked up by its key, whereas a set would be joined with the whole table.
            cross join lateral (
                select c.invoice_id from invoice_sync.invoice_check c
                where c.invoice_id = a.id
                for update skip locked
            ) k
        ), due as (
            update invoice_sync.invoice_check k
            set next_check_at = clock_timestamp()
            where k.invoice_id = any (array(select h.invoice_id from had h))
        )
        insert into invoice_sync.invoice_check (invoice_id, stored_ids, next_check_at)
        select a.id, '{}', clock_timestamp()
        from asked a
        where (select c.invoice_id from invoice_sync.invoice_check c where c.invoice_id = a.id) is null
        order by a.id
        on conflict (invoice_id) do nothing",
        &[Some(&json!(invoices).to_string())],
    );
}

/// Marks these invoices as due, for a later run.
pub(crate) fn mark_due(invoices: &[String]) {
    if invoices.is_empty() {
        return;
    }
    sql::execute(
        "insert into invoice_sync.invoice_check as k (invoice_id, stored_ids, next_check_at)
        select id, '{}', clock_timestamp()
        from (select distinct id from jsonb_array_elements_text($1::jsonb) t (id)) t
        order by id
        on conflict (invoice_id) do update set next_check_at = excluded.next_check_at
        where k.next_check_at is null or k.next_check_at > excluded.next_check_at",
        &[Some(&json!(invoices).to_string())],
    );
}

/// Records that these invoices need no more requests, because their ids are booked or because they are gone.
pub(crate) fn end(invoices: &[&str]) {
    match invoices {
        [] => {}
        // Most are alone.
        [invoice] => {
            sql::write_by_key(
                "delete from invoice_sync.invoice_check where invoice_id = $1",
                &[Some((*invoice).to_owned())],
            );
        }
        _ => {
            sql::execute(
                "delete from invoice_sync.invoice_check
                where invoice_id in (
                    select invoice_id from invoice_sync.invoice_check
                    where invoice_id = any ($1::text[])
                    order by invoice_id
                    for update)",
                &[Some(&sql::array(invoices.iter().copied()))],
            );
        }
    }
}

/// As [`end`], for those that are still due at `now` (seconds since 1970): what became due since stays so.
pub(crate) fn end_due(invoices: &[String], now: f64) {
    sql::execute(
        "delete from invoice_sync.invoice_check
        where invoice_id in (
            select invoice_id from invoice_sync.invoice_check
            where invoice_id in (select jsonb_array_elements_text($1::jsonb))
              and next_check_at <= to_timestamp($2::float8)
            order by invoice_id
            for update)",
        &[Some(&json!(invoices).to_string()), Some(&now.to_string())],
    );
}

/// What a request about an invoice led to.
pub(crate) struct Check<'a> {
    pub(crate) invoice: &'a Invoice,
    pub(crate) recheck: Recheck,
    /// Whether all ids that the invoice stores are in its books.
    pub(crate) is_booked: bool,
    /// Payments whose rows lack values that Stripe does not know yet.
    pub(crate) awaited: &'a BTreeSet<String>,
    /// Whether there may be a row about an earlier request.
    pub(crate) has_row: bool,
    /// Whether only the extension knows which payments some rows are (`invoice_sync.payment_ids`).
    pub(crate) has_rows_without_ids: bool,
}

impl Check<'_> {
    fn is_final(&self) -> bool {
        self.is_booked && self.recheck == Recheck::Never
    }

    /// Whether nothing is left to remember: what the invoice stores is in its books, and if it leaves them, Stripe is to be
    /// asked at once, as about an invoice that it was never asked about.
    fn is_over(&self) -> bool {
        let has_ids = !self.invoice.stored_ids.is_empty();
        self.is_final() && has_ids && self.awaited.is_empty() && !self.has_rows_without_ids
    }
}

/// The interval to the next request about an invoice `d`, from that to the last one.
const BACK_OFF: &str = "
cross join lateral (
    select case when c.back_off is null or c.stored_ids <> d.stored_ids
                then interval '15 minutes'
                else least(c.back_off * 2, f.longest)
           end as back_off
    from (
        select case when max(e.read_at) > clock_timestamp() - interval '1 day'
                        * case when d.account is null then 1 else 2 end
                    then interval '30 days' else interval '1 day' end as longest
        from invoice_sync.feed e
        where e.account is not distinct from d.account
    ) f
    left join invoice_sync.invoice_check c on c.invoice_id = d.invoice_id
    offset 0
) o";

/// Records that Stripe was asked about the ids that these invoices store. Of those about which nothing is left to ask, no
/// row is kept: see [`Check::is_over`].
///
/// The interval to the next request doubles from 15 minutes up to 30 days; it is a little shorter than that,
/// because sweeps do not start exactly on time. It is at most one day if the feed of events of the invoice's account is
/// not read, because changes would not be noticed otherwise; that of another account than the key's is read at intervals
/// of up to a day.
pub(crate) fn note(checks: &[Check]) {
    let (over, kept): (Vec<&Check>, Vec<&Check>) = checks.iter().partition(|it| it.is_over());
    let over = over.iter().filter(|it| it.has_row);
    let over: Vec<&str> = over.map(|it| it.invoice.id.as_str()).collect();
    end(&over);
    let row = |check: &&Check| {
        let invoice = check.invoice;
        let seconds = match check.recheck {
            Recheck::Never | Recheck::BackingOff => None,
            Recheck::After(seconds) => Some(seconds),
            Recheck::NextSweep => Some(0),
        };
        // If a row of a booked payment leaves the books, none of its ids was found unpaid.
        let ids = invoice.stored_ids.iter().map(String::as_str);
        let ids = ids.filter(|_| !check.is_final());
        [
            Some(invoice.id.clone()),
            Some(sql::array(ids)),
            seconds.map(|seconds| seconds.to_string()),
            Some(sql::boolean(check.recheck == Recheck::BackingOff).to_owned()),
            invoice.account.clone(),
            Some(sql::array(check.awaited.iter().map(String::as_str))),
        ]
    };
    let rows: Vec<[Option<String>; 6]> = kept.iter().map(row).collect();
    // Most have no interval, and then nothing is read for it.
    let any_backs_off = kept
        .iter()
        .any(|check| check.recheck == Recheck::BackingOff);
    let back_off = match any_backs_off {
        true => BACK_OFF,
        false => "cross join (select null::interval as back_off) o",
    };
    let statement = format!(
        "insert into invoice_sync.invoice_check as k (
            invoice_id, stored_ids, checked_at, next_check_at, back_off, awaited)
        select d.invoice_id, d.stored_ids, clock_timestamp(),
               clock_timestamp() + case when d.backs_off then o.back_off - interval '30 seconds'
                                        else make_interval(secs => d.seconds) end,
               case when d.backs_off then o.back_off end, d.awaited
        from (
            select invoice_id, stored_ids::text[], seconds::float8, backs_off::boolean, account, awaited::text[]
            from $rows u (invoice_id, stored_ids, seconds, backs_off, account, awaited)
        ) d
        {back_off}
        order by d.invoice_id
        on conflict (invoice_id) do update
        set stored_ids = excluded.stored_ids,
            checked_at = excluded.checked_at,
            next_check_at = excluded.next_check_at,
            back_off = excluded.back_off,
            awaited = excluded.awaited",
    );
    if !rows.is_empty() {
        sql::execute_rows(&statement, &[], rows.iter().map(sql::borrowed));
    }
}
