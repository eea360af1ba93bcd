-- Views and functions for operators and monitoring.

set local search_path = invoice_sync, pg_catalog, pg_temp;

comment on function doctor() is
    'Checks the installation, one row for each check; makes at most 7 requests to Stripe in at most 5 seconds, and changes nothing. hint: commands for psql that fix the problem; lines that start with $ are for a shell on the server. A failed check does not always mean an error; see the detail';
comment on function missing_indexes() is
    e'Columns of your tables that are used for lookups but have no index, with the statement that creates it: select statement from invoice_sync.missing_indexes() \\gexec. Indexes are never created automatically';
comment on function next_due(text, bigint) is
    'The next time that a schedule of pg_cron is due after the given time, both in seconds since 1970; null if the schedule cannot be parsed';

-- counters -------------------------------------------------------------------

-- Counters never decrease, although retention deletes runs: the next sweep adds each
-- finished run once (run_to_count), and the view metrics adds those that are not yet counted.
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

comment on table tally is 'Sums over all counted runs, including those that retention deleted';
comment on column tally.kind is 'As in run';
comment on column tally.cause is 'As in run';
comment on column tally.success is 'As in run';
comment on column tally.runs is 'Number of runs';
comment on column tally.invoices_fixed is 'Sum of run.invoices_fixed';
comment on column tally.stripe_requests is 'Sum of run.stripe_requests';
comment on column tally.stripe_retries is 'Sum of run.stripe_retries';
comment on column tally.stripe_errors is 'Sum of run.stripe_errors';

create table tally_booked (
    currency text primary key,
    payments bigint not null check (payments >= 0),
    minor numeric not null check (minor >= 0)
);

comment on table tally_booked is 'Sums over the payments booked by all counted runs, by currency';
comment on column tally_booked.currency is 'ISO 4217 code, lower case';
comment on column tally_booked.payments is 'Number of payments';
comment on column tally_booked.minor is 'Amount that Stripe received, in Stripe''s smallest unit';

select pg_catalog.pg_extension_config_dump('tally', '');
select pg_catalog.pg_extension_config_dump('tally_booked', '');

-- Sums over the finished runs that are not yet in tally. Each is looked up: PostgreSQL expects ten of an
-- array, and thousands of a table that is almost always empty.
create view uncounted as
select kind,
       coalesce(cause, 'webhook') as cause,
       success,
       count(*) as runs,
       sum(invoices_fixed) as invoices_fixed,
       coalesce(sum(stripe_requests), 0) as stripe_requests,
       coalesce(sum(stripe_retries), 0) as stripe_retries,
       sum(stripe_errors) as stripe_errors
from unnest(array(select run_id from run_to_count)) as q (run_id)
join run on run.id = q.run_id
group by kind, coalesce(cause, 'webhook'), success;

-- Payments that those runs booked. `offset 0` keeps PostgreSQL from reading those of all runs.
create view uncounted_booked as
select b.currency,
       count(*) as payments,
       sum(b.received) as minor
from unnest(array(select run_id from run_to_count)) as q (run_id)
cross join lateral (
    select * from run_booked as r where r.run_id = q.run_id
    offset 0
) as b
group by b.currency;

comment on view uncounted is 'Sums over the finished runs that are not yet in tally';
comment on column uncounted.kind is 'As in run';
comment on column uncounted.cause is 'As in run';
comment on column uncounted.success is 'As in run';
comment on column uncounted.runs is 'Number of runs';
comment on column uncounted.invoices_fixed is 'Sum of run.invoices_fixed';
comment on column uncounted.stripe_requests is 'Sum of run.stripe_requests';
comment on column uncounted.stripe_retries is 'Sum of run.stripe_retries';
comment on column uncounted.stripe_errors is 'Sum of run.stripe_errors';
comment on view uncounted_booked is
    'Sums over the payments booked by finished runs that are not yet in tally, by currency';
comment on column uncounted_booked.currency is 'ISO 4217 code, lower case';
comment on column uncounted_booked.payments is 'Number of payments';
comment on column uncounted_booked.minor is 'Amount that Stripe received, in Stripe''s smallest unit';

