-- A small shop in which something of each severity is wrong.

create extension invoice_sync;
update invoice_sync.settings
set alert_sender = 'Books <books@example.com>',
    alert_recipients = '{ann@example.com}',
    alert_minimum_severity = 'notice',
    admin_page_url = 'https://books.example.com/invoices/{invoice_id}';

-- Stripe does not answer here.
copy (select 'sk_test_nobody') to program 'umask 077; cat >stripe.key';
do $$
begin
    execute format('alter database shop set invoice_sync.stripe_api_key = %L',
                   'file:' || current_setting('data_directory') || '/stripe.key');
    execute format('alter database shop set invoice_sync.stripe_api_base = %L', 'http://127.0.0.1:1');
end
$$;
