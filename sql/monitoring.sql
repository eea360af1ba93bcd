-- What operators and their monitoring look at.

set local search_path = invoice_sync, pg_catalog, pg_temp;

comment on function doctor() is
    'Looks whether all is in place, asks Stripe for a little of everything (at most 5 seconds, 5 requests), and changes nothing. hint: what to do, for pasting into psql; lines that begin with $ are for a shell on the server. Not ok does not always mean broken: the detail says what is missing';
comment on function missing_indexes() is
    'Columns of your tables that statements look rows up by, and that no index serves: select statement from invoice_sync.missing_indexes() \gexec. No index is ever made for you';
comment on function next_due(text, bigint) is
    'When a schedule of pg_cron''s is due next after a time, both in seconds since 1970; null where it is not understood';

-- counters -------------------------------------------------------------------

-- Counters only grow, whatever retention removes: a run is added here once, by the
-- sweep after it, and what is not added yet is added by the view.
create table tally (
    kind text not null,
    cause text not null,
    success boolean not null,
    runs bigint not null check (runs >= 0),
    invoices_fixed bigint not null check (invoices_fixed >= 0),
    stripe_requests bigint not null check (stripe_requests >= 0),
    stripe_retries bigint not null check (stripe_retries >= 0),
    stripe_errors bigint not null check (stripe_errors >= 0),
    primary key (kind, cause, success)
);

comment on table tally is 'Sums over all finished runs that were counted, those included that retention has removed';
comment on column tally.kind is 'As in run';
comment on column tally.cause is 'As in run';
comment on column tally.success is 'As in run';
comment on column tally.runs is 'How many runs';
comment on column tally.invoices_fixed is 'Sum of run.invoices_fixed';
comment on column tally.stripe_requests is 'Sum of run.stripe_requests';
comment on column tally.stripe_retries is 'Sum of run.stripe_retries';
comment on column tally.stripe_errors is 'Sum of run.stripe_errors';

create table tally_booked (
    currency text primary key,
    payments bigint not null check (payments >= 0),
    minor numeric not null check (minor >= 0)
);

comment on table tally_booked is 'Sums over the payments that all counted runs added to the books, by currency';
comment on column tally_booked.currency is 'ISO 4217, lower case';
comment on column tally_booked.payments is 'How many payments';
comment on column tally_booked.minor is 'What Stripe received, in Stripe''s smallest unit';

select pg_catalog.pg_extension_config_dump('tally', '');
select pg_catalog.pg_extension_config_dump('tally_booked', '');

-- Finished runs that are not in the tally yet, summed up.
create view uncounted as
select kind,
       cause,
       success,
       count(*) as runs,
       sum(invoices_fixed) as invoices_fixed,
       sum(stripe_requests) as stripe_requests,
       sum(stripe_retries) as stripe_retries,
       sum(stripe_errors) as stripe_errors
from run
where not counted and finished_at is not null
group by kind, cause, success;

-- What those runs added to the books.
create view uncounted_booked as
select b.currency,
       count(*) as payments,
       sum(b.received) as minor
from run as r
join run_booked as b on b.run_id = r.id
where not r.counted and r.finished_at is not null
group by b.currency;

comment on view uncounted is 'Sums over the finished runs that are not in tally yet';
comment on column uncounted.kind is 'As in run';
comment on column uncounted.cause is 'As in run';
comment on column uncounted.success is 'As in run';
comment on column uncounted.runs is 'How many runs';
comment on column uncounted.invoices_fixed is 'Sum of run.invoices_fixed';
comment on column uncounted.stripe_requests is 'Sum of run.stripe_requests';
comment on column uncounted.stripe_retries is 'Sum of run.stripe_retries';
comment on column uncounted.stripe_errors is 'Sum of run.stripe_errors';
comment on view uncounted_booked is 'Sums over the payments that those runs added to the books, by currency';
comment on column uncounted_booked.currency is 'ISO 4217, lower case';
comment on column uncounted_booked.payments is 'How many payments';
comment on column uncounted_booked.minor is 'What Stripe received, in Stripe''s smallest unit';

