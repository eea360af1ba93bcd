-- One sweep as pg_cron does it, timed from the call to the end of its last transaction.

select clock_timestamp() as begun \gset
call invoice_sync.run_sweep();
select clock_timestamp() as ended \gset

select
    :'what',
    :'way',
    extract(epoch from :'ended'::timestamptz - :'begun'),
    extract(epoch from waited),
    stripe_requests,
    list_pages,
    objects_one_by_one,
    invoices_fixed
from invoice_sync.recent_runs
where kind = 'sweep'
order by id desc
limit 1;
