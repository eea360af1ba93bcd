-- What is behind a shop after years: :events events, :payments payments in the ledger and :runs runs of
-- the last 80 days, all done, of invoices that exist no more.

set synchronous_commit = off;
set maintenance_work_mem = '256MB';

-- Indexes are built once the rows are there.
create temporary table built_later as
select
    format('alter table %s drop constraint %I', conrelid::regclass, conname) as begun,
    format(
        'alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)
    ) as ended
from pg_constraint
where
    contype = 'p'
    and conrelid in (
        'invoice_sync.event'::regclass, 'invoice_sync.stripe_payment'::regclass,
        'invoice_sync.invoice_check'::regclass, 'invoice_sync.change'::regclass
    )
union all
select
    format('drop index %s', indexrelid::regclass),
    pg_get_indexdef(indexrelid)
from pg_index
where
    not indisprimary
    and indrelid in (
        'invoice_sync.event'::regclass, 'invoice_sync.stripe_payment'::regclass,
        'invoice_sync.invoice_check'::regclass, 'invoice_sync.change'::regclass
    );

select begun from built_later order by begun \gexec

insert into invoice_sync.run (
    kind, cause, role, started_at, finished_at, success, invoices_checked, invoices_fixed, issues_found,
    stripe_errors, stripe_requests
)
select
    case when n % 40 = 0 then 'sweep' else 'webhook' end,
    case when n % 40 = 0 then 'cron' else 'webhook' end,
    'postgres',
    now() - interval '80 days' * (:runs - n) / :runs,
    now() - interval '80 days' * (:runs - n) / :runs,
    true, 1, 1, 0, 0, 1
from generate_series(1, :runs) as n;

insert into invoice_sync.change_form (id, document)
select
    1,
    replace(
        json_build_object(
            'changes', json_build_array(
                json_build_object(
                    'table', 'public.payments', 'row', e'\n1\n',
                    'after', json_build_object('id', e'\n1\n', 'intent', e'\n2\n')
                ),
                json_build_object(
                    'table', 'public.invoices', 'row', e'\ninvoice\n',
                    'before', json_build_object('status', 'Sent'),
                    'after', json_build_object('status', 'Paid')
                )
            ),
            'evidence',
            json_build_object('stripe', json_build_array(json_build_object('payment_intent', e'\n2\n')))
        )::text,
        '\n', e'\n'
    );

-- The ids of the second changes of each row are left out.
insert into invoice_sync.change (id, run_id, form_id, invoice_id, content)
overriding system value
select
    2 * n - 1,
    1 + (n - 1)::bigint * :runs / :payments,
    1,
    md5('invoice' || n)::uuid::text,
    concat_ws(e'\n', md5('row' || n)::uuid, 'pi_' || md5(n::text))
from generate_series(1, :payments) as n;

select setval('invoice_sync.change_id_seq', 2 * :payments);

insert into invoice_sync.stripe_payment (
    invoice_id, id, session_id, charge_id, currency, received, refunded, as_of, seen_at, received_at
)
select
    md5('invoice' || n)::uuid::text,
    'pi_' || md5(n::text),
    'cs_live_' || md5(n::text),
    'ch_' || md5(n::text),
    'usd', 10000, 0, now() - interval '80 days', now() - interval '80 days', now() - interval '80 days'
from generate_series(1, :payments) as n;

insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at)
select
    md5('invoice' || n)::uuid::text,
    '{}',
    now() - interval '80 days'
from generate_series(1, :payments) as n;

insert into invoice_sync.event (id, type, created, livemode, received_at, webhook_at, processed_at, state)
select
    'evt_history' || n,
    case n % 2 when 0 then 'checkout.session.completed' else 'payment_intent.succeeded' end,
    at, false, at, at, at, 'done'
from (
    select
        n,
        now() - interval '80 days' * (:events - n) / :events as at
    from generate_series(1, :events) as n
) as e;

select ended from built_later order by ended \gexec

vacuum analyze;
