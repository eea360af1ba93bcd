//! The plans of a sweep's statements in a large database, as logged by auto_explain.

use stripe_double::Checkout;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt};

/// INVOICE_SYNC_TEST_INVOICES makes it another number.
const INVOICES: &str = "1000000";

/// More than this of a large table no statement looks at: the longest range of the
/// way through all invoices is about 10,000, by the blocks that so many are estimated to take.
const FEW: f64 = 20_000.0;

/// All settled; a third of the invoices have a payment, and the extension has seen
/// each of them. Without triggers, and with the primary keys made afterwards.
const HISTORY: &str = "
set session_replication_role = replica;
set synchronous_commit = off;
set maintenance_work_mem = '512MB';
alter table payments drop constraint payments_invoice_id_fkey;
alter table payments drop constraint payments_pkey;
alter table invoices drop constraint invoices_pkey;
alter table invoice_sync.invoice_check drop constraint invoice_check_pkey;
alter table invoice_sync.stripe_payment drop constraint stripe_payment_pkey;
insert into invoices (id, invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due,
                      stripe_session_id, stripe_payment_intent)
select md5(n::text)::uuid, 'OLD-' || n, 'Customer', case when n % 10 < 3 then 'Paid' else 'Sent' end, 100,
       case when n % 10 < 3 then 100 else 0 end, case when n % 10 < 3 then 0 else 100 end,
       'cs_test_old' || n, 'pi_old' || n
from generate_series(1, {invoices}) n;
insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id, stripe_payment_intent)
select id, 'Old', 'Paid', 100, stripe_session_id, stripe_payment_intent
from invoices where invoice_status = 'Paid';
insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at)
select id::text, array[stripe_session_id, stripe_payment_intent], now() from invoices;
insert into invoice_sync.stripe_payment (invoice_id, id, currency, received, refunded, as_of, seen_at)
select id::text, stripe_payment_intent, 'usd', 10000, 0, now(), now() from invoices where invoice_status = 'Paid';
insert into invoice_sync.event (
    id, type, created, livemode, snapshot, received_at, webhook_at, state, intent_id, processed_at)
select 'evt_old' || n, 'payment_intent.succeeded', now() - interval '2 seconds' * n, false, '{}',
       now() - interval '2 seconds' * n, now() - interval '2 seconds' * n, 'done', 'pi_old' || n, now()
from generate_series(1, 50000) n;
insert into invoice_sync.run (
    kind, cause, role, started_at, finished_at, success, invoices_checked, invoices_fixed, issues_found, stripe_errors)
select 'webhook', 'webhook', 'postgres', now(), now(), true, 1, 1, 0, 0 from generate_series(1, 30000);
insert into invoice_sync.change_form (id, document) values
    (1, '{\"changes\": [{\"table\": \"public.payments\", \"row\": \"' || e'\n1\n' || '\", \"after\": {}}], \"evidence\": {}}');
insert into invoice_sync.change (run_id, form_id, invoice_id, content)
select r.run, 1, p.invoice_id::text, p.id::text
from (select row_number() over () as number, * from payments) p
join (select row_number() over () as number, id as run from invoice_sync.run) r on r.number = p.number % 30000 + 1;
alter table invoices add primary key (id);
alter table payments add primary key (id);
alter table invoice_sync.invoice_check add primary key (invoice_id);
alter table invoice_sync.stripe_payment add primary key (invoice_id, id);
set session_replication_role = origin";

/// A few words of a statement of each kind, so that none is left out unseen.
const STATEMENTS: [(&str, &str); 8] = [
    ("the way through all invoices", "as suspect"),
    (
        "which of them Stripe is to be asked about",
        "i (id, session, intent)",
    ),
    (
        "what is due",
        "from invoice_sync.invoice_check\n        where next_check_at <=",
    ),
    (
        "the invoices of a payment",
        "from invoice_sync.stripe_payment m where m.id",
    ),
    ("the invoice that a payment names", "select r.value, "),
    ("payments in other books", "(true)::text\n        from"),
    ("events that wait", "e.next_attempt_at <= to_timestamp"),
    (
        "what earlier runs booked",
        "insert into invoice_sync.tally_booked",
    ),
];

/// Where the tables have an owner each, and the way has come to the payments.
const APART: [(&str, &str); 3] = [
    ("payments that were written", "w.place::text from (select"),
    ("their invoices", "f.is_certain::text"),
    ("the way through all invoices", "with ordinality f (id"),
];

/// A quarter of an hour after the last sweep, in a round that passes nothing over.
const THOROUGH: &str = "
    update invoice_sync.round
    set place = null, thorough_at = null, moved_at = now() - interval '15 minutes'";

/// The same, in a round that has come to the payments, all of which were written.
const AT_THE_PAYMENTS: &str = "
    update invoice_sync.round
    set place = 'payments (100,0)', basis = '3', moved_at = now() - interval '15 minutes'";

/// Of these a backfill makes use, too.
const PAYMENTS: [&str; 3] = [
    "the invoices of a payment",
    "the invoice that a payment names",
    "payments in other books",
];

const TABLES: [&str; 7] = [
    "invoices",
    "payments",
    "invoice_check",
    "event",
    "stripe_payment",
    "run",
    "change",
];

/// What one node of a plan did to a large table.
struct Look {
    is_whole: bool,
    /// Rows that it came by, whether it wanted them or not.
    rows: f64,
}

