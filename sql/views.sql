-- Views for people. RPC callers must be admins: see require_admin().

create view currencies as
select currency,
       iso_digits,
       stripe_digits
from find_currencies()
where (select require_admin());

-- Changes in full: the lines of the form, by turns text and gaps, are a document with all changes of the row.
create view full_change as
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
from change as c
join change_form as f on f.id = c.form_id
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
create view run_booked as
select c.run_id,
       s.currency,
       s.received,
       c.undone_by
from full_change as c
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
from full_change as c
cross join lateral jsonb_to_recordset(c.evidence -> 'confirmed')
    as k (table_name text, row_id text, payment text)
cross join lateral jsonb_to_recordset(c.evidence -> 'stripe')
    as s (session text, payment_intent text, charge text, currency text, received bigint)
where c.action = 'update'
    and k.table_name = c.table_name
    and k.row_id = c.row_id
    and k.payment in (s.payment_intent, s.session, s.charge);

create view recent_runs as
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
           from run_booked as b
           left join find_currencies() as d on d.currency = b.currency
           where b.run_id = run.id and b.undone_by is null
           group by b.currency
           order by b.currency
       ))::jsonb as booked
from run
where (select require_admin())
order by id desc;

comment on view recent_runs is 'All runs, newest first';

create view changes as
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
from full_change as c
join run as r on r.id = c.run_id
where (select require_admin())
order by c.first_id desc, c.id desc;

comment on view changes is
    'All changes to your tables, with the values before and after, the reason and the caller; newest first';

create view open_issues as
select id,
       severity,
       kind,
       invoice_number,
       invoice_id,
       summary,
       object,
       state,
       first_seen,
       last_seen,
       times_seen,
       evidence,
       acknowledged_at,
       acknowledged_by,
       snoozed_until,
       note,
       array(
           select k.action
           from issue_kinds() as k
           where k.kind = issue.kind and k.action is not null
       ) as actions
from issue
where state <> 'resolved' and (select require_admin())
order by array_position(array['critical', 'warning', 'notice'], severity), first_seen, id;

comment on view open_issues is 'Unresolved issues, most severe first';

create view webhook_health as
select type,
       date_trunc('hour', created) as hour,
       count(*) filter (where webhook_at is not null) as by_webhook,
       count(*) filter (where webhook_at is null) as by_feed_only,
       count(*) filter (where state = 'pending') as waiting,
       avg(webhook_at - created) as mean_delay,
       max(webhook_at) as last_delivery,
       (array_agg(distinct account) filter (where webhook_at is null and account is not null))[1:10]
           as missed_by
from event
where (select require_admin()) and type <> 'backfill'
group by 1, 2
order by 2 desc, 1;

comment on view webhook_health is
    'Events per type and hour: how many came by webhook, how many only by the feed, and their delay';

-- By the index, which is by the hour.
create view last_webhook as
select max(webhook_at) as at
from event
where webhook_at is not null
    and date_trunc('hour', webhook_at at time zone 'UTC') = (
        select max(date_trunc('hour', e.webhook_at at time zone 'UTC'))
        from event as e
        where e.webhook_at is not null
    );

comment on view last_webhook is 'When a webhook was last received, in one row';

create view account_health as
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
from stripe_account as a
left join lateral (
    select max(webhook_at) as last_webhook_at
    from event
    where event.account = a.account
) as e on true
left join lateral (
    select max(news_at) as news_at,
           max(read_at) as read_at,
           max(next_read_at) as next_read_at
    from feed
    where feed.account = a.account
) as f on true
left join lateral (
    select evidence ->> 'why' as why
    from issue
    where invoice_id is null and kind = 'stripe_unreachable' and object = a.account and state <> 'resolved'
    limit 1
) as i on true
where (select require_admin())
order by a.account;

comment on view account_health is
    'The Stripe accounts beside that of the key, one row each: whether their webhooks arrive, their feeds are read, and they answer. The references to their secrets are in the table stripe_account';

create view progress as
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

comment on view progress is 'Progress of backfills, by the period that they cover';

create view paid_without_payment as
select invoice_id,
       invoice_number,
       status,
       total,
       currency,
       session_id,
       intent_id
from find_paid_without_payment();

comment on view paid_without_payment is 'Invoices whose status is paid but that have no payment';

create view stripe_without_payment as
select invoice_id,
       invoice_number,
       status,
       total,
       currency,
       session_id,
       intent_id
from find_stripe_without_payment();

comment on view stripe_without_payment is 'Invoices that contain Stripe ids but have no payment';

comment on view currencies is
    'Currencies that do not have two decimals in ISO 4217 or at Stripe; all others have two';
comment on view full_change is 'Changes in full, for the view changes and for undo';
comment on view run_booked is 'Payments that runs booked';
comment on function find_currencies() is 'Implementation of the view currencies';
comment on function find_paid_without_payment() is 'Implementation of the view paid_without_payment';
comment on function find_stripe_without_payment() is 'Implementation of the view stripe_without_payment';

