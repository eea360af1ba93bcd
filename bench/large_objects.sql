-- For the stand-in: the sessions of the :newest open invoices as JSON, made :apart seconds one after another.
-- Those for whose invoice's number n it is true that :lost were paid within the last ten minutes.

\o :objects
select
    json_agg(
        json_build_object(
            'id', stripe_session_id,
            'amount', 15025,
            'currency', currency,
            'metadata', json_build_object('invoice_id', id),
            'created_ago', n * :apart,
            'outcome', case when :lost then 'paid' else 'open' end,
            'outcome_ago', least(n * :apart, n % 600)
        )
    )
from (
    select
        *,
        substr(invoice_number, 5)::integer as n
    from invoices
    where invoice_number like 'INV-%'
    order by created_at desc
    limit :newest
) as newest;
\o