-- Called by the sweep, of which there is one at a time. One statement, and so one
-- snapshot: what is summed up and what is marked are the same runs.
create function count_runs() returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    with marked as (
        update invoice_sync.run set counted = true
        where not counted and finished_at is not null
    ),
    booked as (
        insert into invoice_sync.tally_booked as t
        select * from invoice_sync.uncounted_booked
        on conflict (currency) do update
        set payments = t.payments + excluded.payments,
            minor = t.minor + excluded.minor
    )
    insert into invoice_sync.tally as t
    select * from invoice_sync.uncounted
    on conflict (kind, cause, success) do update
    set runs = t.runs + excluded.runs,
        invoices_fixed = t.invoices_fixed + excluded.invoices_fixed,
        stripe_requests = t.stripe_requests + excluded.stripe_requests,
        stripe_retries = t.stripe_retries + excluded.stripe_retries,
        stripe_errors = t.stripe_errors + excluded.stripe_errors
$$;

comment on function count_runs() is 'Adds the runs that finished since the last time to tally and tally_booked';

-- status -----------------------------------------------------------------------

create function visible_schedule() returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    answer text;
begin
    perform invoice_sync.require_admin();
    if exists (select from pg_extension where extname = 'pg_cron') then
        execute 'select schedule from cron.job
                 where jobname = $1 and database = current_database() and active limit 1'
            into answer
            using invoice_sync.job_name();
    end if;
    return answer;
end
$$;

comment on function visible_schedule() is
    'The times of this database''s job, where pg_cron is an extension of this database; else null, though there may be a job';

create view status as
select concat_ws(
           ' ',
           case
               when last.id is null then 'No sweep has run yet.'
               when last.success
                   then format('The last sweep ran %s ago and repaired %s.', last.ago, last.invoices_fixed)
               else format('The last sweep, %s ago, failed: %s.', last.ago, last.error ->> 'message')
           end,
           format('%s issues are open, %s of them critical.', issue.all_open, issue.critical),
           case
               when event.oldest is not null
                   then format('Events have waited since %s.', date_trunc('second', event.oldest))
           end,
           case when alert.failing > 0 then format('%s alerts cannot be sent.', alert.failing) end,
           case
               when run.unfinished > 0
                   then format('%s runs are under way or were ended from outside.', run.unfinished)
           end,
           case
               when look.percent < 100
                   then format('The first look back, to %s, is %s %% done.', look.since::date, look.percent)
           end
       ) as summary,
       last.started_at as last_sweep_at,
       last.success as last_sweep_success,
       last.invoices_fixed as last_sweep_repaired,
       to_timestamp(next_due(visible_schedule(), extract(epoch from now())::bigint)) as next_sweep_at,
       issue.critical as open_critical,
       issue.warning as open_warning,
       issue.notice as open_notice,
       alert.waiting as alerts_waiting,
       alert.failing as alerts_failing,
       event.last_webhook as last_webhook_at,
       now() - feed.read_at as feed_lag,
       event.oldest as oldest_event_at,
       round.rows as round_rows,
       round(100.0 * round.rows / nullif(round.last_rows, 0)) as round_percent,
       now() - round.ended_at as last_round_ago,
       run.unfinished as unfinished_runs,
       run.requests as requests_this_month,
       look.since as looked_back_to,
       look.percent as look_back_percent
