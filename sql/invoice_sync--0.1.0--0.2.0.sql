-- From 0.1.0 to 0.2.0. What it leaves equals a fresh install: pgrx-tests/e2e/upgrade.rs compares them.
set local search_path = invoice_sync, pg_catalog, pg_temp;

-- Texts are passed between PostgreSQL and the library as they are, and the library reads them as UTF-8.
do $$
begin
    if getdatabaseencoding() not in ('UTF8', 'SQL_ASCII') then
        raise exception 'invoice_sync does not work in a database with the encoding %', getdatabaseencoding()
            using errcode = 'feature_not_supported',
                  detail = 'Stripe''s texts are in UTF-8, and so must be those of the database.',
                  hint = 'Dump the database and restore it into one that was created with: create database … encoding ''UTF8'' template template0;';
    end if;
end
$$;

-- Restoring a dump whose settings name views that triggers make writable.
create or replace function settings_are_checked() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- pg_dump and pg_restore set this, and restore the rows before the triggers, rules and rights that make views
    -- writable. Whoever uses the settings checks them again.
    if tg_op = 'INSERT' and current_setting('check_function_bodies') = 'off' then
        return new;
    end if;
    perform invoice_sync.check_settings(to_jsonb(new));
    return new;
end
$$;

-- Functions that answered RPC callers who are no admins.
create or replace function job_name() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'invoice_sync in ' || current_database() where (select invoice_sync.require_admin())
$$;

alter function invoice_sync.find_currencies() security definer;
alter function invoice_sync.find_currencies() parallel restricted;
alter function invoice_sync.issue_kinds() security definer;
alter function invoice_sync.issue_kinds() stable;
alter function invoice_sync.issue_kinds() parallel restricted;
do $$
begin
    alter function invoice_sync.issue_kinds() set search_path to pg_catalog, pg_temp;
end
$$;

-- What is known of a payment never goes back in time.
alter table stripe_payment add column as_of timestamptz;
update stripe_payment set as_of = seen_at;
alter table stripe_payment
    alter column as_of set not null;

-- Payments that came by no checkout session: Stripe is not asked for it again.
alter table stripe_payment add column sessionless boolean not null default false;
alter table stripe_payment add column refunded_latest bigint;

-- Issues end by the facts that they rest on.
create or replace function facts_that_matter(evidence jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(evidence, 'null'), '{}')
           - array['message', 'detail', 'hint', 'stripe_says', 'why', 'type', 'events', 'undone_run', 'undo_run', 'attempted']
$$;

