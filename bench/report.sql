-- Medians of all repetitions.

create temporary table median as
select
    scenario,
    sweep,
    percentile_cont(0.5) within group (order by seconds)::numeric as seconds,
    min(seconds) as fastest,
    max(seconds) as slowest,
    min(checked) as checked,
    min(fixed) as fixed,
    min(requests) as requests
from result
group by scenario, sweep;

-- Waiting: what the requests alone must take, in rounds of so many at a time.
select
    case m.sweep when 1 then s.scenario else '  the sweep after it' end as "Sweep",
    s.latency || ' ms' as "Latency",
    m.requests as "Requests",
    m.fixed as "Repaired",
    round(m.seconds, 2) || ' s' as "Median",
    round(m.fastest, 2) || ' to ' || round(m.slowest, 2) as "Range",
    round(ceil(m.requests::numeric / s.concurrency) * s.latency / 1000, 2) || ' s' as "Waiting",
    round(m.requests / m.seconds) as "Requests/s"
from median as m
join scenario as s using (scenario)
where m.requests > 0 and (m.sweep = 1 or s.invoices > 16)
order by s.place, m.sweep;

\pset tuples_only on
\pset format unaligned

select
    format(
        E'8 requests at a time: %s times as fast as one by one.\nRepetitions: %s. Not limited: %s',
        round(single.seconds / eight.seconds, 1),
        (select min(repetitions) from scenario),
        'requests_per_second is 10000 here (Stripe''s test mode: 20, live: 80).'
    )
from median as eight
cross join median as single
where eight.sweep = 1 and eight.scenario = '16 invoices, 8 at a time'
    and single.sweep = 1 and single.scenario = '16 invoices, one by one';
