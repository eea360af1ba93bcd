//! The SQL function `handle_webhook`.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::host::deferred::waiting_again_afterwards;
use crate::pg::with_own_formats;
use crate::run::webhook;
use crate::run::webhook::Refusal;

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn receive_webhook(body: Option<&[u8]>, signature: Option<&str>) -> JsonB {
    // The signature authenticates the caller, who need not be an admin. Stripe evaluates the gateway's own HTTP
    // statuses.
    let receive = || webhook::receive(body.unwrap_or_default(), signature);
    let received = with_own_formats(|| waiting_again_afterwards(receive));
    JsonB(received.unwrap_or_else(|refusal| match refusal {
        Refusal::Logged(problem) => problem.raise(),
        Refusal::Unlogged(problem) => problem.raise_unlogged(),
    }))
}
