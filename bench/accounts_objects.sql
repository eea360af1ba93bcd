-- For the stand-in: the sessions of the invoices for which :which is true, paid now, as JSON.

\o :objects
select
    json_agg(
        json_build_object(
            'id', stripe_session_id,
            'account', account,
            'amount', 15025,
            'currency', currency,
            'metadata', json_build_object('invoice_id', id),
            'outcome', 'paid'
        )
    )
from (
    select
        id,
        stripe_session_id,
        account,
        currency,
        split_part(invoices.invoice_number, '-', 2)::integer as account_number,
        split_part(invoices.invoice_number, '-', 3)::integer as invoice_number
    from invoices
) as sold
where :which;
\o
