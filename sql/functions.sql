-- Functions that SQL says best, and the comments of all.

-- settings -------------------------------------------------------------------

create function settings_are_checked() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
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
    -- The new row that comes in its place removes the old one: see settings_replace.
    if tg_op = 'DELETE' and pg_trigger_depth() > 1 then
        return old;
    end if;
    raise exception 'the settings cannot be removed'
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'To go back to the defaults: insert into invoice_sync.settings default values;';
end
$$;

-- Inserting is replacing: that is what restoring a dump does.
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

comment on function settings_are_checked() is 'Trigger: refuses settings that do not fit the database';
comment on function settings_replace() is 'Trigger: a new row of settings takes the place of the old one';
comment on function settings_stay() is 'Trigger: there is always a row of settings';
comment on function check_settings(jsonb) is
    'Refuses a row of settings that does not fit the database, naming the table, column, type or word (42P01, 42809, 42703, 42804, 22023)';

create function adopt_mapping(invoices regclass default null, payments regclass default null) returns void
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

comment on function propose_mapping(regclass, regclass) is
    'Looks at the database and proposes the settings, for these two tables or for those that it finds; changes nothing. A proposed null: nothing fits. P0002: no such table found; P0003: several fit alike';
comment on function adopt_mapping(regclass, regclass) is
    'Writes what propose_mapping proposes into the settings, which are checked as always; fails with P0002 where a setting that must be there cannot be told';

-- sweep and sync_invoice -------------------------------------------------------

create function sync_invoice(id anyelement, dry_run boolean default false) returns jsonb
language sql
as $$
    select invoice_sync.sync_invoice(invoice_id => id::text, dry_run => dry_run)
$$;

-- Compiling its statements to machine code takes longer than running them; run_sweep does this itself.
alter function sweep(boolean, integer, interval) set jit = off;

comment on function sweep(boolean, integer, interval) is
    'Asks Stripe about the invoices that are due, repairs what is safe to repair, opens and resolves issues, all in this transaction; answers with a report. dry_run: writes nothing. Needs READ COMMITTED (0A000)';
comment on procedure run_sweep(interval) is
    'A sweep in transactions of its own, batch by batch until nothing is due: what schedule() lets pg_cron CALL. Holds no snapshot and no lock on your tables while it waits for Stripe, and waits 5 seconds at the most for a lock of somebody else''s. Killed at any moment, the next one goes on from there. In the time that is left it goes on with backfills that are not done. 2D000: called inside a transaction block or a function';
comment on procedure backfill(timestamptz, timestamptz) is
    'Looks through Stripe''s lists of checkout sessions (from a day earlier) and payment intents that were made in this time (until null: now), and books what was received and is missing, in transactions of its own, a page at a time; tells how far it is (see the view progress). Without arguments: goes on with what is left of earlier ones. 22023: nothing to do; 55000: another is under way, or no key; 2D000: called inside a transaction block or a function; Stripe''s errors as in sync_invoice';
comment on function sync_invoice(text, boolean) is
    'The same for one invoice, now, whose id is given as text: the form for RPC. P0002: no such invoice; 55000: no key; 28000: Stripe rejects it; 08006: Stripe cannot be reached; 08P01: its answer cannot be used';
comment on function sync_invoice(anyelement, boolean) is
    'The same for one invoice, now, whose id is a uuid, a bigint, an integer …';

-- webhooks ---------------------------------------------------------------------

create function handle_webhook(bytea, text) returns jsonb
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
    select invoice_sync.receive_webhook($1, $2)
$$;

create function handle_webhook(text, text) returns jsonb
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
    select invoice_sync.receive_webhook(convert_to($1, 'UTF8'), $2)
$$;

-- The form for PostgREST, which hands a request's body to the one unnamed
-- parameter: json keeps it byte for byte, jsonb would not.
create function handle_webhook(json) returns jsonb
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
    select invoice_sync.receive_webhook(
        convert_to($1::text, 'UTF8'),
        nullif(current_setting('request.headers', true), '')::json ->> 'stripe-signature'
    )
