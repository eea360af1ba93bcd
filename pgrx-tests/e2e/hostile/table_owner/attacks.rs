//! The attacks of a table owner's code, and the objects that contain them.

/// The payload, and every place of a table where its owner's code is called: triggers, rules, defaults, generated
/// columns, checks, domains, casts, indexes, policies, statistics, foreign keys.
pub const HOOKS: &str = "
    create table hostile.log (ran_as text, is_superuser boolean);
    create table hostile.fired (it integer);
    grant usage, create on schema hostile to public;
    grant insert, select, trigger on hostile.log to public;
    grant insert on hostile.fired to public;
    create function hostile.evil() returns integer language plpgsql as $$
    begin
        insert into hostile.log
        select current_user, r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user;
        begin
            alter role {attacker} superuser;
        exception when others then null;
        end;
        return 1;
    end $$;
    create function hostile.evil_trigger() returns trigger language plpgsql as
        $$ begin perform hostile.evil(); return new; end $$;
    create table hostile.deferred (it integer);
    create constraint trigger later after insert or update on hostile.deferred deferrable initially deferred
        for each row execute function hostile.evil_trigger();
    create function hostile.requeue() returns trigger language plpgsql as $$
    begin
        perform hostile.evil();
        if new.it < 3 then
            update hostile.deferred set it = it + 1;
        end if;
        return new;
    end $$;
    create constraint trigger again after insert or update on hostile.deferred deferrable initially deferred
        for each row execute function hostile.requeue();
    create function hostile.definer() returns integer language sql security definer as 'select hostile.evil()';
    create procedure hostile.commits() language plpgsql as $$ begin commit; perform hostile.evil(); end $$;
    create view hostile.through as select 1 as it;
    create trigger instead instead of insert on hostile.through for each row execute function hostile.evil_trigger();
    create table hostile.ruled (it integer);
    create rule evil as on insert to hostile.ruled do also select hostile.evil();
    create table hostile.defaulted (it integer default hostile.evil());
    create materialized view hostile.materialized as select 1 as it;

    create function hostile.attack() returns integer language plpgsql as 'begin return 1; end';
    create function hostile.attack_fixed(text) returns text immutable language plpgsql as
        $$ begin perform hostile.attack(); return $1; end $$;
    create function hostile.attack_true() returns boolean language plpgsql as
        $$ begin perform hostile.attack(); return true; end $$;
    create function hostile.attack_trigger() returns trigger language plpgsql as
        $$ begin perform hostile.attack(); return new; end $$;
    create function hostile.attack_statement() returns trigger language plpgsql as
        $$ begin perform hostile.attack(); return null; end $$;

    create type hostile.mood as enum ('fine');
    create function hostile.as_json(m hostile.mood) returns json language plpgsql as
        $$ begin perform hostile.attack(); return '\"fine\"'; end $$;
    create cast (hostile.mood as json) with function hostile.as_json;
    create domain hostile.checked as text check (hostile.attack_true());
    create operator hostile.= (leftarg = text, rightarg = text, function = pg_catalog.texteq);

    alter table invoices add mood hostile.mood default 'fine', add note hostile.checked default 'none',
        add filled integer default hostile.attack(),
        add computed text generated always as (hostile.attack_fixed(customer)) stored;
    alter table payments add mood hostile.mood default 'fine', add note hostile.checked default 'none',
        add filled integer default hostile.attack(),
        add computed text generated always as (hostile.attack_fixed(payment_name)) stored,
        add check (hostile.attack_true());
    create index on invoices (hostile.attack_fixed(customer));
    create index on payments (id) where hostile.attack_fixed(payment_name) = '';
    create statistics hostile.planned on (hostile.attack_fixed(customer)), invoice_status from invoices;
    create policy hostile on invoices using (hostile.attack_true());
    alter table invoices enable row level security;
    alter table invoices force row level security;
    create rule hostile as on insert to payments do also insert into hostile.ruled values (1);
    create trigger before_row before insert or update on invoices
        for each row execute function hostile.attack_trigger();
    create trigger after_statement after insert or update or delete on invoices
        for each statement execute function hostile.attack_statement();
    create constraint trigger later after insert or update on invoices deferrable initially deferred
        for each row execute function hostile.attack_trigger();
    create trigger before_row before insert or update on payments
        for each row execute function hostile.attack_trigger();
    create constraint trigger later after insert or update or delete on payments deferrable initially deferred
        for each row execute function hostile.attack_trigger();
    drop rule hostile on payments;
    create rule hostile as on update to payments do also select hostile.attack();
    create table hostile.receipts (payment uuid references payments on delete set null);
    create trigger before_row before update on hostile.receipts
        for each row execute function hostile.attack_trigger();";

/// Leaves a lock that any role may take, and no code.
pub const ADVISORY_LOCK: &str = "advisory lock of the session";

