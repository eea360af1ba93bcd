//! Webhooks straight into the database, and the feed of events that tells of
//! those that never came.

mod door;
mod feed;
mod storm;
mod types;
