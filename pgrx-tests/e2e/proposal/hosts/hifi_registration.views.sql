-- A registration owes what the invoices of its orders say, and is paid when its payments come to that.
create view stripe_invoices as
select r.id, owed.amount, case when paid.amount >= owed.amount then 'Paid' else 'Sent' end as status
from registration_registration r
cross join lateral (
    select coalesce(sum(i.amount), 0) as amount
    from registration_invoice i
    join registration_order o on o.id = i.order_id
    where o.registration_id = r.id
) owed
cross join lateral (
    select coalesce(sum(p.amount), 0) as amount from registration_payment p where p.registration_id = r.id
) paid;
-- Nothing of it is stored.
create function keep_invoice() returns trigger language plpgsql as 'begin return new; end';
create trigger keep_invoice instead of update on stripe_invoices for each row execute function keep_invoice();
