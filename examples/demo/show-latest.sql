-- What the last runs did.

select
    id as "Run",
    kind as "Kind",
    cause as "Cause",
    to_char(started_at, 'HH24:MI:SS') as "Started (UTC)",
    invoices_checked as "Checked",
    invoices_fixed as "Fixed",
    issues_found as "Issues",
    stripe_requests as "Requests"
from invoice_sync.recent_runs
order by id desc
limit 5;
