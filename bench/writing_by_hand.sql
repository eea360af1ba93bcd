-- The same payments, and the same changes to invoices, in one statement written for just these tables;
-- with :way = ledger it also writes what the extension writes down.

-- Stripe's answers, in hand.
create temporary table answer as
select
    id as invoice_id,
    stripe_session_id as session_id,
    'pi_' || md5(id::text) as intent_id,
    'ch_' || md5(id::text) as charge_id,
    'req_' || md5(id::text) as request_id,
    150.25::numeric as amount,
    now() as received_at
from invoices;

analyze answer;

-- A sweep notes that it is about to ask before it asks.
insert into invoice_sync.invoice_check (invoice_id, stored_ids, next_check_at)
select
    invoice_id,
    '{}',
    now()
from answer;

insert into invoice_sync.run (
    kind, cause, role, started_at, finished_at, success, invoices_checked, invoices_fixed, issues_found,
    stripe_errors
)
values ('sweep', 'sql', current_user, now(), now(), true, 0, 0, 0, 0)
returning id as run \gset

select :'way' = 'ledger' as with_ledger \gset

-- By hand one would say how: the planner knows little of what WITH brings forth.
set enable_nestloop = off;
-- And it takes the joins for so large that it would compile for longer than it runs.
set jit = off;

select clock_timestamp() as begun \gset

with
\if :with_ledger
old as materialized (
    select i.*
    from invoices as i
    join answer as a on a.invoice_id = i.id
),

\endif
booked as (
    insert into payments (
        invoice_id, payment_name, payment_status, payment_method, total_amount, gratuity, transaction_date,
        payment_notes, stripe_session_id, stripe_payment_intent
    )
    select
        invoice_id,
        'Stripe payment',
        'Paid',
        'Stripe',
        amount,
        0,
        received_at,
        'Recorded by hand',
        session_id,
        intent_id
    from answer
    returning *
),

paid as (
    update invoices as i
    set
        invoice_status = 'Paid',
        amount_paid = b.total_amount,
        balance_due = 0,
        paid_date = a.received_at
    from booked as b
    join answer as a using (invoice_id)
    where i.id = b.invoice_id
    returning i.*
)
\if :with_ledger
,

-- In short, as the extension stores it: what differs from the other repairs.
changed as (
    insert into invoice_sync.change (run_id, form_id, invoice_id, content)
    select
        :run,
        1,
        p.id::text,
        concat_ws(
            e'\n', b.id, b.created_at, b.total_amount, b.transaction_date, a.session_id, a.intent_id,
            a.charge_id, 15025, a.request_id, o.balance_due, p.paid_date
        )
    from booked as b
    join answer as a using (invoice_id)
    join paid as p on p.id = b.invoice_id
    join old as o on o.id = p.id
),

remembered as (
    insert into invoice_sync.stripe_payment (
        id, invoice_id, session_id, charge_id, currency,
        received, refunded, received_at, as_of, seen_at
    )
    select
        intent_id,
        invoice_id,
        session_id,
        charge_id,
        'usd',
        15025,
        0,
        received_at,
        now(),
        now()
    from answer
)

delete from invoice_sync.invoice_check as c
using answer as a
where c.invoice_id = a.invoice_id::text
\else
select count(*) as written -- noqa: PRS
from paid
\endif
\gset

select
    :invoices,
    :'way',
    extract(epoch from clock_timestamp() - :'begun'::timestamptz);
