//! Cases out of public reports of people who book Stripe's payments into their own tables. Each runs through every
//! entry point, on tables in major and in minor units ([`case::Case`]).

mod captures;
mod case;
mod counting;
mod denied;
mod first;
mod first_run;
mod later;
mod missing;
mod naming;
mod one_for_several;
mod other_ids;
mod payment_links;
mod refunds_in_vain;
mod refused;
mod renewals;
mod replaced;
mod shapes;
mod stripe_invoices;
mod words;
