-- What :sales payments have added to each table of the ledger, its indexes included, and to the write-ahead
-- log, for each of them. Tables to which next to nothing was added are one line.

with added as (
    select
        relname,
        (pg_total_relation_size(oid) - bytes)::numeric / :sales as bytes
    from ledger
)

select
    :'who',
    case when bytes > 20 then relname else 'all others' end,
    sum(bytes)
from added
group by 2
union all
select
    :'who',
    'write-ahead log',
    :written::numeric / :sales;
