-- Webhooks: medians of the repetitions' own figures.

create temporary table storm as
select
    scenario,
    latency,
    repetition,
    count(*) as deliveries,
    max(ended) - min(ended - took / 1e6) as seconds,
    percentile_cont(0.50) within group (order by took) / 1000 as p50,
    percentile_cont(0.99) within group (order by took) / 1000 as p99
from delivery
group by scenario, latency, repetition;

select
    scenario as "Webhooks",
    latency || ' ms' as "Latency",
    min(deliveries) as "Deliveries",
    round(percentile_cont(0.5) within group (order by deliveries / seconds)) as "Deliveries/s",
    round(min(deliveries / seconds)) || ' to ' || round(max(deliveries / seconds)) as "Range",
    round(percentile_cont(0.5) within group (order by p50)) || ' ms' as "p50",
    round(percentile_cont(0.5) within group (order by p99)) || ' ms' as "p99"
from storm
group by scenario, latency
order by scenario desc;
