-- Bytes for each payment.

select
    part as "Bytes for each payment",
    round(max(bytes) filter (where who like '%Stripe asked')) as "invoice_sync, Stripe asked",
    round(max(bytes) filter (where who like '%the event tells')) as "What the event tells",
    round(max(bytes) filter (where who like '%the same ledger')) as "By hand, the same ledger",
    round(max(bytes) filter (where who like '%no ledger')) as "By hand, no ledger"
from (
    select
        who,
        part,
        bytes
    from stored
    union all
    select
        who,
        'all that is kept',
        sum(bytes)
    from stored
    where part <> 'write-ahead log'
    group by who
) as s
group by part
order by part = 'write-ahead log', part = 'all that is kept', part = 'all others', part;
