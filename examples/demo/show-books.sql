-- The shop's books, beside what its customers have paid.

select
    coalesce(b.invoice_status, 'all') as "Status",
    b.invoices as "Invoices",
    nullif(coalesce(u.payments, 0), 0) as "Paid in Stripe, not in the books",
    nullif(coalesce(u.usd, 0), 0) as "USD",
    nullif(coalesce(u.eur, 0), 0) as "EUR",
    nullif(coalesce(u.jpy, 0), 0) as "JPY",
    nullif(coalesce(u.kwd, 0), 0) as "KWD"
from (
    select
        invoice_status,
        count(*) as invoices
    from invoices
    group by rollup (invoice_status)
) as b
left join (
    select
        invoice_status,
        count(*) as payments,
        count(*) filter (where currency = 'usd') as usd,
        count(*) filter (where currency = 'eur') as eur,
        count(*) filter (where currency = 'jpy') as jpy,
        count(*) filter (where currency = 'kwd') as kwd
    from demo.unheard
    group by rollup (invoice_status)
) as u on u.invoice_status is not distinct from b.invoice_status
order by array_position(
    array['Draft', 'Sent', 'Viewed', 'Overdue', 'Partial', 'Paid', 'Cancelled'], b.invoice_status
);

\pset format unaligned
\pset tuples_only on

select 'Money that the books do not know of: ' || coalesce(string_agg(amount, ' · '), 'none')
from (
    select demo.money(sum(amount), currency) as amount
    from demo.unheard
    group by currency
    order by array_position(array['usd', 'eur', 'jpy', 'kwd'], currency)
) as m;

select count(*) || ' of these customers have paid, and are reminded that their invoice is overdue.'
from demo.unheard
where invoice_status = 'Overdue'
having count(*) > 0;
