-- Who may what in this database: bookkeepers operate, colleagues look, strangers nothing.

select invoice_sync.grant_access('bookkeeper', 'operate');
select invoice_sync.grant_access('authenticated', 'read');
grant select on public.invoices, public.payments to bookkeeper, authenticated;
