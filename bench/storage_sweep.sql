-- A sweep, as if what waits for a minute had waited so long.

update invoice_sync.event set next_attempt_at = '-infinity'
where state = 'pending';
call invoice_sync.run_sweep();
