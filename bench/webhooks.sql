-- The deliveries: every event of the table event that is acted on, every fourth of them twice, shuffled
-- and signed. Prints how many there are for each connection.

update invoice_sync.settings set stripe_fetch_on_webhook = :fetch;

-- What doctor() recommends; the handlers by hand use it, too.
select statement from invoice_sync.missing_indexes() \gexec

set client_min_messages = warning;
create extension if not exists pgcrypto;

-- The same order in every run, and no order of time.
create table delivery as
with
acted_on as (
    select
        body,
        row_number() over (order by md5(body)) as place
    from event
    where body::json ->> 'type' in ('checkout.session.completed', 'payment_intent.succeeded')
),

signed as (
    select
        body,
        extract(epoch from now())::bigint as at,
        row_number() over (order by md5(body || again)) - 1 as n
    from acted_on
    join generate_series(1, 2) as again on again = 1 or place % 4 = 0
)

select
    n,
    body,
    't=' || at || ',v1=' || encode(hmac(at || '.' || body, 'whsec_bench', 'sha256'), 'hex') as signature
from signed;

create unique index on delivery (n);
vacuum analyze delivery;

select count(*) / :connections from delivery;
