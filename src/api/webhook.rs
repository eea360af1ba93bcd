//! The door for Stripe's webhooks.

use pgrx::JsonB;
use pgrx::prelude::*;

use super::or_raise;
use crate::sweep::webhook;

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn receive_webhook(body: Option<&[u8]>, signature: Option<&str>) -> JsonB {
    JsonB(or_raise(webhook::receive(
        body.unwrap_or_default(),
        signature,
    )))
}
