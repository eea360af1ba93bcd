-- From 0.1.0 to 0.2.0. What it leaves equals a fresh install: pgrx-tests/e2e/upgrade.rs compares them.
set local search_path = invoice_sync, pg_catalog, pg_temp;

-- Functions that answered RPC callers who are no admins.
create or replace function invoice_sync.job_name() returns text
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
    alter column as_of set not null,
    add check (as_of > '-infinity');
comment on column stripe_payment.as_of is
    'When the answer was asked for: an answer that was asked for before that is not acted on';

-- Payments that came by no checkout session: Stripe is not asked for it again.
alter table stripe_payment add column sessionless boolean not null default false;
comment on column stripe_payment.sessionless is 'Whether Stripe says that its intent came by no checkout session';

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

comment on function with_earlier_attempts(jsonb, jsonb) is
    'An issue''s evidence with the payments that it named before and that were not tried again: they are still not written';

-- Events that failed are found by their payments.
create index event_failed on event (id) where state = 'pending' and attempts > 0;

-- A backfill reads the list of charges, too.
comment on column invoice_sync.backfill.list is
    'checkout_sessions, payment_intents or charges; for time of which Stripe has no events any more, also refunds and disputes';

-- Disputes are over an amount.
alter table stripe_payment add column withheld bigint check (withheld >= 0);
comment on column stripe_payment.withheld is
    'How much its disputes withhold, in Stripe''s smallest unit; null: by the dispute''s status all or nothing';

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
comment on column settings.invoice_open_words is
    'Statuses of invoices that are not paid yet, and become paid when the money comes. Words that are usual for it (draft, sent, open, unpaid, due, overdue, awaiting payment …) need not be named, however they are spelled, unless another setting names them. A word that is neither named nor usual is never changed';
comment on column settings.invoice_after_paid_words is
    'Statuses that an invoice has after it was paid: they are never changed. Usual ones (shipped, delivered, fulfilled …) need not be named';
comment on column settings.invoice_refunded_words is
    'Statuses of invoices whose money went back or is claimed back: they are never changed. Usual ones (refunded, credited, charged back …) need not be named';
comment on column settings.payment_failed_words is
    'Statuses of payments that failed: such a row becomes paid only if Stripe has received the money of this very payment. Usual words (failed, declined, rejected …) need not be named';
comment on column settings.payment_partly_refunded_words is
    'Statuses of payments that went back in part: they count with the rest. Usual words (partially refunded …) need not be named';

create or replace function adopt_mapping(invoices regclass default null, payments regclass default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    assignments text;
    lacking text;
    unsorted text;
begin
    select string_agg(format('%I = %L', p.setting, p.proposed), ', ') filter (where a.attname is not null),
           string_agg(p.setting, ', ') filter (where p.proposed is null and a.attnotnull),
           string_agg(format('"%s"', substr(p.setting, strpos(p.setting, '.') + 1)), ', ')
               filter (where p.setting ~ '^(invoice|payment)_status_column[.]')
    into assignments, lacking, unsorted
    from invoice_sync.propose_mapping(invoices, payments) p
    left join pg_attribute a on a.attrelid = 'invoice_sync.settings'::regclass and a.attname = p.setting;
    if lacking is not null then
        raise exception 'what these settings should be cannot be told: %', lacking
            using errcode = 'no_data_found',
                  hint = 'Look at "select * from invoice_sync.propose_mapping()", and update invoice_sync.settings yourself.';
    end if;
    execute 'update invoice_sync.settings set ' || assignments;
    if unsorted is not null then
        raise warning 'what these statuses mean cannot be told: %', unsorted
            using hint = 'They are left as they are. "select * from invoice_sync.propose_mapping()" says which settings may name them.';
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

comment on table unwritten_answer is
    'What Stripe said of payments that your tables refused (apply_failed): every sweep tries again with it, and asks Stripe nothing';
comment on column unwritten_answer.invoice_id is 'The invoice, as text';
comment on column unwritten_answer.id is 'The payment intent, or the session or charge where there is none';
comment on column unwritten_answer.ids is 'All ids of the payment';
comment on column unwritten_answer.as_of is 'When Stripe was asked';
comment on column unwritten_answer.answer is 'What it said';

select pg_catalog.pg_extension_config_dump('unwritten_answer', '');

-- First runs look back by themselves; what was installed before has done so, or was told to.
alter table feed add column looked_back_to timestamptz;
update feed set looked_back_to = coalesce((select min(b.since) from backfill as b), read_at, now());
comment on column feed.looked_back_to is
    'How far back the first runs look for payments, in Stripe''s lists (see the view progress); null: not begun';

alter table backfill add column first_look boolean not null default false;
comment on column backfill.first_look is 'Whether nobody asked for it, because the first runs look back by themselves';

create or replace view progress as
select
    b.id,
    b.list,
    b.since,
    b.until,
    b.reached,
    case
        when b.finished_at is not null then 1
        else round(
            coalesce(
                extract(epoch from b.until - greatest(b.reached, b.since))
                / extract(epoch from b.until - b.since),
                0
            ),
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
    b.first_look
from backfill as b
where (select require_admin())
order by b.id;

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

comment on column status.looked_back_to is
    'How far back the first runs look for payments that only name their invoice; null: not begun';
comment on column status.look_back_percent is 'How much of that is done; null: nothing had to be read';

-- Nothing is anybody's who was not given access (to stay at the end of this script).
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
    'What the scripts of the extension call at their end, because default privileges (alter default privileges) give others rights on whatever is made: takes everything from all but the owner; false: from those who have more than grant_access ever gives, and who are to be given access again';

select invoice_sync.revoke_from_others(false);
