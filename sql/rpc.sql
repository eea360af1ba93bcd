-- Callers through an RPC gateway (PostgREST, Supabase). The gateway passes their identity in
-- settings of the transaction. Callers who are not admins are refused, whatever their role
-- was granted.

create function is_admin() returns boolean
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(claims ->> 'role' = 'service_role' or claims #>> '{app_metadata,role}' = 'admin', false)
    from cast(nullif(current_setting('request.jwt.claims', true), '') as jsonb) as claims
$$;

comment on function is_admin() is
    'Default of settings.rpc_admin_check: true if the token''s role is service_role or its app_metadata.role is admin. Ignores user_metadata, because users can change it themselves';
comment on function require_admin() is
    'Returns true if the caller is not an RPC caller or passes settings.rpc_admin_check; otherwise fails with 42501';
alter table settings enable row level security;
create policy admins_read on settings for select using ((select require_admin()));
comment on policy admins_read on settings is
    'RPC callers must be admins; all other roles with the SELECT privilege see the row';

-- wrappers -------------------------------------------------------------------------

-- What create_api wraps, in order of importance to callers.
create function api_functions() returns setof regprocedure
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

create function api_views() returns setof regclass
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

-- The wrappers run with the caller's rights: callers need grant_access and are checked as
-- if they called the wrapped function or view.
create function create_api(in_schema regnamespace) returns void
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

create function drop_api(in_schema regnamespace) returns void
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

comment on function api_functions() is 'Functions that create_api wraps';
comment on function api_views() is 'Views that create_api wraps, and the settings';
comment on function create_api(regnamespace) is
    'Creates wrappers of the same names for the functions and views, in a schema that an RPC gateway exposes, for gateways that cannot expose invoice_sync itself. Replaces existing wrappers. Grants no access to what they call; use grant_access. Fails with 42723 or 42P07 if the schema contains another object of the same name';
comment on function drop_api(regnamespace) is
    'Drops the wrappers that create_api created in a schema. (DROP EXTENSION drops the functions, and requires CASCADE because of the views)';
