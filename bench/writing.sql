-- A sweep's own time: all of its run, without the time in which it waited for Stripe's answers.
-- Its CPU time: all of its call.

select cpu_seconds() as cpu \gset

select invoice_sync.sweep(max_invoices => :invoices, max_duration => '1 hour') is not null as is_done \gset

select
    :invoices,
    'sweep',
    extract(epoch from duration - waited),
    cpu_seconds() - :cpu
from invoice_sync.recent_runs
where invoices_fixed = :invoices;
