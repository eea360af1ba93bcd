-- The roles of an RPC gateway, named as Supabase names them, and a bookkeeper. Roles
-- belong to the whole server, so they may be there already.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'bookkeeper', 'authenticator'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
    end loop;
end
$$;

alter role authenticator login noinherit password 'authenticator';
grant anon to authenticator;
grant authenticated to authenticator;
grant bookkeeper to authenticator;
