//! What views show and take: sums, rows that they hide, rows that they repeat.

use super::{CHECK, PLAIN, books, lost, shop};

#[test]
fn what_a_view_computes_is_read_and_not_written() {
    let mut shop = shop(
        "create view invoices as
            select i.id, i.invoice_number, i.total_amount, i.stripe_session_id, i.stripe_payment_intent, i.currency,
                   case when p.paid >= i.total_amount then 'Paid' else 'Sent' end as invoice_status,
                   p.paid as amount_paid, i.total_amount - p.paid as balance_due, null::timestamptz as paid_date
            from kept.invoices i
            cross join lateral (
                select coalesce(sum(p.total_amount), 0) as paid from kept.payments p
                where p.invoice_id = i.id and p.payment_status = 'Paid'
            ) p;
        create view payments as select * from kept.payments;
        create function nothing() returns trigger language plpgsql as 'begin return new; end';
        create trigger nothing instead of update on invoices for each row execute function nothing()",
    );
    let id = lost(&mut shop, "INV-1");
    shop.sweep();

    let row = "select concat_ws(' ', invoice_status, trim_scale(amount_paid), trim_scale(balance_due)) from invoices";
    assert_eq!(shop.text(row).as_deref(), Some("Paid 125 0"));
    assert_eq!(books(&mut shop, &id), "Sent 0 Paid 125");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    let changed = shop.texts("select table_name from invoice_sync.changes order by 1");
    assert_eq!(
        changed,
        [
            Some("public.invoices".into()),
            Some("public.payments".into())
        ]
    );
}

#[test]
fn a_payment_that_the_view_would_not_show_is_not_written() {
    let mut shop = shop(
        "create view invoices as select * from kept.invoices;
        create view payments as select * from kept.payments where payment_name <> 'Stripe payment'",
    );
    let id = lost(&mut shop, "INV-1");
    for _ in 0..2 {
        shop.sweep();
        assert_eq!(books(&mut shop, &id), "Sent 0");
    }
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    let message = "select evidence ->> 'message' from invoice_sync.open_issues";
    assert_eq!(
        shop.text(message).as_deref(),
        Some("the view public.payments does not show a new row as it was written")
    );

    shop.execute(
        r#"update invoice_sync.settings set payment_values = payment_values || '{"payment_name": {"value": "Card"}}'"#,
    );
    shop.sweep();
    assert_eq!(books(&mut shop, &id), "Paid 125 Paid 125");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
}

#[test]
fn a_payment_whose_amount_the_view_takes_from_the_invoice_does_not_pay_it_by_a_part() {
    let mut shop = shop(
        "create view invoices as select * from kept.invoices;
        alter table kept.payments alter total_amount drop not null;
        create view payments as
            select p.id, p.invoice_id, p.payment_name, p.payment_status, p.payment_method, p.gratuity,
                   p.transaction_date, p.payment_notes, p.stripe_session_id, p.stripe_payment_intent,
                   (select i.total_amount from kept.invoices i where i.id = p.invoice_id) as total_amount
            from kept.payments p",
    );
    let whole = lost(&mut shop, "INV-1");
    let part = lost(&mut shop, "INV-2");
    shop.execute(&format!(
        "update kept.invoices set total_amount = 200, balance_due = 200 where id = '{part}'"
    ));
    for _ in 0..2 {
        shop.sweep();
        let status = "select invoice_status || ' ' || trim_scale(amount_paid) from kept.invoices where id = ";
        assert_eq!(
            shop.text(&format!("{status}'{whole}'")).as_deref(),
            Some("Paid 125")
        );
        assert_eq!(
            shop.text(&format!("{status}'{part}'")).as_deref(),
            Some("Sent 0")
        );
    }
    assert_eq!(shop.open_issues(), ["apply_failed INV-2"]);
    let rows = "select count(*) from kept.payments";
    assert_eq!(shop.text(rows).as_deref(), Some("1"));
}

#[test]
fn an_invoice_whose_rows_a_view_repeats_is_not_changed_and_others_are() {
    for repeated in ["invoices", "payments"] {
        let mut shop = shop(&format!(
            "create table kept.tags (name text, tag text);
            {}
            create function nothing() returns trigger language plpgsql as 'begin return new; end';
            create or replace view {repeated} as
                select t.* from kept.{repeated} t left join kept.tags g on g.name = t.{};
            create trigger nothing instead of insert or update on {repeated} for each row execute function nothing()",
            PLAIN,
            if repeated == "invoices" { "invoice_number" } else { "payment_name" },
        ));
        let (one, other) = (lost(&mut shop, "INV-1"), lost(&mut shop, "INV-2"));
        shop.execute(&format!(
            "insert into kept.payments (invoice_id, payment_name, payment_status, total_amount)
            values ('{one}', 'Cash', 'Paid', 10), ('{other}', 'Cheque', 'Paid', 10);
            insert into kept.tags values ('INV-1', 'a'), ('INV-1', 'b'), ('Cash', 'a'), ('Cash', 'b')"
        ));
        let before = shop.texts("select t::text from kept.payments t order by 1");

        shop.sweep();

        let issues = shop.texts(
            "select concat_ws(': ', invoice_number, evidence ->> 'message') from invoice_sync.open_issues
            where kind = 'apply_failed'",
        );
        let message = format!("INV-1: public.{repeated} has several rows with the same key");
        assert!(issues.contains(&Some(message)), "{issues:?}");
        assert_eq!(books(&mut shop, &one), "Sent 0 Paid 10", "{repeated}");
        let others = shop.texts("select t::text from kept.payments t order by 1");
        assert!(others.len() >= before.len(), "{repeated}");
    }
}

