-- The outbox of alerts about issues: what will be sent, to whom, and what was sent.

set local search_path = invoice_sync, pg_catalog, pg_temp;

create table alert (
    id bigint generated always as identity primary key,
    run_id bigint not null unique references run,
    created_at timestamptz not null default now(),
    sender text,
    recipients text[] not null,
    subject text not null,
    html text not null,
    body text not null,
    idempotency_key text not null unique check (length(idempotency_key) between 1 and 256),
    replaced_by bigint,
    attempts integer not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    last_error text,
    sent_at timestamptz,
    message_id text,
    check (sent_at is null or replaced_by is null),
    check (sent_at is null or attempts > 0)
);
create index on alert (next_attempt_at) where sent_at is null and replaced_by is null;

comment on table alert is
    'The outbox of alerts: at most one per run, written in the run''s transaction. Subject and text never change. If sender or recipients change, the idempotency key changes as well, because Resend accepts a key with one content only';
comment on column alert.id is 'Id of the alert';
comment on column alert.run_id is 'The run that wrote it';
comment on column alert.created_at is 'When it was written';
comment on column alert.sender is 'Sender; null: no sender was set, and it is not mailed';
comment on column alert.recipients is 'Recipients; empty: none were set, and it is not mailed';
comment on column alert.subject is 'Subject of the mail';
comment on column alert.html is 'The mail as HTML';
comment on column alert.body is 'The mail as plain text';
comment on column alert.idempotency_key is
    'Resend accepts one mail per key in 24 hours: server, database, number and a hash of the content';
comment on column alert.replaced_by is
    'The alert that replaced this one before it could be sent; it will not be sent';
comment on column alert.attempts is 'Number of attempts to send it';
comment on column alert.next_attempt_at is
    'When it is due; while it is being sent, when another session may retry';
comment on column alert.last_error is 'Error of the last attempt';
comment on column alert.sent_at is 'When Resend accepted it';
comment on column alert.message_id is 'Resend''s id of the mail';

create table alert_issue (
    alert_id bigint not null references alert,
    issue_id bigint not null references issue,
    occasion text not null check (occasion in ('new', 'changed', 'reminder', 'resolved')),
    severity text not null check (severity in ('notice', 'warning', 'critical')),
    facts jsonb not null,
    primary key (alert_id, issue_id)
);
create unique index alert_issue_new_once on alert_issue (issue_id) where occasion = 'new';
create unique index alert_issue_resolved_once on alert_issue (issue_id) where occasion = 'resolved';
create index on alert_issue (issue_id);

comment on table alert_issue is 'Issues in each alert; an issue is reported as new once and as resolved once';
comment on column alert_issue.alert_id is 'The alert';
comment on column alert_issue.issue_id is 'The issue';
comment on column alert_issue.occasion is 'new, changed, reminder or resolved';
comment on column alert_issue.severity is 'Severity of the issue at that time';
comment on column alert_issue.facts is 'The issue''s evidence at that time, as returned by facts_that_matter';

create view alerts as
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

comment on view alerts is 'The outbox of alerts, newest first';
comment on column alerts.id is 'Id of the alert';
comment on column alerts.created_at is 'When it was written';
comment on column alerts.occasions is
    'Why it was written: new, changed, reminder, resolved, or several of these';
comment on column alerts.subject is 'Subject of the mail';
comment on column alerts.recipients is 'Recipients';
comment on column alerts.state is
    'waiting; failing: sending failed and will be retried; sent; replaced: a later reminder covers it; unaddressed: no sender or recipients were set';
comment on column alerts.attempts is 'Number of attempts to send it';
comment on column alerts.next_attempt_at is 'When it is due, if it is not sent';
comment on column alerts.last_error is 'Error of the last attempt';
comment on column alerts.sent_at is 'When Resend accepted it';
comment on column alerts.message_id is 'Resend''s id of the mail';
comment on column alerts.issues is 'Ids of the issues in it';

-- Returns the issues for the alert of the run `run`: issues that are in no alert yet, that
-- are more severe or have other amounts than in the last alert, that are due for a reminder,
-- or that are resolved since. sync_invoice reports only the issues that it opened, a sweep
-- reports all; so two concurrent runs never report the same issue. Issues that a webhook
-- opens are reported by the next sweep, so that many webhooks cause one mail.
create function alert_entries(run bigint)
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

-- Marks alerts that could not be sent, and all of whose issues are in the alert `reminder`, as replaced.
create function replace_alerts(reminder bigint) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update invoice_sync.alert a
    set replaced_by = reminder
    where a.sent_at is null
      and a.replaced_by is null
      and a.id <> reminder
      and exists (
          select from invoice_sync.alert_issue old
          join invoice_sync.alert_issue fresh using (issue_id)
          where old.alert_id = a.id
            and fresh.alert_id = reminder
            and fresh.occasion in ('reminder', 'changed')
      )
      and not exists (
          select from invoice_sync.alert_issue old
          join invoice_sync.issue x on x.id = old.issue_id
          where old.alert_id = a.id
            and (x.state <> 'resolved' or old.occasion = 'resolved')
            and not exists (
                select from invoice_sync.alert_issue fresh
                where fresh.alert_id = reminder
                  and fresh.issue_id = old.issue_id
                  and (old.occasion <> 'resolved' or fresh.occasion = 'resolved')
            )
      )
$$;

-- Sets the sender and recipients of unsent alerts to those in the settings, because the
-- earlier ones may have been wrong. The idempotency key changes as well, because Resend
-- accepts a key with one content only.
create function readdress_alerts() returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update invoice_sync.alert a
    set sender = s.alert_sender,
        recipients = s.alert_recipients,
        idempotency_key = regexp_replace(a.idempotency_key, '[^/]*$', '') || left(encode(sha256(convert_to(
            jsonb_build_array(s.alert_sender, s.alert_recipients, a.subject, a.html, a.body)::text, 'UTF8'
        )), 'hex'), 32),
        next_attempt_at = clock_timestamp()
    from invoice_sync.settings s
    where a.sent_at is null
      and a.replaced_by is null
      and a.sender is not null
      and a.recipients <> '{}'
      and s.alert_sender is not null
      and s.alert_recipients <> '{}'
      and (a.sender, a.recipients) is distinct from (s.alert_sender, s.alert_recipients)
$$;

comment on function alert_entries(bigint) is
    'Issues that the alert of a run must contain, with the occasion of each';
comment on function replace_alerts(bigint) is
    'Marks unsent alerts as replaced if the given alert covers all of their unresolved issues';
comment on function readdress_alerts() is
    'Sets sender and recipients of unsent alerts to those in the settings';
comment on function send_alerts() is
    'Sends due alerts through Resend, in the current transaction, for at most 20 seconds. Returns the numbers of sent, failed and waiting alerts. Sends nothing if no key is set. Fails with 58P01, 58030, 42501, F0000 or 42704 if the key cannot be read';
comment on sequence alert_id_seq is 'Generates alert.id';

select pg_catalog.pg_extension_config_dump('alert', '');
select pg_catalog.pg_extension_config_dump('alert_id_seq', '');
select pg_catalog.pg_extension_config_dump('alert_issue', '');
