//! Webhooks posted to the database, and the feed of events.

mod delivery;
mod feed;
mod known;
mod organisations;
mod statements;
mod storm;
mod types;
mod wrong_key;
