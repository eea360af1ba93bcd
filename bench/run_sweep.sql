-- One sweep as pg_cron does it, timed from the call to the end of its last transaction.

select clock_timestamp() as begun \gset
call invoice_sync.run_sweep();
select clock_timestamp() as ended \gset

-- The first sweep looks back as well, which is a run of its own.
select
    :'what',
    :'way',
    extract(epoch from :'ended'::timestamptz - :'begun'),
    extract(epoch from sum(waited)),
    sum(stripe_requests),
    sum(list_pages),
    sum(objects_one_by_one),
    sum(invoices_fixed)
from invoice_sync.recent_runs
where started_at >= :'begun';