$$;

comment on function receive_webhook(bytea, text) is 'What the forms of handle_webhook call';
comment on function handle_webhook(bytea, text) is
    'Takes a webhook of Stripe''s: the body byte for byte, and the header Stripe-Signature. 22023: not signed by Stripe, or no event; 55000: no secret is set; 58000: it could not be stored. Where it returns, the event is stored once the transaction commits';
comment on function handle_webhook(text, text) is
    'The same for a body in text';
comment on function handle_webhook(json) is
    'The same for PostgREST: Stripe posts to /rpc/handle_webhook, and the header is read from request.headers';

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

-- The statements are made here and not by the caller: whoever may call this may not
-- have others run, least of all through an RPC gateway.
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
        -- Quoted as libpq wants it, which is not SQL's way.
        select string_agg(format('%s=''%s''', key, regexp_replace(value, '([\\''])', '\\\1', 'g')), ' ')
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
        raise exception 'pg_cron is not there'
            using errcode = 'object_not_in_prerequisite_state',
                  detail = 'Neither is it an extension of this database, nor is its library loaded by the server.',
                  hint = 'Install the package (Debian: postgresql-15-cron), add pg_cron to shared_preload_libraries, restart the server, and: create extension pg_cron;';
    elsif place.database = current_database() then
        raise exception 'pg_cron is not an extension of this database yet'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'As a superuser: create extension pg_cron;';
    elsif dblink_schema is null then
        raise exception 'pg_cron is in another database, "%"', place.database
            using errcode = 'object_not_in_prerequisite_state',
                  hint = format(
                      'Either: create extension dblink; and call this again. Or connect to "%s" and: %s;',
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
                          hint = format('Connect to "%s" and: %s;', place.database, statement_there);
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
    'The database that pg_cron is in, null where its library is not loaded, and how this server is reached from itself: settings that not every role may read';
comment on function job_name() is 'The name of this database''s job in cron.job';
comment on function pg_cron_job(text, text) is
    'What schedule (schedule), unschedule (unschedule) and doctor (read) have done where pg_cron is: in this database, or in another one through dblink; 55000 with a hint where neither can be';
comment on function schedule(text) is
    'Lets pg_cron sweep at these times (five fields; the server''s time zone is GMT to pg_cron), as the calling role; calling it again changes the times. Answers with the job''s name. 55000: no pg_cron';
comment on function unschedule() is 'Removes the calling role''s job; answers whether there was one';

-- access -----------------------------------------------------------------------

create function grant_access(grantee regrole, may text default 'operate') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if may is null or may not in ('read', 'operate', 'webhook') then
        raise exception '"%" is no kind of access', may
            using errcode = 'invalid_parameter_value',
                  hint = 'There are read, operate and webhook.';
    end if;
    execute format('grant usage on schema invoice_sync to %s', grantee);
    if may = 'webhook' then
        execute format('grant execute on function invoice_sync.handle_webhook(json) to %s', grantee);
        return;
    end if;
    execute format(
        'grant select on invoice_sync.settings, invoice_sync.recent_runs, invoice_sync.changes,
            invoice_sync.open_issues, invoice_sync.webhook_health, invoice_sync.progress, invoice_sync.paid_without_payment,
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
    'Lets a role read (views and settings), operate (read, sweep, sync_invoice, resolve_issue, undo, send_alerts and schedule), or deliver webhooks through an RPC gateway and nothing else (webhook, for anon: the signature is the key). RPC callers of the first two must be admins besides: settings.rpc_admin_check';
comment on function revoke_access(regrole) is 'Takes from a role what grant_access gave it';
comment on function revoke_from_others(boolean) is
    'What the scripts of the extension call at their end, because default privileges (alter default privileges) give others rights on whatever is made: takes everything from all but the owner; false: from those who have more than grant_access ever gives, and who are to be given access again';
