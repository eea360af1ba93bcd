-- The outbox: what people are told of issues, as it will be sent.

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
    'The outbox: one mail a run at the most, written in the transaction of the run. Its words are never changed after that, and with other addresses it gets another idempotency key, because Resend takes one with one content only';
comment on column alert.id is 'Number';
comment on column alert.run_id is 'The run at whose end it was written';
comment on column alert.created_at is 'When it was written';
comment on column alert.sender is 'From whom; null: there was no sender then, and it is not mailed';
comment on column alert.recipients is 'To whom; none: there were no recipients then, and it is not mailed';
comment on column alert.subject is 'The subject';
comment on column alert.html is 'The mail as HTML';
comment on column alert.body is 'The mail as plain text';
comment on column alert.idempotency_key is
    'By which Resend takes the same mail once in 24 hours: server, database, number and a digest of the contents';
comment on column alert.replaced_by is
    'The number of the alert that took over what this one told before it could be sent; it is not sent any more';
comment on column alert.attempts is 'How often sending was tried';
comment on column alert.next_attempt_at is 'When it is due; while it is being sent, when another may try';
comment on column alert.last_error is 'Why it could not be sent the last time';
comment on column alert.sent_at is 'When Resend took it';
comment on column alert.message_id is 'Resend''s id of it';

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

comment on table alert_issue is 'Which issues an alert tells of: each once when it is new and once when it is resolved';
comment on column alert_issue.alert_id is 'The alert';
comment on column alert_issue.issue_id is 'The issue';
comment on column alert_issue.occasion is 'new, changed, reminder or resolved';
comment on column alert_issue.severity is 'How severe it was then';
comment on column alert_issue.facts is 'The facts that matter, as they were told';

create view alerts as
select a.id,
       a.created_at,
       told.occasions,
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
       told.issues
from alert as a
cross join lateral (
    select array_agg(distinct t.occasion order by t.occasion) as occasions,
           array_agg(t.issue_id order by t.issue_id) as issues
    from alert_issue as t
    where t.alert_id = a.id
) as told
where (select require_admin())
order by a.id desc;

comment on view alerts is 'The outbox of alerts, the newest first';
comment on column alerts.id is 'Number';
comment on column alerts.created_at is 'When it was written';
comment on column alerts.occasions is 'Why: new, changed, reminder, resolved, or several of them';
comment on column alerts.subject is 'The subject';
comment on column alerts.recipients is 'To whom';
comment on column alerts.state is
    'waiting; failing: tried in vain, and tried again; sent; replaced: a reminder told the same before it could be sent; unaddressed: there was no sender or no recipient';
comment on column alerts.attempts is 'How often sending was tried';
comment on column alerts.next_attempt_at is 'When it is due, where it is not sent';
comment on column alerts.last_error is 'Why it could not be sent the last time';
comment on column alerts.sent_at is 'When Resend took it';
comment on column alerts.message_id is 'Resend''s id of it';
comment on column alerts.issues is 'The numbers of the issues that it tells of';

-- What the run `run` has to tell: issues that nobody was told of, those that have become
-- more severe or are about other sums than were told, those that are still open long
-- after, and those that are resolved since. The button tells of what it opened
-- itself, a sweep of everything; so no two runs at the same time tell of one issue. What
-- a webhook opens the next sweep tells: a storm of webhooks makes one mail.
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
               when told.id is null then 'new'
               when since.is_worse or since.is_changed then 'changed'
               else 'reminder'
           end
    from its
    cross join wanted
    join invoice_sync.issue x on its.kind = 'sweep' or x.first_run = its.id
    left join lateral (
        select a.id,
               coalesce(a.sent_at, a.created_at) as told_at,
               a.sender is null or a.recipients = '{}' as is_unaddressed,
               t.severity,
               t.facts
        from invoice_sync.alert_issue t
        join invoice_sync.alert a on a.id = t.alert_id
        where t.issue_id = x.id
        order by a.id desc
        limit 1
    ) told on true
    cross join lateral (
        select array_position(array['notice', 'warning', 'critical'], x.severity)
               > array_position(array['notice', 'warning', 'critical'], told.severity) as is_worse,
               -- Of money; the machine's own troubles have other words each time.
               x.kind = any (array[
                   'disputed', 'refunded', 'partially_refunded', 'overpaid', 'amount_mismatch',
                   'currency_mismatch', 'duplicate_payment', 'unlinked_payment'
               ]) and told.facts <> invoice_sync.facts_that_matter(x.evidence) as is_changed
    ) since
    where (x.state <> 'resolved' or x.resolved_at > now() - interval '1 day')
      and array_position(array['notice', 'warning', 'critical'], x.severity) >= wanted.minimum
      and case
          -- Nobody is reminded of what a person has taken note of, or put off; but that
          -- was of what they knew.
          when x.state <> 'resolved' and since.is_worse then true
          when x.snoozed_until > now() then false
          when x.state <> 'resolved' and since.is_changed then true
          when x.state = 'open' and told.id is null then true
          when x.state = 'open' then
              told.told_at <= now() - wanted.alert_reminder_after
              or told.is_unaddressed and wanted.alert_sender is not null and wanted.alert_recipients <> '{}'
          when x.state = 'resolved' then
              -- Of the last day, not of all that ever was, when the setting is switched on.
              wanted.alert_when_resolved
              and told.id is not null
              and not exists (
                  select from invoice_sync.alert_issue t where t.issue_id = x.id and t.occasion = 'resolved'
              )
          else false
      end
$$;

-- Alerts that could not be sent until the alert `reminder` took over all that they tell.
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

-- What is not sent yet goes from and to whom the settings name now, whatever was wrong
-- with those before. With other addresses it is another mail to Resend, which takes an
-- idempotency key with one content only.
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

comment on function alert_entries(bigint) is 'What a run has to tell of at its end: issues and the occasion';
comment on function replace_alerts(bigint) is
    'Takes out of the outbox what was never sent and whose open issues this alert reminds of';
comment on function readdress_alerts() is
    'Gives alerts that are not sent yet the sender and the recipients that the settings name now';
comment on function send_alerts() is
    'Sends through Resend the alerts that are due, in this transaction, for 20 seconds at the most; answers with how many were sent, failed and wait. Without a key nothing is sent. Errors as for Stripe''s key: 58P01, 58030, 42501, F0000, 42704';
comment on sequence alert_id_seq is 'Numbers of alerts';

select pg_catalog.pg_extension_config_dump('alert', '');
select pg_catalog.pg_extension_config_dump('alert_id_seq', '');
select pg_catalog.pg_extension_config_dump('alert_issue', '');
