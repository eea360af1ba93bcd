select
    way as "1,000 invoices, 300 lost",
    what as "What",
    max(requests) as "Requests",
    max(list_pages) as "Of these list pages",
    max(one_by_one) as "One by one",
    min(fixed) as "Right after it",
    round(percentile_cont(0.5) within group (order by seconds)::numeric, 2) || ' s' as "Median",
    round(min(seconds), 2) || ' to ' || round(max(seconds), 2) as "Range"
from measured
group by what, way
order by min(place);
