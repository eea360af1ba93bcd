-- newworldstrategiesai/m10dj: the schema that its supabase migrations end with,
-- restated. Left out: RLS policies, views, and trigger_update_invoice_on_payment,
-- which reads columns that payments does not have (see m10dj.json).
create table contacts (
    id uuid primary key default gen_random_uuid(),
    quoted_price numeric(10, 2),
    final_price numeric(10, 2),
    payment_status text,
    deposit_paid boolean default false,
    lead_status text,
    updated_at timestamptz default now()
);
create table events (id uuid primary key default gen_random_uuid());
create table organizations (id uuid primary key default gen_random_uuid());
create table payment_plans (id uuid primary key default gen_random_uuid());
create table discount_codes (id uuid primary key default gen_random_uuid());

create table invoices (
    id uuid primary key default gen_random_uuid(),
    contact_id uuid not null references contacts on delete cascade,
    project_id uuid references events on delete set null,
    invoice_number varchar(100) not null unique,
    invoice_status varchar(50) default 'Draft',
    invoice_title varchar(255),
    invoice_description text,
    invoice_date date not null,
    due_date date not null,
    sent_date timestamptz,
    paid_date timestamptz,
    cancelled_date timestamptz,
    subtotal numeric(10, 2) default 0,
    discount_amount numeric(10, 2) default 0,
    discount_percentage numeric(5, 2),
    tax_amount numeric(10, 2) default 0,
    tax_rate numeric(5, 2),
    total_amount numeric(10, 2) not null,
    amount_paid numeric(10, 2) default 0,
    balance_due numeric(10, 2) default 0,
    line_items jsonb,
    payment_terms text,
    late_fee_percentage numeric(5, 2),
    notes text,
    internal_notes text,
    view_count integer default 0,
    last_viewed_at timestamptz,
    reminder_sent_count integer default 0,
    last_reminder_sent_at timestamptz,
    honeybook_invoice_id text unique,
    external_invoice_url text,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    stripe_session_id text,
    stripe_payment_intent text,
    payment_method text check (
        payment_method in ('cash', 'check', 'credit_card', 'stripe', 'venmo', 'zelle', 'other')
    ),
    paid_at timestamptz,
    refunded_at timestamptz,
    refund_amount numeric(10, 2),
    payment_plan jsonb,
    organization_id uuid references organizations on delete cascade,
    deposit_amount numeric(10, 2),
    deposit_paid boolean default false,
    deposit_paid_at timestamptz,
    has_payment_plan boolean default false,
    payment_plan_id uuid references payment_plans,
    discount_code_id uuid references discount_codes,
    late_fee_amount numeric(10, 2) default 0,
    auto_reminders_enabled boolean default true,
    qr_code_data text,
    payment_token text unique,
    invoice_email_address text,
    admin_pricing_adjusted_at timestamptz
);
create index on invoices (stripe_session_id);
create index on invoices (stripe_payment_intent);

create table payments (
    id uuid primary key default gen_random_uuid(),
    contact_id uuid references contacts on delete cascade,
    project_id uuid references events on delete set null,
    invoice_number varchar(100),
    payment_name varchar(255),
    payment_status varchar(50) default 'Pending',
    payment_method varchar(50),
    payment_notes text,
    charge_notes text,
    due_date date,
    transaction_date date,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    payment_before_discount numeric(10, 2) default 0,
    discount_amount numeric(10, 2) default 0,
    non_taxable_amount numeric(10, 2) default 0,
    taxable_amount numeric(10, 2) default 0,
    tax_amount numeric(10, 2) default 0,
    tax_rate numeric(5, 2),
    late_fee numeric(10, 2) default 0,
    gratuity numeric(10, 2) default 0,
    total_amount numeric(10, 2) default 0,
    transaction_fee numeric(10, 2) default 0,
    fee_rate varchar(50),
    instant_deposit_fee numeric(10, 2) default 0,
    instant_deposit_fee_rate numeric(5, 2),
    loan_repayment numeric(10, 2) default 0,
    loan_fee numeric(10, 2) default 0,
    loan_principal numeric(10, 2) default 0,
    payment_service_fee numeric(10, 2) default 0,
    service_fee_rate numeric(5, 2),
    net_amount numeric(10, 2) default 0,
    refunded_amount numeric(10, 2) default 0,
    disputed_date date,
    dispute_cover numeric(10, 2) default 0,
    dispute_fee numeric(10, 2) default 0,
    disputed_net_amount numeric(10, 2) default 0,
    honeybook_imported boolean default false,
    honeybook_project_name varchar(255),
    invoice_id uuid references invoices on delete set null,
    stripe_session_id text,
    stripe_payment_intent text,
    organization_id uuid references organizations on delete cascade,
    affiliate_commission_processed boolean default false,
    affiliate_commission_eligible boolean default true,
    unique (invoice_number, payment_name)
);
create index on payments (contact_id);
create index on payments (invoice_id) where invoice_id is not null;
create index on payments (stripe_session_id);
create index on payments (stripe_payment_intent);

create table quote_selections (
    id uuid primary key default gen_random_uuid(),
    invoice_id uuid references invoices,
    total_price numeric(10, 2),
    payment_status text,
    status text default 'pending',
    paid_at timestamptz,
    updated_at timestamptz default now()
);

