-- Payments that came by no checkout session: Stripe is not asked for it again.
alter table stripe_payment add column sessionless boolean not null default false;
comment on column stripe_payment.sessionless is 'Whether Stripe says that its intent came by no checkout session';
