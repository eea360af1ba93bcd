//! Restoring a dump into a new database.

use std::process::Command;

use serde_json::json;
use stripe_double::Checkout;

use crate::harness::psql::psql;
use crate::harness::sale::Sale;
use crate::harness::{DEFAULT_TABLES, Shop, connect};

/// A database made from a dump, gone when dropped.
struct Restored(String);

impl Restored {
    fn from(shop: &Shop, options: &[&str]) -> Self {
        let name = format!("{}_restored", shop.name());
        connect("postgres")
            .batch_execute(&format!("create database {name}"))
            .expect("the database is created");
        let restored = Self(name);
        let dump = Command::new("pg_dump")
            .args(options)
            .arg(shop.name())
            .output()
            .expect("pg_dump runs");
        let messages = String::from_utf8_lossy(&dump.stderr).into_owned();
        assert!(dump.status.success(), "pg_dump: {messages}");
        assert_eq!(messages, "", "pg_dump warns of nothing");
        let (succeeded, messages) = psql(&restored.0, &dump.stdout);
        assert!(succeeded, "psql: {messages}");
        assert_eq!(messages, "", "restoring warns of nothing");
        restored
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = connect("postgres")
            .batch_execute(&format!("drop database if exists {} with (force)", self.0));
    }
}

/// All that the extension remembers, as text.
const MEMORY: &str = "select string_agg(t.row, e'\\n' order by t.row) from (
    select 'settings ' || to_jsonb(x)::text as row from invoice_sync.settings x
    union all select 'run ' || to_jsonb(x)::text from invoice_sync.run x
    union all select 'change ' || to_jsonb(x)::text from invoice_sync.change x
    union all select 'full_change ' || to_jsonb(x)::text from invoice_sync.full_change x
    union all select 'issue ' || to_jsonb(x)::text from invoice_sync.issue x
    union all select 'invoice_check ' || to_jsonb(x)::text from invoice_sync.invoice_check x
    union all select 'alert ' || to_jsonb(x)::text from invoice_sync.alert x
    union all select 'alert_issue ' || to_jsonb(x)::text from invoice_sync.alert_issue x
    union all select 'stripe_payment ' || to_jsonb(x)::text from invoice_sync.stripe_payment x
) t";

fn a_dump_carries_all_over(options: &[&str]) {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        r#"update invoice_sync.settings set time_zone = 'Europe/Vienna',
            payment_values = payment_values || '{"payment_method": {"value": "Card"}}';
        insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-2', 'Customer', 'Paid', 100, 100)"#,
    );
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-3', 'Customer', 'Sent', 100, '{}')",
        open.session_id()
    ));
    shop.sweep();
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-2"]);
    let remembered = shop.text(MEMORY).expect("there is something");
    for table in [
        "settings",
        "run",
        "change",
        "full_change",
        "issue",
        "invoice_check",
        "stripe_payment",
        "alert",
        "alert_issue",
    ] {
        assert!(
            remembered.contains(&format!("{table} {{")),
            "{table}: {remembered}"
        );
    }

    let restored = Restored::from(&shop, options);
    let mut copy = connect(&restored.0);
    let memory: String = copy.query_one(MEMORY, &[]).expect("it is read").get(0);
    assert_eq!(memory, remembered);

    // Life goes on there: numbers follow the old ones, the open issue is the same, and
    // that the copy has no key is another.
    copy.batch_execute("select invoice_sync.sweep()")
        .expect("the sweep works");
    let row = copy
        .query_one(
            "select jsonb_build_object(
                'runs', (select array_agg(id order by id) from invoice_sync.run),
                'issues', (select array_agg(format('%s %s %s', id, kind, times_seen) order by id) from invoice_sync.issue),
                'payments', (select count(*) from payments))",
            &[],
        )
        .expect("it is read");
    let now: serde_json::Value = row.get(0);
    assert_eq!(
        now,
        json!({ "runs": [1, 2], "issues": ["1 paid_without_payment 2", "2 stripe_unreachable 1"], "payments": 1 })
    );
    copy.batch_execute("insert into invoice_sync.settings default values")
        .expect("the settings are one row, there too");
    drop(copy);
    let _ = sale;
}

#[test]
fn a_dump_with_copy_carries_settings_and_ledger_over() {
    a_dump_carries_all_over(&[]);
}

