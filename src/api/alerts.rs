//! `send_alerts`.

use pgrx::JsonB;
use pgrx::prelude::*;

use super::or_raise;
use crate::alert;
use crate::pg::Transactions;

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn send_alerts() -> JsonB {
    JsonB(or_raise(alert::send_due(Transactions::CALLERS)))
}
