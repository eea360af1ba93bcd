-- A lighting shop with Prisma (public repository, name not known), restated.
create type "OrderStatus" as enum (
    'pending_payment', 'paid', 'fulfilled', 'delivered', 'cancelled', 'refunded');
create type "PaymentStatus" as enum (
    'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
    'succeeded', 'canceled', 'failed');
create type "DeliveryOption" as enum ('STANDARD', 'EXPRESS');
create table users (id uuid primary key);
create table addresses (id uuid primary key, user_id uuid not null references users);
create table coupons (id uuid primary key);
create table orders (
    id uuid primary key,
    order_number varchar(20) not null unique,
    user_id uuid references users,
    guest_email varchar(255),
    status "OrderStatus" not null default 'pending_payment',
    currency varchar(3) not null default 'GBP',
    subtotal_cents integer not null,
    discount_cents integer not null default 0,
    shipping_cents integer not null default 0,
    vat_cents integer not null default 0,
    total_cents integer not null,
    delivery_option "DeliveryOption" not null default 'STANDARD',
    coupon_id uuid references coupons,
    shipping_address_id uuid references addresses,
    shipping_address_snapshot jsonb not null,
    stripe_payment_intent_id varchar(255) unique,
    carrier_name varchar(80),
    tracking_number varchar(80),
    paid_at timestamptz,
    fulfilled_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    created_at timestamptz not null default current_timestamp,
    updated_at timestamptz not null
);
create table payments (
    id uuid primary key,
    order_id uuid not null unique references orders on delete cascade,
    stripe_payment_intent_id varchar(255) not null unique,
    status "PaymentStatus" not null,
    amount_cents integer not null,
    currency varchar(3) not null default 'GBP',
    stripe_event_id varchar(255) unique,
    created_at timestamptz not null default current_timestamp,
    updated_at timestamptz not null
);
