-- A sweep's own time is what it takes beside waiting for Stripe's answer. The warm-up is left out.

create temporary table own as
select
    what::integer as open,
    way,
    min(place) as place,
    max(requests) as requests,
    percentile_cont(0.5) within group (order by seconds)::numeric as seconds,
    percentile_cont(0.5) within group (order by seconds - waited)::numeric as own,
    min(seconds - waited) as least,
    max(seconds - waited) as most
from measured
where way <> 'warm-up'
group by what, way;

select
    to_char(open, 'FM9,999,999') as "Open invoices",
    way as "Nothing new",
    requests as "Requests",
    round(seconds * 1000) || ' ms' as "Median",
    coalesce(round(own * 1000) || ' ms', '–') as "Its own time",
    coalesce(round(least * 1000) || ' to ' || round(most * 1000), '–') as "Range"
from own
order by place;

\pset tuples_only on
\pset format unaligned
select
    format(
        '1,000,000 open invoices, %s: %s times the own time of 10,000 (goal: at most 2, and 50 ms).',
        way,
        round(max(own) filter (where open = 1000000) / max(own) filter (where open = 10000), 1)
    )
from own
where own is not null
group by way
order by way desc;
