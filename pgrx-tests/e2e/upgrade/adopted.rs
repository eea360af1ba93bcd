//! An updated database that then adopts what 0.1.0 could not express, beside the books that it had.

use stripe_double::Checkout;

use super::{bring_to_today, with_books};
use crate::harness::Shop;

/// An updated database with the books of 0.1.0, in which its last run was a moment ago.
fn updated() -> Shop {
    let mut shop = with_books();
    shop.execute("alter extension invoice_sync update");
    bring_to_today(&mut shop);
    shop
}

/// Adds an invoice over 125 that stores the session of a payment of as much.
fn sell(shop: &mut Shop, invoice: &str) {
    let sold = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    shop.execute(&invoice.replace("{session}", &sold.session_id()));
}

/// What 0.1.0 wrote, which stays.
fn history(shop: &mut Shop) -> Vec<Option<String>> {
    shop.texts(
        "select to_jsonb(c) from invoice_sync.full_change c where table_name in ('public.invoices', 'public.payments')
        union all
        select to_jsonb(i) - 'updated_at' from invoices i
        union all
        select to_jsonb(p) - 'updated_at' from payments p
        order by 1",
    )
}

/// Sweeps, undoes that, and undoes the undo; `books` says what the tables contain.
fn books_are_kept(shop: &mut Shop, books: &str, [before, after]: [&str; 2]) {
    let old = history(shop);
    assert!(old.len() > 10, "{}", old.len());
    assert_eq!(shop.text(books).as_deref(), Some(before));
    shop.execute("call invoice_sync.run_sweep()");
    for expected in [after, before, after] {
        assert_eq!(shop.text(books).as_deref(), Some(expected));
        let run = shop.text("select max(run_id) from invoice_sync.changes");
        let run = run.expect("something was written");
        let report = shop.json(&format!("invoice_sync.undo({run})"));
        assert_eq!(report["left"], serde_json::json!([]), "{report}");
    }
    assert_eq!(history(shop), old);
    // The books of 0.1.0 are those of other tables now, and are left alone.
    let report = shop.json("invoice_sync.undo(3)");
    assert_eq!(report["undone"], 0, "{report}");
    assert_eq!(history(shop), old);
    shop.not_at_rest("what was undone waits for a person");
}

#[test]
fn an_updated_database_takes_payments_into_its_own_table() {
    let mut shop = updated();
    shop.execute(
        "create schema shop;
        create table shop.orders (
            id integer primary key, total_cents integer not null, paid_at timestamptz,
            stripe_checkout_session_id text,
            status text not null default 'pending' check (status in ('pending', 'paid', 'cancelled')));
        select invoice_sync.adopt_mapping('shop.orders', 'invoice_sync.payment')",
    );
    sell(
        &mut shop,
        "insert into shop.orders (id, total_cents, stripe_checkout_session_id) values (1, 12500, '{session}')",
    );
    let books = "select concat_ws(' ', o.status, o.paid_at is not null, p.status, p.amount)
        from shop.orders o left join invoice_sync.payment p on p.invoice_id = o.id::text";
    books_are_kept(&mut shop, books, ["pending f", "paid t paid 125.00"]);
}

#[test]
fn an_updated_database_remembers_which_row_is_which_payment() {
    let mut shop = updated();
    shop.execute(
        r#"create schema shop;
        create table shop.invoices (
            id integer primary key, total numeric(10, 2) not null, stripe_session_id text,
            status text not null default 'sent' check (status in ('sent', 'paid')));
        create table shop.payment_history (
            id serial primary key, invoice_id integer not null references shop.invoices,
            amount numeric(10, 2) not null);
        select invoice_sync.adopt_mapping('shop.invoices', 'shop.payment_history', '{"payment_intent_column": null}')"#,
    );
    sell(
        &mut shop,
        "insert into shop.invoices (id, total, stripe_session_id) values (1, 125, '{session}')",
    );
    let books = "select concat_ws(' ', i.status, p.amount, m.row_id)
        from shop.invoices i
        left join shop.payment_history p on p.invoice_id = i.id
        left join invoice_sync.payment_ids m on m.row_id = p.id::text";
    books_are_kept(&mut shop, books, ["sent", "paid 125.00 1"]);
}
