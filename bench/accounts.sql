-- :accounts Stripe accounts with :invoices open invoices each, about which Stripe was asked before.

alter table invoices add column account text;
update invoice_sync.settings set invoice_account_column = 'account';

insert into invoice_sync.stripe_account (account)
select 'acct_' || n
from generate_series(1, :accounts) as n;

insert into invoices (
    id, invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_session_id,
    account
)
select
    md5(format('invoice %s of %s', i, a))::uuid,
    format('INV-%s-%s', a, i),
    'Customer ' || i,
    'Sent',
    150.25,
    150.25,
    'usd',
    'cs_test_' || md5(format('session %s of %s', i, a)),
    'acct_' || a
from generate_series(1, :accounts) as a
cross join generate_series(1, :invoices) as i;

insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at, next_check_at, back_off)
select
    id,
    array[account || '/' || stripe_session_id],
    now(),
    now() + interval '29 days',
    interval '30 days'
from invoices;

-- The first look back has been made.
insert into invoice_sync.feed (whose, account, place, looked_back_to)
select concat_ws(' ', 'test', a.account), a.account, '{}', now()
from (select null as account union all select account from invoice_sync.stripe_account) as a;

-- What the extension advises.
select statement from invoice_sync.missing_indexes() \gexec

vacuum analyze;
