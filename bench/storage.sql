-- What each table of the ledger contains for each of :sales payments, its indexes included, if that is
-- more than 50 bytes: the extension's ledger, or its copy by hand.

select
    :'who',
    c.relname,
    pg_total_relation_size(c.oid)::numeric / :sales
from pg_class as c
where
    c.relnamespace = case :'who' when 'invoice_sync' then 'invoice_sync' else 'by_hand' end::regnamespace
    and c.relkind = 'r'
    and pg_total_relation_size(c.oid) > :sales * 50;
