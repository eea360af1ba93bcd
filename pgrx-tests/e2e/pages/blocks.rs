//! Every SQL block of the README and of docs/ runs as it stands, by psql, in a shop with lost webhooks.

use stripe_double::Checkout;

use super::{page, root};
use crate::harness::psql::psql;
use crate::harness::{Shop, connect};
use crate::schedule::create_pg_cron;

/// The default tables with integer ids, and the further columns that the pages name.
fn tables() -> String {
    let tables = crate::harness::DEFAULT_TABLES
        .replace("invoice_id uuid", "invoice_id integer")
        .replacen(
            "id uuid primary key default gen_random_uuid()",
            "id integer primary key",
            1,
        );
    format!(
        "{tables};
        alter table invoices add organization_id uuid, add updated_at timestamptz, add lock_version integer not null default 0;
        alter table payments add organization_id uuid, add updated_at timestamptz;
        create schema shop;
        create table shop.bookings (
            id integer primary key, total_amount numeric, stripe_session_id text, updated_at timestamptz, lock_version integer,
            status text not null default 'pending' check (status in ('pending', 'confirmed', 'cancelled')));
        create table shop.payments (
            id uuid primary key, updated_at timestamptz, booking_id integer not null references shop.bookings,
            amount numeric not null, stripe_payment_intent text,
            status text not null default 'pending' check (status in ('pending', 'paid', 'failed', 'refunded')));
        create table staff (id uuid, keeps_books boolean);
        create schema auth; create function auth.uid() returns uuid language sql as 'select null::uuid';
        create schema vault;
        create function vault.create_secret(text, text) returns text language sql as 'select $2'"
    )
}

/// A shop with a lost payment of invoice 42, whose issue 17, run 42 and change 1234 the pages name.
fn shop() -> Shop {
    create_pg_cron(&mut connect("postgres"));
    let mut shop = Shop::with_tables(&tables());
    shop.not_at_rest("the blocks leave decisions half done, and another key");
    shop.make_roles(&["anon", "authenticated", "service_role"]);
    shop.execute("create extension if not exists dblink");
    for (id, status) in [(41, "Sent"), (42, "Sent"), (43, "Paid")] {
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        let session = if status == "Sent" {
            paid.session_id()
        } else {
            String::new()
        };
        shop.execute(&format!(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ({id}, 'INV-{id}', 'Ann', '{status}', 100, nullif('{session}', ''))"
        ));
    }
    for (table, number) in [("run", 41), ("change", 1234), ("issue", 17)] {
        shop.execute(&format!(
            "select setval(pg_get_serial_sequence('invoice_sync.{table}', 'id'), {number}, false)"
        ));
    }
    shop.execute("select invoice_sync.sync_invoice('41')");
    shop.execute("call invoice_sync.run_sweep()");
    let made =
        "select concat_ws(' ', max(run_id), min(c.id), (select min(id) from invoice_sync.issue))
        from invoice_sync.change c";
    assert_eq!(shop.text(made), Some("42 1234 17".into()));
    shop
}

/// Returns the SQL blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<String> {
    let of_sql = page.split("\n```sql\n").skip(1);
    of_sql
        .filter_map(|rest| rest.split("\n```").next())
        .map(str::to_owned)
        .collect()
}

/// Runs a block in the shop's database. Fails with what psql says.
fn execute(shop: &Shop, block: &str) -> Result<(), String> {
    let name = shop.name();
    let block = block
        .replace("alter database shop ", &format!("alter database {name} "))
        .replace(
            "alter database postgres ",
            &format!("alter database {name} "),
        )
        .replace("'5b0c…'", "'42'")
        .lines()
        // The shop has them already.
        .filter(|line| {
            !line.starts_with("create extension invoice_sync;")
                && !line.contains("stripe_api_key = 'file:")
        })
        .collect::<Vec<_>>()
        .join("\n");
    match psql(name, block.as_bytes()) {
        (true, _) => Ok(()),
        (false, messages) => Err(messages),
    }
}

#[test]
fn every_sql_block_of_the_pages_runs() {
    let mut names: Vec<String> = std::fs::read_dir(root().join("docs"))
        .expect("is a directory")
        .filter_map(|entry| entry.expect("is readable").file_name().into_string().ok())
        // Makes its own tables, and is run by the test of what it shows.
        .filter(|name| name.ends_with(".md") && name != "tutorial.md")
        .collect();
    names.push("../README.md".into());
    let mut count = 0;
    for name in names {
        let blocks = blocks(&page(&name));
        if blocks.is_empty() {
            continue;
        }
        let mut shop = shop();
        for block in blocks {
            count += 1;
            execute(&shop, &block).unwrap_or_else(|said| panic!("{name}:\n{block}\n{said}"));
        }
        shop.execute("select invoice_sync.unschedule()");
    }
    assert!(count > 20, "only {count} blocks were found");
}
