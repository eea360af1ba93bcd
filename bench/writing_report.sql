-- Writing: medians, and how many times as long as by hand.

create temporary table writing_median as
select
    invoices,
    measured,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'sweep')::numeric as sweep,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'alone')::numeric as alone,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'ledger')::numeric as ledger
from writing
cross join lateral (values ('elapsed', elapsed), ('CPU', cpu)) as m (measured, seconds)
group by invoices, measured;

select
    invoices as "Repairs",
    measured as "Time",
    round(sweep, 2) || ' s' as "The sweep",
    round(ledger, 2) || ' s' as "By hand, with the ledger",
    round(sweep / ledger, 1) as "Ratio",
    round(alone, 2) || ' s' as "By hand, without",
    round(sweep / alone, 1) as "Its ratio"
from writing_median
order by invoices, measured desc;
