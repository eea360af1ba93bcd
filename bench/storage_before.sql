-- The ledger's tables before the first payment: those of the extension, or their copies by hand.

create table ledger as
select
    c.oid,
    c.relname,
    pg_total_relation_size(c.oid) as bytes
from pg_class as c
where
    c.relnamespace = case :'who' when 'PL/pgSQL by hand, no ledger' then 'public'
        when 'PL/pgSQL by hand, the same ledger' then 'by_hand' else 'invoice_sync' end::regnamespace
    and c.relkind = 'r'
    and c.relname not in ('invoices', 'payments');

-- A row for each event that was made a delivery.
create table told ();
