-- 10,000 invoices nobody asked Stripe about, with sessions made evenly over 27 days, the newest three days
-- ago ("old"), or over the last 20 hours. 3 of each 10 were paid ten minutes later; the others are expired
-- or, if not a day old, open. For the stand-in: all as JSON.

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
    case
        when :'how' = 'old' then now() - interval '3 days' - n * (interval '27 days' / 10000)
        else now() - interval '10 minutes' - n * (interval '20 hours' / 10000)
    end
from generate_series(1, 10000) as n;

analyze invoices;

\o :objects
select
    json_agg(
        json_build_object(
            'id', stripe_session_id,
            'amount', 15025,
            'currency', currency,
            'metadata', json_build_object('invoice_id', id),
            'created', extract(epoch from created_at)::bigint,
            'outcome', outcome,
            'outcome_at',
            extract(epoch from created_at)::bigint + case outcome when 'expired' then 86400 else 600 end
        )
    )
from (
    select
        *,
        case
            when substr(invoice_number, 5)::integer % 10 < 3 then 'paid'
            when :'how' = 'old' then 'expired'
            else 'open'
        end as outcome
    from invoices
) as invoice;
\o
