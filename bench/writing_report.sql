-- Writing: medians, and how many times as long as by hand.

create temporary table writing_median as
select
    invoices,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'answered')::numeric as answered,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'sweep')::numeric as sweep,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'alone')::numeric as alone,
    percentile_cont(0.5) within group (order by seconds) filter (where way = 'ledger')::numeric as ledger
from writing
group by invoices;

select
    invoices as "Repairs",
    round(answered, 2) || ' s' as "Once all is answered",
    round(ledger, 2) || ' s' as "By hand, with the ledger",
    round(answered / ledger, 1) as "Ratio",
    round(alone, 2) || ' s' as "By hand, without",
    round(answered / alone, 1) as "Its ratio",
    round(sweep, 2) || ' s' as "The whole sweep"
from writing_median
order by invoices;