from (
    select count(*) as all_open,
           count(*) filter (where severity = 'critical') as critical,
           count(*) filter (where severity = 'warning') as warning,
           count(*) filter (where severity = 'notice') as notice
    from issue
    where state <> 'resolved'
) as issue
cross join (
    select count(*) filter (where state = 'waiting') as waiting,
           count(*) filter (where state = 'failing') as failing
    from alerts
    where sent_at is null
) as alert
cross join (
    select (select min(created) from event where state = 'pending') as oldest,
           (select max(webhook_at) from event) as last_webhook
) as event
cross join (
    select (select count(*) from run where finished_at is null) as unfinished,
           (
               select coalesce(sum(stripe_requests), 0)
               from run
               where started_at >= date_trunc('month', now())
           ) as requests
) as run
cross join (
    select (select looked_back_to from feed order by read_at desc nulls last limit 1) as since,
           (select round(100 * avg(share_done)) from progress where first_look) as percent
) as look
left join (
    select id,
           started_at,
           date_trunc('second', now() - started_at) as ago,
           success,
           invoices_fixed,
           error
    from run
    where kind = 'sweep' and finished_at is not null
    order by id desc
    limit 1
) as last on true
left join (select max(read_at) as read_at from feed) as feed on true
left join round on true
where (select require_admin());

comment on view status is 'How it stands, in one row';
comment on column status.summary is 'All that matters, in a sentence or two';
comment on column status.last_sweep_at is 'When the last finished sweep began';
comment on column status.last_sweep_success is 'Whether Stripe could be asked then';
comment on column status.last_sweep_repaired is 'Invoices of which it changed something';
comment on column status.next_sweep_at is
    'When pg_cron starts the next one; null: there is no job, or pg_cron is in another database and its job not visible from here';
comment on column status.open_critical is 'Open and acknowledged issues that are critical';
comment on column status.open_warning is 'Open and acknowledged issues that are warnings';
comment on column status.open_notice is 'Open and acknowledged issues that are notices';
comment on column status.alerts_waiting is 'Alerts that are to be sent, and were not tried yet';
comment on column status.alerts_failing is 'Alerts that were tried in vain, and will be tried again';
comment on column status.last_webhook_at is 'When a webhook last came; null: none did, or retention has removed it';
comment on column status.feed_lag is 'How long ago Stripe''s feed of events was last read to its end';
comment on column status.oldest_event_at is 'When the oldest event that is still to be acted on happened; null: there is none';
comment on column status.round_rows is 'Rows of your tables looked through in the present round';
comment on column status.round_percent is 'The same, in percent of the last whole round; null: there was none yet';
comment on column status.last_round_ago is 'How long ago the last whole round through all invoices ended';
comment on column status.unfinished_runs is 'Runs that are under way, or were ended from outside';
comment on column status.requests_this_month is 'Requests to Stripe that runs of this calendar month made, retries included';
comment on column status.looked_back_to is
    'How far back the first runs look for payments that only name their invoice; null: not begun';
comment on column status.look_back_percent is 'How much of that is done; null: nothing had to be read';

-- metrics ------------------------------------------------------------------------

