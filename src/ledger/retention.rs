//! Deletes what is old and settled, some rows with each sweep.
//!
//! Never what is open: an event to be acted on, an issue that is not resolved, an
//! alert that is to be sent, a run that is under way, and no run that anything kept
//! refers to. A change lives as long as its run, because undoing wants both.

use crate::pg::sql;

/// What is removed of each table by one sweep: little enough to cost it nothing, and
/// nearly a hundred thousand rows a day. (As an array of ids, for which PostgreSQL
/// takes the index.)
const SLICE: &str = "1000";

const EVENTS: &str = "
delete from invoice_sync.event
where id = any (array(
    select e.id
    from invoice_sync.event e
    where e.received_at < now() - (select event_retention from invoice_sync.settings)
      and e.state <> 'pending'
    order by e.received_at
    limit $1::bigint))";

/// Those that were sent, taken over by another, or are nobody's to send; while one
/// of its issues is open, an alert shows that somebody was alerted.
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
)
delete from invoice_sync.alert where id = any (array(select id from old))";

/// A kept alert keeps its issues; what a person decided for good is in no alert again,
/// and is kept for that.
const ISSUES: &str = "
delete from invoice_sync.issue
where id = any (array(
    select i.id
    from invoice_sync.issue i
    where i.resolved_at < now() - (select issue_retention from invoice_sync.settings)
      and i.state = 'resolved' and i.settled is null
      and not exists (select from invoice_sync.alert_issue t where t.issue_id = i.id)
    order by i.resolved_at
    limit $1::bigint))";

/// With their changes, and once they are in the tally. A kept change keeps the run
/// that put it back.
const RUNS: &str = "
with old as (
    select r.id
    from invoice_sync.run r
    where r.started_at < now() - (select run_retention from invoice_sync.settings)
      and r.finished_at is not null and r.counted
      and not exists (select from invoice_sync.issue i where i.first_run = r.id)
      and not exists (select from invoice_sync.issue i where i.last_run = r.id)
      and not exists (select from invoice_sync.alert a where a.run_id = r.id)
      and not exists (select from invoice_sync.change c where c.undone_by = r.id)
    order by r.started_at
    limit $1::bigint
), changes as (
    delete from invoice_sync.change where run_id = any (array(select id from old))
)
delete from invoice_sync.run where id = any (array(select id from old))";

/// Removes a slice of what is older than the settings say, and counts the runs
/// that finished. What refers to others goes first.
pub(crate) fn forget_old() {
    sql::execute("select invoice_sync.count_runs()", &[]);
    for statement in [EVENTS, ALERTS, ISSUES, RUNS] {
        sql::execute(statement, &[Some(SLICE)]);
    }
}
