-- The limit lets 5 requests start at once and 20 a second after that; these 5 are not taken into account.

create temporary table install as
select
    what as how,
    way,
    min(place) as place,
    max(requests) as requests,
    max(list_pages) as list_pages,
    max(one_by_one) as one_by_one,
    min(fixed) as fixed,
    percentile_cont(0.5) within group (order by seconds)::numeric as seconds,
    min(seconds) as least,
    max(seconds) as most
from measured
group by what, way;

select
    way || case how when 'old' then ', older than the feed''s first look' else ', all in the feed' end
        as "10,000 invoices, 3,000 lost",
    requests as "Requests",
    list_pages as "List pages",
    one_by_one as "One by one",
    fixed as "Repaired",
    round(seconds, 2) || ' s' as "Median",
    round(least, 2) || ' to ' || round(most, 2) as "Range",
    case when way = 'invoice_sync' then round(requests / 20.0, 2) || ' s' end as "By the limit",
    case when way = 'invoice_sync' then round(seconds / (requests / 20.0), 2) end as "Ratio"
from install
order by place;

\pset tuples_only on
\pset format unaligned
select
    format(
        E'The original''s way, with the newest %s: %s ms for each, so %s s for 10,000: %s times as long.\n%s',
        original.requests,
        round(1000 * original.seconds / original.requests),
        round(10000 * original.seconds / original.requests),
        round(10000 * original.seconds / original.requests / ours.seconds),
        'It has not ended then, for each of its sweeps looks at the newest 100 alone.'
    )
from install as original
inner join install as ours on original.how = ours.how and ours.way = 'invoice_sync'
where original.way = 'the original''s way';
