-- A florist's shop with Drizzle (public repository, name not known), restated. There is no table of payments.
create type order_status as enum (
    'pending_payment', 'paid', 'in_design', 'out_for_delivery', 'delivered', 'cancelled', 'expired',
    'refunded');
create table guest_sessions (id uuid primary key default gen_random_uuid(), token_hash text not null unique);
create table orders (
    id uuid primary key default gen_random_uuid(),
    number text not null unique,
    session_id uuid references guest_sessions on delete set null,
    status order_status not null default 'pending_payment',
    currency text not null default 'usd',
    subtotal_cents integer not null,
    delivery_fee_cents integer not null,
    total_cents integer not null,
    amount_paid_cents integer,
    amount_refunded_cents integer not null default 0,
    recipient_name text not null,
    recipient_phone text not null,
    address_line1 text not null,
    address_line2 text,
    city text not null,
    zip text not null,
    delivery_date date not null,
    delivery_window text,
    delivery_notes text,
    gift_message text,
    sender_name text not null,
    sender_email text not null,
    sender_phone text,
    stripe_checkout_session_id text unique,
    stripe_payment_intent_id text,
    paid_at timestamptz,
    expires_at timestamptz,
    stock_released boolean not null default false,
    review_reason text,
    internal_notes text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table order_events (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references orders on delete cascade,
    from_status order_status,
    to_status order_status not null,
    actor text not null,
    note text,
    created_at timestamptz not null default now()
);
create table stripe_events (
    id text primary key,
    type text not null,
    processed_at timestamptz not null default now()
);
