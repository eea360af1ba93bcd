//! `run_sweep`: its locks, interruptions and results.

mod budget;
mod calls;
mod concurrent_writers;
mod due;
mod ended;
pub(crate) mod feed;
mod histories;
mod kills;
mod large_pages;
mod lists;
mod mixed_invoices;
mod owners;
mod rounds;
mod terminated;
mod while_waiting;

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

/// The same invoices and payments, and the same Stripe.
fn twin_of(shop: &mut Shop, tables: &str) -> Shop {
    let mut twin = Shop::with_tables(tables);
    twin.not_at_rest("it asks the stand-in of the other shop");
    let base = shop.stripe.url();
    twin.configure("stripe_api_base", &base);
    for table in ["invoices", "payments"] {
        let rows: Value = shop.json(&format!("jsonb_agg(to_jsonb(t)) from {table} t"));
        twin.db
            .execute(
                &format!(
                    "insert into {table} select * from jsonb_populate_recordset(null::{table}, $1)"
                ),
                &[&rows],
            )
            .expect("the rows are copied");
    }
    twin
}

/// The row of the run that began last.
fn last_run(shop: &mut Shop) -> Value {
    shop.json(
        "to_jsonb(r) || to_jsonb(v)
        from invoice_sync.run r join invoice_sync.recent_runs v using (id) order by id desc limit 1",
    )
}

/// Every object has to be asked for by itself.
fn useless_lists() -> Fault {
    Fault::new(Action::InvalidJson)
        .always()
        .on_object("data.payment_intent.latest_charge.balance_transaction")
}

/// A trigger `doze` on payments that takes longer than anybody waits.
const DOZE: &str = "
    create function doze() returns trigger language plpgsql as $$
    begin perform pg_sleep(60); return new; end $$;
    create trigger doze before insert on payments for each row execute function doze()";
