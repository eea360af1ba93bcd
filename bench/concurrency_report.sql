-- Waiting: what the requests alone must take, in rounds of so many at a time.

select
    what || ' at a time' as "8 invoices, Stripe answers after 200 ms",
    min(requests) as "Requests",
    min(fixed) as "Repaired",
    round(percentile_cont(0.5) within group (order by seconds)::numeric, 2) || ' s' as "Median",
    round(min(seconds), 2) || ' to ' || round(max(seconds), 2) as "Range",
    round(ceil(min(requests) / what::numeric) * 0.2, 1) || ' s' as "Waiting"
from measured
group by what
order by what desc;
