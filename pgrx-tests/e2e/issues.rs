//! Issues: each kind is opened, updated and resolved, and each of its actions is taken. A kind or an action without a
//! test fails the tests.

mod acknowledge;
mod actions;
mod endings;
mod entry_points;
mod events;
mod handed_over;
mod lasting;
mod refusals;
mod silence;
pub mod stories;
mod variants;

use serde_json::Value;

use crate::harness::Shop;

/// The issue that a story is about.
struct Filed {
    id: i64,
    state: String,
    times_seen: i32,
    resolution: Option<String>,
}

/// The latest issue of that kind.
fn latest(shop: &mut Shop, kind: &str) -> Option<Filed> {
    let rows = shop.rows(&format!(
        "select id, state, times_seen, resolution from invoice_sync.issue where kind = '{kind}' order by id desc limit 1"
    ));
    rows.first().map(|row| Filed {
        id: row.get(0),
        state: row.get(1),
        times_seen: row.get(2),
        resolution: row.get(3),
    })
}

/// The open issue of that kind.
fn the(shop: &mut Shop, kind: &str) -> i64 {
    let issue = latest(shop, kind).unwrap_or_else(|| panic!("no {kind} was raised"));
    assert_ne!(issue.state, "resolved", "{kind}");
    issue.id
}

/// A sweep, as if so much time had passed that Stripe is asked about everything.
fn look(shop: &mut Shop) -> Value {
    shop.make_all_due();
    shop.execute(
        "update invoice_sync.event set next_attempt_at = '-infinity' where state = 'pending'",
    );
    shop.sweep()
}