#[test]
fn a_view_that_cannot_be_written_is_refused() {
    let mut shop = shop(PLAIN);
    let distinct =
        "drop view payments; create view payments as select distinct * from kept.payments";
    shop.execute(distinct);
    let error = shop.error(CHECK);
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(error.message, "the view public.payments cannot be written");
    assert_eq!(
        error.detail,
        "The setting payments_table names it, and it does not support INSERT and UPDATE."
    );
    assert_eq!(
        error.hint,
        "Create a trigger INSTEAD OF each of these on the view."
    );

    shop.execute(
        "drop view payments; create materialized view payments as select * from kept.payments",
    );
    let error = shop.error(CHECK);
    assert_eq!(error.sqlstate, "42809");
    assert_eq!(error.message, "public.payments is not a table or view");
    shop.not_at_rest("the settings do not fit the tables");
}

#[test]
fn a_view_whose_rows_cannot_be_locked_is_refused() {
    let mut shop = shop(
        "create view invoices as select * from kept.invoices;
        create view payments as
            select p.id::text as id, i.id as invoice_id, p.payment_name, p.payment_status, p.payment_method,
                   p.total_amount, p.gratuity, p.transaction_date, p.payment_notes, p.stripe_session_id,
                   p.stripe_payment_intent
            from kept.invoices i left join kept.payments p on p.invoice_id = i.id;
        create function nothing() returns trigger language plpgsql as 'begin return new; end';
        create trigger nothing instead of insert or update on payments for each row execute function nothing()",
    );
    let error = shop.error(CHECK);
    assert_eq!(error.sqlstate, "0A000");
    assert_eq!(
        error.detail,
        "Column \"id\" of the view public.payments is not a column of one table, so that its rows are locked through the view. The setting payments_table names it."
    );
    shop.not_at_rest("the settings do not fit the tables");
}

#[test]
fn a_change_behind_a_view_is_found_by_the_next_sweep() {
    let mut shop = shop(PLAIN);
    let id = lost(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(books(&mut shop, &id), "Paid 125 Paid 125");
    shop.sweep();

    // Cash for another invoice, of which nothing but a full round knows.
    shop.execute(
        "insert into kept.invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-2', 'Eve', 'Sent', 30);
        insert into kept.payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 30 from kept.invoices where invoice_number = 'INV-2'",
    );
    shop.sweep();

    let other = shop.text("select id from kept.invoices where invoice_number = 'INV-2'");
    assert_eq!(
        books(&mut shop, &other.expect("it is there")),
        "Paid 30 Paid 30"
    );
}

#[test]
fn undo_restores_what_was_written_through_views() {
    let mut shop = shop(PLAIN);
    shop.execute("alter table kept.payments add net numeric generated always as (total_amount - gratuity) stored");
    shop.execute("drop view payments; create view payments as select * from kept.payments");
    lost(&mut shop, "INV-1");
    let tables = ["kept.invoices", "kept.payments"];
    let before = shop.dump_of(&tables);
    shop.sweep();
    let swept = shop.dump_of(&tables);

    let undo = "invoice_sync.undo((select max(run_id) from invoice_sync.changes))";
    let report = shop.json(undo);
    assert_eq!(report["left"], serde_json::json!([]), "{report}");
    assert_eq!(shop.dump_of(&tables), before);
    let report = shop.json(undo);
    assert_eq!(report["left"], serde_json::json!([]), "{report}");
    assert_eq!(shop.dump_of(&tables), swept);
}

#[test]
fn undo_leaves_a_payment_to_whose_table_another_refers() {
    let mut shop = shop(
        "create view invoices as select * from kept.invoices;
        create table kept.receipts (payment uuid references kept.payments on delete cascade);
        create view payments as select id as number, invoice_id, payment_name, payment_status, payment_method,
            total_amount, gratuity, transaction_date, payment_notes, stripe_session_id, stripe_payment_intent
            from kept.payments",
    );
    shop.execute("update invoice_sync.settings set payment_id_column = 'number'");
    let id = lost(&mut shop, "INV-1");
    shop.sweep();
    shop.execute("insert into kept.receipts select id from kept.payments");

    let report = shop.json("invoice_sync.undo((select max(run_id) from invoice_sync.changes))");

    assert_eq!(
        report["left"][0]["why"], "rows of kept.receipts refer to it and would be changed as well",
        "{report}"
    );
    assert_eq!(books(&mut shop, &id), "Paid 125 Paid 125");
}
