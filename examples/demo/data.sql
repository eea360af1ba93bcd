-- The shop's books, and what Stripe knows of them. Everything follows from the numbers of the
-- invoices, so every demonstration shows the same shop; only the dates move with the day.
--
-- The story: a deploy twelve days ago broke the shop's webhook endpoint. Until then each payment came
-- into the books; since then customers pay, and the shop does not hear of it.

create schema demo;
comment on schema demo is 'How the demonstration was made; the extension knows nothing of it';

-- ---------------------------------------------------------------------------- the plan

create table demo.story (
    name text primary key,
    customer text not null,
    currency text not null,
    total numeric(12, 3) not null,
    created_at timestamptz not null
);
comment on table demo.story is 'One row for each invoice: who owes what, and since when';

create table demo.checkout (
    name text not null references demo.story,
    part text not null default 'Payment',
    currency text not null,
    amount numeric(12, 3) not null,
    gratuity numeric(12, 3),
    refunded numeric(12, 3),
    dispute text,
    created_at timestamptz not null,
    outcome text not null,
    outcome_at timestamptz,
    webhook_arrived boolean not null,
    session_id text not null default '',
    intent_id text not null default '',
    primary key (name, part)
);
comment on table demo.checkout is 'One row for each checkout session that the stand-in for Stripe is given';

-- A number from 0 to sides - 1, always the same for the same what and n.
create function demo.dice(what text, n integer, sides integer) returns integer
language sql immutable
as $$
    select ('x' || substr(md5(what || n), 1, 7))::bit(28)::integer % sides
$$;

-- An amount as Stripe's API has it: in the smallest unit of its currency.
create function demo.minor(amount numeric, currency text) returns bigint
language sql immutable
as $$
    select (amount * case currency when 'jpy' then 1 when 'kwd' then 1000 else 100 end)::bigint
$$;

-- An amount as people write it.
create function demo.money(amount numeric, currency text) returns text
language sql immutable
as $$
    select upper(currency) || ' ' || to_char(
        amount,
        case currency
            when 'jpy' then 'FM999,999,990'
            when 'kwd' then 'FM999,999,990.000'
            else 'FM999,999,990.00'
        end
    )
$$;

-- --------------------------------------------------------- 282 invoices of everyday life

insert into demo.story
select
    'everyday ' || n,
    (array[
        'Alder & Finch', 'Atlas Cycling Club', 'Bakery Lindqvist', 'Blue Door Yoga', 'Brightwater Dental',
        'Café Ramona', 'Cobalt Studio', 'Copper Kettle', 'Dune Architects', 'Eastside Physio',
        'Elm Street Books', 'Ferrante Olive Oil', 'Fjord Ceramics', 'Gebrüder Hahn', 'Golden Hour Photo',
        'Greenhouse No. 9', 'Hana Floral', 'Ibis Travel', 'Jasmin Catering', 'Kestrel Robotics',
        'Kurashi Interiors', 'Lark Music School', 'Lumen Lighting', 'Maison Duval', 'Marigold Events',
        'Northwind Sailing', 'Oak & Anvil', 'Olsen Timber', 'Paper Crane Press', 'Pine Valley Vets',
        'Quarry Climbing', 'Rivera Tiles', 'Saffron Table', 'Sakura Dental', 'Stillwater Spa',
        'Tidal Surf School', 'Umbra Theatre', 'Velvet Owl', 'Willow Nursery', 'Zephyr Kites'
    ])[1 + demo.dice('customer', n, 40)],
    kind.currency,
    case kind.currency
        when 'jpy' then 5000 + 100 * demo.dice('amount', n, 2500)
        when 'kwd' then 15 + demo.dice('amount', n, 4000) / 20.0
        else 45 + demo.dice('amount', n, 24000) / 10.0
    end,
    now() - (283 - n) * interval '3 hours 33 minutes'
from generate_series(1, 282) as n
cross join lateral (
    select
        case
            when demo.dice('currency', n, 20) < 11 then 'usd'
            when demo.dice('currency', n, 20) < 16 then 'eur'
            when demo.dice('currency', n, 20) < 19 then 'jpy'
            else 'kwd'
        end as currency
) as kind;

-- Of 100 customers, 66 pay by card within some days, 12 give up on Stripe's page.
-- A session that nobody pays expires after a day.
insert into demo.checkout (name, currency, amount, created_at, outcome, outcome_at, webhook_arrived)
select
    s.name,
    s.currency,
    s.total,
    visit.opened_at,
    fate.outcome,
    case fate.outcome
        when 'paid' then visit.opened_at + interval '4 minutes'
        when 'expired' then visit.opened_at + interval '1 day'
    end,
    visit.opened_at < now() - interval '12 days'
from demo.story as s
cross join lateral (
    select split_part(s.name, ' ', 2)::integer as n
) as story
cross join lateral (
    select
        least(
            s.created_at + (1 + demo.dice('delay', story.n, 50)) * interval '1 hour',
            now() - (now() - s.created_at) / 2
        ) as opened_at
) as visit
cross join lateral (
    select
        case
            when demo.dice('way', story.n, 100) < 66 and s.created_at < now() - interval '6 hours' then 'paid'
            when visit.opened_at < now() - interval '1 day' then 'expired'
            else 'open'
        end as outcome
) as fate
where s.name like 'everyday %' and demo.dice('way', story.n, 100) < 78;

