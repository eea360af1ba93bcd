-- Who may what in this database, as on Supabase: whoever is signed in has the role
-- authenticated, and of those the admins are let in. A token says who is one.

select invoice_sync.grant_access('authenticated');
select invoice_sync.grant_access('service_role');
select invoice_sync.grant_access('anon', 'webhook');
grant select on public.invoices, public.payments to authenticated, service_role;