-- Comments of all view columns: that of the table's column of the same name, or one of these.
do $$
declare
    col record;
begin
    for col in
        select v.oid::regclass as view_name, va.attname as column_name,
               coalesce(
                   (select d.description
                      from pg_class t
                      join pg_attribute ta on ta.attrelid = t.oid and ta.attname = va.attname
                      join pg_description d on d.objoid = t.oid and d.objsubid = ta.attnum
                     where t.relnamespace = v.relnamespace and t.relkind = 'r'
                       and t.relname = case v.relname
                           when 'recent_runs' then 'run'
                           when 'changes' then 'change'
                           when 'full_change' then 'change'
                           when 'run_booked' then 'change'
                           when 'open_issues' then 'issue'
                           when 'progress' then 'backfill'
                           when 'account_health' then 'stripe_account'
                       end),
                   case va.attname
                       when 'id' then 'Id'
                       when 'table_name' then 'The changed table, quoted and schema-qualified'
                       when 'action' then
                           'insert, update or delete. Only undo deletes rows, and only rows that a run inserted. Changes that your triggers made to these rows are recorded as well'
                       when 'first_id' then 'Id of the first change of the same run and invoice'
                       when 'row_id' then 'Primary key of the changed row, as text'
                       when 'undone_by' then 'The run that undid the change; null: it was not undone'
                       when 'before' then
                           'Previous values of the changed columns, or the whole deleted row; null for an inserted row'
                       when 'after' then
                           'New values of the changed columns, or the whole inserted row; null for a deleted row'
                       when 'evidence' then
                           'The reason: Stripe''s object ids, amounts in Stripe''s smallest unit and Request-Id; or the issue, action and note of a person''s decision; or what was undone'
                       when 'duration' then 'Duration'
                       when 'share_done' then 'Part of the period that is done, from 0 to 1'
                       when 'objects_expected' then 'Estimated total, if the rest of the period has as many per day; Stripe''s lists have no total'
                       when 'objects_per_second' then 'Objects per second of working time'
                       when 'time_left' then 'Estimated working time until it is finished'
                       when 'type' then 'Type of the event, such as checkout.session.completed'
                       when 'at' then 'When a webhook was last received; null: never, or retention deleted it'
                       when 'hour' then 'Hour of the event, by Stripe''s clock'
                       when 'by_webhook' then 'Number of events that were received by webhook'
                       when 'by_feed_only' then 'Number of events that were received by the feed only'
                       when 'waiting' then 'Number of pending events'
                       when 'mean_delay' then 'Mean time from the event to its first delivery'
                       when 'last_delivery' then 'When such an event was last received by webhook'
                       when 'missed_by' then 'Accounts of those that were received by the feed only, at most ten; null: none but that of the key'
                       when 'has_own_key' then 'Whether it is asked with a key of its own'
                       when 'has_own_endpoint' then 'Whether it has a webhook endpoint of its own'
                       when 'last_webhook_at' then 'When a webhook about it was last received; null: never, or retention deleted it'
                       when 'last_missed_at' then 'When its feed last brought an event that no webhook had delivered; null: never'
                       when 'feed_read_at' then 'When its feed was last read up to its newest event; null: never'
                       when 'feed_next_read_at' then 'When its feed is read again'
                       when 'refused' then 'Why it could not be asked the last time; null: it answers'
                       when 'changed_at' then 'When the run that made the change started'
                       when 'cause' then 'How the run was started: cron, sql, rpc or webhook'
                       when 'role' then 'Role of the caller'
                       when 'actions' then 'Actions that resolve_issue accepts; issue_actions describes them'
                       when 'invoice_id' then 'Id of the invoice, as text'
                       when 'invoice_number' then 'Number of the invoice that people use'
                       when 'status' then 'Status of the invoice'
                       when 'total' then 'Total of the invoice, in settings.amount_unit'
                       when 'currency' then case v.relname
                           when 'currencies' then 'ISO 4217 code, lower case'
                           when 'run_booked' then 'ISO 4217 code, lower case'
                           else 'Currency of the invoice; null: settings.default_currency'
                       end
                       when 'iso_digits' then 'Number of decimals in ISO 4217'
                       when 'stripe_digits' then 'Number of decimals in Stripe''s API'
                       when 'received' then 'Amount that Stripe received, in Stripe''s smallest unit'
                       when 'booked' then
                           'Payments that the run booked and that were not undone: [{"currency", "payments", "amount"}]; amount is what Stripe received, as text in major units'
                       when 'session_id' then 'Checkout session id in the invoice'
                       when 'intent_id' then 'Payment intent id in the invoice'
                   end
               ) as description
        from pg_class v
        join pg_attribute va on va.attrelid = v.oid and va.attnum > 0
        where v.relnamespace = 'invoice_sync'::regnamespace and v.relkind = 'v'
    loop
        execute format('comment on column %s.%I is %L', col.view_name, col.column_name, col.description);
    end loop;
end
$$;
