-- Invoices whose customers went to Stripe's page: the first :lost paid there and the shop was not
-- informed, the others still have the page open. Each has to be asked about.

insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_session_id
)
select
    md5('invoice ' || n)::uuid,
    'INV-' || n,
    'Customer ' || n,
    'Sent',
    150.25,
    150.25,
    'usd',
    'cs_test_' || md5('session ' || n)
from generate_series(:first, :invoices) as n;

analyze invoices;

-- For the stand-in: all of them, as JSON.
\o :objects
select
    json_agg(
        json_build_object(
            'id', stripe_session_id,
            'amount', 15025,
            'currency', currency,
            'metadata', json_build_object('invoice_id', id),
            'outcome', case when substr(invoice_number, 5)::integer <= :lost then 'paid' else 'open' end
        )
    )
from invoices
where substr(invoice_number, 5)::integer >= :first;
\o
