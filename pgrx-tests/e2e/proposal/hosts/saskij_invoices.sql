-- saskij/invoice-app, its Supabase migrations together, restated.
create schema if not exists auth;
create table auth.users (id uuid primary key default gen_random_uuid());
create table clients (id uuid primary key default gen_random_uuid(), name text, email text);
create table invoices (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users on delete cascade,
    client_id uuid references clients on delete set null,
    invoice_number text not null,
    amount numeric default 0,
    currency text default 'USD',
    status text default 'draft' check (status in ('draft', 'sent', 'paid', 'overdue', 'deleted')),
    line_items jsonb not null default '[]',
    notes text,
    payment_terms text,
    payment_info text,
    payment_link text,
    issue_date date,
    due_date date,
    sent_at timestamptz,
    discount_type text,
    discount_value numeric default 0,
    discount_amount numeric default 0,
    tax_rate numeric default 0,
    tax_amount numeric default 0,
    subtotal numeric default 0,
    total numeric default 0,
    paid_amount numeric default 0,
    payment_date timestamptz,
    stripe_session_id text,
    stripe_checkout_url text,
    stripe_payment_intent_id text,
    amount_paid_cents integer default 0,
    paid_at timestamptz,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create index on invoices (stripe_session_id) where stripe_session_id is not null;
create table payment_history (
    id uuid primary key default gen_random_uuid(),
    invoice_id uuid not null references invoices on delete cascade,
    amount numeric not null check (amount > 0),
    payment_method text,
    notes text,
    "createdAt" timestamptz default now()
);
create index on payment_history (invoice_id);

-- A payment that comes or goes moves the invoice's paid sum by its amount (with the
-- owner's rights). The repository's own function still writes the column's name from
-- before a later migration renamed it, so that there every insert fails; this one
-- writes the name that the column has now.
create function host_payment_history() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'INSERT' then
        update invoices set paid_amount = paid_amount + new.amount, payment_date = new."createdAt"
        where id = new.invoice_id;
    else
        update invoices set paid_amount = paid_amount - old.amount where id = old.invoice_id;
    end if;
    return null;
end $$;
create trigger on_payment_added after insert or delete on payment_history
    for each row execute function host_payment_history();

create view invoices_view as
select i.id, i.invoice_number as "invoiceNumber", i.total, i.paid_amount as "paidAmount",
       coalesce(i.total, 0) - coalesce(i.paid_amount, 0) as "balanceDue", i.status
from invoices as i;
