//! What a session keeps of settings and catalogs: a change is seen by the next call.

use postgres::Client;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::{attempt, attempt_json};

/// A session that has booked a payment, so that it keeps what it read, and sales that it has not booked.
struct Kept {
    shop: Shop,
    session: Client,
    sales: std::vec::IntoIter<Sale>,
}

impl Kept {
    fn open() -> Self {
        let mut shop = Shop::open();
        let sales = Sale::many(&mut shop, 6).into_iter();
        let session = shop.connect();
        let mut kept = Self {
            shop,
            session,
            sales,
        };
        assert_eq!(kept.book(), "Paid");
        kept
    }

    /// Has the session book the next sale. Returns the invoice's status.
    fn book(&mut self) -> String {
        let sale = self.sales.next().expect("there are enough sales");
        let report = attempt_json(&mut self.session, &sale.sync()).expect("it is booked");
        assert_eq!(report["fixed"], 1, "{report:#}");
        status(&mut self.session, &sale.invoice)
    }

    /// Executes statements in another session, and commits.
    fn elsewhere(&mut self, statements: &str) {
        self.shop.execute(statements);
    }

    fn here(&mut self, statements: &str) {
        attempt(&mut self.session, statements).expect("it is executed");
    }
}

fn status(session: &mut Client, invoice: &str) -> String {
    session
        .query_one(
            "select invoice_status from invoices where id::text = $1",
            &[&invoice],
        )
        .expect("the invoice is there")
        .get(0)
}

const SETTLED: &str = "update invoice_sync.settings set invoice_paid_word = 'Settled'";

#[test]
fn settings_that_another_session_changes() {
    let mut kept = Kept::open();
    kept.elsewhere(SETTLED);

    assert_eq!(kept.book(), "Settled");

    kept.elsewhere("insert into invoice_sync.settings default values");
    assert_eq!(kept.book(), "Paid", "a new row replaces the former one");
}

#[test]
fn settings_that_change_while_a_transaction_is_open() {
    let mut kept = Kept::open();
    kept.here("begin");
    assert_eq!(kept.book(), "Paid");
    kept.elsewhere(SETTLED);

    assert_eq!(kept.book(), "Settled");
    kept.here("commit");
}

#[test]
fn settings_that_change_while_triggers_are_disabled() {
    let mut kept = Kept::open();
    kept.elsewhere(&format!(
        "set session_replication_role = replica; {SETTLED}"
    ));

    assert_eq!(kept.book(), "Settled");
}

#[test]
fn settings_that_are_rolled_back() {
    let mut kept = Kept::open();
    kept.here(&format!("begin; savepoint s; {SETTLED}"));
    assert_eq!(kept.book(), "Settled");
    kept.here("rollback to s");
    assert_eq!(kept.book(), "Paid", "as before the savepoint");
    kept.here(SETTLED);
    assert_eq!(kept.book(), "Settled");
    kept.here("rollback");

    assert_eq!(kept.book(), "Paid", "as before the transaction");
}

#[test]
fn settings_that_an_old_snapshot_still_shows() {
    let mut kept = Kept::open();
    kept.here("begin isolation level repeatable read; select from invoices");
    kept.elsewhere("alter table payments add column note text");
    kept.elsewhere("update invoice_sync.settings set invoice_amount_paid_column = null");
    let sale = kept.sales.next().expect("there is one");
    let dry_run = format!("invoice_sync.sync_invoice('{}', true)", sale.invoice);
    let old = attempt_json(&mut kept.session, &dry_run).expect("nothing is written");
    let action = &old["details"]["fixed"][0]["action"];
    assert!(action.to_string().contains("amount paid set"), "{old:#}");
    kept.here("commit");

    kept.book();
    let booked = kept.shop.text("select sum(amount_paid) from invoices");
    assert_eq!(booked.as_deref(), Some("100.000"), "only the first one's");
}

#[test]
fn tables_that_another_session_changes() {
    let mut kept = Kept::open();
    kept.elsewhere(
        "alter table invoices rename to bills;
        create table invoices (like bills including all);
        insert into invoices select * from bills where invoice_status <> 'Paid';
        alter table payments drop constraint payments_invoice_id_fkey",
    );
    assert_eq!(kept.book(), "Paid", "in the table that has the name now");

    kept.elsewhere("alter table payments rename payment_name to payer");
    let sale = kept.sales.next().expect("there is one");
    let refused = attempt_json(&mut kept.session, &sale.sync()).expect_err("a column is missing");
    assert_eq!(refused.sqlstate, "42703");

    kept.elsewhere("alter table payments rename payer to payment_name");
    assert_eq!(kept.book(), "Paid");
}

#[test]
fn triggers_that_another_session_creates() {
    let mut kept = Kept::open();
    kept.elsewhere(
        "create function note() returns trigger language plpgsql as $$
        begin
            update payments set payment_notes = 'noted' where invoice_id = new.id;
            return null;
        end $$;
        create trigger note after update on invoices for each row execute function note()",
    );
    let sale = kept.sales.next().expect("there is one");
    attempt_json(&mut kept.session, &sale.sync()).expect("it is booked");

    let recorded = kept.shop.text(&format!(
        "select after ->> 'payment_notes' from invoice_sync.full_change
        where invoice_id = '{}' and action = 'insert'",
        sale.invoice
    ));
    assert_eq!(recorded.as_deref(), Some("noted"), "the trigger is seen");
}

