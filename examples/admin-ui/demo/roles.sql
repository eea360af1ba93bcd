-- The roles of an RPC gateway, named as Supabase names them. Roles belong to the whole
-- server, so they may be there already.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role', 'authenticator'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
    end loop;
end
$$;

alter role authenticator login noinherit password 'authenticator';
alter role service_role bypassrls;
grant anon to authenticator;
grant authenticated to authenticator;
grant service_role to authenticator;
