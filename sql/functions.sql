-- Functions in SQL and PL/pgSQL, and the comments of functions in Rust.

-- settings -------------------------------------------------------------------

create function settings_are_checked() returns trigger
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

create function settings_replace() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from invoice_sync.settings;
    return new;
end
$$;

create function settings_stay() returns trigger
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

-- An inserted row replaces the existing one, because restoring a dump inserts.
create trigger settings_replace
    before insert on settings
    for each row execute function settings_replace();

create trigger settings_are_checked
    after insert or update on settings
    for each row execute function settings_are_checked();

create trigger settings_stay
    before truncate on settings
    for each statement execute function settings_stay();

create trigger settings_row_stays
    before delete on settings
    for each row execute function settings_stay();

create trigger settings_changed
    after insert or update or delete or truncate on settings
    for each statement execute function settings_changed();

-- Also where a replication role disables triggers.
alter table settings enable always trigger settings_changed;

comment on function settings_changed() is
    'Trigger function: tells all sessions that the settings have changed';
comment on function settings_are_checked() is
    'Trigger function: rejects settings that do not match the database';
comment on function settings_replace() is
    'Trigger function: replaces the existing row of settings by the inserted one';
comment on function settings_stay() is 'Trigger function: prevents deletion of the settings';
comment on function check_settings(jsonb) is
    'Checks a row of settings against the database. Fails with 42P01, 42809, 42703, 42804 or 22023, naming the table, column, type or word that does not match';

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

comment on function propose_mapping(regclass, regclass, jsonb) is
    'Proposes settings for the given tables, or for the tables that it finds; changes nothing. overrides are settings that you know, as in {"invoice_paid_word": "paid"}; the others are proposed to go with them. A proposed null means that nothing fits. Fails with P0002 if no table is found, and P0003 if several fit equally';
comment on function adopt_mapping(regclass, regclass, jsonb) is
    'Writes the proposals of propose_mapping, and the overrides, into the settings, which are checked as usual. Fails with P0002 if there is no proposal for a setting that must not be null';

-- sweep and sync_invoice -------------------------------------------------------

create function sync_invoice(id anyelement, dry_run boolean default false) returns jsonb
language sql
as $$
    select invoice_sync.sync_invoice(invoice_id => id::text, dry_run => dry_run)
$$;

create function explain(id anyelement, ask boolean default false)
returns table (part text, what text, value text, why text)
language sql
as $$
    select * from invoice_sync.explain(invoice_id => id::text, ask => ask)
$$;

-- Compiling its statements to machine code takes longer than running them; run_sweep does this itself.
alter function sweep(boolean, integer, interval) set jit = off;

comment on function sweep(boolean, integer, interval) is
    'Asks Stripe about invoices that are due, makes repairs that are safe, and opens and resolves issues, in the current transaction. Returns a report. With dry_run, writes nothing. Fails with 0A000 unless the isolation level is READ COMMITTED';
comment on procedure run_sweep(interval) is
    'Runs a sweep in transactions of its own, in batches, until nothing is due; schedule() makes pg_cron call it. Holds no snapshot and no lock on your tables while it waits for Stripe, and waits at most 5 seconds for a lock. If it is terminated, the next call continues. Remaining time is used for unfinished backfills. Fails with 2D000 inside a transaction block or function';
comment on procedure backfill(timestamptz, timestamptz) is
    'Reads Stripe''s lists of checkout sessions (from one day earlier) and payment intents created in this period (until null: now), and books payments that are missing, of the key''s account and of each in stripe_account, in transactions of its own, one page each; the view progress shows how far it is. Without arguments, continues unfinished backfills. Fails with 22023 if there is nothing to do, 55000 if another one is running or no key is set, 2D000 inside a transaction block or function, and with Stripe''s errors as sync_invoice';
comment on function sync_invoice(text, boolean) is
    'Asks Stripe about one invoice now, makes repairs that are safe, and opens and resolves its issues. Takes the id as text, for RPC. Returns a report. With dry_run, writes nothing. Fails with P0002 if there is no such invoice, 55000 if no key is set, 28000 if Stripe rejects the key, 08006 if Stripe cannot be reached, and 08P01 if its answer cannot be used';
comment on function sync_invoice(anyelement, boolean) is
    'As sync_invoice(text, boolean), for an id of type uuid, bigint, integer or any other type';
