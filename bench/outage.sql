-- 1,000 invoices with the payment intents of a payment form, made evenly over the last 10 hours; 3 of each 10
-- were paid a minute later. For the stand-in: all as JSON.

insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_payment_intent,
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
    'pi_' || md5('intent ' || n),
    now() - interval '1 minute' - n * (interval '10 hours' / 1000)
from generate_series(1, 1000) as n;

analyze invoices;

\o :objects
select
    json_agg(
        json_build_object(
            'id', stripe_payment_intent,
            'amount', 15025,
            'currency', currency,
            'metadata', json_build_object('invoice_id', id),
            'created', extract(epoch from created_at)::bigint,
            'outcome', case when substr(invoice_number, 5)::integer % 10 < 3 then 'paid' else 'open' end,
            'outcome_at', extract(epoch from created_at)::bigint + 60
        )
    )
from invoices;
\o
