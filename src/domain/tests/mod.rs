//! Tests of decisions, by cases and by properties.

// Cents are separated, as people read them: 100_00.
#![allow(clippy::inconsistent_digit_grouping)]

mod ages;
mod amounts;
mod balance_due;
mod builders;
mod captures;
mod cases;
mod counting;
mod cron;
mod currencies;
mod denied;
mod divided;
mod duplicates;
mod feed;
mod harness;
mod histories;
mod hosts;
mod properties;
mod refunds;
mod rivals;
mod sentences;
mod sessions;
mod settlement;
mod stripe_invoices;
mod undone;
