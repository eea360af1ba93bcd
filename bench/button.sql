-- The last :presses presses of the button: their requests, and their time without waiting, in ms.

select
    stripe_requests,
    1000 * extract(epoch from duration - waited)
from (
    select
        stripe_requests,
        duration,
        waited
    from invoice_sync.recent_runs
    where kind = 'sync_invoice'
    limit :presses
) as r;