create view metrics as
with counters as (
    select kind, cause, success, sum(runs) as runs, sum(invoices_fixed) as fixed,
           sum(stripe_requests) as requests, sum(stripe_retries) as retries, sum(stripe_errors) as errors
    from (select * from tally union all select * from uncounted) as t
    group by kind, cause, success
),
booked as (
    select currency, sum(payments) as payments, sum(minor) as minor
    from (select * from tally_booked union all select * from uncounted_booked) as t
    group by currency
),
last as (
    select * from run where kind = 'sweep' and finished_at is not null order by id desc limit 1
)
select name, type, help, labels, value
from (
    select 'invoice_sync_runs_total' as name,
           'counter' as type,
           'Finished runs' as help,
           jsonb_build_object('kind', kind, 'cause', cause, 'success', success::text) as labels,
           runs::numeric as value
    from counters
    union all
    select 'invoice_sync_invoices_repaired_total', 'counter', 'Invoices of which a run changed something',
           jsonb_build_object('kind', kind), sum(fixed)
    from counters
    group by kind
    union all
    select 'invoice_sync_stripe_requests_total', 'counter', 'Requests to Stripe, retries included', '{}',
           sum(requests)
    from counters
    union all
    select 'invoice_sync_stripe_retries_total', 'counter', 'Requests to Stripe that were sent again', '{}',
           sum(retries)
    from counters
    union all
    select 'invoice_sync_stripe_errors_total', 'counter', 'Questions that Stripe did not answer', '{}',
           sum(errors)
    from counters
    union all
    select 'invoice_sync_booked_payments_total', 'counter', 'Payments that were added to the books',
           jsonb_build_object('currency', currency), payments
    from booked
    union all
    select 'invoice_sync_booked_amount_minor_total', 'counter',
           'What Stripe received for them, in Stripe''s smallest unit of the currency',
           jsonb_build_object('currency', currency), minor
    from booked
    union all
    select 'invoice_sync_open_issues', 'gauge', 'Issues that are not resolved',
           jsonb_build_object('kind', kind, 'severity', severity), count(*)
    from issue
    where state <> 'resolved'
    group by kind, severity
    union all
    select 'invoice_sync_oldest_unreconciled_payment_age_seconds', 'gauge',
           'Age of the oldest event to act on, or open issue that keeps money from the books; 0: none', '{}',
           extract(epoch from now() - coalesce(least(
               (select min(created) from event where state = 'pending'),
               (
                   select min(first_seen)
                   from issue
                   where state <> 'resolved'
                       and (kind in ('unlinked_payment', 'currency_mismatch', 'possible_duplicate')
                           or kind in ('apply_failed', 'repair_undone')
                           and jsonb_array_length(evidence #> '{wanted,payments}') > 0)
               )
           ), now()))
    union all
    select 'invoice_sync_pending_events', 'gauge', 'Events that are still to be acted on', '{}', count(*)
    from event
    where state = 'pending'
    union all
    select 'invoice_sync_events_last_day', 'gauge',
           'Events first received within 24 hours, by the way they came; feed: no webhook brought them',
           jsonb_build_object('way', way), count(e.way_came)
    from (values ('webhook'), ('feed')) as w (way)
    left join (
        select case when webhook_at is null then 'feed' else 'webhook' end as way_came
        from event
        where received_at > now() - interval '1 day' and state <> 'ignored'
    ) as e on e.way_came = w.way
    group by way
    union all
    select 'invoice_sync_last_webhook_timestamp_seconds', 'gauge', 'When a webhook last came', '{}',
           extract(epoch from max(webhook_at))
    from event
    having max(webhook_at) is not null
    union all
    select 'invoice_sync_feed_lag_seconds', 'gauge', 'Since the feed of events was last read to its end',
           jsonb_build_object('whose', whose), extract(epoch from now() - read_at)
    from feed
    where read_at is not null
    union all
    select 'invoice_sync_alerts_waiting', 'gauge', 'Alerts that are not sent',
           jsonb_build_object('state', state), count(*)
    from alerts
    where sent_at is null and state in ('waiting', 'failing', 'unaddressed')
    group by state
    union all
    select 'invoice_sync_unfinished_runs', 'gauge',
           'Runs that are under way or were ended from outside', '{}',
           count(*)
    from run
    where finished_at is null
    union all
    select 'invoice_sync_last_sweep_timestamp_seconds', 'gauge', 'When the last finished sweep began', '{}',
           extract(epoch from started_at)
    from last
    union all
    select 'invoice_sync_last_sweep_duration_seconds', 'gauge', 'How long it took', '{}',
           extract(epoch from finished_at - started_at)
    from last
    union all
    select 'invoice_sync_last_sweep_success', 'gauge', '1: Stripe could be asked; 0: it could not', '{}',
           success::int
    from last
    union all
    select 'invoice_sync_last_full_round_timestamp_seconds', 'gauge',
           'When the last round through all invoices ended', '{}',
           extract(epoch from ended_at)
    from round
    where ended_at is not null
) as samples
where (select require_admin());

comment on view metrics is
    'What monitoring reads, a row for each sample, named as Prometheus does: docs/monitoring.md. Cheap: sums are kept, no scan of all runs';
comment on column metrics.name is 'The metric; seconds are Unix time or durations, minor is Stripe''s smallest unit';
comment on column metrics.type is 'counter or gauge';
comment on column metrics.help is 'What it counts';
comment on column metrics.labels is 'Labels and their values';
comment on column metrics.value is 'The sample';
