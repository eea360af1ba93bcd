-- What is known of a payment never goes back in time.
alter table invoice_sync.stripe_payment add column as_of timestamptz;
update invoice_sync.stripe_payment set as_of = seen_at;
alter table invoice_sync.stripe_payment
    alter column as_of set not null,
    add check (as_of > '-infinity');
comment on column invoice_sync.stripe_payment.as_of is
    'When the answer was asked for: an answer that was asked for before that is not acted on';