#[test]
fn a_dump_with_inserts_carries_settings_and_ledger_over() {
    a_dump_carries_all_over(&["--inserts"]);
}

#[test]
fn a_dump_carries_the_grants_over() {
    let mut shop = Shop::open();
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}')"
    ));
    let restored = Restored::from(&shop, &[]);
    let mut session = crate::harness::connect_as(&restored.0, &role);
    session
        .batch_execute("select invoice_sync.sweep(); select from invoice_sync.recent_runs")
        .expect("an operator there, too");
}

#[test]
fn a_dump_carries_the_extensions_own_payments_over() {
    let mut shop = Shop::with_tables(
        "create table orders (id bigint primary key, status text not null default 'pending'
            check (status in ('pending', 'paid')), total numeric not null, stripe_session_id text)",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    let sold = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    shop.execute(&format!(
        "insert into orders values (1, default, 100, '{}'), (2, default, 100, null)",
        sold.session_id()
    ));
    shop.sweep();
    let payments = "select string_agg(to_jsonb(p)::text, e'\\n') from invoice_sync.payment p";
    let recorded = shop.text(payments).expect("there is one");
    for options in [&[] as &[&str], &["--inserts"]] {
        let restored = Restored::from(&shop, options);
        let mut copy = connect(&restored.0);
        let carried: String = copy.query_one(payments, &[]).expect("it is read").get(0);
        assert_eq!(carried, recorded);
        let next = "insert into invoice_sync.payment (invoice_id, amount, currency) values ('2', 1, 'usd') returning id";
        let next: i64 = copy.query_one(next, &[]).expect("it is inserted").get(0);
        assert_eq!(next, 2, "ids follow the old ones");
    }
}

#[test]
fn a_dump_whose_settings_name_views_that_triggers_make_writable_is_restored() {
    let mut shop = Shop::with_tables(&format!(
        "{DEFAULT_TABLES}
        create schema kept;
        alter table invoices set schema kept;
        alter table payments set schema kept;
        create function is_counted(customer text) returns boolean language sql immutable
            as $$ select customer <> 'Test' $$;
        create view invoices as select i.*, 1 as one from kept.invoices i order by invoice_number limit 1000;
        create view payments as select p.*, 1 as one from kept.payments p order by id limit 1000;
        create function write_invoice() returns trigger language plpgsql as $$ begin
            update kept.invoices set invoice_status = new.invoice_status, amount_paid = new.amount_paid,
                balance_due = new.balance_due, paid_date = new.paid_date where id = old.id;
            return new;
        end $$;
        create function write_payment() returns trigger language plpgsql as $$ begin
            insert into kept.payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
            values (new.invoice_id, new.payment_name, new.payment_status, new.total_amount, new.stripe_payment_intent);
            return new;
        end $$;
        create trigger write_invoice instead of update on invoices for each row execute function write_invoice();
        create trigger write_payment instead of insert or update on payments
            for each row execute function write_payment();"
    ));
    shop.execute(
        "update invoice_sync.settings set time_zone = 'Europe/Vienna',
            invoice_condition = 'public.is_counted(customer)', payment_session_column = null",
    );
    let remembered = shop.text(MEMORY).expect("there is something");
    for options in [&[] as &[&str], &["--inserts"]] {
        let restored = Restored::from(&shop, options);
        let mut copy = connect(&restored.0);
        let memory: String = copy.query_one(MEMORY, &[]).expect("it is read").get(0);
        assert_eq!(memory, remembered);
        copy.batch_execute("select invoice_sync.sweep(dry_run => true)")
            .expect("the settings fit");
        // What does not fit is refused there as anywhere.
        copy.batch_execute("set check_function_bodies = off")
            .expect("anybody may");
        let refused = copy
            .batch_execute("update invoice_sync.settings set invoice_condition = 'nonsense'")
            .expect_err("an update is checked in any session");
        assert_eq!(refused.code().map(|code| code.code()), Some("22023"));
        // An insert may be that of a dump; what does not fit is not used.
        copy.batch_execute(
            "insert into invoice_sync.settings (invoice_condition) values ('nonsense')",
        )
        .expect("it is stored");
        let refused = copy
            .batch_execute("select invoice_sync.sweep(dry_run => true)")
            .expect_err("it is checked before it is used");
        assert_eq!(refused.code().map(|code| code.code()), Some("22023"));
    }
}
