select
    way as "200 accounts, 3 of them busy",
    count(*) as "Sweeps",
    max(requests) as "Most requests",
    sum(fixed) as "Repaired",
    round(1000 * percentile_cont(0.5) within group (order by seconds)::numeric) || ' ms' as "Median",
    round(1000 * percentile_cont(0.5) within group (order by seconds - waited)::numeric) || ' ms' as "Its own"
from measured
where way <> 'warm-up'
group by way
order by min(place);
