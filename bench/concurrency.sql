-- One sweep in a dry run, timed from the call to the end of its transaction.

select clock_timestamp() as begun \gset
select invoice_sync.sweep(dry_run => true) as answer \gset
select clock_timestamp() as ended \gset

select
    :at_once,
    'invoice_sync',
    extract(epoch from :'ended'::timestamptz - :'begun'),
    null,
    :'answer'::jsonb -> 'stats' ->> 'stripeRequests',
    null,
    null,
    :'answer'::jsonb ->> 'fixed';
