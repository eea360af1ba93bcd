alter table payments add amount_refunded numeric(12, 3);
alter table invoices add touched timestamptz;
create unique index on payments (stripe_payment_intent);

create function recompute() returns trigger
language plpgsql
as $$
begin
    new.balance_due := greatest(new.total_amount - new.amount_paid, 0);
    new.touched := clock_timestamp();
    if new.invoice_status <> 'Cancelled' and new.total_amount > 0 then
        if new.amount_paid >= new.total_amount then
            new.invoice_status := 'Paid';
        elsif new.amount_paid > 0 and new.invoice_status <> 'Paid' then
            new.invoice_status := 'Partial';
        end if;
    end if;
    return new;
end
$$;
create trigger recompute before update on invoices for each row execute function recompute();

-- It only raises, like a careful application.
create function tell_the_invoice() returns trigger
language plpgsql
as $$
begin
    update invoices i
    set amount_paid = p.paid
    from (
        select coalesce(sum(o.total_amount - coalesce(o.amount_refunded, 0)), 0) as paid
        from payments o
        where o.invoice_id = new.invoice_id and o.payment_status = 'Paid'
    ) p
    where i.id = new.invoice_id and i.amount_paid < p.paid and i.invoice_status <> 'Cancelled';
    return null;
end
$$;
create trigger tell_the_invoice after insert on payments
    for each row execute function tell_the_invoice();
