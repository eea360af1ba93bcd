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
alter table stripe_payment add column refunded_latest bigint;
comment on column stripe_payment.refunded_latest is
    'What Stripe last said of refunded, where that is more: a row of the invoice still says so; null: the same';

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

-- Events of payments that no invoice referred to are found when a row does.
create index event_unclaimed_intent on event (intent_id)
    where state = 'done' and result = 'names no invoice';
create index event_unclaimed_session on event (session_id)
    where state = 'done' and result = 'names no invoice';

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
