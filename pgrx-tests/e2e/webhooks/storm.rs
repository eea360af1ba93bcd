//! Thousands of deliveries at once, some twice and in any order, beside sweeps, backfills and `sync_invoice`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::{Server, attempt};
use crate::harness::{Shop, SqlError, connect};

const SALES: usize = 2_000;
const CONNECTIONS: usize = 16;

#[test]
fn five_thousand_deliveries_book_every_payment_once() {
    let mut shop = Shop::with_webhooks();
    let server = Server::main();
    let sales = Sale::many(&mut shop, SALES);
    let mut bodies: Vec<String> = shop
        .stripe
        .events()
        .iter()
        .filter(|event| {
            ["checkout.session.completed", "payment_intent.succeeded"]
                .contains(&event["type"].as_str().unwrap_or_default())
        })
        .map(ToString::to_string)
        .collect();
    let duplicates: Vec<String> = bodies.iter().step_by(4).cloned().collect();
    bodies.extend(duplicates);
    assert_eq!(bodies.len(), 5_000);
    bodies.sort_by_key(|body| shuffled(body));

    let database = shop.name().to_owned();
    let next = AtomicUsize::new(0);
    let failures: Vec<SqlError> = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..CONNECTIONS {
            workers.push(scope.spawn(|| {
                let mut client = connect(&database);
                let mut failures = Vec::new();
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // On a busy machine a lock may outlast the budget: then Stripe delivers again.
                    let mut outcome = deliver(&mut client, body);
                    while matches!(&outcome, Err(error) if error.sqlstate == "58000") {
                        outcome = deliver(&mut client, body);
                    }
                    failures.extend(outcome.err());
                }
                failures
            }));
        }
        for call in [
            "call invoice_sync.run_sweep()",
            "call invoice_sync.backfill(now() - interval '1 day')",
        ] {
            let calls = vec![call.to_owned(); 3];
            workers.push(scope.spawn({
                let database = &database;
                move || say(database, &calls)
            }));
        }
        for sale in &sales[..4] {
            let button = vec![format!("select {}", sale.sync()); 5];
            workers.push(scope.spawn({
                let database = &database;
                move || say(database, &button)
            }));
        }
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no panic"))
            .collect()
    });

    assert_eq!(failures, Vec::new());
    shop.execute("update invoice_sync.event set next_attempt_at = now()");
    shop.sweep();
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some(SALES.to_string())
    );
    assert_eq!(
        shop.text("select count(distinct stripe_payment_intent) from payments"),
        Some(SALES.to_string())
    );
    assert_eq!(
        shop.text(
            "select count(*) from invoices where invoice_status = 'Paid' and amount_paid = 100"
        ),
        Some(SALES.to_string())
    );
    let mark = format!("@{database} ");
    let deadlocks = server
        .log_text()
        .lines()
        .filter(|line| line.contains(&mark) && line.contains("deadlock detected"))
        .count();
    assert_eq!(deadlocks, 0);
}

fn say(database: &str, calls: &[String]) -> Vec<SqlError> {
    let mut client = connect(database);
    let failures = calls.iter().map(|call| attempt(&mut client, call).err());
    failures.flatten().collect()
}

/// An order that has nothing to do with time, the same in every run.
fn shuffled(body: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
