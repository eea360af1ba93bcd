//! Deletes old rows that are no longer needed, a limited number with each sweep.
//!
//! Never deletes what is open: a pending event, an unresolved issue, an alert to be sent, a run in progress, or a
//! run that a remaining row refers to. A change is kept as long as its run, because undoing needs both.

use crate::pg::sql;

/// The most rows that one statement deletes. The statements pass the ids as an array, for which PostgreSQL uses the
/// index, and return how many rows they deleted.
const SLICE: &str = "1000";

/// The most slices of each table that one sweep deletes: few enough to be cheap, and nearly two million rows a day.
const SLICES: usize = 20;

const EVENTS: &str = "
with gone as (
    delete from invoice_sync.event
    where id = any (array(
        select e.id
        from invoice_sync.event e
        where date_trunc('hour', e.received_at at time zone 'UTC')
                  <= date_trunc('hour', (now() - (select event_retention from invoice_sync.settings)) at time zone 'UTC')
          and e.received_at < now() - (select event_retention from invoice_sync.settings)
          and e.state <> 'pending'
        order by date_trunc('hour', e.received_at at time zone 'UTC')
        limit $1::bigint))
    returning id
)
select count(*)::text from gone";

/// Alerts that were sent, were replaced, or have no sender or recipients. An alert is kept while one of its issues
/// is open, as the record that it was sent.
const ALERTS: &str = "
with old as (
    select a.id
    from invoice_sync.alert a
    where a.created_at < now() - (select alert_retention from invoice_sync.settings)
      and (a.sent_at is not null or a.replaced_by is not null
           or a.sender is null or a.recipients = '{}')
      and not exists (
          select from invoice_sync.alert_issue t
          join invoice_sync.issue i on i.id = t.issue_id
          where t.alert_id = a.id and i.state <> 'resolved')
    order by a.id
    limit $1::bigint
), entries as (
    delete from invoice_sync.alert_issue where alert_id = any (array(select id from old))
), gone as (
    delete from invoice_sync.alert where id = any (array(select id from old)) returning id
)
select count(*)::text from gone";

/// Issues of remaining alerts are kept. Settled issues are kept, too, because they prevent the same issue from
/// being opened again.
const ISSUES: &str = "
with gone as (
    delete from invoice_sync.issue
    where id = any (array(
        select i.id
        from invoice_sync.issue i
        where i.resolved_at < now() - (select issue_retention from invoice_sync.settings)
          and i.state = 'resolved' and i.settled is null
          and not exists (select from invoice_sync.alert_issue t where t.issue_id = i.id)
        order by i.resolved_at
        limit $1::bigint))
    returning id
)
select count(*)::text from gone";

/// Runs with their changes, after they were counted. A run is kept while a remaining change was undone by it.
const RUNS: &str = "
with old as (
    select r.id
    from invoice_sync.run r
    where date_trunc('hour', r.started_at at time zone 'UTC')
              <= date_trunc('hour', (now() - (select run_retention from invoice_sync.settings)) at time zone 'UTC')
      and r.started_at < now() - (select run_retention from invoice_sync.settings)
      and r.finished_at is not null
      and not exists (select from invoice_sync.run_to_count q where q.run_id = r.id)
      and not exists (select from invoice_sync.issue i where i.first_run = r.id)
      and not exists (select from invoice_sync.issue i where i.last_run = r.id)
      and not exists (select from invoice_sync.alert a where a.run_id = r.id)
      and not exists (select from invoice_sync.change c where c.undone_by_runs @> array[r.id])
    order by date_trunc('hour', r.started_at at time zone 'UTC')
    limit $1::bigint
), changes as (
    delete from invoice_sync.change where run_id = any (array(select id from old))
), gone as (
    delete from invoice_sync.run where id = any (array(select id from old)) returning id
)
select count(*)::text from gone";

/// Answers that no open issue is about any more.
const UNWRITTEN_ANSWERS: &str = "
with gone as (
    delete from invoice_sync.unwritten_answer
    where (invoice_id, id) in (
        select u.invoice_id, u.id
        from invoice_sync.unwritten_answer u
        where not exists (
            select from invoice_sync.issue i
            where i.invoice_id = u.invoice_id and i.kind = 'apply_failed' and i.state <> 'resolved')
        limit $1::bigint)
    returning id
)
select count(*)::text from gone";

/// Counts the finished runs, and deletes a limited number of the rows that are older than the settings allow. Rows
/// that refer to others are deleted first.
pub(crate) fn forget_old() {
    sql::execute("select invoice_sync.count_runs()", &[]);
    for statement in [EVENTS, UNWRITTEN_ANSWERS, ALERTS, ISSUES, RUNS] {
        let is_whole = |_: &usize| {
            let deleted: Vec<[Option<String>; 1]> = sql::fetch_texts(statement, &[Some(SLICE)]);
            deleted == [[Some(SLICE.to_owned())]]
        };
        (0..SLICES).take_while(is_whole).for_each(drop);
    }
}