create function with_earlier_attempts(evidence jsonb, earlier jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case
        when evidence ? 'attempted' and earlier ? 'attempted' then jsonb_set(
            evidence, '{attempted}', (evidence -> 'attempted') || coalesce((
                select jsonb_agg(e.ids order by e.place)
                from jsonb_array_elements(earlier -> 'attempted') with ordinality as e (ids, place)
                where not exists (
                    select from jsonb_array_elements(evidence -> 'attempted') as n (ids)
                    where n.ids ?| array(select jsonb_array_elements_text(e.ids))
                )
            ), '[]')
        )
        else evidence
    end
$$;

-- What receives webhooks keeps the plan of its call.
create or replace function handle_webhook(bytea, text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return invoice_sync.receive_webhook($1, $2);
end
$$;

create or replace function handle_webhook(text, text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return invoice_sync.receive_webhook(convert_to($1, 'UTF8'), $2);
end
$$;

-- The form for PostgREST, which hands a request's body to the one unnamed
-- parameter: json keeps it byte for byte, jsonb would not.
create or replace function handle_webhook(json) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return invoice_sync.receive_webhook(
        convert_to($1::text, 'UTF8'),
        nullif(current_setting('request.headers', true), '')::json ->> 'stripe-signature'
    );
end
$$;

-- PostgreSQL reads the expression of each with every run that is written.
alter table run
    drop constraint run_invoices_checked_check,
    drop constraint run_invoices_fixed_check,
    drop constraint run_issues_found_check,
    drop constraint run_stripe_errors_check,
    drop constraint run_stripe_requests_check,
    drop constraint run_stripe_retries_check,
    drop constraint run_waited_check,
    drop constraint run_list_pages_check,
    drop constraint run_objects_from_lists_check,
    drop constraint run_objects_one_by_one_check;

-- Disputes are over an amount.
alter table stripe_payment add column withheld bigint;

-- Words for statuses that are known to be open, failed, refunded, or to come after paid.
do $$
declare
    found text[];
begin
    -- 0.1.0 took every word for open that no setting names. Where it set an invoice to paid and nobody undid that,
    -- the word was one; not where the word itself says otherwise.
    select coalesce(array_agg(distinct c.word order by c.word), '{}')
    into found
    from (
        select c.before ->> s.invoice_status_column as word
        from invoice_sync.change as c
        cross join invoice_sync.settings as s
        where c.action = 'update' and c.undone_by is null
            and to_regclass(c.table_name) = to_regclass(s.invoices_table)
            and c.after ->> s.invoice_status_column in (s.invoice_paid_word, s.invoice_partial_word)
            and c.before ->> s.invoice_status_column not in (s.invoice_paid_word, coalesce(s.invoice_partial_word, ''))
    ) as c
    where c.word !~* 'refund|credit|charge.?back|dispute|return|revers|ship|deliver|fulfil|dispatch|cancel|void|paid'
        and c.word not in ('', 'Draft', 'Sent', 'Overdue');
    execute format(
        'alter table invoice_sync.settings add column invoice_open_words text[] not null default %L',
        array['Draft', 'Sent', 'Overdue'] || found
    );
end
$$;

alter table settings
    alter column invoice_open_words set default '{Draft,Sent,Overdue}',
    add column invoice_after_paid_words text[] not null default '{}',
    add column invoice_refunded_words text[] not null default '{Refunded}',
    add column payment_failed_words text[] not null default '{Failed}',
    add column payment_partly_refunded_words text[] not null default '{"Partially refunded"}';

drop function adopt_mapping(regclass, regclass);
drop function propose_mapping(regclass, regclass);

create function propose_mapping(
    invoices regclass default null, payments regclass default null, overrides jsonb default '{}'
) returns table (setting text, current text, proposed text, reason text)
language c stable security definer parallel unsafe
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'propose_mapping_wrapper';

create function adopt_mapping(
    invoices regclass default null, payments regclass default null, overrides jsonb default '{}'
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    assignments text;
    lacking text;
    details text;
    unsorted text;
begin
    select string_agg(format('%I = %L', p.setting, p.proposed), ', ') filter (where a.attname is not null),
           string_agg(p.setting, ', ') filter (where p.proposed is null and a.attnotnull),
           string_agg(format('%s: %s', p.setting, p.reason), '; ') filter (where p.proposed is null and a.attnotnull),
           string_agg(format('"%s"', substr(p.setting, strpos(p.setting, '.') + 1)), ', ')
               filter (where p.setting ~ '^(invoice|payment)_status_column[.]')
    into assignments, lacking, details, unsorted
    from invoice_sync.propose_mapping(invoices, payments, overrides) p
    left join pg_attribute a on a.attrelid = 'invoice_sync.settings'::regclass and a.attname = p.setting;
    select concat_ws(', ', lacking, string_agg(n.ids, ', ')),
           concat_ws('; ', details, string_agg(n.reason, '; '))
    into lacking, details
    from (
        select string_agg(p.setting, ' or ') as ids,
               'payments store Stripe''s ids in no column that is recognized (if there is none: null)' as reason
        from invoice_sync.propose_mapping(invoices, payments, overrides) p
        where p.setting in ('payment_session_column', 'payment_intent_column')
            and not overrides ?| array['payment_session_column', 'payment_intent_column']
        having count(p.proposed) = 0
    ) n;
    if lacking <> '' then
        raise exception 'no proposal for settings that must not be null: %', lacking
            using errcode = 'no_data_found',
                  detail = details,
                  hint = format(
                      'Look at "select * from invoice_sync.propose_mapping()", and specify them: select invoice_sync.adopt_mapping(overrides => ''{"%s": "…"}'').',
                      substring(lacking from '^[a-z_]+'));
    end if;
    execute 'update invoice_sync.settings set ' || assignments;
    if unsorted is not null then
        raise warning 'the meaning of these statuses is not known: %', unsorted
            using hint = 'They are not changed. "select * from invoice_sync.propose_mapping()" lists the settings that may contain them.';
    end if;
end
$$;

-- What your tables refused is tried again without a request.
create table unwritten_answer (
    invoice_id text not null,
    id text not null,
    ids text[] not null,
    as_of timestamptz not null,
    answer jsonb not null,
    primary key (invoice_id, id)
);

select pg_catalog.pg_extension_config_dump('unwritten_answer', '');

-- The first runs read earlier payments; existing installations have done so, or were asked to.
alter table feed add column looked_back_to timestamptz;
alter table feed add column account text;
alter table feed add column news_at timestamptz;
alter table feed add column back_off interval;
alter table feed add column next_read_at timestamptz;

create table stripe_account (
    account text primary key check (account ~ '^acct_[A-Za-z0-9]+$'),
    livemode boolean,
    api_key text check (api_key ~ '^(file:/|vault:.)'),
    webhook_secret text check (webhook_secret ~ '^(file:/|vault:.)'),
    since timestamptz not null default now()
);
update feed set looked_back_to = coalesce((select min(b.since) from backfill as b), read_at, now());

alter table backfill add column first_look boolean not null default false;
alter table backfill add column account text;
alter table backfill add column refused_at timestamptz;
create index on backfill (id) where finished_at is null;

create or replace view progress as
select
    b.id,
    b.list,
    b.since,
    b.until,
    b.reached,
    case
        when b.finished_at is not null then 1
        when b.reached is null then 0
        else round(
            extract(epoch from b.until - greatest(b.reached, b.since))
            / extract(epoch from b.until - b.since),
            4
        )
    end as share_done,
    b.pages,
    b.objects,
    case
        when b.finished_at is not null then b.objects
        else round(
            b.objects * extract(epoch from b.until - b.since)
            / nullif(extract(epoch from b.until - greatest(b.reached, b.since)), 0)
        )
    end as objects_expected,
    b.payments,
    b.repaired,
    round(b.objects / nullif(extract(epoch from b.worked), 0), 1) as objects_per_second,
    case
        when b.finished_at is null and b.reached < b.until
            then b.worked * (
                extract(epoch from greatest(b.reached, b.since) - b.since)
                / extract(epoch from b.until - greatest(b.reached, b.since))
            )::float8
    end as time_left,
    b.requested_at,
    b.moved_at,
    b.finished_at,
    b.first_look,
    b.account,
    b.refused_at
from backfill as b
where (select require_admin())
order by b.id;

-- By the index, which is by the hour.
create view invoice_sync.last_webhook as
select max(webhook_at) as at
from invoice_sync.event
where webhook_at is not null
    and date_trunc('hour', webhook_at at time zone 'UTC') = (
        select max(date_trunc('hour', e.webhook_at at time zone 'UTC'))
        from invoice_sync.event as e
        where e.webhook_at is not null
    );

create or replace view status as
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

-- Texts: messages, and the names in statements.
create or replace function settings_stay() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- settings_replace deletes the old row when a new one is inserted.
    if tg_op = 'DELETE' and pg_trigger_depth() > 1 then
        return old;
    end if;
    raise exception 'the settings cannot be deleted'
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'To restore the defaults, run: insert into invoice_sync.settings default values;';
end
$$;

create or replace function pg_cron_job(what text, cron text default null) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    place record := invoice_sync.pg_cron_place();
    job text := invoice_sync.job_name();
    command text := 'call invoice_sync.run_sweep()';
    statement_there text := case what
        when 'schedule' then
            format('select cron.schedule_in_database(%L, %L, %L, %L)::text', job, cron, command, current_database())
        when 'unschedule' then
            format(
                'select coalesce(bool_or(cron.unschedule(jobid)), false)::text from cron.job where jobname = %L and username = current_user',
                job
            )
        when 'read' then
            format(
                'select jsonb_build_object(''schedule'', schedule, ''role'', username, ''active'', active,
                    ''failure'', (select case d.status when ''failed'' then d.return_message end
                                from cron.job_run_details d
                                where d.jobid = j.jobid and d.status in (''succeeded'', ''failed'')
                                order by d.runid desc limit 1))::text
                from cron.job j where jobname = %L and database = %L order by active desc limit 1',
                job, current_database()
            )
    end;
    statement_here text := case what
        when 'schedule' then format('select cron.schedule(%L, %L, %L)::text', job, cron, command)
        else statement_there
    end;
    dblink_schema text := (
        select quote_ident(n.nspname)
        from pg_extension e
        join pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'dblink'
    );
    connection text := (
        -- Quoted for libpq, whose rules differ from SQL's.
        select string_agg(format('%s=''%s''', key, regexp_replace(value, e'([\\\\''])', e'\\\\\\1', 'g')), ' ')
        from (values ('dbname', place.database), ('user', current_user), ('port', place.port), ('host', place.host))
            parts (key, value)
        where value is not null
    );
    answer text;
    cause text;
begin
    if exists (select from pg_extension where extname = 'pg_cron') then
        execute statement_here into answer;
    elsif place.database is null then
        raise exception 'pg_cron is not available'
            using errcode = 'object_not_in_prerequisite_state',
                  detail = 'It is not an extension of this database, and the server has not loaded its library.',
                  hint = format(
                      'Install the package (Debian: postgresql-%s-cron), add pg_cron to shared_preload_libraries, restart the server, and run: create extension pg_cron;',
                      current_setting('server_version_num')::integer / 10000
                  );
    elsif place.database = current_database() then
        raise exception 'pg_cron is not an extension of this database'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Run as a superuser: create extension pg_cron;';
    elsif dblink_schema is null then
        raise exception 'pg_cron is in another database, "%"', place.database
            using errcode = 'object_not_in_prerequisite_state',
                  hint = format(
                      'Either run: create extension dblink; and call this function again. Or connect to "%s" and run: %s;',
                      place.database, statement_there
                  );
    else
        begin
            execute format('select answer from %s.dblink(%L, %L) d (answer text)', dblink_schema, connection, statement_there)
                into answer;
        exception
            -- dblink lets only superusers connect without a password.
            when sqlstate '2F003' or sqlstate '08001' then
                get stacked diagnostics cause = pg_exception_detail;
                raise exception 'pg_cron is in another database, "%", which dblink cannot reach', place.database
                    using errcode = 'object_not_in_prerequisite_state',
                          detail = concat_ws(': ', sqlerrm, nullif(btrim(cause), '')),
                          hint = format('Connect to "%s" and run: %s;', place.database, statement_there);
        end;
    end if;
    return answer;
end
$$;

create or replace function grant_access(grantee regrole, may text default 'operate') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if may is null or may not in ('read', 'operate', 'webhook') then
        raise exception '"%" is not a kind of access', may
            using errcode = 'invalid_parameter_value',
                  hint = 'The kinds of access are read, operate and webhook.';
    end if;
    execute format('grant usage on schema invoice_sync to %s', grantee);
    if may = 'webhook' then
        execute format(
            'grant execute on function invoice_sync.handle_webhook(json), invoice_sync.handle_webhook(text, text),
                invoice_sync.handle_webhook(bytea, text) to %s', grantee
        );
        return;
    end if;
    execute format(
        'grant select on invoice_sync.settings, invoice_sync.recent_runs, invoice_sync.changes,
            invoice_sync.open_issues, invoice_sync.webhook_health, invoice_sync.account_health,
            invoice_sync.progress, invoice_sync.paid_without_payment,
            invoice_sync.stripe_without_payment, invoice_sync.alerts, invoice_sync.currencies to %s', grantee
    );
    execute format(
        'grant execute on function invoice_sync.find_paid_without_payment(),
            invoice_sync.find_stripe_without_payment(), invoice_sync.find_currencies(),
            invoice_sync.issue_kinds(), invoice_sync.issue_actions(bigint) to %s', grantee
    );
    execute format('grant select on invoice_sync.status, invoice_sync.metrics to %s', grantee);
    execute format(
        'grant execute on function invoice_sync.missing_indexes(), invoice_sync.visible_schedule(),
            invoice_sync.next_due(text, bigint), invoice_sync.require_admin() to %s', grantee
    );
    if may = 'operate' then
        execute format(
            'grant execute on procedure invoice_sync.run_sweep(interval), invoice_sync.backfill(timestamptz, timestamptz) to %s',
            grantee
        );
        execute format(
            'grant execute on function invoice_sync.sweep(boolean, integer, interval),
                invoice_sync.sync_invoice(text, boolean),
                invoice_sync.sync_invoice(anyelement, boolean),
                invoice_sync.explain(text, boolean), invoice_sync.explain(anyelement, boolean),
                invoice_sync.resolve_issue(bigint, text, text, jsonb, boolean),
                invoice_sync.acknowledge_issue(bigint, text),
                invoice_sync.snooze_issue(bigint, timestamptz, text),
                invoice_sync.undo(bigint, boolean), invoice_sync.undo_change(bigint, boolean),
                invoice_sync.send_alerts(),
                invoice_sync.schedule(text), invoice_sync.unschedule(),
                invoice_sync.job_name(), invoice_sync.pg_cron_place(),
                invoice_sync.pg_cron_job(text, text) to %s', grantee
        );
        execute format('grant execute on function invoice_sync.doctor() to %s', grantee);
    end if;
end
$$;

create or replace function alert_entries(run bigint)
returns table (issue_id bigint, occasion text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with its as (
        select r.id, r.kind from invoice_sync.run r where r.id = run and r.kind <> 'webhook'
    ),
    wanted as (
        select s.*, array_position(array['notice', 'warning', 'critical'], s.alert_minimum_severity) as minimum
        from invoice_sync.settings s
    )
    select x.id,
           case
               when x.state = 'resolved' then 'resolved'
               when reported.id is null then 'new'
               when since.is_worse or since.is_changed then 'changed'
               else 'reminder'
           end
    from its
    cross join wanted
    join invoice_sync.issue x on its.kind = 'sweep' or x.first_run = its.id
    left join lateral (
        select a.id,
               coalesce(a.sent_at, a.created_at) as reported_at,
               a.sender is null or a.recipients = '{}' as is_unaddressed,
               t.severity,
               t.facts
        from invoice_sync.alert_issue t
        join invoice_sync.alert a on a.id = t.alert_id
        where t.issue_id = x.id
        order by a.id desc
        limit 1
    ) reported on true
    cross join lateral (
        select array_position(array['notice', 'warning', 'critical'], x.severity)
               > array_position(array['notice', 'warning', 'critical'], reported.severity) as is_worse,
               -- Only for issues about money; the evidence of technical problems differs each time.
               x.kind = any (array[
                   'disputed', 'refunded', 'partially_refunded', 'overpaid', 'amount_mismatch',
                   'currency_mismatch', 'duplicate_payment', 'unlinked_payment'
               ]) and reported.facts <> invoice_sync.facts_that_matter(x.evidence) as is_changed
    ) since
    where (x.state <> 'resolved' or x.resolved_at > now() - interval '1 day')
      and array_position(array['notice', 'warning', 'critical'], x.severity) >= wanted.minimum
      and case
          -- No reminders of issues that are acknowledged or snoozed, unless they are more
          -- severe or have other amounts than the person saw.
          when x.state <> 'resolved' and since.is_worse then true
          when x.snoozed_until > now() then false
          when x.state <> 'resolved' and since.is_changed then true
          when x.state = 'open' and reported.id is null then true
          when x.state = 'open' then
              reported.reported_at <= now() - wanted.alert_reminder_after
              or reported.is_unaddressed and wanted.alert_sender is not null and wanted.alert_recipients <> '{}'
          when x.state = 'resolved' then
              -- Only issues of the last day, so that enabling the setting does not report all older ones.
              wanted.alert_when_resolved
              and reported.id is not null
              and not exists (
                  select from invoice_sync.alert_issue t where t.issue_id = x.id and t.occasion = 'resolved'
              )
          else false
      end
$$;

create or replace function create_api(in_schema regnamespace) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    it record;
    wrapper text;
begin
    if in_schema = 'invoice_sync'::regnamespace then
        raise exception 'wrappers cannot be created in the schema invoice_sync'
            using errcode = 'invalid_parameter_value',
                  hint = 'Name another schema that your gateway exposes, or expose invoice_sync itself, which needs no wrappers.';
    end if;
    perform invoice_sync.drop_api(in_schema);
    for it in
        select p.oid::regprocedure as function, p.proname, p.provolatile = 's' as is_stable,
               pg_get_function_arguments(p.oid) as arguments,
               pg_get_function_result(p.oid) as result,
               (select string_agg('$' || n, ', ' order by n) from generate_series(1, p.pronargs) as n) as passed
        from invoice_sync.api_functions() as f
        join pg_proc as p on p.oid = f
    loop
        execute format(
            'create function %s.%I(%s) returns %s language sql %s as %L',
            in_schema, it.proname, it.arguments, it.result, case when it.is_stable then 'stable' end,
            format('select * from invoice_sync.%I(%s)', it.proname, it.passed)
        );
        wrapper := format(
            '%s.%I(%s)', in_schema, it.proname, pg_get_function_identity_arguments(it.function)
        );
        execute format('alter function %s depends on extension invoice_sync', wrapper);
        execute format('comment on function %s is %L', wrapper, obj_description(it.function, 'pg_proc'));
        execute format('grant execute on function %s to public', wrapper);
    end loop;
    for it in
        select c.oid as view, format('%s.%I', in_schema, c.relname) as name, v as original
        from invoice_sync.api_views() as v
        join pg_class as c on c.oid = v
    loop
        execute format('create view %s with (security_invoker) as select * from %s', it.name, it.original);
        execute format('comment on view %s is %L', it.name, obj_description(it.view, 'pg_class'));
        execute format('grant select on %s to public', it.name);
    end loop;
end
$$;

create or replace function drop_api(in_schema regnamespace) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    it record;
begin
    -- Wrappers are identified by their dependencies, not by their names.
    for it in
        select p.oid::regprocedure as function
        from pg_proc as p
        join pg_depend as d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'x'
        join pg_extension as e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
        where e.extname = 'invoice_sync' and p.pronamespace = in_schema
    loop
        execute format('drop function %s', it.function);
    end loop;
    for it in
        select distinct c.oid::regclass as view
        from pg_class as c
        join pg_rewrite as r on r.ev_class = c.oid
        join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        join invoice_sync.api_views() as v on d.refclassid = 'pg_class'::regclass and d.refobjid = v
        join pg_class as o on o.oid = v and o.relname = c.relname
        where c.relnamespace = in_schema and c.relkind = 'v'
    loop
        execute format('drop view %s', it.view);
    end loop;
end
$$;

create or replace view alerts as
select a.id,
       a.created_at,
       reported.occasions,
       a.subject,
       a.recipients,
       case
           when a.sent_at is not null then 'sent'
           when a.replaced_by is not null then 'replaced'
           when a.sender is null or a.recipients = '{}' then 'unaddressed'
           when a.attempts > 0 then 'failing'
           else 'waiting'
       end as state,
       a.attempts,
       a.next_attempt_at,
       a.last_error,
       a.sent_at,
       a.message_id,
       reported.issues
from alert as a
cross join lateral (
    select array_agg(distinct t.occasion order by t.occasion) as occasions,
           array_agg(t.issue_id order by t.issue_id) as issues
    from alert_issue as t
    where t.alert_id = a.id
) as reported
where (select require_admin())
order by a.id desc;

create or replace view metrics as
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

-- Comments.
comment on schema invoice_sync is
    'Objects of the extension invoice_sync, which keeps your invoices and payments consistent with Stripe';
comment on table alert is
    'The outbox of alerts: at most one per run, written in the run''s transaction. Subject and text never change. If sender or recipients change, the idempotency key changes as well, because Resend accepts a key with one content only';
comment on table alert_issue is 'Issues in each alert; an issue is reported as new once and as resolved once';
comment on table backfill is 'Backfills and their progress, one row for each of an account''s lists';
comment on table change is
    'Changes to rows of your tables, with the values before and after and the evidence';
comment on table event is
    'The inbox of Stripe''s events, from webhooks, the feed and backfills; each is processed once, and retried if processing failed';
comment on table feed is 'Position in Stripe''s feed of events, for each account and mode';
comment on table invoice_check is
    'When Stripe was last asked about an invoice, and when the next request is due; one about which nothing is left to ask, because all that it stores is booked, has no row';
comment on table issue is
    'Issues that need a person: opened once, updated while they last, resolved automatically when their cause is gone';
comment on table round is
    'Progress of the scan of all invoices, a part of them with each sweep, round after round';
comment on table run is
    'Runs: one row for each sweep and sync_invoice call that was executed, each webhook that concerned an invoice, and each backfill, resolve_issue and undo';
comment on table settings is
    'The settings of this database, in one row: your tables, columns and status words. Change it with UPDATE; each change is checked against the database at once';
comment on table stripe_month is 'Value of the request counter at the start of each month';
comment on table stripe_payment is 'The last known state of each Stripe payment received for an invoice';
comment on table tally is 'Sums over all counted runs, including those that retention deleted';
comment on table tally_booked is 'Sums over the payments booked by all counted runs, by currency';
comment on column alert.attempts is 'Number of attempts to send it';
comment on column alert.id is 'Id of the alert';
comment on column alert.idempotency_key is
    'Resend accepts one mail per key in 24 hours: server, database, number and a hash of the content';
comment on column alert.last_error is 'Error of the last attempt';
comment on column alert.message_id is 'Resend''s id of the mail';
comment on column alert.next_attempt_at is
    'When it is due; while it is being sent, when another session may retry';
comment on column alert.recipients is 'Recipients; empty: none were set, and it is not mailed';
comment on column alert.replaced_by is
    'The alert that replaced this one before it could be sent; it will not be sent';
comment on column alert.run_id is 'The run that wrote it';
comment on column alert.sender is 'Sender; null: no sender was set, and it is not mailed';
comment on column alert.sent_at is 'When Resend accepted it';
comment on column alert.subject is 'Subject of the mail';
comment on column alert_issue.facts is 'The issue''s evidence at that time, as returned by facts_that_matter';
comment on column alert_issue.severity is 'Severity of the issue at that time';
comment on column alerts.attempts is 'Number of attempts to send it';
comment on column alerts.id is 'Id of the alert';
comment on column alerts.issues is 'Ids of the issues in it';
comment on column alerts.last_error is 'Error of the last attempt';
comment on column alerts.message_id is 'Resend''s id of the mail';
comment on column alerts.next_attempt_at is 'When it is due, if it is not sent';
comment on column alerts.occasions is
    'Why it was written: new, changed, reminder, resolved, or several of these';
comment on column alerts.recipients is 'Recipients';
comment on column alerts.sent_at is 'When Resend accepted it';
comment on column alerts.state is
    'waiting; failing: sending failed and will be retried; sent; replaced: a later reminder covers it; unaddressed: no sender or recipients were set';
comment on column alerts.subject is 'Subject of the mail';
comment on column backfill.after_id is 'The object that was read last; the next page starts after it';
comment on column backfill.finished_at is 'When it finished; null: it is not finished';
comment on column backfill.gap_since is
    'Start of a gap in the feed, for a backfill that was started automatically because Stripe no longer has the events; null: it was requested';
comment on column backfill.id is 'Id of the row';
comment on column backfill.list is
    'checkout_sessions, payment_intents, charges or invoices (of Stripe); for a gap in the feed of events also refunds or disputes';
comment on column backfill.moved_at is 'When the last page was completed';
comment on column backfill.objects is 'Number of objects read';
comment on column backfill.pages is 'Number of pages read';
comment on column backfill.payments is 'Number of objects for which Stripe received money';
comment on column backfill.reached is 'When that object was created';
comment on column backfill.repaired is 'Number of invoices changed';
comment on column backfill.requested_at is 'When it was requested';
comment on column backfill.since is 'Start of the period: the oldest objects to read';
comment on column backfill.until is 'End of the period: reading starts here and goes back in time';
comment on column backfill.worked is 'Time spent working';
comment on column change.action is
    'insert, update or delete. Only undo deletes rows, and only rows that a run inserted. Changes that your triggers made to these rows are recorded as well';
comment on column change.after is
    'New values of the changed columns, or the whole inserted row; null for a deleted row';
comment on column change.before is
    'Previous values of the changed columns, or the whole deleted row; null for an inserted row';
comment on column change.evidence is
    'The reason: Stripe''s object ids, amounts in Stripe''s smallest unit and Request-Id; or the issue, action and note of a person''s decision; or what was undone';
comment on column change.id is 'Id of the change';
comment on column change.invoice_id is 'Id of the invoice, as text';
comment on column change.row_id is 'Primary key of the changed row, as text';
comment on column change.run_id is 'The run that made the change';
comment on column change.table_name is 'The changed table, quoted and schema-qualified';
comment on column change.undone_by is 'The run that undid the change; null: it was not undone';
comment on column changes.action is
    'insert, update or delete. Only undo deletes rows, and only rows that a run inserted. Changes that your triggers made to these rows are recorded as well';
comment on column changes.after is
    'New values of the changed columns, or the whole inserted row; null for a deleted row';
comment on column changes.before is
    'Previous values of the changed columns, or the whole deleted row; null for an inserted row';
comment on column changes.cause is 'How the run was started: cron, sql, rpc or webhook';
comment on column changes.changed_at is 'When the run that made the change started';
comment on column changes.evidence is
    'The reason: Stripe''s object ids, amounts in Stripe''s smallest unit and Request-Id; or the issue, action and note of a person''s decision; or what was undone';
comment on column changes.id is 'Id';
comment on column changes.invoice_id is 'Id of the invoice, as text';
comment on column changes.role is 'Role of the caller';
comment on column changes.row_id is 'Primary key of the changed row, as text';
comment on column changes.run_id is 'The run that made the change';
comment on column changes.table_name is 'The changed table, quoted and schema-qualified';
comment on column changes.undone_by is 'The run that undid the change; null: it was not undone';
comment on column currencies.currency is 'ISO 4217 code, lower case';
comment on column currencies.iso_digits is 'Number of decimals in ISO 4217';
comment on column currencies.stripe_digits is 'Number of decimals in Stripe''s API';
comment on column event.attempts is 'Number of failed attempts to process it';
comment on column event.charge_id is 'The charge that it is about';
comment on column event.created is
    'When the event happened, by Stripe''s clock; for an entry of a backfill, when the entry was created';
comment on column event.feed_at is 'When it was first read from the feed; null: never';
comment on column event.intent_id is 'The payment intent that it is about';
comment on column event.livemode is 'Whether the event is of live mode; false: test mode';
comment on column event.next_attempt_at is 'When it is retried';
comment on column event.processed_at is 'When it was processed';
comment on column event.received_at is 'When it was first received';
comment on column event.result is 'The result, or the reason for the retry';
comment on column event.session_id is 'The checkout session that it is about';
comment on column event.snapshot is
    'Id and time of creation of the object in the event; version 0.1.0 stored the whole object';
comment on column event.state is 'pending, done, or ignored (other type, mode or account)';
comment on column event.type is
    'Type of the event, such as checkout.session.completed; backfill: an object that a backfill could not process';
comment on column event.webhook_at is 'When it was first received by webhook; null: never';
comment on column feed.place is
    'Position: read_at, as in that column; anchor, the event from which reading continues; backlog, the range of older events that are still to be read';
comment on column feed.read_at is 'When the feed was last read up to its newest event, by Stripe''s clock';
comment on column feed.whose is 'Mode of the key (live or test), and the account if one is set, or if it is another one than that of the key';
comment on column invoice_check.back_off is
    'The last interval between requests, where intervals increase; null: they do not';
comment on column invoice_check.checked_at is 'When Stripe last answered; null: not yet';
comment on column invoice_check.invoice_id is 'Id of the invoice, as text';
comment on column invoice_check.next_check_at is
    'When the next request is due; null: never, because all is final or booked';
comment on column invoice_check.stored_ids is
    'The Stripe ids that the invoice contained at that time, none if all were booked; if they change, or leave the books, Stripe is asked at once';
comment on column issue.acknowledged_at is 'When it was acknowledged';
comment on column issue.acknowledged_by is 'The role that acknowledged it';
comment on column issue.evidence is 'The facts, for programs: amounts, ids, statuses';
comment on column issue.id is 'Id of the issue';
comment on column issue.invoice_id is 'Id of the invoice, as text; null: the issue concerns all invoices';
comment on column issue.invoice_number is 'Number of the invoice that people use';
comment on column issue.kind is
    'paid_without_payment, amount_mismatch, currency_mismatch, overpaid, duplicate_payment, possible_duplicate, stripe_object_missing, livemode_mismatch, unknown_status, refunded, partially_refunded, disputed, unlinked_payment, apply_failed, overridden_by_trigger, repair_undone, stripe_unreachable, misconfigured, webhooks_failing or event_failing';
comment on column issue.last_run is 'The run that last found or resolved it';
comment on column issue.last_seen is 'When it was last found';
comment on column issue.note is
    'The note given with the last acknowledge_issue, snooze_issue or resolve_issue';
comment on column issue.object is 'The Stripe object that the issue is about; null: the invoice itself';
comment on column issue.resolution is
    'The action of resolve_issue that was taken; null: it was resolved automatically';
comment on column issue.resolved_at is 'When it was resolved';
comment on column issue.resolved_by is 'The role that resolved it; null: it was resolved automatically';
comment on column issue.settled is
    'The facts that a person''s decision was about; the issue is not opened again while they are unchanged. Null: it is opened whenever it is found';
comment on column issue.snoozed_until is 'No reminders are sent until this time; the issue stays open';
comment on column issue.summary is 'Description for people';
comment on column issue.times_seen is 'Number of runs that found it';
comment on column metrics.help is 'Description';
comment on column metrics.name is
    'Name of the metric; seconds are Unix time or durations, minor is Stripe''s smallest unit';
comment on column metrics.value is 'Value of the sample';
comment on column open_issues.acknowledged_at is 'When it was acknowledged';
comment on column open_issues.acknowledged_by is 'The role that acknowledged it';
comment on column open_issues.actions is 'Actions that resolve_issue accepts; issue_actions describes them';
comment on column open_issues.evidence is 'The facts, for programs: amounts, ids, statuses';
comment on column open_issues.id is 'Id';
comment on column open_issues.invoice_id is
    'Id of the invoice, as text; null: the issue concerns all invoices';
comment on column open_issues.invoice_number is 'Number of the invoice that people use';
comment on column open_issues.kind is
    'paid_without_payment, amount_mismatch, currency_mismatch, overpaid, duplicate_payment, possible_duplicate, stripe_object_missing, livemode_mismatch, unknown_status, refunded, partially_refunded, disputed, unlinked_payment, apply_failed, overridden_by_trigger, repair_undone, stripe_unreachable, misconfigured, webhooks_failing or event_failing';
comment on column open_issues.last_seen is 'When it was last found';
comment on column open_issues.note is
    'The note given with the last acknowledge_issue, snooze_issue or resolve_issue';
comment on column open_issues.object is 'The Stripe object that the issue is about; null: the invoice itself';
comment on column open_issues.snoozed_until is 'No reminders are sent until this time; the issue stays open';
comment on column open_issues.summary is 'Description for people';
comment on column open_issues.times_seen is 'Number of runs that found it';
comment on column paid_without_payment.currency is 'Currency of the invoice; null: settings.default_currency';
comment on column paid_without_payment.intent_id is 'Payment intent id in the invoice';
comment on column paid_without_payment.invoice_id is 'Id of the invoice, as text';
comment on column paid_without_payment.invoice_number is 'Number of the invoice that people use';
comment on column paid_without_payment.session_id is 'Checkout session id in the invoice';
comment on column paid_without_payment.status is 'Status of the invoice';
comment on column paid_without_payment.total is 'Total of the invoice, in settings.amount_unit';
comment on column progress.finished_at is 'When it finished; null: it is not finished';
comment on column progress.id is 'Id of the row';
comment on column progress.first_look is
    'Whether it was started automatically by the first runs, which search back by themselves';
comment on column progress.list is
    'checkout_sessions, payment_intents, charges or invoices (of Stripe); for a gap in the feed of events also refunds or disputes';
comment on column progress.moved_at is 'When the last page was completed';
comment on column progress.objects is 'Number of objects read';
comment on column progress.objects_expected is
    'Estimated total, if the rest of the period has as many per day; Stripe''s lists have no total';
comment on column progress.objects_per_second is 'Objects per second of working time';
comment on column progress.pages is 'Number of pages read';
comment on column progress.payments is 'Number of objects for which Stripe received money';
comment on column progress.reached is 'When that object was created';
comment on column progress.repaired is 'Number of invoices changed';
comment on column progress.requested_at is 'When it was requested';
comment on column progress.share_done is 'Part of the period that is done, from 0 to 1';
comment on column progress.since is 'Start of the period: the oldest objects to read';
comment on column progress.time_left is 'Estimated working time until it is finished';
comment on column progress.until is 'End of the period: reading starts here and goes back in time';
comment on column recent_runs.booked is
    'Payments that the run booked and that were not undone: [{"currency", "payments", "amount"}]; amount is what Stripe received, as text in major units';
comment on column recent_runs.cause is 'How it was started: cron, sql, rpc or webhook';
comment on column recent_runs.duration is 'Duration';
comment on column recent_runs.error is
    'The error that ended the run: sqlstate, message, hint; null if it succeeded';
comment on column recent_runs.id is 'Id';
comment on column recent_runs.invoices_checked is 'Number of invoices checked';
comment on column recent_runs.invoices_fixed is 'Number of invoices changed';
comment on column recent_runs.issues_found is
    'Number of unresolved issues of the checked invoices at the end of the run, including those opened earlier';
comment on column recent_runs.list_pages is
    'Number of pages of Stripe''s lists that were requested instead of single objects';
comment on column recent_runs.objects_from_lists is
    'Number of requested objects that were found on these pages';
comment on column recent_runs.objects_one_by_one is 'Number of objects that were requested individually';
comment on column recent_runs.role is 'Role of the caller';
comment on column recent_runs.started_at is 'When it started';
comment on column recent_runs.stripe_errors is
    'Number of lookups that Stripe did not answer, for invoices and for the feed of events';
comment on column recent_runs.stripe_requests is 'Number of requests to Stripe, including retries';
comment on column recent_runs.stripe_retries is 'Number of retried requests to Stripe';
comment on column recent_runs.success is
    'Whether the settings match the database and Stripe was reachable; stripe_errors counts individual lookups that failed';
comment on column recent_runs.waited is 'Time spent waiting for Stripe''s answers';
comment on column round.basis is
    'Rows not written by this transaction or a later one are skipped, because the previous round scanned them in their present state; null: no rows are skipped';
comment on column round.began_at is 'When this round started';
comment on column round.conditions is
    'What must be unchanged for rows to be skipped: server, version, settings, files of the tables, and the number of deleted payments';
comment on column round.ended_at is 'When the last complete round ended';
comment on column round.last_rows is 'Number of rows scanned in the last complete round';
comment on column round.moved_at is 'When the last part was scanned';
comment on column round.place is
    'Position: a block of the tables'' files, or the last scanned invoice; null: a new round starts';
comment on column round.rows is 'Number of rows scanned in this round';
comment on column round.singleton is 'Always true, so that there is at most one row';
comment on column round.thorough_at is
    'When the last round started that skipped no rows: once a week, and whenever the conditions change';
comment on column round.xid is 'All transactions before this one had ended when this round started';
comment on column run.cause is 'How it was started: cron, sql, rpc or webhook';
comment on column run.counted is 'Whether the run is included in tally';
comment on column run.error is 'The error that ended the run: sqlstate, message, hint; null if it succeeded';
comment on column run.finished_at is 'When it finished; null: it is running, or was terminated';
comment on column run.id is 'Id of the run';
comment on column run.invoices_checked is 'Number of invoices checked';
comment on column run.invoices_fixed is 'Number of invoices changed';
comment on column run.issues_found is
    'Number of unresolved issues of the checked invoices at the end of the run, including those opened earlier';
comment on column run.list_pages is
    'Number of pages of Stripe''s lists that were requested instead of single objects';
comment on column run.monthly_reads is
    'The monthly budget, the number of requests used before the run, and the forecast for the month; null if settings.monthly_read_budget is null';
comment on column run.objects_from_lists is 'Number of requested objects that were found on these pages';
comment on column run.objects_one_by_one is 'Number of objects that were requested individually';
comment on column run.remark is 'A remark about the run; null: none';
comment on column run.role is 'Role of the caller';
comment on column run.started_at is 'When it started';
comment on column run.stripe_errors is
    'Number of lookups that Stripe did not answer, for invoices and for the feed of events';
comment on column run.stripe_requests is 'Number of requests to Stripe, including retries';
comment on column run.stripe_retries is 'Number of retried requests to Stripe';
comment on column run.success is
    'Whether the settings match the database and Stripe was reachable; stripe_errors counts individual lookups that failed';
comment on column run.waited is 'Time spent waiting for Stripe''s answers';
comment on column run_booked.currency is 'ISO 4217 code, lower case';
comment on column run_booked.received is 'Amount that Stripe received, in Stripe''s smallest unit';
comment on column run_booked.run_id is 'The run that made the change';
comment on column run_booked.undone_by is 'The run that undid the change; null: it was not undone';
comment on column settings.admin_page_url is
    'Page that shows an issue: an https or http URL in which {issue_id} and {invoice_id} are replaced. If it contains neither and has no fragment, #issue-{issue_id} is appended. Null: alerts contain no links';
comment on column settings.alert_minimum_severity is
    'Lowest severity of issues that are included in alerts: notice, warning or critical';
comment on column settings.alert_notify is
    'Content of notifications on the channel invoice_sync_issues, to which every role that can connect to this database can LISTEN: full (with invoice numbers, ids and summaries), ids (number, kind and severity of each issue), or off';
comment on column settings.alert_recipients is
    'Recipients of alert mails, at most 50 addresses; empty: no mail is sent';
comment on column settings.alert_reminder_after is
    'Interval after which an alert reminds of an issue that is still open, repeatedly; at least one hour; null: no reminders';
comment on column settings.alert_retention is 'How long sent alerts are kept; at least 31 days';
comment on column settings.alert_sender is
    'Sender of alert mails, as your Resend account allows it: books@example.com or Books <books@example.com>; null: no mail is sent';
comment on column settings.alert_when_resolved is 'Whether alerts also report that an issue is resolved';
comment on column settings.amount_unit is
    'Unit of the amount columns of the invoices, and of the payments unless payment_amount_unit is set: major (12.50), minor (1250, by ISO 4217), or stripe (as in Stripe''s API)';
comment on column settings.client_reference_names_invoice is
    'Whether the client_reference_id of a checkout session is the invoice''s id or number. False by default, because many applications store a customer number there';
comment on column settings.default_currency is 'ISO 4217 currency of invoices that do not specify one';
comment on column settings.event_retention is
    'How long processed events are kept; at least 31 days, because Stripe keeps them for 30';
comment on column settings.full_round is
    'Interval in which every invoice is scanned once, a part of them with each sweep, even if a part takes longer than local_check_budget_ms';
comment on column settings.gratuity_key is
    'Metadata key of the gratuity on the session or payment intent; null: amounts contain no gratuity';
comment on column settings.gratuity_unit is 'Unit of the gratuity in the metadata: major, minor or stripe';
comment on column settings.host_search_path is
    'search_path in effect while your tables are written, for your triggers; null: the schemas of both tables, then public';
comment on column settings.invoice_amount_paid_column is
    'Column of the amount paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_balance_column is
    'Column of the amount still to be paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_closed_words is
    'Statuses of invoices that are never changed, such as cancelled, void or written off';
comment on column settings.invoice_currency_column is
    'Column of the ISO 4217 currency code; null: all invoices are in default_currency. A null value in the column also means default_currency';
comment on column settings.invoice_id_column is
    'Primary key of the invoice: uuid, bigint, integer, smallint or text';
comment on column settings.invoice_intent_column is
    'Column of the Stripe payment intent id; null: there is no such column';
comment on column settings.invoice_number_column is
    'Column of the invoice number that people use; null: the id is used';
comment on column settings.invoice_paid_at_column is
    'Column of the time of payment, date or timestamp; null: there is no such column';
comment on column settings.invoice_paid_word is 'Status of a paid invoice';
comment on column settings.invoice_partial_word is
    'Status of a partially paid invoice; null: the status is not changed';
comment on column settings.invoice_reference_key is
    'Metadata key, on the session or payment intent, whose value is the invoice''s id or number; null: metadata does not identify invoices';
comment on column settings.invoice_session_column is
    'Column of the id of the Stripe checkout session, or of the payment link; null: there is no such column';
comment on column settings.invoice_status_column is
    'Column of the invoice''s status: text, an enum, or a domain over text';
comment on column settings.invoice_total_column is 'Column of the amount to be paid, in amount_unit';
comment on column settings.invoices_table is 'Table of invoices, schema-qualified';
comment on column settings.issue_retention is
    'How long resolved issues are kept; at least 31 days. Issues that were resolved by a lasting decision of a person are always kept';
comment on column settings.local_check_budget_ms is
    'Time per sweep for scanning invoices by their own rows, without requests to Stripe, in milliseconds';
comment on column settings.monthly_read_budget is
    'Maximum number of requests to Stripe per calendar month (UTC); null: no limit. Stripe allows about 500 reads per payment, and at least 10000. Near the limit, checks of due invoices are postponed, and the remaining requests are used for the feed of events and for sync_invoice';
comment on column settings.payment_amount_column is 'Column of the amount without gratuity, in payment_amount_unit';
comment on column settings.payment_date_column is
    'Column of the time at which the money was received, date or timestamp; null: there is no such column';
comment on column settings.payment_disputed_word is
    'Status of a disputed payment; null: there is no such status';
comment on column settings.payment_gratuity_column is
    'Column of the gratuity, in payment_amount_unit; null: there is no such column';
comment on column settings.payment_intent_column is
    'Column of the Stripe payment intent id; null: there is no such column';
comment on column settings.payment_invoice_column is 'Column of the id of the payment''s invoice';
comment on column settings.payment_paid_word is 'Status of a payment whose money was received';
comment on column settings.payment_pending_words is
    'Statuses of expected payments, which become paid when Stripe has received the money. Usual words (pending, processing, requires action …) need not be listed';
comment on column settings.payment_refunded_column is
    'Column of the amount refunded, in payment_amount_unit; null: there is no such column';
comment on column settings.payment_refunded_word is
    'Status of a fully refunded payment; null: there is no such status';
comment on column settings.payment_session_column is
    'Column of the Stripe checkout session id; null: there is no such column';
comment on column settings.payment_status_column is
    'Column of the payment''s status; null: every row counts as paid';
comment on column settings.payments_table is 'Table of payments, schema-qualified';
comment on column settings.rpc_admin_check is
    'Schema-qualified name of a function that decides whether an RPC caller is an admin: without arguments, returns boolean, runs with its owner''s rights. Other RPC callers are refused (42501), whatever their role was granted';
comment on column settings.run_retention is
    'How long runs and their changes are kept; a deleted run cannot be undone. At least 31 days. Runs to which a kept issue or alert refers are kept longer';
comment on column settings.singleton is 'Always true, so that there is exactly one row';
comment on column settings.stripe_fetch_on_webhook is
    'Whether a webhook requests the current state of its object from Stripe, unless an answer has just told it; false: the object in the event is used, and no request is made';
comment on column settings.time_zone is
    'Time zone in which dates and timestamps without time zone in your tables are written';
comment on column settings.webhook_budget_ms is
    'Maximum time for processing a webhook before Stripe is answered, in milliseconds; the next sweep processes what remains';
comment on column status.alerts_failing is 'Number of alerts that could not be sent and will be retried';
comment on column status.alerts_waiting is 'Number of alerts waiting for their first attempt';
comment on column status.feed_lag is 'Time since Stripe''s feed of events was last read to its end';
comment on column status.last_round_ago is 'Time since the last complete scan of all invoices ended';
comment on column status.last_sweep_at is 'When the last finished sweep started';
comment on column status.last_sweep_repaired is 'Number of invoices that it changed';
comment on column status.last_sweep_success is
    'Whether it succeeded: the settings match the database and Stripe was reachable';
comment on column status.last_webhook_at is
    'When a webhook was last received; null: never, or retention deleted it';
comment on column status.next_sweep_at is
    'When pg_cron starts the next sweep; null: there is no job, or pg_cron is in another database and its job is not visible here';
comment on column status.oldest_event_at is 'When the oldest pending event happened; null: there is none';
comment on column status.open_critical is 'Number of unresolved critical issues';
comment on column status.open_notice is 'Number of unresolved notices';
comment on column status.open_warning is 'Number of unresolved warnings';
comment on column status.requests_this_month is
    'Number of requests to Stripe by runs of this calendar month, including retries';
comment on column status.round_percent is
    'The same, in percent of the last complete round; null: there was none';
comment on column status.round_rows is 'Number of rows scanned in the current round';
comment on column status.summary is 'Summary in a few sentences';
comment on column status.unfinished_runs is 'Number of runs that are running or were terminated';
comment on column stripe_month.began is 'First day of the month, UTC';
comment on column stripe_month.reads_before is 'Number of requests counted before that day';
comment on column stripe_payment.charge_id is 'Latest charge, if known';
comment on column stripe_payment.currency is 'ISO 4217 code, lower case';
comment on column stripe_payment.dispute is 'Status of the dispute; null: none';
comment on column stripe_payment.id is
    'Id of the payment intent; without one, of the checkout session or charge';
comment on column stripe_payment.invoice_id is 'Id of the invoice for which it was looked up, as text';
comment on column stripe_payment.received_at is 'When Stripe received the money';
comment on column stripe_payment.refunded is 'Amount refunded, in Stripe''s smallest unit';
comment on column stripe_payment.request_id is 'Request-Id of Stripe''s answer';
comment on column stripe_payment.seen_at is 'When Stripe answered';
comment on column stripe_payment.session_id is 'Checkout session, if known';
comment on column stripe_without_payment.currency is
    'Currency of the invoice; null: settings.default_currency';
comment on column stripe_without_payment.intent_id is 'Payment intent id in the invoice';
comment on column stripe_without_payment.invoice_id is 'Id of the invoice, as text';
comment on column stripe_without_payment.invoice_number is 'Number of the invoice that people use';
comment on column stripe_without_payment.session_id is 'Checkout session id in the invoice';
comment on column stripe_without_payment.status is 'Status of the invoice';
comment on column stripe_without_payment.total is 'Total of the invoice, in settings.amount_unit';
comment on column tally.runs is 'Number of runs';
comment on column tally_booked.currency is 'ISO 4217 code, lower case';
comment on column tally_booked.minor is 'Amount that Stripe received, in Stripe''s smallest unit';
comment on column tally_booked.payments is 'Number of payments';
comment on column uncounted.runs is 'Number of runs';
comment on column uncounted_booked.currency is 'ISO 4217 code, lower case';
comment on column uncounted_booked.minor is 'Amount that Stripe received, in Stripe''s smallest unit';
comment on column uncounted_booked.payments is 'Number of payments';
comment on column webhook_health.by_feed_only is 'Number of events that were received by the feed only';
comment on column webhook_health.by_webhook is 'Number of events that were received by webhook';
comment on column webhook_health.hour is 'Hour of the event, by Stripe''s clock';
comment on column webhook_health.last_delivery is 'When such an event was last received by webhook';
comment on column webhook_health.mean_delay is 'Mean time from the event to its first delivery';
comment on column webhook_health.type is 'Type of the event, such as checkout.session.completed';
comment on column webhook_health.waiting is 'Number of pending events';
comment on sequence alert_id_seq is 'Generates alert.id';
comment on sequence backfill_id_seq is 'Generates backfill.id';
comment on sequence change_id_seq is 'Generates change.id';
comment on sequence issue_id_seq is 'Generates issue.id';
comment on sequence limiter_segment is
    'Location of the shared memory in which the sessions of this database share the request rate limit: a handle and an identifier of the server start, in one number';
comment on sequence run_id_seq is 'Generates run.id';
comment on sequence stripe_read is 'Number of requests to Stripe, for the monthly budget';
comment on view alerts is 'The outbox of alerts, newest first';
comment on view changes is
    'All changes to your tables, with the values before and after, the reason and the caller; newest first';
comment on view currencies is
    'Currencies that do not have two decimals in ISO 4217 or at Stripe; all others have two';
comment on view metrics is
    'Metrics for monitoring, one row per sample, named as in Prometheus; see docs/monitoring.md. Reads stored sums instead of all runs';
comment on view open_issues is 'Unresolved issues, most severe first';
comment on view paid_without_payment is 'Invoices whose status is paid but that have no payment';
comment on view progress is 'Progress of backfills, by the period that they cover';
comment on view recent_runs is 'All runs, newest first';
comment on view run_booked is 'Payments that runs booked';
comment on view status is 'Current state, in one row';
comment on view stripe_without_payment is 'Invoices that contain Stripe ids but have no payment';
comment on view uncounted is 'Sums over the finished runs that are not yet in tally';
comment on view uncounted_booked is
    'Sums over the payments booked by finished runs that are not yet in tally, by currency';
comment on view webhook_health is
    'Events per type and hour: how many came by webhook, how many only by the feed, and their delay';
comment on function acknowledge_issue(bigint, text) is
    'Marks an issue as acknowledged; it stays open, and no reminders are sent. Fails with P0002 if there is no such issue, and 55000 if it is resolved';
comment on function adopt_mapping(regclass, regclass, jsonb) is
    'Writes the proposals of propose_mapping, and the overrides, into the settings, which are checked as usual. Fails with P0002 if there is no proposal for a setting that must not be null';
comment on function alert_entries(bigint) is
    'Issues that the alert of a run must contain, with the occasion of each';
comment on function api_functions() is 'Functions that create_api wraps';
comment on function api_views() is 'Views that create_api wraps, and the settings';
comment on function check_settings(jsonb) is
    'Checks a row of settings against the database. Fails with 42P01, 42809, 42703, 42804 or 22023, naming the table, column, type or word that does not match';
comment on function count_runs() is 'Adds finished runs that are not yet counted to tally and tally_booked';
comment on function create_api(regnamespace) is
    'Creates wrappers of the same names for the functions and views, in a schema that an RPC gateway exposes, for gateways that cannot expose invoice_sync itself. Replaces existing wrappers. Grants no access to what they call; use grant_access. Fails with 42723 or 42P07 if the schema contains another object of the same name';
comment on function doctor() is
    'Checks the installation, one row for each check; makes at most 7 requests to Stripe in at most 5 seconds, and changes nothing. hint: commands for psql that fix the problem; lines that start with $ are for a shell on the server. A failed check does not always mean an error; see the detail';
comment on function drop_api(regnamespace) is
    'Drops the wrappers that create_api created in a schema. (DROP EXTENSION drops the functions, and requires CASCADE because of the views)';
comment on function facts_that_matter(jsonb) is
    'An issue''s evidence without the parts that differ from run to run, such as error messages and counts of events';
comment on function find_currencies() is 'Implementation of the view currencies';
comment on function find_paid_without_payment() is 'Implementation of the view paid_without_payment';
comment on function find_stripe_without_payment() is 'Implementation of the view stripe_without_payment';
comment on function grant_access(regrole, text) is
    'Grants a role access: read (views and settings), operate (read, and sweep, sync_invoice, explain, resolve_issue, undo, send_alerts and schedule), or webhook (deliver webhooks, and nothing else: through an RPC gateway, for anon, or for the role of your own server; the signature authenticates). With read and operate, RPC callers must also pass settings.rpc_admin_check';
comment on function handle_webhook(bytea, text) is
    'Receives a webhook: the unchanged body and the header Stripe-Signature. When it returns, the event is stored as soon as the transaction commits. Fails with 22023 if the signature is invalid or the body is no event, 55000 if no secret is set, and 58000 if the event could not be stored';
comment on function handle_webhook(json) is
    'As handle_webhook(bytea, text), for PostgREST: Stripe posts to /rpc/handle_webhook, and the signature is read from request.headers';
comment on function handle_webhook(text, text) is 'As handle_webhook(bytea, text), for a body of type text';
comment on function is_admin() is
    'Default of settings.rpc_admin_check: true if the token''s role is service_role or its app_metadata.role is admin. Ignores user_metadata, because users can change it themselves';
comment on function is_settled(text, text, text, jsonb) is
    'Whether a person already decided about an issue of this kind with the same facts; such an issue is not opened again';
comment on function issue_actions(bigint) is
    'Actions that resolve_issue accepts for an unresolved issue, with a description and the argument';
comment on function issue_kinds() is
    'Kinds of issues and the actions that resolve_issue accepts for each, one row per action; action is null if a kind has none. argument: the argument of the action (status or invoice_id), optional if argument_required is false';
comment on function job_name() is 'Name of this database''s job in cron.job';
comment on function missing_indexes() is
    e'Columns of your tables that are used for lookups but have no index, with the statement that creates it: select statement from invoice_sync.missing_indexes() \\gexec. Indexes are never created automatically';
comment on function next_due(text, bigint) is
    'The next time that a schedule of pg_cron is due after the given time, both in seconds since 1970; null if the schedule cannot be parsed';
comment on function pg_cron_job(text, text) is
    'Creates (schedule), removes (unschedule) or reads (read) the job of pg_cron, in this database or through dblink in another one. Fails with 55000 and a hint if neither is possible';
comment on function pg_cron_place() is
    'The database of pg_cron, or null if its library is not loaded, and the host and port of this server; security definer, because not every role may read these settings';
comment on function propose_mapping(regclass, regclass, jsonb) is
    'Proposes settings for the given tables, or for the tables that it finds; changes nothing. overrides are settings that you know, as in {"invoice_paid_word": "paid"}; the others are proposed to go with them. A proposed null means that nothing fits. Fails with P0002 if no table is found, and P0003 if several fit equally';
comment on function readdress_alerts() is
    'Sets sender and recipients of unsent alerts to those in the settings';
comment on function receive_webhook(bytea, text) is 'Implementation of handle_webhook';
comment on function replace_alerts(bigint) is
    'Marks unsent alerts as replaced if the given alert covers all of their unresolved issues';
comment on function require_admin() is
    'Returns true if the caller is not an RPC caller or passes settings.rpc_admin_check; otherwise fails with 42501';
comment on function resolve_issue(bigint, text, text, jsonb, boolean) is
    'Takes an action on an issue, as listed by issue_actions. arguments: {"status": …} or {"invoice_id": …}, as the action requires. With dry_run, returns what would change and writes nothing. Fails with P0002 if there is no such issue, 22023 if the action is not allowed, 55000 if the issue is resolved or its facts have changed, and with Stripe''s errors as sync_invoice';
comment on function revoke_access(regrole) is 'Revokes from a role what grant_access granted';
comment on function schedule(text) is
    'Creates a job of pg_cron that calls run_sweep() as the calling role, or changes its schedule (five fields; pg_cron uses GMT). Returns the name of the job. Fails with 55000 if pg_cron is not available';
comment on function send_alerts() is
    'Sends due alerts through Resend, in the current transaction, for at most 20 seconds. Returns the numbers of sent, failed and waiting alerts. Sends nothing if no key is set. Fails with 58P01, 58030, 42501, F0000 or 42704 if the key cannot be read';
comment on function settings_are_checked() is
    'Trigger function: rejects settings that do not match the database';
comment on function settings_replace() is
    'Trigger function: replaces the existing row of settings by the inserted one';
comment on function settings_stay() is 'Trigger function: prevents deletion of the settings';
comment on function snooze_issue(bigint, timestamptz, text) is
    'Suppresses reminders of an issue until the given time (null: ends this); it stays open. Fails with P0002 if there is no such issue, and 55000 if it is resolved';
comment on function sweep(boolean, integer, interval) is
    'Asks Stripe about invoices that are due, makes repairs that are safe, and opens and resolves issues, in the current transaction. Returns a report. With dry_run, writes nothing. Fails with 0A000 unless the isolation level is READ COMMITTED';
comment on function sync_invoice(anyelement, boolean) is
    'As sync_invoice(text, boolean), for an id of type uuid, bigint, integer or any other type';
comment on function sync_invoice(text, boolean) is
    'Asks Stripe about one invoice now, makes repairs that are safe, and opens and resolves its issues. Takes the id as text, for RPC. Returns a report. With dry_run, writes nothing. Fails with P0002 if there is no such invoice, 55000 if no key is set, 28000 if Stripe rejects the key, 08006 if Stripe cannot be reached, and 08P01 if its answer cannot be used';
comment on function undo(bigint, boolean) is
    'Reverses the changes of a run, for each invoice completely or not at all, unless its rows were changed since. Returns what was not reversed and why. The repairs are not made again until a person decides so (issue repair_undone). With dry_run, writes nothing. Fails with P0002 if there is no such run';
comment on function undo_change(bigint, boolean) is
    'Reverses a single change, as undo does. Fails with P0002 if there is no such change';
comment on function unschedule() is 'Removes the calling role''s job. Returns whether there was one';
comment on function visible_schedule() is
    'Schedule of this database''s job, if pg_cron is an extension of this database; otherwise null, although a job may exist';
comment on procedure backfill(timestamptz, timestamptz) is
    'Reads Stripe''s lists of checkout sessions (from one day earlier) and payment intents created in this period (until null: now), and books payments that are missing, of the key''s account and of each in stripe_account, in transactions of its own, one page each; the view progress shows how far it is. Without arguments, continues unfinished backfills. Fails with 22023 if there is nothing to do, 55000 if another one is running or no key is set, 2D000 inside a transaction block or function, and with Stripe''s errors as sync_invoice';
comment on procedure run_sweep(interval) is
    'Runs a sweep in transactions of its own, in batches, until nothing is due; schedule() makes pg_cron call it. Holds no snapshot and no lock on your tables while it waits for Stripe, and waits at most 5 seconds for a lock. If it is terminated, the next call continues. Remaining time is used for unfinished backfills. Fails with 2D000 inside a transaction block or function';
comment on policy admins_read on settings is
    'RPC callers must be admins; all other roles with the SELECT privilege see the row';
comment on column stripe_payment.as_of is
    'When the answer was requested; answers that were requested earlier are ignored';
comment on column stripe_payment.sessionless is
    'Whether Stripe reported that the payment intent belongs to no checkout session';
comment on function with_earlier_attempts(jsonb, jsonb) is
    'An issue''s evidence, extended by the payments in its earlier evidence that were not attempted again and therefore are still not written';
comment on column stripe_payment.received is
    'Amount received, in Stripe''s smallest unit; 0: a payment row says that it was received, and Stripe that it was not';
comment on column stripe_payment.refunded_latest is
    'Amount refunded according to the latest answer, if that is less than refunded, which a row of the invoice still states; null: the same';
comment on column stripe_payment.withheld is
    'Amount withheld by its disputes, in Stripe''s smallest unit; null: all or nothing, depending on the status of the dispute';
comment on column settings.invoice_open_words is
    'Statuses of invoices that are not paid yet, and are set to paid when the money is received. Usual words (draft, sent, open, unpaid, due, overdue, awaiting payment …), in any spelling, need not be listed unless another setting lists them. A status that is neither listed nor usual is never changed';
comment on column settings.invoice_after_paid_words is
    'Statuses that follow paid and are never changed. Usual words (shipped, delivered, fulfilled …) need not be listed';
comment on column settings.invoice_refunded_words is
    'Statuses of invoices whose money was refunded or charged back; they are never changed. Usual words (refunded, credited, charged back …) need not be listed';
comment on column settings.payment_failed_words is
    'Statuses of failed payments; such a row is set to paid only if Stripe has received the money of this payment. Usual words (failed, declined, rejected …) need not be listed';
comment on column settings.payment_partly_refunded_words is
    'Statuses of partially refunded payments; they count with the amount that was not refunded. Usual words (partially refunded …) need not be listed';
comment on table unwritten_answer is
    'Stripe''s answers about payments that your tables refused (apply_failed). Every sweep retries with them, without a request to Stripe';
comment on column unwritten_answer.invoice_id is 'Id of the invoice, as text';
comment on column unwritten_answer.id is 'Id of the payment intent; without one, of the checkout session or charge';
comment on column unwritten_answer.ids is 'All ids of the payment';
comment on column unwritten_answer.as_of is 'When the answer was requested';
comment on column unwritten_answer.answer is 'Stripe''s answer';
comment on column feed.looked_back_to is
    'Time back to which the first runs search Stripe''s lists for payments (see the view progress); null: not started';
comment on column feed.account is
    'The account, if it is one of the table stripe_account; null: that of the key, whose feed each sweep reads';
comment on column feed.news_at is
    'Of one of these accounts, when its feed last brought an event that no webhook had delivered';
comment on column feed.back_off is
    'Of one of these accounts, the interval at which its feed is read, which doubles from 15 minutes up to a day; null: it brought news within an hour, and each sweep reads it';
comment on column feed.next_read_at is
    'Of one of these accounts, when its feed is read again; sooner if one of its invoices is due for a check';
comment on column backfill.first_look is
    'Whether it was started automatically by the first runs, which search back by themselves';
comment on column backfill.account is
    'The account whose list it is, if it is one of the table stripe_account; null: that of the key';
comment on column backfill.refused_at is
    'When this account last could not be asked for it; it is asked again later, at intervals that grow up to a day; null: it answers';
comment on column progress.account is
    'The account whose list it is, if it is one of the table stripe_account; null: that of the key';
comment on column progress.refused_at is
    'When this account last could not be asked for it; it is asked again later, at intervals that grow up to a day; null: it answers';
comment on column status.looked_back_to is
    'Time back to which the first runs search for payments that are identified by metadata only; null: not started';
comment on column status.look_back_percent is 'How much of that search is done, in percent; null: nothing had to be read';
comment on column status.accounts is 'Number of Stripe accounts beside that of the key';
comment on column status.accounts_refused is 'Number of them that cannot be asked; see the view account_health';

-- Rows that count.
alter table settings
    add column invoice_condition text default null,
    add column payment_condition text default null;
comment on column settings.invoice_condition is
    'Which invoices count: an SQL expression over the row''s columns, such as deleted_at is null, evaluated as the table''s owner; null: all. Other rows are treated as if they did not exist, but money that Stripe received for one is reported';
comment on column settings.payment_condition is
    'Which payments count: an SQL expression over the row''s columns, such as deleted_at is null, evaluated as the table''s owner; null: all. Other rows are treated as if they did not exist, but a payment that one has is not recorded again without a decision';

-- Invoices that store no Stripe id.
alter table settings drop constraint settings_check;
alter table settings rename constraint settings_check1 to settings_check;

-- Further columns, set with every update too, and values by SQL expressions.
alter table settings
    add column invoice_update_values jsonb not null default '{}'
        check (jsonb_typeof(invoice_update_values) = 'object'),
    add column payment_update_values jsonb not null default '{}'
        check (jsonb_typeof(payment_update_values) = 'object');
comment on column settings.invoice_update_values is
    'Values for further columns that are set whenever an invoice, or a payment of one that is not closed, is written, such as {"updated_at": {"sql": "now()"}}. Sources as in payment_values, without stripe and metadata; an SQL expression sees the row as it becomes';
comment on column settings.payment_update_values is
    'As invoice_update_values, for a payment that is updated';
comment on column settings.payment_values is
    'Values for further columns of a new payment: {"column": source}. A source is {"invoice": "column"}, {"stripe": "payment_intent.description"}, {"metadata": "key"}, {"value": constant}, {"sql": "expression"}, or an array of these, of which the first that is not null is used. An SQL expression is evaluated as the table''s owner, over the values that the row is given';
comment on column settings.payment_id_column is
    'Primary key of the payment; it must have a default or a source in payment_values';

-- Statuses that are booleans, numbers or times, or stand in two columns.
alter table settings
    add column invoice_status_values jsonb not null default '{}'
        check (jsonb_typeof(invoice_status_values) = 'object'),
    add column invoice_closed_column text default null,
    add column payment_status_values jsonb not null default '{}'
        check (jsonb_typeof(payment_status_values) = 'object');
comment on column settings.invoice_status_column is
    'Column of the invoice''s status: text, an enum, an integer, a boolean (its words are true and false), or a date or timestamp (true: it is set)';
comment on column settings.invoice_status_values is
    'Words for the values of the status column, as in {"draft": 0, "sent": 1, "paid": 2}; the settings of words then name these. {}: the values are the words';
comment on column settings.invoice_closed_column is
    'Second column, which says that an invoice is closed although the status does not: text or an enum with one of invoice_closed_words, invoice_refunded_words or a usual word for these, a boolean that is true, or a date or timestamp that is set. It is never written. Null: there is no such column';
comment on column settings.payment_status_column is
    'Column of the payment''s status, of the types of invoice_status_column; null: every row counts as paid';
comment on column settings.payment_status_values is
    'As invoice_status_values, for payment_status_column';

-- Units per table, and the currency of a payment.
alter table settings
    add column payment_currency_column text default null,
    add column payment_amount_unit text default null
        check (payment_amount_unit in ('major', 'minor', 'stripe'));
comment on column settings.payment_currency_column is
    'Column of the payment''s ISO 4217 currency code; null: payments are in the invoice''s currency. A null value in the column also means that. The amount of a payment in another currency does not count and is reported';
comment on column settings.payment_amount_unit is
    'Unit of the payments'' amount columns, if it is not that of the invoices; null: amount_unit';

-- Sessions keep what they read of the settings until they change.
create function settings_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'settings_changed_wrapper';

create trigger settings_changed
    after insert or update or delete or truncate on settings
    for each statement execute function settings_changed();

alter table settings enable always trigger settings_changed;

comment on function settings_changed() is
    'Trigger function: tells all sessions that the settings have changed';

-- The explanation of an invoice.
create function explain(invoice_id text, ask boolean default false)
returns table (part text, what text, value text, why text)
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'explain_wrapper';

create function explain(id anyelement, ask boolean default false)
returns table (part text, what text, value text, why text)
language sql
as $$
    select * from invoice_sync.explain(invoice_id => id::text, ask => ask)
$$;

comment on function explain(text, boolean) is
    'Explains one invoice: how it and its payments are understood and which column and setting say so, what Stripe says of its payments, what would be done, and for everything that is not done the reason. Takes the id as text, for RPC. Uses what earlier runs stored; with ask, asks Stripe. Writes nothing. Fails with P0002 if there is no such invoice, and with ask as sync_invoice';
comment on function explain(anyelement, boolean) is
    'As explain(text, boolean), for an id of type uuid, bigint, integer or any other type';

create or replace function api_functions() returns setof regprocedure
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select f::regprocedure
    from unnest(array[
        'invoice_sync.sync_invoice(text, boolean)',
        'invoice_sync.explain(text, boolean)',
        'invoice_sync.sweep(boolean, integer, interval)',
        'invoice_sync.issue_kinds()',
        'invoice_sync.issue_actions(bigint)',
        'invoice_sync.resolve_issue(bigint, text, text, jsonb, boolean)',
        'invoice_sync.acknowledge_issue(bigint, text)',
        'invoice_sync.snooze_issue(bigint, timestamptz, text)',
        'invoice_sync.undo(bigint, boolean)',
        'invoice_sync.undo_change(bigint, boolean)',
        'invoice_sync.send_alerts()',
        'invoice_sync.doctor()',
        'invoice_sync.missing_indexes()',
        'invoice_sync.handle_webhook(json)'
    ]) as f
$$;

-- Payments and events of Stripe Invoices.
alter table invoice_check add column awaited text[] not null default '{}';
comment on column invoice_check.awaited is
    'Payments that are booked, and for which Stripe did not know yet what further columns of their rows store, such as its fee';
alter table stripe_payment add column stripe_invoice_id text;
alter table event add column stripe_invoice_id text;
create index on stripe_payment (stripe_invoice_id) where stripe_invoice_id is not null;
create index on event (stripe_invoice_id) where stripe_invoice_id is not null;
alter table backfill drop constraint backfill_list_check;
alter table backfill add constraint backfill_list_check check (
    list in ('checkout_sessions', 'payment_intents', 'charges', 'refunds', 'disputes', 'invoices')
);
comment on column stripe_payment.stripe_invoice_id is 'The Stripe Invoice that it paid, if known';
comment on column event.stripe_invoice_id is 'The Stripe Invoice that it is about';

drop index event_created_idx;

-- Rights of roles that were not granted access (must stay at the end of this script).
create function invoice_sync.revoke_from_others(also_granted boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    it record;
begin
    for it in
        with acl (object, is_owners, owner, list) as (
            select 'on schema invoice_sync', false, nspowner, nspacl
            from pg_namespace
            where nspname = 'invoice_sync'
            union all
            select format('on routine %s', oid::regprocedure),
                   proname in ('grant_access', 'revoke_access', 'check_settings'),
                   proowner, coalesce(proacl, acldefault('f', proowner))
            from pg_proc
            where pronamespace = 'invoice_sync'::regnamespace
            union all
            select format('on %s %s', case relkind when 'S' then 'sequence' else 'table' end, oid::regclass),
                   relkind <> 'v' and relname <> 'settings', relowner, relacl
            from pg_class
            where relnamespace = 'invoice_sync'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
            union all
            select format('(%I) on table %s', a.attname, c.oid::regclass), true, c.relowner, a.attacl
            from pg_attribute as a
            join pg_class as c on c.oid = a.attrelid
            where c.relnamespace = 'invoice_sync'::regnamespace
            union all
            select format('on type %s', t.oid::regtype), true, t.typowner,
                   coalesce(t.typacl, acldefault('T', t.typowner))
            from pg_type as t
            left join pg_class as c on c.oid = t.typrelid
            where t.typnamespace = 'invoice_sync'::regnamespace and t.typelem = 0
                and (t.typrelid = 0 or c.relkind = 'c')
        ),
        granted as (
            select acl.object, x.grantee,
                   bool_or(
                       acl.is_owners or x.is_grantable or x.grantee = 0
                       or x.privilege_type not in ('SELECT', 'EXECUTE', 'USAGE')
                   ) over (partition by x.grantee) as has_more
            from acl
            cross join aclexplode(acl.list) as x
            where x.grantee <> acl.owner
        )
        select distinct object, has_more,
               case grantee when 0 then 'public' else grantee::regrole::text end as grantee
        from granted
        where also_granted or has_more
        order by 1, 3
    loop
        execute format('revoke all %s from %s cascade', it.object, it.grantee);
    end loop;
end
$$;

comment on function invoice_sync.revoke_from_others(boolean) is
    'Called at the end of the extension''s scripts, because default privileges may have granted rights on the new objects. With true, revokes all rights of roles other than the owner; with false, only of roles that have more than grant_access grants, which must be granted access again';

-- Views in place of tables.
comment on column invoice_sync.settings.invoices_table is 'Table or view of invoices, schema-qualified';
comment on column invoice_sync.settings.payments_table is 'Table or view of payments, schema-qualified';

-- A table of payments for applications that have none.
create table invoice_sync.payment (
    id bigint generated by default as identity primary key,
    invoice_id text not null,
    status text not null default 'paid' check (status in ('paid', 'refunded', 'disputed')),
    amount numeric not null,
    gratuity numeric not null default 0,
    refunded_amount numeric not null default 0,
    currency text not null,
    paid_at timestamptz,
    stripe_session_id text,
    stripe_payment_intent_id text,
    recorded_at timestamptz not null default now()
);
create index on invoice_sync.payment (invoice_id);
create index on invoice_sync.payment (stripe_session_id);
create index on invoice_sync.payment (stripe_payment_intent_id);

comment on table invoice_sync.payment is
    'Payments of invoices whose application has no table of payments: used if it is settings.payments_table, which adopt_mapping proposes then';
comment on column invoice_sync.payment.id is 'Id of the payment';
comment on sequence invoice_sync.payment_id_seq is 'Generates payment.id';
comment on column invoice_sync.payment.invoice_id is 'Primary key of the invoice, as text';
comment on column invoice_sync.payment.status is 'paid, refunded (in full) or disputed';
comment on column invoice_sync.payment.amount is 'Amount without gratuity, in major units (12.50)';
comment on column invoice_sync.payment.gratuity is 'Gratuity, in major units';
comment on column invoice_sync.payment.refunded_amount is 'Amount refunded, in major units';
comment on column invoice_sync.payment.currency is 'ISO 4217 code';
comment on column invoice_sync.payment.paid_at is 'When Stripe received the money';
comment on column invoice_sync.payment.stripe_session_id is 'Checkout session, if there is one';
comment on column invoice_sync.payment.stripe_payment_intent_id is 'Payment intent; without one, the charge';
comment on column invoice_sync.payment.recorded_at is 'When the row was written';

select pg_catalog.pg_extension_config_dump('invoice_sync.payment', '');
select pg_catalog.pg_extension_config_dump('invoice_sync.payment_id_seq', '');

-- Payments whose table has no column for Stripe's ids.
alter table invoice_sync.settings drop constraint settings_check;

create table invoice_sync.payment_ids (
    invoice_id text not null,
    row_id text not null,
    session_id text,
    intent_id text,
    charge_id text,
    primary key (invoice_id, row_id)
);
create index on invoice_sync.payment_ids (session_id);
create index on invoice_sync.payment_ids (intent_id);
create index on invoice_sync.payment_ids (charge_id);

comment on table invoice_sync.payment_ids is
    'Stripe''s ids of payments whose table has no column for them: written if settings.payment_session_column and payment_intent_column are null';
comment on column invoice_sync.payment_ids.invoice_id is 'Primary key of the invoice, as text';
comment on column invoice_sync.payment_ids.row_id is 'Primary key of the payment, as text';
comment on column invoice_sync.payment_ids.session_id is 'Checkout session, if known';
comment on column invoice_sync.payment_ids.intent_id is 'Payment intent, if there is one';
comment on column invoice_sync.payment_ids.charge_id is 'Charge, if known';

select pg_catalog.pg_extension_config_dump('invoice_sync.payment_ids', '');

comment on column invoice_sync.settings.payment_session_column is
    'Column of the Stripe checkout session id; null: there is no such column. If there is none for the payment intent either, the extension remembers which row is which payment';

-- Several Stripe accounts.
alter table invoice_sync.settings add column invoice_account_column text default null;
comment on column invoice_sync.settings.invoice_account_column is
    'Column of the Stripe account that the invoice''s payments go to (acct_…), named in the table stripe_account; null: all invoices belong to the account of the key. A null or empty value in the column also means that';
comment on column invoice_sync.event.account is
    'The account of the event, if it named one or a secret of that account signed it; null: the account of the key';
comment on column invoice_sync.event.id is
    'Stripe''s id of the event, after its account and a slash if that is not the key''s; for an entry of a backfill, the number of the backfill and the id of the object';

comment on table invoice_sync.stripe_account is
    'The Stripe accounts that invoices belong to, beside that of the key (invoice_sync.stripe_api_key), which needs no row here: see settings.invoice_account_column';
comment on column invoice_sync.stripe_account.account is 'Stripe''s id of the account (acct_…)';
comment on column invoice_sync.stripe_account.livemode is
    'Whether its payments are those of live mode; false: of test mode; null: those of the mode of the key';
comment on column invoice_sync.stripe_account.api_key is
    'Reference to a key of its own, file:/absolute/path or vault:name; null: it is a connected account of the key''s platform (Stripe Connect)';
comment on column invoice_sync.stripe_account.webhook_secret is
    'Reference to the secrets of a webhook endpoint of its own, file:/absolute/path or vault:name: what they sign is about this account, whatever it says; null: its events come by the endpoint of the platform';
comment on column invoice_sync.stripe_account.since is 'When it was added';

select pg_catalog.pg_extension_config_dump('invoice_sync.stripe_account', '');

create or replace function invoice_sync.api_views() returns setof regclass
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select v::regclass
    from unnest(array[
        'invoice_sync.status', 'invoice_sync.open_issues', 'invoice_sync.recent_runs', 'invoice_sync.changes',
        'invoice_sync.alerts', 'invoice_sync.paid_without_payment', 'invoice_sync.stripe_without_payment',
        'invoice_sync.webhook_health', 'invoice_sync.account_health', 'invoice_sync.progress', 'invoice_sync.metrics',
        'invoice_sync.currencies', 'invoice_sync.settings'
    ]) as v
$$;

create index on invoice_sync.event (account, webhook_at) where account is not null;

create or replace view invoice_sync.webhook_health as
select type,
       date_trunc('hour', created) as hour,
       count(*) filter (where webhook_at is not null) as by_webhook,
       count(*) filter (where webhook_at is null) as by_feed_only,
       count(*) filter (where state = 'pending') as waiting,
       avg(webhook_at - created) as mean_delay,
       max(webhook_at) as last_delivery,
       (array_agg(distinct account) filter (where webhook_at is null and account is not null))[1:10]
           as missed_by
from invoice_sync.event
where (select invoice_sync.require_admin()) and type <> 'backfill'
group by 1, 2
order by 2 desc, 1;

create view invoice_sync.account_health as
select a.account,
       a.livemode,
       a.since,
       a.api_key is not null as has_own_key,
       a.webhook_secret is not null as has_own_endpoint,
       e.last_webhook_at,
       f.news_at as last_missed_at,
       f.read_at as feed_read_at,
       f.next_read_at as feed_next_read_at,
       i.why as refused
from invoice_sync.stripe_account as a
left join lateral (
    select max(webhook_at) as last_webhook_at
    from invoice_sync.event
    where event.account = a.account
) as e on true
left join lateral (
    select max(news_at) as news_at,
           max(read_at) as read_at,
           max(next_read_at) as next_read_at
    from invoice_sync.feed
    where feed.account = a.account
) as f on true
left join lateral (
    select evidence ->> 'why' as why
    from invoice_sync.issue
    where invoice_id is null and kind = 'stripe_unreachable' and object = a.account and state <> 'resolved'
    limit 1
) as i on true
where (select invoice_sync.require_admin())
order by a.account;

comment on view invoice_sync.account_health is
    'The Stripe accounts beside that of the key, one row each: whether their webhooks arrive, their feeds are read, and they answer. The references to their secrets are in the table stripe_account';
comment on column invoice_sync.account_health.account is
    'Stripe''s id of the account (acct_…)';
comment on column invoice_sync.account_health.livemode is
    'Whether its payments are those of live mode; false: of test mode; null: those of the mode of the key';
comment on column invoice_sync.account_health.since is
    'When it was added';
comment on column invoice_sync.webhook_health.missed_by is
    'Accounts of those that were received by the feed only, at most ten; null: none but that of the key';
comment on column invoice_sync.account_health.has_own_key is
    'Whether it is asked with a key of its own';
comment on column invoice_sync.account_health.has_own_endpoint is
    'Whether it has a webhook endpoint of its own';
comment on column invoice_sync.account_health.last_webhook_at is
    'When a webhook about it was last received; null: never, or retention deleted it';
comment on column invoice_sync.account_health.last_missed_at is
    'When its feed last brought an event that no webhook had delivered; null: never';
comment on column invoice_sync.account_health.feed_read_at is
    'When its feed was last read up to its newest event; null: never';
comment on column invoice_sync.account_health.feed_next_read_at is
    'When its feed is read again';
comment on column invoice_sync.account_health.refused is
    'Why it could not be asked the last time; null: it answers';

-- Changes in short: what they have in common is stored once. Those of 0.1.0 get forms of gaps.
create table invoice_sync.change_form (
    id bigint primary key,
    document text not null
);

comment on table invoice_sync.change_form is
    'What many changes have in common, stored once: tables, names of columns and usual values. The view full_change puts changes together';
comment on column invoice_sync.change_form.id is 'Id of the form, computed from its content';
comment on column invoice_sync.change_form.document is
    'A JSON object: changes, each with table, row, before and after, and their evidence. Each second line is a gap, and says what belongs there: the invoice''s id, or a line of change.content by its number';

select pg_catalog.pg_extension_config_dump('invoice_sync.change_form', '');

insert into invoice_sync.change_form (id, document)
select distinct
    hashtextextended(c.action || ' ' || c.table_name, 0),
    format(
        e'{"changes": [{"table": %s, "row": \n1\n, %s}], "evidence": \n%s\n}',
        to_jsonb(c.table_name),
        case c.action
            when 'insert' then e'"after": \n2\n'
            when 'delete' then e'"before": \n2\n'
            else e'"before": \n2\n, "after": \n3\n'
        end,
        case c.action when 'update' then 4 else 3 end
    )
from invoice_sync.change as c;

-- The views get their columns again below.
create or replace view invoice_sync.run_booked as
select null::bigint as run_id, null::text as currency, null::bigint as received, null::bigint as undone_by;

create or replace view invoice_sync.changes as
select null::bigint as id, null::bigint as run_id, null::timestamptz as changed_at, null::text as cause,
       null::text as role, null::text as invoice_id, null::text as table_name, null::text as row_id,
       null::text as action, null::jsonb as before, null::jsonb as after, null::jsonb as evidence,
       null::bigint as undone_by;

alter table invoice_sync.change
    drop constraint change_run_id_fkey,
    drop constraint change_undone_by_fkey,
    drop constraint change_check,
    drop constraint change_check1,
    drop constraint change_action_check,
    alter column table_name type bigint using hashtextextended(action || ' ' || table_name, 0),
    alter column evidence type text using concat_ws(e'\n', to_jsonb(row_id), before, after, evidence),
    alter column undone_by type bigint[] using case when undone_by is not null then array[undone_by] end,
    drop column row_id,
    drop column action,
    drop column before,
    drop column after,
    add column decision jsonb;
alter table invoice_sync.change rename column table_name to form_id;
alter table invoice_sync.change rename column undone_by to undone_by_runs;
alter table invoice_sync.change rename column evidence to content;
-- Since PostgreSQL 18, such a constraint has a name, which is that of the column.
alter table invoice_sync.change
    alter column form_id drop not null,
    alter column content drop not null;
alter table invoice_sync.change
    alter column form_id set not null,
    alter column content set not null;

-- Changes in full: the lines of the form, by turns text and gaps, are a document with all changes of the row.
create view invoice_sync.full_change as
select c.id + p.place - 1 as id,
       c.id as first_id,
       c.run_id,
       c.invoice_id,
       p.change ->> 'table' as table_name,
       p.change ->> 'row' as row_id,
       case when p.change ? 'before' then case when p.change ? 'after' then 'update' else 'delete' end
            else 'insert' end as action,
       p.change -> 'before' as before,
       p.change -> 'after' as after,
       d.document -> 'evidence' || coalesce(c.decision, '{}') as evidence,
       c.undone_by_runs[p.place] as undone_by
from invoice_sync.change as c
join invoice_sync.change_form as f on f.id = c.form_id
cross join lateral (
    select string_agg(
               case
                   when l.n % 2 = 1 then l.line
                   when l.line = 'invoice' then c.invoice_id
                   else coalesce(v.content[l.line::integer], '')
               end,
               '' order by l.n
           )::jsonb as document
    from string_to_array(c.content, e'\n') as v (content)
    cross join unnest(string_to_array(f.document, e'\n')) with ordinality as l (line, n)
) as d
cross join lateral jsonb_array_elements(d.document -> 'changes') with ordinality as p (change, place);

-- Payments that each run booked. An inserted payment's row contains a Stripe id; for an
-- expected payment that became paid, the evidence names the row and the Stripe id.
create or replace view invoice_sync.run_booked as
select c.run_id,
       s.currency,
       s.received,
       c.undone_by
from invoice_sync.full_change as c
cross join lateral jsonb_to_recordset(c.evidence -> 'stripe')
    as s (session text, payment_intent text, charge text, currency text, received bigint)
where c.action = 'insert'
    and exists (
        select from jsonb_each_text(c.after) as column_of
        where column_of.value in (s.payment_intent, s.session, s.charge)
    )
union all
select c.run_id,
       s.currency,
       s.received,
       c.undone_by
from invoice_sync.full_change as c
cross join lateral jsonb_to_recordset(c.evidence -> 'confirmed')
    as k (table_name text, row_id text, payment text)
cross join lateral jsonb_to_recordset(c.evidence -> 'stripe')
    as s (session text, payment_intent text, charge text, currency text, received bigint)
where c.action = 'update'
    and k.table_name = c.table_name
    and k.row_id = c.row_id
    and k.payment in (s.payment_intent, s.session, s.charge);

create or replace view invoice_sync.changes as
select c.id,
       c.run_id,
       r.started_at as changed_at,
       coalesce(r.cause, 'webhook') as cause,
       r.role,
       c.invoice_id,
       c.table_name,
       c.row_id,
       c.action,
       c.before,
       c.after,
       c.evidence,
       c.undone_by
from invoice_sync.full_change as c
join invoice_sync.run as r on r.id = c.run_id
where (select invoice_sync.require_admin())
order by c.first_id desc, c.id desc;

comment on table invoice_sync.change is
    'What a run changed in your tables for an invoice, in short: what differs from its form. The view changes shows each change in full';
comment on column invoice_sync.change.id is
    'Id of the first of the changes; the others have the ids that follow';
comment on column invoice_sync.change.run_id is 'The run that made the change';
comment on column invoice_sync.change.form_id is 'The form (change_form)';
comment on column invoice_sync.change.undone_by_runs is
    'The runs that undid the changes, each in the place of its change; null: none was undone';
comment on column invoice_sync.change.invoice_id is 'Id of the invoice, as text';
comment on column invoice_sync.change.content is 'What belongs into the gaps of the form, a line each';
comment on column invoice_sync.change.decision is
    'Issue, action and note of the person''s decision that led to it; null: none did';

comment on view invoice_sync.full_change is 'Changes in full, for the view changes and for undo';
comment on column invoice_sync.full_change.id is 'Id';
comment on column invoice_sync.full_change.first_id is 'Id of the first change of the same run and invoice';
comment on column invoice_sync.full_change.run_id is 'The run that made the change';
comment on column invoice_sync.full_change.invoice_id is 'Id of the invoice, as text';
comment on column invoice_sync.full_change.table_name is 'The changed table, quoted and schema-qualified';
comment on column invoice_sync.full_change.row_id is 'Primary key of the changed row, as text';
comment on column invoice_sync.full_change.action is
    'insert, update or delete. Only undo deletes rows, and only rows that a run inserted. Changes that your triggers made to these rows are recorded as well';
comment on column invoice_sync.full_change.before is
    'Previous values of the changed columns, or the whole deleted row; null for an inserted row';
comment on column invoice_sync.full_change.after is
    'New values of the changed columns, or the whole inserted row; null for a deleted row';
comment on column invoice_sync.full_change.evidence is
    'The reason: Stripe''s object ids, amounts in Stripe''s smallest unit and Request-Id; or the issue, action and note of a person''s decision; or what was undone';
comment on column invoice_sync.full_change.undone_by is
    'The run that undid the change; null: it was not undone';
comment on column invoice_sync.changes.invoice_id is 'Id of the invoice, as text';
comment on column invoice_sync.changes.table_name is 'The changed table, quoted and schema-qualified';
comment on column invoice_sync.changes.row_id is 'Primary key of the changed row, as text';
comment on column invoice_sync.changes.action is
    'insert, update or delete. Only undo deletes rows, and only rows that a run inserted. Changes that your triggers made to these rows are recorded as well';
comment on column invoice_sync.changes.before is
    'Previous values of the changed columns, or the whole deleted row; null for an inserted row';
comment on column invoice_sync.changes.after is
    'New values of the changed columns, or the whole inserted row; null for a deleted row';
comment on column invoice_sync.changes.evidence is
    'The reason: Stripe''s object ids, amounts in Stripe''s smallest unit and Request-Id; or the issue, action and note of a person''s decision; or what was undone';

-- What is done is small: of an event that is done, what it was about goes.
alter table invoice_sync.event
    drop constraint event_check,
    drop constraint event_check1,
    drop constraint event_state_check,
    drop constraint event_attempts_check,
    drop column feed_at,
    alter column next_attempt_at drop not null,
    alter column next_attempt_at type timestamptz using case when state <> 'done' then next_attempt_at end,
    alter column session_id type text using
        case when state <> 'done' or result = 'names no invoice' then session_id end,
    alter column intent_id type text using
        case when state <> 'done' or result = 'names no invoice' then intent_id end,
    alter column charge_id type text using
        case when state <> 'done' or result = 'names no invoice' then charge_id end,
    alter column snapshot drop not null,
    alter column snapshot type jsonb using case
        when state <> 'done' or result = 'names no invoice'
            then jsonb_build_object('id', snapshot -> 'id', 'created', snapshot -> 'created')
    end,
    alter column result type text using
        case when state <> 'done' or result !~ '^invoice .*: ' then result end;
drop index invoice_sync.event_received_at_idx;
drop index invoice_sync.event_webhook_at_idx;
create index event_received on invoice_sync.event (date_trunc('hour', received_at at time zone 'UTC'));
create index event_by_webhook on invoice_sync.event (date_trunc('hour', webhook_at at time zone 'UTC'))
    where webhook_at is not null;
comment on column invoice_sync.event.session_id is
    'The checkout session that it is about; null: none, or the event is done and this is not needed any more';
comment on column invoice_sync.event.intent_id is
    'The payment intent that it is about; null: none, or the event is done and this is not needed any more';
comment on column invoice_sync.event.charge_id is
    'The charge that it is about; null: none, or the event is done and this is not needed any more';
comment on column invoice_sync.event.snapshot is
    'Id and time of creation of the object in the event; null: the event is done and this is not needed any more';
comment on column invoice_sync.event.next_attempt_at is 'When it is retried; null: it is done';
comment on column invoice_sync.event.processed_at is
    'When it was processed; null: when it was received, or not yet';
comment on column invoice_sync.event.result is
    'Why nothing was to be done, or the reason for the retry; null: what it led to is in the view changes';

comment on view invoice_sync.last_webhook is 'When a webhook was last received, in one row';

comment on column invoice_sync.last_webhook.at is
    'When a webhook was last received; null: never, or retention deleted it';

-- Runs are counted once, and the runs of webhooks written once.
-- No index: it is read as a whole, and empty after each sweep.
create table invoice_sync.run_to_count (
    run_id bigint not null
);

comment on table invoice_sync.run_to_count is 'Finished runs that are not yet included in tally';
comment on column invoice_sync.run_to_count.run_id is 'Id of the run';

select pg_catalog.pg_extension_config_dump('invoice_sync.run_to_count', '');

insert into invoice_sync.run_to_count (run_id)
select r.id
from invoice_sync.run as r
where not r.counted and r.finished_at is not null;

-- Sums over the finished runs that are not yet in tally. Each is looked up: PostgreSQL expects ten of an
-- array, and thousands of a table that is almost always empty.
create or replace view invoice_sync.uncounted as
select kind,
       coalesce(cause, 'webhook') as cause,
       success,
       count(*) as runs,
       sum(invoices_fixed) as invoices_fixed,
       coalesce(sum(stripe_requests), 0) as stripe_requests,
       coalesce(sum(stripe_retries), 0) as stripe_retries,
       sum(stripe_errors) as stripe_errors
from unnest(array(select run_id from invoice_sync.run_to_count)) as q (run_id)
join invoice_sync.run on run.id = q.run_id
group by kind, coalesce(cause, 'webhook'), success;

-- Payments that those runs booked. `offset 0` keeps PostgreSQL from reading those of all runs.
create or replace view invoice_sync.uncounted_booked as
select b.currency,
       count(*) as payments,
       sum(b.received) as minor
from unnest(array(select run_id from invoice_sync.run_to_count)) as q (run_id)
cross join lateral (
    select * from invoice_sync.run_booked as r where r.run_id = q.run_id
    offset 0
) as b
group by b.currency;

create or replace function invoice_sync.count_runs() returns void
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

create or replace view invoice_sync.recent_runs as
select id,
       kind,
       coalesce(cause, 'webhook') as cause,
       role,
       started_at,
       finished_at - started_at as duration,
       success,
       error ->> 'message' as error,
       invoices_checked,
       invoices_fixed,
       issues_found,
       stripe_errors,
       coalesce(stripe_requests, 0) as stripe_requests,
       coalesce(stripe_retries, 0) as stripe_retries,
       coalesce(waited, '0') as waited,
       coalesce(list_pages, 0) as list_pages,
       coalesce(objects_from_lists, 0) as objects_from_lists,
       coalesce(objects_one_by_one, 0) as objects_one_by_one,
       array_to_json(array(
           select json_build_object(
               'currency', b.currency,
               'payments', count(*),
               'amount', round(
                   sum(b.received) / power(10::numeric, coalesce(min(d.stripe_digits), 2)),
                   coalesce(min(d.iso_digits), 2)
               )::text
           )
           from invoice_sync.run_booked as b
           left join invoice_sync.find_currencies() as d on d.currency = b.currency
           where b.run_id = run.id and b.undone_by is null
           group by b.currency
           order by b.currency
       ))::jsonb as booked
from invoice_sync.run
where (select invoice_sync.require_admin())
order by id desc;

drop index invoice_sync.run_started_at_idx;
create index run_started on invoice_sync.run (date_trunc('hour', started_at at time zone 'UTC'));
alter table invoice_sync.run
    drop constraint run_kind_check,
    drop constraint run_cause_check,
    drop column counted,
    alter column cause drop not null,
    alter column stripe_requests drop not null,
    alter column stripe_retries drop not null,
    alter column waited drop not null,
    alter column list_pages drop not null,
    alter column list_pages drop default,
    alter column objects_from_lists drop not null,
    alter column objects_from_lists drop default,
    alter column objects_one_by_one drop not null,
    alter column objects_one_by_one drop default;
comment on table invoice_sync.run is
    'Runs: one row for each sweep and sync_invoice call that was executed, each webhook that concerned an invoice, unless it had nothing to do and asked nothing, and each backfill, resolve_issue and undo';
comment on column invoice_sync.run.cause is
    'How it was started: cron, sql, rpc or webhook; the table run has null for webhook';
comment on column invoice_sync.recent_runs.cause is
    'How it was started: cron, sql, rpc or webhook; the table run has null for webhook';
comment on column invoice_sync.run.stripe_requests is
    'Number of requests to Stripe, including retries; the table run has null for none';
comment on column invoice_sync.run.stripe_retries is
    'Number of retried requests to Stripe; the table run has null for none';
comment on column invoice_sync.run.waited is
    'Time spent waiting for Stripe''s answers; the table run has null for none';
comment on column invoice_sync.run.list_pages is
    'Number of pages of Stripe''s lists that were requested instead of single objects; the table run has null for none';
comment on column invoice_sync.run.objects_from_lists is
    'Number of requested objects that were found on these pages; the table run has null for none';
comment on column invoice_sync.run.objects_one_by_one is
    'Number of objects that were requested individually; the table run has null for none';
comment on column invoice_sync.recent_runs.stripe_requests is
    'Number of requests to Stripe, including retries; the table run has null for none';
comment on column invoice_sync.recent_runs.stripe_retries is
    'Number of retried requests to Stripe; the table run has null for none';
comment on column invoice_sync.recent_runs.waited is
    'Time spent waiting for Stripe''s answers; the table run has null for none';
comment on column invoice_sync.recent_runs.list_pages is
    'Number of pages of Stripe''s lists that were requested instead of single objects; the table run has null for none';
comment on column invoice_sync.recent_runs.objects_from_lists is
    'Number of requested objects that were found on these pages; the table run has null for none';
comment on column invoice_sync.recent_runs.objects_one_by_one is
    'Number of objects that were requested individually; the table run has null for none';

-- The evidence of changes contains the Request-Id, and ids are looked up and never sorted: an entry of these
-- indexes is a hash, whatever their length.
alter table invoice_sync.stripe_payment
    drop constraint stripe_payment_received_check,
    drop constraint stripe_payment_check,
    drop column intent_id,
    drop column request_id;
drop index invoice_sync.stripe_payment_id_idx;
drop index invoice_sync.stripe_payment_session_id_idx;
drop index invoice_sync.stripe_payment_charge_id_idx;
drop index invoice_sync.change_invoice_id_idx;
create index on invoice_sync.stripe_payment using hash (id) with (fillfactor = 100);
create index on invoice_sync.stripe_payment using hash (session_id) with (fillfactor = 100);
create index on invoice_sync.stripe_payment using hash (charge_id) with (fillfactor = 100);
create index on invoice_sync.change using hash (invoice_id) with (fillfactor = 100);
create index on invoice_sync.invoice_check using hash (invoice_id) with (fillfactor = 100);
drop index invoice_sync.change_undone_by_idx;
create index on invoice_sync.change using gin (undone_by_runs) where undone_by_runs is not null;

-- Of few events: what is done does not contain them, unless nobody claimed the money.
create index on invoice_sync.event (session_id) where session_id is not null;
create index on invoice_sync.event (intent_id) where intent_id is not null;
create index on invoice_sync.event (charge_id) where charge_id is not null;

select invoice_sync.revoke_from_others(false);