-- Called by the sweep, of which only one runs at a time. A single statement, so that the
-- sums and the update see the same runs. In PL/pgSQL, which keeps its plan.
create function count_runs() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with marked as (
        delete from invoice_sync.run_to_count
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
        stripe_errors = t.stripe_errors + excluded.stripe_errors;
end
$$;

comment on function count_runs() is 'Adds finished runs that are not yet counted to tally and tally_booked';

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
    'Schedule of this database''s job, if pg_cron is an extension of this database; otherwise null, although a job may exist';

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
                   then format('Events are pending since %s.', date_trunc('second', event.oldest))
           end,
           case
               when account.refused > 0
                   then format('%s of %s other accounts cannot be asked.', account.refused, account.named)
           end,
           case when alert.failing > 0 then format('%s alerts cannot be sent.', alert.failing) end,
           case
               when run.unfinished > 0
                   then format('%s runs are in progress or were terminated.', run.unfinished)
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
       look.percent as look_back_percent,
       account.named as accounts,
       account.refused as accounts_refused
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
           (select at from last_webhook) as last_webhook
) as event
cross join (
    select (select count(*) from run where finished_at is null) as unfinished,
           (
               select coalesce(sum(stripe_requests), 0)
               from run
               where date_trunc('hour', started_at at time zone 'UTC')
                   >= date_trunc('hour', date_trunc('month', now()) at time zone 'UTC')
                   and started_at >= date_trunc('month', now())
           ) as requests
) as run
cross join (
    select (
               select looked_back_to from feed where account is null order by read_at desc nulls last limit 1
           ) as since,
           (select round(100 * avg(share_done)) from progress where first_look) as percent
) as look
cross join (
    select (select count(*) from stripe_account) as named,
           (
               select count(*)
               from issue
               where invoice_id is null and kind = 'stripe_unreachable' and object is not null
                   and state <> 'resolved'
           ) as refused
) as account
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
left join (select max(read_at) as read_at from feed where account is null) as feed on true
left join round on true
where (select require_admin());

comment on view status is 'Current state, in one row';
comment on column status.summary is 'Summary in a few sentences';
comment on column status.last_sweep_at is 'When the last finished sweep started';
comment on column status.last_sweep_success is
    'Whether it succeeded: the settings match the database and Stripe was reachable';
comment on column status.last_sweep_repaired is 'Number of invoices that it changed';
comment on column status.next_sweep_at is
    'When pg_cron starts the next sweep; null: there is no job, or pg_cron is in another database and its job is not visible here';
comment on column status.open_critical is 'Number of unresolved critical issues';
comment on column status.open_warning is 'Number of unresolved warnings';
comment on column status.open_notice is 'Number of unresolved notices';
comment on column status.alerts_waiting is 'Number of alerts waiting for their first attempt';
comment on column status.alerts_failing is 'Number of alerts that could not be sent and will be retried';
comment on column status.last_webhook_at is
    'When a webhook was last received; null: never, or retention deleted it';
comment on column status.feed_lag is 'Time since Stripe''s feed of events was last read to its end';
comment on column status.oldest_event_at is 'When the oldest pending event happened; null: there is none';
comment on column status.round_rows is 'Number of rows scanned in the current round';
comment on column status.round_percent is
    'The same, in percent of the last complete round; null: there was none';
comment on column status.last_round_ago is 'Time since the last complete scan of all invoices ended';
comment on column status.unfinished_runs is 'Number of runs that are running or were terminated';
comment on column status.requests_this_month is
    'Number of requests to Stripe by runs of this calendar month, including retries';
comment on column status.looked_back_to is
    'Time back to which the first runs search for payments that are identified by metadata only; null: not started';