/// The number after `name` in a line of a plan.
fn number(line: &str, name: &str) -> Option<f64> {
    let (_, rest) = line.split_once(name)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// How a plan, carried out, looked at large tables.
fn looks(plan: &str) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let mut loops = 1.0;
    let mut is_ours = false;
    for line in plan.lines() {
        if let Some((node, _)) = line.split_once("(cost=") {
            let table = node
                .split_once("Scan")
                .and_then(|(_, rest)| rest.rsplit_once("on "));
            let table = table.and_then(|(_, table)| table.split_whitespace().next());
            is_ours = table.is_some_and(|table| TABLES.contains(&table));
            let logged = line.split_once("(actual").map_or("", |(_, logged)| logged);
            loops = number(logged, "loops=").unwrap_or(1.0);
            if is_ours {
                looks.push(Look {
                    is_whole: node.contains("Seq Scan"),
                    rows: number(logged, "rows=").unwrap_or_default() * loops,
                });
            }
        } else if let (true, Some((_, removed)), Some(look)) = (
            is_ours,
            line.split_once("Rows Removed by "),
            looks.last_mut(),
        ) {
            look.rows += number(removed, ": ").unwrap_or_default() * loops;
        }
    }
    looks
}

/// The plans that look at a large table, or at an index of it, from end to end.
fn scans(logged: &str) -> Vec<&str> {
    let is_scan = |look: &Look| look.is_whole || look.rows > FEW;
    logged
        .split("LOG:")
        .filter(|plan| looks(plan).iter().any(is_scan))
        .collect()
}

/// Sales that are known by their session, by the number that their metadata names,
/// and by nothing; and two invoices that are due.
fn something_new(shop: &mut Shop, round: usize) {
    Sale::unbooked(shop, &format!("INV-{round}"));
    let by_number =
        Checkout::new(10_000, "usd").metadata("invoice_id", format!("OLD-{}9", 900 + round));
    shop.stripe.checkout(by_number).pay();
    shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    shop.execute(
        "update invoice_sync.invoice_check set next_check_at = now()
        where invoice_id in (select id::text from invoices where invoice_number in ('OLD-5', 'OLD-6'))",
    );
}

#[test]
fn with_a_million_invoices_all_is_read_by_indexes_and_none_from_end_to_end() {
    let mut shop = Shop::open();
    let invoices = std::env::var("INVOICE_SYNC_TEST_INVOICES").unwrap_or(INVOICES.to_owned());
    shop.execute(&HISTORY.replace("{invoices}", &invoices));
    for statement in shop.texts("select statement from invoice_sync.missing_indexes()") {
        shop.execute(&statement.expect("there is one"));
    }
    // To know how far back to look, the first run of an installation reads the table once.
    shop.skip_look_back();
    // How many rows a sweep looks through in its time depends on the machine.
    shop.execute("update invoice_sync.settings set local_check_budget_ms = 1");
    shop.execute("vacuum analyze");
    // As long as nothing has been counted, PostgreSQL does not know how few runs wait for it.
    shop.execute("truncate invoice_sync.run_to_count");

    let (mut session, notices) = Server::main().connect_explained(shop.name());
    let mut reported = |shop: &mut Shop, round: usize, call: &str| {
        something_new(shop, round);
        notices.forget();
        attempt(&mut session, call).expect("it is done");
        let logged = notices.text();
        let scans = scans(&logged);
        assert!(
            scans.is_empty(),
            "{round}: {call}: {} plans: {}",
            scans.len(),
            scans.join("\n")
        );
        assert!(!logged.contains("JIT:"), "no plan costs so much");
        logged
    };
    for (round, call) in [
        "select invoice_sync.sweep()",
        "select invoice_sync.sweep()",
        "call invoice_sync.run_sweep()",
    ]
    .into_iter()
    .enumerate()
    {
        let logged = reported(&mut shop, round, call);
        for (what, words) in STATEMENTS {
            assert!(logged.contains(words), "{call}: {what}: not seen");
        }
    }
    let logged = reported(
        &mut shop,
        3,
        "call invoice_sync.backfill(now() - interval '1 day')",
    );
    for (what, words) in STATEMENTS {
        let is_made_use_of = PAYMENTS.contains(&what);
        assert!(
            !is_made_use_of || logged.contains(words),
            "backfill: {what}: not seen"
        );
    }
    let run_sweep = "call invoice_sync.run_sweep()";
    for (round, share) in [(4, THOROUGH), (5, AT_THE_PAYMENTS)] {
        shop.execute(share);
        reported(&mut shop, round, run_sweep);
    }
    shop.give_tables_to("owner of invoices", "owner of payments");
    for (round, share) in [(6, THOROUGH), (7, AT_THE_PAYMENTS)] {
        shop.execute(share);
        let logged = reported(&mut shop, round, run_sweep);
        for (what, words) in STATEMENTS.iter().chain(&APART) {
            let is_of_payments = *what == APART[0].0;
            assert!(
                logged.contains(words) || is_of_payments && share == THOROUGH,
                "two owners: {what}: not seen"
            );
        }
    }
    assert_eq!(
        shop.text("select count(*) from invoices where invoice_number like 'INV-%' and invoice_status = 'Paid'"),
        Some("8".into())
    );
    // The eye is open: these are found.
    notices.forget();
    attempt(&mut session, "select count(*) from invoices").expect("it counts");
    attempt(&mut session, "set enable_seqscan = off; select max(customer) from (select * from invoices order by id offset 0) i")
        .expect("it looks");
    assert_eq!(self::scans(&notices.text()).len(), 2);
}
