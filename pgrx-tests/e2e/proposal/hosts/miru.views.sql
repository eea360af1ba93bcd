create view stripe_invoices as
select *, payment_infos ->> 'stripe_payment_intent' as stripe_payment_intent_id from invoices;
alter table payments add stripe_payment_intent_id varchar unique;
