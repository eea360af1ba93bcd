select
    count(*) as "Presses",
    max(requests) as "Most requests",
    round(percentile_cont(0.5) within group (order by own_ms)::numeric, 1) || ' ms' as "Own time, median",
    round(percentile_cont(0.9) within group (order by own_ms)::numeric, 1) || ' ms' as "p90",
    round(percentile_cont(0.99) within group (order by own_ms)::numeric, 1) || ' ms' as "p99"
from pressed;