-- On every write of an invoice: the balance is recomputed, and the status follows
-- from what was paid (a total of 0 is "Paid" at once in the migrations' version;
-- a script beside them leaves such invoices alone).
create function host_invoice_balance() returns trigger language plpgsql as $$
begin
    new.balance_due := new.total_amount - new.amount_paid;
    if new.amount_paid >= new.total_amount then
        new.invoice_status := 'Paid';
        new.paid_date := coalesce(new.paid_date, now());
    elsif new.amount_paid > 0 then
        if new.invoice_status = 'Draft' then
            new.invoice_status := 'Partial';
        end if;
    elsif new.due_date < current_date and new.invoice_status not in ('Paid', 'Cancelled', 'Draft') then
        new.invoice_status := 'Overdue';
    end if;
    return new;
end $$;
create trigger trigger_calculate_invoice_balance before insert or update on invoices
    for each row execute function host_invoice_balance();

create function host_invoice_touched() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;
create trigger trigger_update_invoices_timestamp before update on invoices
    for each row execute function host_invoice_touched();

-- A paid payment: the invoice (or, without one, the contact's newest open one) is
-- recomputed from all paid payments that name it, and from the contact's paid
-- payments that name none. total_amount alone is summed up, never the gratuity.
create function host_payment_to_invoice() returns trigger language plpgsql as $$
declare
    which uuid := new.invoice_id;
    paid numeric(10, 2);
begin
    if which is null then
        select i.id into which from invoices i
        where i.contact_id = new.contact_id and i.invoice_status not in ('Cancelled', 'Paid')
        order by i.created_at desc limit 1;
    end if;
    if which is null then
        return new;
    end if;
    select coalesce(sum(p.total_amount), 0) into paid from payments p
    where p.payment_status = 'Paid'
      and (p.invoice_id = which or (p.invoice_id is null and p.contact_id = new.contact_id));
    update invoices i
    set amount_paid = paid,
        balance_due = i.total_amount - paid,
        invoice_status = case
            when paid >= i.total_amount then 'Paid'
            when paid > 0 then 'Partial'
            when i.due_date < current_date and i.invoice_status not in ('Draft', 'Cancelled') then 'Overdue'
            else i.invoice_status end,
        paid_date = case when paid >= i.total_amount then coalesce(i.paid_date, now()) else i.paid_date end,
        updated_at = now()
    where i.id = which;
    return new;
end $$;
create trigger trigger_sync_payments_to_invoice after insert or update on payments
    for each row when (new.payment_status = 'Paid') execute function host_payment_to_invoice();

create function host_payment_to_contact() returns trigger language plpgsql as $$
begin
    if new.payment_status = 'Paid' and new.contact_id is not null then
        update contacts c
        set final_price = (select sum(p.total_amount) from payments p
                           where p.contact_id = new.contact_id and p.payment_status = 'Paid'),
            updated_at = now()
        where c.id = new.contact_id;
    end if;
    return new;
end $$;
create trigger trigger_update_contact_final_price after insert or update on payments
    for each row execute function host_payment_to_contact();

create function host_invoice_to_contact() returns trigger language plpgsql as $$
begin
    if (old.invoice_status, old.amount_paid) is distinct from (new.invoice_status, new.amount_paid) then
        update contacts c
        set payment_status = case new.invoice_status
                when 'Paid' then 'paid' when 'Partial' then 'partial' when 'Overdue' then 'overdue'
                else c.payment_status end,
            final_price = case when new.invoice_status = 'Paid' then new.amount_paid else c.final_price end,
            deposit_paid = c.deposit_paid or new.amount_paid > 0,
            updated_at = now()
        where c.id = new.contact_id;
    end if;
    return new;
end $$;
create trigger trigger_sync_invoice_to_contact after update on invoices
    for each row execute function host_invoice_to_contact();

create function host_invoice_to_quote() returns trigger language plpgsql as $$
begin
    if (new.amount_paid, new.invoice_status) is distinct from (old.amount_paid, old.invoice_status) then
        update quote_selections q
        set payment_status = case
                when new.invoice_status = 'Paid' or new.balance_due <= 0 then 'paid'
                when new.amount_paid > 0 then 'partial' else q.payment_status end,
            status = case
                when new.invoice_status = 'Paid' or new.balance_due <= 0 then 'paid'
                when new.invoice_status = 'Sent' and q.status = 'pending' then 'invoiced' else q.status end,
            paid_at = case
                when new.invoice_status = 'Paid' or new.balance_due <= 0 then coalesce(q.paid_at, now())
                else q.paid_at end,
            updated_at = now()
        where q.invoice_id = new.id;
    end if;
    return new;
end $$;
create trigger trigger_sync_invoice_payment_to_quote after update on invoices
    for each row execute function host_invoice_to_quote();

-- And back: a quote that is written overwrites its invoice's total and status.
create function host_quote_to_invoice() returns trigger language plpgsql as $$
begin
    update invoices i
    set total_amount = case
            when i.admin_pricing_adjusted_at is null then coalesce(new.total_price, i.total_amount)
            else i.total_amount end,
        invoice_status = case
            when new.payment_status = 'paid' then 'Paid'
            when new.payment_status = 'partial' then 'Partial'
            when new.status in ('confirmed', 'invoiced') then 'Sent'
            else i.invoice_status end,
        updated_at = now()
    where i.id = new.invoice_id;
    return new;
end $$;
create trigger trigger_sync_quote_to_invoice after insert or update on quote_selections
    for each row execute function host_quote_to_invoice();
