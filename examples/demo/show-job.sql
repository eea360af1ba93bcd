-- The job, and its last run, as pg_cron has them.

select
    jobid as "Job",
    jobname as "Name",
    schedule as "Schedule",
    database as "Database",
    command as "Command"
from cron.job;

select
    to_char(start_time, 'HH24:MI:SS') as "Started (UTC)",
    extract(epoch from end_time - start_time)::numeric(6, 1) || ' s' as "Took",
    status as "Status",
    return_message as "pg_cron says"
from cron.job_run_details
order by runid desc
limit 1;
