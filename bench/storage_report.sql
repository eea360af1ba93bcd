-- Bytes for each payment.

select
    part as "Bytes for each payment",
    round(max(bytes) filter (where who = 'invoice_sync')) as "invoice_sync",
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
    where part <> 'write-ahead log' and who = 'invoice_sync'
    group by who
) as s
group by part
order by part = 'write-ahead log', part = 'all that is kept', part;