comment on function explain(text, boolean) is
    'Explains one invoice: how it and its payments are understood and which column and setting say so, what Stripe says of its payments, what would be done, and for everything that is not done the reason. Takes the id as text, for RPC. Uses what earlier runs stored; with ask, asks Stripe. Writes nothing. Fails with P0002 if there is no such invoice, and with ask as sync_invoice';
comment on function explain(anyelement, boolean) is
    'As explain(text, boolean), for an id of type uuid, bigint, integer or any other type';

-- webhooks ---------------------------------------------------------------------

-- In PL/pgSQL, which keeps the plan of the call: a function in SQL is parsed with each.
create function handle_webhook(bytea, text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return invoice_sync.receive_webhook($1, $2);
end
$$;

create function handle_webhook(text, text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return invoice_sync.receive_webhook(convert_to($1, 'UTF8'), $2);
end
$$;

-- The form for PostgREST, which hands a request's body to the one unnamed
-- parameter: json keeps it byte for byte, jsonb would not.
create function handle_webhook(json) returns jsonb
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

comment on function receive_webhook(bytea, text) is 'Implementation of handle_webhook';
comment on function handle_webhook(bytea, text) is
    'Receives a webhook: the unchanged body and the header Stripe-Signature. When it returns, the event is stored as soon as the transaction commits. Fails with 22023 if the signature is invalid or the body is no event, 55000 if no secret is set, and 58000 if the event could not be stored';
comment on function handle_webhook(text, text) is 'As handle_webhook(bytea, text), for a body of type text';
comment on function handle_webhook(json) is
    'As handle_webhook(bytea, text), for PostgREST: Stripe posts to /rpc/handle_webhook, and the signature is read from request.headers';

-- schedule ---------------------------------------------------------------------

create function job_name() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'invoice_sync in ' || current_database() where (select invoice_sync.require_admin())
$$;

create function pg_cron_place(out database text, out host text, out port text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select nullif(current_setting('cron.database_name', true), ''),
           nullif(btrim(split_part(current_setting('unix_socket_directories'), ',', 1)), ''),
           current_setting('port')
    where (select invoice_sync.require_admin())
$$;

-- The statements are built here, not passed in, so that callers, among them RPC callers,
-- cannot have other statements executed.
create function pg_cron_job(what text, cron text default null) returns text
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

create function schedule(cron text default '*/15 * * * *') returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform invoice_sync.require_admin();
    perform invoice_sync.pg_cron_job('schedule', cron);
    return invoice_sync.job_name();
end
$$;

create function unschedule() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform invoice_sync.require_admin();
    return invoice_sync.pg_cron_job('unschedule')::boolean;
end
$$;

comment on function pg_cron_place() is
    'The database of pg_cron, or null if its library is not loaded, and the host and port of this server; security definer, because not every role may read these settings';
comment on function job_name() is 'Name of this database''s job in cron.job';
comment on function pg_cron_job(text, text) is
    'Creates (schedule), removes (unschedule) or reads (read) the job of pg_cron, in this database or through dblink in another one. Fails with 55000 and a hint if neither is possible';
comment on function schedule(text) is
    'Creates a job of pg_cron that calls run_sweep() as the calling role, or changes its schedule (five fields; pg_cron uses GMT). Returns the name of the job. Fails with 55000 if pg_cron is not available';
comment on function unschedule() is 'Removes the calling role''s job. Returns whether there was one';

-- access -----------------------------------------------------------------------

create function grant_access(grantee regrole, may text default 'operate') returns void
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

create function revoke_access(grantee regrole) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('revoke all on all routines in schema invoice_sync from %s', grantee);
    execute format('revoke all on all tables in schema invoice_sync from %s', grantee);
    execute format('revoke all on schema invoice_sync from %s', grantee);
end
$$;

create function revoke_from_others(also_granted boolean) returns void
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

comment on function grant_access(regrole, text) is
    'Grants a role access: read (views and settings), operate (read, and sweep, sync_invoice, explain, resolve_issue, undo, send_alerts and schedule), or webhook (deliver webhooks, and nothing else: through an RPC gateway, for anon, or for the role of your own server; the signature authenticates). With read and operate, RPC callers must also pass settings.rpc_admin_check';
comment on function revoke_access(regrole) is 'Revokes from a role what grant_access granted';
comment on function revoke_from_others(boolean) is
    'Called at the end of the extension''s scripts, because default privileges may have granted rights on the new objects. With true, revokes all rights of roles other than the owner; with false, only of roles that have more than grant_access grants, which must be granted access again';
