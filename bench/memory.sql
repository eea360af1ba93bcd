-- Sweeps in one backend and prints the most memory that it ever had (resident, KiB): after one invoice by
-- the button; after a sweep that looks through all invoices and asks about the 1,000 newest; and after one
-- that finds nothing.

-- A whole round is owed.
insert into invoice_sync.round (began_at, moved_at, rows, last_rows, xid, conditions)
select
    now(),
    now() - interval '1 day',
    0,
    count(*),
    pg_current_xact_id(),
    '{}'
from invoices;

delete from invoice_sync.invoice_check
where invoice_id in (
    select id::text from invoices
    where invoice_number like 'INV-%'
    order by created_at desc
    limit 1000
);

\connect
select invoice_sync.sync_invoice(id) as answer from invoices where invoice_number = 'INV-1' \gset
select substring(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)') as button \gset
call invoice_sync.run_sweep();
select substring(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)') as whole \gset
call invoice_sync.run_sweep();
select substring(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)') as later \gset

select
    :open,
    (select last_rows from invoice_sync.round where ended_at is not null),
    sum(stripe_requests),
    sum(invoices_fixed),
    :button,
    :whole,
    :later,
    substring(pg_read_file('/proc/self/status'), 'RssShmem:\s+(\d+)')
from invoice_sync.recent_runs;