-- ----------------------------------------------------------- 18 invoices with a tale to tell

insert into demo.story
select
    name,
    customer,
    currency,
    total,
    now() - days_ago * interval '1 day 17 minutes'
from (
    values
    ('balance lost', 'Linden & Ash Weddings', 'usd', 2400, 20),
    ('deposit lost', 'Harbour Film Company', 'usd', 3200, 6),
    ('both lost', 'Atelier Morel', 'eur', 1500, 10),
    ('gratuity', 'Trattoria Bellini', 'eur', 318, 4),
    ('refunded', 'Moss Furniture', 'usd', 420, 9),
    ('partly refunded', 'Nakamura Tea House', 'jpy', 88000, 7),
    ('disputed', 'Crestline Outfitters', 'usd', 1249, 5),
    ('overpaid', 'Juniper Pottery', 'usd', 180, 8),
    ('wrong currency', 'Vogel Instrumentenbau', 'eur', 950, 6),
    ('cancelled', 'Pelican Charters', 'usd', 260, 11),
    ('paid by word', 'Sandhill Vineyards', 'eur', 675, 25),
    ('paid by hand', 'Mirza Carpets', 'kwd', 412.5, 7),
    ('processing', 'Stadtwerk Kultur', 'eur', 1120, 2),
    ('unknown to Stripe', 'Orchard Cider', 'usd', 96, 13),
    ('booked twice', 'Lantern Cinema', 'eur', 240, 21),
    ('status forgotten', 'Bramble & Co.', 'usd', 385, 16),
    ('waiting 1', 'Sparrow Coffee', 'usd', 148.5, 0.3),
    ('waiting 2', 'Tandem Bikes', 'eur', 92, 0.2)
) as tale (name, customer, currency, total, days_ago);

insert into demo.checkout (
    name, part, currency, amount, gratuity, refunded, dispute, created_at, outcome, outcome_at,
    webhook_arrived
)
select
    name,
    part,
    currency,
    amount,
    gratuity,
    refunded,
    dispute,
    now() - hours_ago * interval '59 minutes',
    outcome,
    now() - hours_ago * interval '59 minutes' + interval '6 minutes',
    hours_ago > 12 * 24
from (
    values
    ('balance lost', 'Deposit', 'usd', 600, null, null, null, 'paid', 470),
    ('balance lost', 'Balance', 'usd', 2070, 270, null, null, 'paid', 44),
    ('deposit lost', 'Deposit', 'usd', 800, null, null, null, 'paid', 130),
    ('both lost', 'Deposit', 'eur', 500, null, null, null, 'paid', 230),
    ('both lost', 'Balance', 'eur', 1000, null, null, null, 'paid', 60),
    ('gratuity', 'Payment', 'eur', 365.7, 47.7, null, null, 'paid', 91),
    ('refunded', 'Payment', 'usd', 420, null, 420, null, 'paid', 200),
    ('partly refunded', 'Payment', 'jpy', 88000, null, 22000, null, 'paid', 150),
    ('disputed', 'Payment', 'usd', 1249, null, null, 'needs_response', 'paid', 110),
    ('overpaid', 'Payment', 'usd', 210, null, null, null, 'paid', 170),
    ('wrong currency', 'Payment', 'usd', 950, null, null, null, 'paid', 120),
    ('cancelled', 'Payment', 'usd', 260, null, null, null, 'paid', 240),
    ('paid by hand', 'Payment', 'kwd', 412.5, null, null, null, 'paid', 140),
    ('processing', 'Payment', 'eur', 1120, null, null, null, 'processing', 30),
    ('booked twice', 'Payment', 'eur', 240, null, null, null, 'paid', 500),
    ('status forgotten', 'Payment', 'usd', 385, null, null, null, 'paid', 380),
    ('waiting 1', 'Payment', 'usd', 148.5, null, null, null, 'open', 4),
    ('waiting 2', 'Payment', 'eur', 92, null, null, null, 'open', 3)
) as tale (name, part, currency, amount, gratuity, refunded, dispute, outcome, hours_ago);

-- Ids that look like Stripe's; those that a visitor types are short.
update demo.checkout
set session_id = 'cs_test_a1' || left(md5('session ' || name || part) || md5(name || part), 56),
    intent_id = 'pi_3' || left(md5('intent ' || name || part), 23);

update demo.checkout
set session_id = 'cs_test_' || replace(name, ' ', '_')
where outcome = 'open' and name like 'waiting %';

-- --------------------------------------------------------------------- the shop's own rows

-- Numbered in the order of their dates. The shop stores the latest session of each.
insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_session_id,
    created_at
)
select
    md5('invoice ' || s.name)::uuid,
    'INV-' || 1000 + row_number() over (order by s.created_at),
    s.customer,
    case
        when s.name like 'everyday %' and c.name is null
            and demo.dice('draft', split_part(s.name, ' ', 2)::integer, 3) = 0 then 'Draft'
        when s.created_at < now() - interval '7 days' then 'Overdue'
        when c.name is not null and md5(s.name) > '6' then 'Viewed'
        else 'Sent'
    end,
    s.total,
    s.total,
    s.currency,
    c.session_id,
    s.created_at
