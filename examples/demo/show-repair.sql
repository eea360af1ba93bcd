-- One repaired invoice: every column that was written, before and after, and Stripe's word for it.

\pset format unaligned
\pset tuples_only on

select
    format(
        E'%s · %s · %s\nThe deposit came in time. The balance, paid with a gratuity, was lost.\n',
        invoice_number, customer, demo.money(total_amount, currency)
    )
from invoices
where id = md5('invoice balance lost')::uuid;

\pset format aligned
\pset tuples_only off

select
    case c.action when 'insert' then 'new payment' else 'invoice' end as "Row",
    w.column_name as "Column",
    coalesce(c.before ->> w.column_name, '') as "Before",
    case
        when length(w.value) > 36 then left(w.value, 24) || ' …'
        when w.column_name = 'paid_date' then left(w.value, 19)
        else w.value
    end as "After"
from invoice_sync.changes as c
cross join lateral jsonb_each_text(c.after) with ordinality as w (column_name, value, place)
where c.invoice_id = md5('invoice balance lost')::uuid::text
    and w.value is not null
    and w.column_name not in ('id', 'invoice_id', 'created_at')
order by c.action, w.place;

\pset format unaligned
\pset tuples_only on

select
    format(
        E'Stripe''s word for it: %s received by %s\n                       (charge %s, request %s)',
        demo.money((s.word ->> 'received')::numeric / 100, s.word ->> 'currency'),
        s.word ->> 'payment_intent',
        s.word ->> 'charge',
        s.word ->> 'request_id'
    )
from invoice_sync.changes as c
cross join lateral jsonb_array_elements(c.evidence -> 'stripe') as s (word)
where c.invoice_id = md5('invoice balance lost')::uuid::text and c.action = 'insert';
