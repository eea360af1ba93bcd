-- A sweep that has all of Stripe's answers before it writes: when its work was done, and how long it worked
-- beside waiting for them.

select invoice_sync.sweep(max_invoices => :invoices, max_duration => '1 hour') is not null as is_done \gset

select
    extract(epoch from started_at + duration),
    extract(epoch from duration - waited)
from invoice_sync.recent_runs
where invoices_fixed = :invoices;