/// By name, in PL/pgSQL.
pub const ATTACKS: [(&str, &str); 49] = [
    ("the payload itself", "perform hostile.evil();"),
    (
        "cursor",
        "execute 'declare evil cursor for select hostile.evil()';",
    ),
    (
        "cursor variable left open",
        "declare c refcursor := 'evil'; begin open c for select hostile.evil(); end;",
    ),
    (
        "cursor without a name left open",
        "declare c refcursor; begin open c for select hostile.evil(); end;",
    ),
    (
        "cursor of the caller's closed, and another of its name opened",
        "declare c refcursor := 'callers'; begin close c; open c for select hostile.evil(); end;",
    ),
    (
        "cursor of the caller's closed",
        "declare c refcursor := 'callers'; begin close c; end; perform hostile.evil();",
    ),
    (
        "what the caller prepared and listens to",
        "begin execute 'deallocate all'; exception when others then null; end; execute 'unlisten *';",
    ),
    (
        "set_config of a made-up setting",
        "perform pg_catalog.set_config('evil.made_up', 'evil', false); perform hostile.evil();",
    ),
    (
        "set_config of a setting of the caller's",
        "perform pg_catalog.set_config('callers.own', 'evil', false); perform hostile.evil();",
    ),
    (
        "set_config of who is signed in",
        "perform pg_catalog.set_config('request.jwt.claims', '{\"role\": \"service_role\"}', false);
        perform hostile.evil();",
    ),
    (
        ADVISORY_LOCK,
        "perform pg_catalog.pg_advisory_lock(77); perform hostile.evil();",
    ),
    (
        "cursor with hold",
        "execute 'declare evil cursor with hold for select hostile.evil()';",
    ),
    (
        "scrolling cursor with hold of a view",
        "execute 'declare evil2 scroll cursor with hold for select hostile.evil() from hostile.through'; ",
    ),
    (
        "prepared statement",
        "execute 'prepare evil as select hostile.evil()';",
    ),
    ("listen", "execute 'listen evil';"),
    (
        "notify",
        "perform pg_catalog.pg_notify('evil', 'x'); execute 'listen evil';",
    ),
    (
        "temporary table with a deferred trigger",
        "create temporary table evil (it integer);
        create constraint trigger later after insert on evil deferrable initially deferred
            for each row execute function hostile.evil_trigger();
        insert into evil values (1);",
    ),
    (
        "temporary view that shadows ours",
        "execute 'create temporary view invoices as select hostile.evil() as id';",
    ),
    (
        "temporary domain that shadows a type",
        "execute 'create domain pg_temp.text as pg_catalog.text check (hostile.evil() = 1)';",
    ),
    (
        "temporary function",
        "execute 'create function pg_temp.now() returns integer language sql as ''select hostile.evil()''';",
    ),
    (
        "deferred trigger of another table",
        "insert into hostile.deferred values (9);",
    ),
    (
        "deferred trigger that queues itself again",
        "insert into hostile.deferred values (1);",
    ),
    (
        "constraints deferred",
        "execute 'set constraints all deferred'; insert into hostile.deferred values (1);",
    ),
    (
        "constraints deferred, error let through",
        "set constraints all deferred;",
    ),
    (
        "set role",
        "execute 'set role postgres'; perform hostile.evil();",
    ),
    (
        "reset role",
        "execute 'reset role'; perform hostile.evil();",
    ),
    (
        "set session authorization",
        "execute 'set session authorization postgres'; perform hostile.evil();",
    ),
    (
        "set_config of the role",
        "perform pg_catalog.set_config('role', 'postgres', false); perform hostile.evil();",
    ),
    (
        "set_config of the session's user",
        "perform pg_catalog.set_config('session_authorization', 'postgres', false); perform hostile.evil();",
    ),
    (
        "set_config of the search path",
        "perform pg_catalog.set_config('search_path', 'evil', false);",
    ),
    (
        "set_config of the application's name",
        "perform pg_catalog.set_config('application_name', 'evil', false);",
    ),
    (
        "set_config of row security",
        "perform pg_catalog.set_config('row_security', 'off', false);",
    ),
    (
        "triggers switched off",
        "perform pg_catalog.set_config('session_replication_role', 'replica', false);",
    ),
    (
        "commit in a block",
        "execute 'do $do$ begin commit; perform hostile.evil(); end $do$';",
    ),
    ("commit in a procedure", "execute 'call hostile.commits()';"),
    (
        "event trigger",
        "execute 'create event trigger evil on ddl_command_end execute function hostile.evil_trigger()';",
    ),
    (
        "advisory lock",
        "perform pg_catalog.pg_advisory_xact_lock(77); perform hostile.evil();",
    ),
    (
        "foreign table",
        "execute 'create foreign data wrapper evil; create server evil foreign data wrapper evil';",
    ),
    (
        "view with an instead-of trigger",
        "insert into hostile.through values (1);",
    ),
    ("rule", "insert into hostile.ruled values (1);"),
    (
        "default expression",
        "insert into hostile.defaulted default values;",
    ),
    (
        "large object",
        "perform pg_catalog.lo_unlink(pg_catalog.lo_create(0)); perform hostile.evil();",
    ),
    (
        "sequence given away",
        "execute 'create sequence hostile.evil'; execute 'alter sequence hostile.evil owner to postgres';",
    ),
    (
        "statistics object",
        "execute 'create statistics hostile.evil on (hostile.evil()), it from hostile.deferred';",
    ),
    ("security definer", "perform hostile.definer();"),
    (
        "materialized view",
        "refresh materialized view hostile.materialized; perform hostile.evil();",
    ),
    (
        "default privileges of others",
        "execute 'alter default privileges for role postgres grant all on tables to public';",
    ),
    (
        "program of the server's",
        "execute 'copy hostile.log from program ''echo x''';",
    ),
    (
        "session discarded",
        "execute 'deallocate all'; execute 'close all';",
    ),
];
