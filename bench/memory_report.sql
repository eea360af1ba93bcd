select
    to_char(open, 'FM9,999,999') as "Open invoices",
    to_char(rows, 'FM9,999,999') as "Looked through",
    requests as "Requests",
    fixed as "Repaired",
    round(button / 1024.0, 1) || ' MiB' as "After the button",
    round(whole / 1024.0, 1) || ' MiB' as "After the sweep",
    round(later / 1024.0, 1) || ' MiB' as "After a sweep with nothing new",
    round(shared / 1024.0, 1) || ' MiB' as "Of this the server's shared memory"
from memory
order by open;

\pset tuples_only on
\pset format unaligned
select
    format(
        '1,000,000 invoices: %s MiB more at the peak than 1,000 (goal: at most 64).',
        round((max(later) filter (where open = 1000000) - max(later) filter (where open = 1000)) / 1024.0, 1)
    )
from memory;
