-- What each table of the extension contains for each of :sales payments, its indexes included, if that is
-- more than 50 bytes.

select
    :'who',
    c.relname,
    pg_total_relation_size(c.oid)::numeric / :sales
from pg_class as c
where
    c.relnamespace = 'invoice_sync'::regnamespace
    and c.relkind = 'r'
    and pg_total_relation_size(c.oid) > :sales * 50;
