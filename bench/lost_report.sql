select
    what as "100 lost among 1,000,000",
    way as "By",
    max(requests) as "Requests",
    max(list_pages) as "Of these list pages",
    max(one_by_one) as "One by one",
    min(fixed) as "Repaired",
    round(percentile_cont(0.5) within group (order by seconds)::numeric, 2) || ' s' as "Median",
    round(percentile_cont(0.5) within group (order by seconds - waited)::numeric, 2) || ' s' as "Its own time"
from measured
where way <> 'warm-up'
group by what, way
order by min(place);
