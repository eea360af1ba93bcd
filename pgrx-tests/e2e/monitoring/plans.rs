//! How PostgreSQL carries out the statements of a sweep in a large database, told
//! by auto_explain: the plans of the real statements, not of copies.

use stripe_double::Checkout;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json};

/// The plans are the same with a million, which takes a minute to fill in:
/// INVOICE_SYNC_TEST_INVOICES=1000000 shows it.
const INVOICES: &str = "200000";

/// All settled; a third of the invoices have a payment, and the extension has seen
/// each of them.
const HISTORY: &str = "
insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due,
                      stripe_session_id, stripe_payment_intent)
select 'OLD-' || n, 'Customer', case when n % 10 < 3 then 'Paid' else 'Sent' end, 100,
       case when n % 10 < 3 then 100 else 0 end, case when n % 10 < 3 then 0 else 100 end,
       'cs_test_old' || n, 'pi_old' || n
from generate_series(1, {invoices}) n;
insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id, stripe_payment_intent)
select id, 'Old', 'Paid', 100, stripe_session_id, stripe_payment_intent
from invoices where invoice_status = 'Paid';
insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at)
select id::text, array[stripe_session_id, stripe_payment_intent], now() from invoices;
insert into invoice_sync.stripe_payment (invoice_id, id, currency, received, refunded, seen_at)
select id::text, stripe_payment_intent, 'usd', 10000, 0, now() from invoices where invoice_status = 'Paid';
insert into invoice_sync.event (
    id, type, created, livemode, snapshot, received_at, webhook_at, state, intent_id, processed_at)
select 'evt_old' || n, 'payment_intent.succeeded', now() - interval '100 seconds' * n, false, '{}',
       now() - interval '100 seconds' * n, now() - interval '100 seconds' * n, 'done', 'pi_old' || n, now()
from generate_series(1, 50000) n;
analyze";

/// A few words of a statement of each kind, so that none is left out unseen.
const STATEMENTS: [(&str, &str); 6] = [
    ("the way through all invoices", "as suspect"),
    (
        "what is due",
        "from invoice_sync.invoice_check\n        where next_check_at <=",
    ),
    (
        "the invoices of a payment",
        "from invoice_sync.stripe_payment m where m.id",
    ),
    (
        "the invoice that a payment names",
        "jsonb_array_elements_text($1::jsonb) r",
    ),
    (
        "payments in other books",
        "in (select jsonb_array_elements_text($1::jsonb)) and p.invoice_id is not null",
    ),
    ("events that wait", "e.next_attempt_at <= to_timestamp"),
];

const TABLES: [&str; 5] = [
    "invoices",
    "payments",
    "invoice_check",
    "event",
    "stripe_payment",
];

/// The plans that read a large table from end to end.
fn scans(told: &str) -> Vec<&str> {
    told.split("LOG:")
        .filter(|plan| {
            plan.lines().any(|line| {
                let scanned = line.split_once("Seq Scan on ").map(|(_, rest)| rest);
                let table = scanned.and_then(|rest| rest.split(' ').next());
                table.is_some_and(|table| TABLES.contains(&table))
            })
        })
        .collect()
}

#[test]
fn in_a_large_database_a_sweep_reads_by_indexes_alone() {
    let mut shop = Shop::open();
    let invoices = std::env::var("INVOICE_SYNC_TEST_INVOICES").unwrap_or(INVOICES.to_owned());
    shop.execute(&HISTORY.replace("{invoices}", &invoices));
    for statement in shop.texts("select statement from invoice_sync.missing_indexes()") {
        shop.execute(&statement.expect("there is one"));
    }
    // Known by its session; by the number that its metadata names; by nothing.
    Sale::unbooked(&mut shop, "INV-1");
    let by_number = Checkout::new(10_000, "usd").metadata("invoice_id", "OLD-99999");
    shop.stripe.checkout(by_number).pay();
    shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    shop.execute(
        "update invoice_sync.invoice_check set next_check_at = now()
        where invoice_id in (select id::text from invoices where invoice_number in ('OLD-5', 'OLD-6'))",
    );

    let (mut session, notices) = Server::main().connect_listening(shop.name(), "postgres");
    attempt(
        &mut session,
        "load 'auto_explain'; set auto_explain.log_min_duration = 0;
        set auto_explain.log_nested_statements = on; set client_min_messages = log",
    )
    .expect("a superuser may");
    for _ in 0..2 {
        let report = attempt_json(&mut session, "invoice_sync.sweep()").expect("it sweeps");
        assert_eq!(report["success"], true, "{report:#}");
    }
    let told = notices.text();
    for (what, words) in STATEMENTS {
        assert!(told.contains(words), "{what}: not seen");
    }
    let scans = scans(&told);
    assert!(
        scans.is_empty(),
        "{} plans: {}",
        scans.len(),
        scans.join("\n")
    );
    assert!(!told.contains("JIT:"), "no plan costs so much");
    // The eye is open: this one is found.
    attempt_json(&mut session, "to_jsonb(count(*)) from invoices").expect("it counts");
    assert_eq!(self::scans(&notices.text()).len(), 1);
}
