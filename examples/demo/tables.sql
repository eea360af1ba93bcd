-- The application's tables, as many applications on Stripe have them.

create table invoices (
    id uuid primary key default gen_random_uuid(),
    invoice_number text not null unique,
    customer text not null,
    invoice_status text not null default 'Draft',
    total_amount numeric(12, 3) not null,
    amount_paid numeric(12, 3) not null default 0,
    balance_due numeric(12, 3),
    paid_date timestamptz,
    currency text,
    stripe_session_id text,
    stripe_payment_intent text,
    created_at timestamptz not null default now()
);

create table payments (
    id uuid primary key default gen_random_uuid(),
    invoice_id uuid not null references invoices,
    payment_name text not null,
    payment_status text not null default 'Pending',
    payment_method text,
    total_amount numeric(12, 3) not null,
    gratuity numeric(12, 3) not null default 0,
    transaction_date date,
    payment_notes text,
    stripe_session_id text,
    stripe_payment_intent text,
    created_at timestamptz not null default now()
);

create index on payments (invoice_id);