#[test]
fn rights_that_another_session_changes() {
    let mut kept = Kept::open();
    kept.shop.make_roles(&["first owner", "second owner"]);
    kept.shop.give_tables_to("first owner", "first owner");
    assert_eq!(kept.book(), "Paid", "as the new owner");
    // The owner sees all rows by no policy, also if FORCE says that they apply to it.
    kept.elsewhere(
        "alter table invoices enable row level security;
        alter table invoices force row level security;
        alter table payments enable row level security;
        alter table payments force row level security",
    );
    assert_eq!(kept.book(), "Paid", "with row level security");
    kept.shop.give_tables_to("second owner", "first owner");
    assert_eq!(kept.book(), "Paid", "as an owner each");
    kept.shop.give_tables_to("second owner", "second owner");
    assert_eq!(kept.book(), "Paid", "as one owner again");
}

#[test]
fn functions_and_paths_that_change() {
    let mut kept = Kept::open();
    let mark = |word: &str| {
        format!(
            "create or replace function mark() returns trigger language plpgsql as $$
            begin
                new.payment_notes := '{word}';
                return new;
            end $$"
        )
    };
    kept.elsewhere(&mark("first"));
    kept.elsewhere(
        "create trigger mark before insert on payments for each row execute function mark()",
    );
    assert_eq!(kept.book(), "Paid");
    kept.elsewhere(&mark("second"));
    assert_eq!(kept.book(), "Paid");
    kept.elsewhere(
        "create schema other;
        create table other.invoices (like public.invoices including all);
        create table other.payments (like public.payments including all)",
    );
    kept.here("set search_path = other, public");
    let sale = kept.sales.next().expect("there is one");
    let report = attempt_json(&mut kept.session, &sale.sync()).expect("it is booked");
    assert_eq!(report["fixed"], 1, "{report:#}");

    let noted = kept
        .shop
        .texts("select payment_notes from public.payments order by created_at, 1");
    let noted: Vec<&str> = noted.iter().filter_map(|note| note.as_deref()).collect();
    assert_eq!(
        noted,
        ["Recorded by invoice_sync", "first", "second", "second"]
    );
    let others = kept.shop.text("select count(*) from other.payments");
    assert_eq!(
        others.as_deref(),
        Some("0"),
        "the names of the settings are of one schema"
    );
}

#[test]
fn a_statement_that_failed_is_not_kept_broken() {
    let mut kept = Kept::open();
    kept.elsewhere("alter table payments add constraint none check (total_amount < 0) not valid");
    let sale = kept.sales.next().expect("there is one");
    let report = attempt_json(&mut kept.session, &sale.sync()).expect("it ends");
    assert_eq!(report["fixed"], 0, "{report:#}");

    kept.elsewhere("alter table payments drop constraint none");
    assert_eq!(kept.book(), "Paid");
}

#[test]
fn plans_for_tables_that_were_small() {
    let mut shop = Shop::with_webhooks();
    shop.execute(
        "update invoice_sync.settings set stripe_fetch_on_webhook = false;
        create index on invoices (stripe_session_id);
        create index on invoices (stripe_payment_intent);
        create index on payments (stripe_session_id);
        create index on payments (stripe_payment_intent)",
    );
    let first = Sale::many_named(&mut shop, 0..2);
    let known = shop.stripe.events().len();
    let mut session = shop.connect();
    book(&mut shop, &mut session, &first, 0);
    shop.execute(
        "insert into invoice_sync.stripe_payment (invoice_id, id, currency, received, refunded, seen_at, as_of)
        select 'of ' || n, 'pi_' || n, 'usd', 1, 0, now(), now() from generate_series(1, 20000) n;
        insert into invoice_sync.invoice_check (invoice_id, stored_ids)
        select 'of ' || n, '{}' from generate_series(1, 20000) n;
        insert into invoice_sync.event (
            id, type, created, livemode, intent_id, snapshot, received_at, webhook_at, state, processed_at)
        select 'evt_' || n, 'payment_intent.succeeded', now(), false, 'pi_' || n, '{}', now(), now(), 'done', now()
        from generate_series(1, 20000) n;
        insert into invoices (invoice_number, customer, total_amount)
        select 'M-' || n, 'Many', 1 from generate_series(1, 20000) n;
        insert into payments (invoice_id, payment_name, total_amount)
        select id, 'cash', 1 from invoices where customer = 'Many'",
    );
    // Each booking uses each statement once at least.
    let sales = Sale::many_named(&mut shop, 100..140);
    let settled = book(&mut shop, &mut session, &sales[..30], known);

    assert_eq!(book(&mut shop, &mut session, &sales[30..], known), settled);
    for sale in first.iter().chain(&sales) {
        assert_eq!(status(&mut session, &sale.invoice), "Paid");
    }
}

/// Books these sales in the session, every other one by its webhooks, of the events from number `from` on. Returns how
/// often each table has been read as a whole by now.
fn book(shop: &mut Shop, session: &mut Client, sales: &[Sale], from: usize) -> Vec<Option<String>> {
    let events = shop.stripe.events();
    for (place, sale) in sales.iter().enumerate() {
        if place % 2 == 0 {
            attempt_json(session, &sale.sync()).expect("it is booked");
            continue;
        }
        let own = events[from..].iter().filter(|event| {
            let object = event["data"]["object"]["id"].as_str().unwrap_or_default();
            [&sale.session, &sale.intent].contains(&&object.to_owned())
        });
        for event in own {
            deliver(session, &event.to_string()).expect("it is received");
        }
    }
    let publish = "select pg_stat_force_next_flush()";
    attempt(session, publish).expect("the figures are published");
    shop.execute(publish);
    shop.texts(
        "select format('%s was read as a whole %s times', relname, seq_scan) from pg_stat_user_tables
        where relname in ('stripe_payment', 'invoice_check', 'change', 'event', 'invoices', 'payments')
        order by relname",
    )
}
