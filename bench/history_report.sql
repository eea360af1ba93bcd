-- Medians of the own times, and how they compare.

select
    what as "What",
    max(ms) filter (where ledger = 'empty') || ' ms' as "Empty ledger",
    max(ms) filter (where ledger = 'full') || ' ms' as "Full ledger",
    round(max(ms) filter (where ledger = 'full') / max(ms) filter (where ledger = 'empty'), 2) as "Ratio"
from (
    select
        what,
        ledger,
        round(percentile_cont(0.5) within group (order by ms)::numeric, 2) as ms
    from lasted
    group by what, ledger
) as m
group by what
order by what;
