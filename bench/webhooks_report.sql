-- Webhooks: medians of the repetitions' own figures.

create temporary table storm as
select
    scenario,
    connections,
    repetition,
    count(*) as deliveries,
    max(ended) - min(ended - took / 1e6) as seconds,
    percentile_cont(0.50) within group (order by took) / 1000 as p50,
    percentile_cont(0.99) within group (order by took) / 1000 as p99,
    min(cpu.ms) / count(*) as cpu
from delivery
join cpu using (scenario, connections, repetition)
group by scenario, connections, repetition;

create temporary table typical as
select
    scenario,
    connections,
    min(deliveries) as deliveries,
    percentile_cont(0.5) within group (order by deliveries / seconds) as rate,
    min(deliveries / seconds) as slowest,
    max(deliveries / seconds) as fastest,
    percentile_cont(0.5) within group (order by p50) as p50,
    percentile_cont(0.5) within group (order by p99) as p99,
    percentile_cont(0.5) within group (order by cpu) as cpu
from storm
group by scenario, connections;

select
    scenario as "Webhooks",
    connections as "Connections",
    deliveries as "Deliveries",
    round(rate) as "Deliveries/s",
    round(slowest) || ' to ' || round(fastest) as "Range",
    round(p50::numeric, 1) || ' ms' as "p50",
    round(p99::numeric, 1) || ' ms' as "p99",
    round(cpu::numeric, 2) || ' ms' as "CPU of the server",
    round(
        (
            rate / (
                select t.rate from typical as t
                where t.connections = typical.connections and t.scenario like 'invoice_sync, what%'
            )
        )::numeric, 1
    ) as "Times as fast as invoice_sync"
from typical
order by connections, scenario = 'invoice_sync, Stripe asked again', rate;
