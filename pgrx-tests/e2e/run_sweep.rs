//! `call invoice_sync.run_sweep()`: what it holds, what it survives, and what it
//! finds in the end.

mod budget;
mod due;
mod ended;
mod feed;
mod histories;
mod kills;
mod lists;
mod manners;
mod motley;
mod neighbours;
mod quiet;
mod rounds;

use postgres::Client;
use serde_json::Value;
use stripe_double::{Action, Fault};

use crate::harness::{Shop, tell};

/// Sweeps in this session.
fn run(session: &mut Client) {
    session
        .batch_execute("call invoice_sync.run_sweep()")
        .unwrap_or_else(|error| panic!("{}", tell(&error)));
}

/// The row of the run that began last.
fn last_run(shop: &mut Shop) -> Value {
    shop.json("to_jsonb(r) from invoice_sync.run r order by id desc limit 1")
}

/// Every object has to be asked for by itself.
fn useless_lists() -> Fault {
    Fault::new(Action::InvalidJson)
        .always()
        .on_object("data.payment_intent.latest_charge")
}
