-- :open invoices whose customers went to Stripe's page and about which Stripe was asked before, the newest
-- with the number 1, a year back to the oldest; and 3 for each 10 of them that are paid and in the books.

insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_session_id,
    created_at
)
select
    md5('invoice ' || n)::uuid,
    'INV-' || n,
    'Customer ' || n,
    'Sent',
    150.25,
    150.25,
    'usd',
    'cs_test_' || md5('session ' || n),
    now() - n * (interval '1 year' / :open)
from generate_series(1, :open) as n;

insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at, next_check_at, back_off)
select
    id,
    array[stripe_session_id],
    now(),
    now() + interval '1 hour' + random() * interval '23 hours',
    interval '1 day'
from invoices;

insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due, paid_date, currency,
    stripe_session_id, stripe_payment_intent, created_at
)
select
    md5('settled ' || n)::uuid,
    'PAID-' || n,
    'Customer ' || n,
    'Paid',
    150.25,
    150.25,
    0,
    now(),
    'usd',
    'cs_test_' || md5('settled session ' || n),
    'pi_' || md5('settled intent ' || n),
    now() - n * (interval '1 year' / (:open * 0.3))
from generate_series(1, :open * 0.3) as n;

insert into payments (
    invoice_id, payment_name, payment_status, total_amount, transaction_date, stripe_session_id,
    stripe_payment_intent
)
select
    id,
    'Stripe payment',
    'Paid',
    total_amount,
    current_date,
    stripe_session_id,
    stripe_payment_intent
from invoices
where invoice_status = 'Paid';

-- What the extension advises.
select statement from invoice_sync.missing_indexes() \gexec

vacuum analyze;
