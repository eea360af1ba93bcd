-- A payment is always of the whole invoice, and has no amount.
create view stripe_payments as
select p.*, (select i.total_cents from consolidated_invoices i where i.id = p.consolidated_invoice_id) as amount_cents
from consolidated_payments p;
