//! Undoing runs and changes.

mod undo;
mod undo_decisions;
mod undo_hosts;
mod undo_sessions;

use serde_json::Value;

use crate::harness::Shop;

/// `invoice_sync.undo(run)` of the latest run of that kind.
fn undo_last(shop: &mut Shop, kind: &str) -> Value {
    let run = last_run(shop, kind);
    shop.json(&format!("invoice_sync.undo({run})"))
}

/// The number of the latest run of that kind.
fn last_run(shop: &mut Shop, kind: &str) -> i64 {
    shop.rows(&format!(
        "select max(id) from invoice_sync.run where kind = '{kind}'"
    ))[0]
        .get(0)
}

/// As if much time had passed: Stripe is asked about every invoice again.
fn all_are_due(shop: &mut Shop) {
    shop.make_all_due();
}
