-- The sweep that pg_cron ran, and what it wrote.

select
    id as "Run",
    cause as "Cause",
    role as "Role",
    to_char(started_at, 'HH24:MI:SS') as "Started (UTC)",
    extract(epoch from duration)::numeric(6, 1) || ' s' as "Took",
    invoices_checked as "Checked",
    invoices_fixed as "Fixed",
    issues_found as "Issues",
    stripe_requests as "Requests",
    stripe_errors as "Errors"
from invoice_sync.recent_runs
where cause = 'cron'
order by id
limit 1;

select
    split_part(table_name, '.', 2) as "Table",
    case action when 'insert' then 'rows added' else 'rows corrected' end as "What was done",
    count(*) as "Rows"
from invoice_sync.changes
where cause = 'cron'
group by table_name, action
order by 1, 2;