from demo.story as s
left join lateral (
    select * from demo.checkout as c where c.name = s.name order by c.created_at desc limit 1
) as c on true;

-- What the webhooks brought while they came.
insert into payments (
    invoice_id, payment_name, payment_status, payment_method, total_amount, gratuity, transaction_date,
    payment_notes, stripe_session_id, stripe_payment_intent, created_at
)
select
    md5('invoice ' || name)::uuid,
    part,
    'Paid',
    'Stripe',
    amount - coalesce(gratuity, 0),
    coalesce(gratuity, 0),
    outcome_at::date,
    'Recorded by the webhook',
    session_id,
    intent_id,
    outcome_at
from demo.checkout
where webhook_arrived and outcome = 'paid';

-- Some customers pay by bank transfer or cheque; somebody in the office types it in.
insert into payments (
    invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date, created_at
)
select
    i.id,
    'Payment',
    'Paid',
    case when i.total_amount::integer % 3 = 0 then 'Cheque' else 'Bank transfer' end,
    i.total_amount,
    i.created_at + interval '3 days',
    i.created_at + interval '3 days'
from demo.story as s
join invoices as i on i.id = md5('invoice ' || s.name)::uuid
where s.name like 'everyday %'
    and i.stripe_session_id is null
    and i.invoice_status in ('Sent', 'Overdue')
    and i.created_at < now() - interval '4 days'
    and right(i.invoice_number, 1) in ('0', '1', '3', '4', '7', '8', '9');

-- The invoices say what the payments say.
update invoices as i
set invoice_status = case when p.paid >= i.total_amount then 'Paid' else 'Partial' end,
    amount_paid = p.paid,
    balance_due = i.total_amount - p.paid,
    paid_date = case when p.paid >= i.total_amount then p.last_at end,
    stripe_payment_intent = p.intent
from (
    select
        invoice_id,
        sum(total_amount) as paid,
        max(created_at) as last_at,
        max(stripe_payment_intent) as intent
    from payments
    group by invoice_id
) as p
where p.invoice_id = i.id;

-- The stored intent belongs to the stored session.
update invoices as i
set stripe_payment_intent = null
from demo.checkout as c
where c.session_id = i.stripe_session_id and c.intent_id <> i.stripe_payment_intent;

-- ---------------------------------------------------------------- what went wrong besides

-- Payments that were announced when the customer went to Stripe's page, and never confirmed.
insert into payments (
    invoice_id, payment_name, payment_status, payment_method, total_amount, stripe_session_id, created_at
)
select
    md5('invoice ' || name)::uuid,
    part,
    'Pending',
    'Stripe',
    amount,
    session_id,
    created_at
from demo.checkout
where name = 'both lost';

-- Called off by the office, while the customer was paying.
update invoices
set invoice_status = 'Cancelled'
where id = md5('invoice cancelled')::uuid;

-- Given up by both sides.
update invoices as i
set invoice_status = 'Cancelled'
from demo.checkout as c
where c.session_id = i.stripe_session_id
    and c.outcome = 'expired'
    and c.created_at < now() - interval '30 days'
    and right(i.invoice_number, 1) in ('2', '6');

-- Somebody set these to Paid: the one on a customer's word, the other after a look at Stripe.
update invoices
set invoice_status = 'Paid',
    amount_paid = total_amount,
    balance_due = 0,
    paid_date = created_at + interval '1 day'
where id in (md5('invoice paid by word')::uuid, md5('invoice paid by hand')::uuid);

-- Typed in by hand, with a mistake.
update invoices
set stripe_session_id = 'cs_test_' || left(md5('mistyped'), 32)
where id = md5('invoice unknown to Stripe')::uuid;

-- Stripe delivered one event twice.
insert into payments (
    invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date, payment_notes,
    stripe_session_id, stripe_payment_intent, created_at
)
select
    invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date, payment_notes,
    stripe_session_id, stripe_payment_intent, created_at + interval '2 seconds'
from payments
where invoice_id = md5('invoice booked twice')::uuid;

-- The payment was booked, and then the webhook's handler crashed.
update invoices
set invoice_status = 'Overdue', amount_paid = 0, balance_due = total_amount, paid_date = null
where id = md5('invoice status forgotten')::uuid;

-- ----------------------------------------------------------------------------- to look at

create view demo.unheard as
select
    i.invoice_status,
    c.currency,
    c.amount,
    c.intent_id
from demo.checkout as c
join invoices as i on i.id = md5('invoice ' || c.name)::uuid
where c.outcome = 'paid'
    and not exists (
        select from payments as p
        where p.invoice_id = i.id
            and p.payment_status <> 'Pending'
            and (p.stripe_session_id = c.session_id or p.stripe_payment_intent = c.intent_id)
    );
comment on view demo.unheard is 'Payments that Stripe received and the books do not have';

analyze;
