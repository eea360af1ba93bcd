-- One sweep, timed from the call to the end of its transaction, and a second one.

select clock_timestamp() as begun \gset
select invoice_sync.sweep(:arguments) as first \gset
select clock_timestamp() as between \gset
select invoice_sync.sweep(:arguments) as second \gset
select clock_timestamp() as ended \gset

select
    :'scenario',
    sweep,
    seconds,
    answer -> 'stats' ->> 'invoicesChecked',
    answer ->> 'fixed',
    answer -> 'stats' ->> 'stripeRequests'
from (
    values
    (1, extract(epoch from :'between'::timestamptz - :'begun'), :'first'::jsonb),
    (2, extract(epoch from :'ended'::timestamptz - :'between'), :'second'::jsonb)
) as measured (sweep, seconds, answer);
