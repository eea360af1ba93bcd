-- What a person has to look at, the most severe first; sentences in lines of 84 characters.

\pset format unaligned
\pset tuples_only on

select
    format(
        E'%s  %s  %s\n            %s\n',
        rpad(o.severity, 10),
        rpad(o.invoice_number || '  ' || i.customer, 44),
        o.kind,
        btrim(regexp_replace(o.summary, '(.{1,84})(\s+|$)', E'\\1\n            ', 'g'), E' \n')
    )
from invoice_sync.open_issues as o
left join invoices as i on i.id::text = o.invoice_id
order by array_position(array['critical', 'warning', 'notice'], o.severity), o.invoice_number;
