-- Everything that the extension has noted is so much older.
create schema lives;
create procedure lives.age(seconds bigint)
language plpgsql
as $$
declare
    noted record;
begin
    set local session_replication_role = replica;
    for noted in
        select c.oid::regclass as name,
               string_agg(format('%1$I = %1$I - make_interval(secs => $1)', a.attname), ', ') as columns
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'timestamptz'::regtype and not a.attisdropped
        where c.relnamespace = 'invoice_sync'::regnamespace and c.relkind = 'r'
        group by c.oid
    loop
        execute format('update %s set %s', noted.name, noted.columns) using seconds;
    end loop;
    update invoice_sync.event
    set snapshot = jsonb_set(snapshot, '{created}', to_jsonb((snapshot ->> 'created')::bigint - seconds))
    where jsonb_typeof(snapshot -> 'created') = 'number';
    update invoice_sync.feed
    set place = place
        || jsonb_build_object('read_at', (place ->> 'read_at')::bigint - seconds)
        || coalesce(jsonb_build_object('anchor', nullif(place -> 'anchor', 'null')
            || jsonb_build_object('created', (place #>> '{anchor,created}')::bigint - seconds)), '{}')
        || coalesce(jsonb_build_object('backlog', nullif(place -> 'backlog', 'null')
            || jsonb_build_object('since', (place #>> '{backlog,since}')::bigint - seconds)), '{}');
end
$$;
