//! The SQL function `send_alerts`.

use pgrx::JsonB;
use pgrx::prelude::*;

use super::rpc::admitted;
use crate::alert;
use crate::pg::Transactions;

#[pg_extern(security_definer, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn send_alerts() -> JsonB {
    JsonB(admitted(|| alert::send_due(Transactions::CALLERS)))
}