comment on column status.look_back_percent is 'How much of that search is done, in percent; null: nothing had to be read';
comment on column status.accounts is 'Number of Stripe accounts beside that of the key';
comment on column status.accounts_refused is 'Number of them that cannot be asked; see the view account_health';

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
    select started_at, finished_at, success
    from run
    where kind = 'sweep' and finished_at is not null
    order by id desc
    limit 1
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
    select 'invoice_sync_invoices_repaired_total', 'counter', 'Invoices changed by runs',
           jsonb_build_object('kind', kind), sum(fixed)
    from counters
    group by kind
    union all
    select 'invoice_sync_stripe_requests_total', 'counter', 'Requests to Stripe, including retries', '{}',
           sum(requests)
    from counters
    union all
    select 'invoice_sync_stripe_retries_total', 'counter', 'Retried requests to Stripe', '{}',
           sum(retries)
    from counters
    union all
    select 'invoice_sync_stripe_errors_total', 'counter', 'Lookups that Stripe did not answer', '{}',
           sum(errors)
    from counters
    union all
    select 'invoice_sync_booked_payments_total', 'counter', 'Payments booked by runs',
           jsonb_build_object('currency', currency), payments
    from booked
    union all
    select 'invoice_sync_booked_amount_minor_total', 'counter',
           'Amount that Stripe received for them, in Stripe''s smallest unit',
           jsonb_build_object('currency', currency), minor
    from booked
    union all
    select 'invoice_sync_open_issues', 'gauge', 'Unresolved issues',
           jsonb_build_object('kind', kind, 'severity', severity), count(*)
    from issue
    where state <> 'resolved'
    group by kind, severity
    union all
    select 'invoice_sync_oldest_unreconciled_payment_age_seconds', 'gauge',
           'Age of the oldest pending event, or of the oldest issue because of which a payment is not booked',
           '{}',
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
    select 'invoice_sync_pending_events', 'gauge', 'Pending events', '{}', count(*)
    from event
    where state = 'pending'
    union all
    select 'invoice_sync_events_last_day', 'gauge',
           'Events first received in the last 24 hours, by way; feed: not received by webhook',
           jsonb_build_object('way', way), count(e.way_came)
    from (values ('webhook'), ('feed')) as w (way)
    left join (
        select case when webhook_at is null then 'feed' else 'webhook' end as way_came
        from event
        where date_trunc('hour', received_at at time zone 'UTC')
            >= date_trunc('hour', (now() - interval '1 day') at time zone 'UTC')
            and received_at > now() - interval '1 day' and state <> 'ignored'
    ) as e on e.way_came = w.way
    group by way
    union all
    select 'invoice_sync_last_webhook_timestamp_seconds', 'gauge', 'When a webhook was last received', '{}',
           extract(epoch from at)
    from last_webhook
    where at is not null
    union all
    select 'invoice_sync_feed_lag_seconds', 'gauge', 'Time since the feed of events was last read to its end',
           jsonb_build_object('whose', whose), extract(epoch from now() - read_at)
    from feed
    where read_at is not null and account is null
    union all
    select 'invoice_sync_other_accounts', 'gauge',
           'Stripe accounts beside that of the key; refused: they cannot be asked',
           jsonb_build_object('state', s.state), s.accounts
    from (
        select 'named' as state,
               count(*) as accounts
        from stripe_account
        union all
        select 'refused',
               count(*)
        from issue
        where invoice_id is null and kind = 'stripe_unreachable' and object is not null
            and state <> 'resolved'
    ) as s
    where exists (select from stripe_account)
    union all
    select 'invoice_sync_account_feed_lag_seconds', 'gauge',
           'Time since the feed of another account was last read, of the one that was read longest ago', '{}',
           extract(epoch from max(now() - coalesce(f.read_at, a.since)))
    from stripe_account as a
    left join (
        select account, max(read_at) as read_at
        from feed
        where account is not null
        group by account
    ) as f on f.account = a.account
    having count(*) > 0
    union all
    select 'invoice_sync_alerts_waiting', 'gauge', 'Unsent alerts',
           jsonb_build_object('state', state), count(*)
    from alerts
    where sent_at is null and state in ('waiting', 'failing', 'unaddressed')
    group by state
    union all
    select 'invoice_sync_unfinished_runs', 'gauge',
           'Runs that are in progress or were terminated', '{}',
           count(*)
    from run
    where finished_at is null
    union all
    select 'invoice_sync_last_sweep_timestamp_seconds', 'gauge', 'When the last finished sweep started', '{}',
           extract(epoch from started_at)
    from last
    union all
    select 'invoice_sync_last_sweep_duration_seconds', 'gauge', 'Duration of the last finished sweep', '{}',
           extract(epoch from finished_at - started_at)
    from last
    union all
    select 'invoice_sync_last_sweep_success', 'gauge', '1: the last finished sweep succeeded; 0: not', '{}',
           success::int
    from last
    union all
    select 'invoice_sync_last_full_round_timestamp_seconds', 'gauge',
           'When the last complete scan of all invoices ended', '{}',
           extract(epoch from ended_at)
    from round
    where ended_at is not null
) as samples
where (select require_admin());

comment on view metrics is
    'Metrics for monitoring, one row per sample, named as in Prometheus; see docs/monitoring.md. Reads stored sums instead of all runs';
comment on column metrics.name is
    'Name of the metric; seconds are Unix time or durations, minor is Stripe''s smallest unit';
comment on column metrics.type is 'counter or gauge';
comment on column metrics.help is 'Description';
comment on column metrics.labels is 'Labels and their values';
comment on column metrics.value is 'Value of the sample';
