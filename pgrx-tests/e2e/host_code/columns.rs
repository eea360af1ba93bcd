//! Columns that this extension does not use, with any content.

use serde_json::json;

use super::{invoice, lost, sent};
use crate::harness::Shop;

/// Readers of JSON give up at some depth; PostgreSQL's own goes deeper than ours.
#[test]
fn json_that_is_nested_too_deep_keeps_nothing_from_being_repaired() {
    let mut shop = Shop::open();
    shop.execute("alter table invoices add extra jsonb");
    let (deep, plain) = (lost(&mut shop, "INV-1"), lost(&mut shop, "INV-2"));
    shop.execute(&format!(
        "update invoices set extra = (repeat('[', 500) || repeat(']', 500))::jsonb where id = '{deep}'"
    ));

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(2));
    assert_eq!(invoice(&mut shop, &deep), "Paid 125 0");
    assert_eq!(invoice(&mut shop, &plain), "Paid 125 0");
    let changed = "select string_agg(key, ' ' order by key) from invoice_sync.full_change, jsonb_object_keys(after) key
        where table_name = 'public.invoices' and invoice_id = ";
    assert_eq!(
        shop.text(&format!("{changed} '{deep}'")),
        Some("amount_paid balance_due invoice_status paid_date".to_owned())
    );

    // As a whole it cannot be compared with what it was.
    let undone: serde_json::Value =
        shop.rows(&format!("select invoice_sync.undo({})", report["runId"]))[0].get(0);
    assert_eq!(undone["undone"], json!(1));
    assert_eq!(undone["left"][0]["invoiceId"], json!(deep));
    assert!(
        undone["left"][0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("cannot be read as a whole")),
        "{undone}"
    );
    assert_eq!(invoice(&mut shop, &deep), "Paid 125 0");
    assert_eq!(invoice(&mut shop, &plain), "Sent 0 125");
}

/// A value that stands in the row as it stood is no change, however it is written.
#[test]
fn only_what_changed_is_written_down() {
    let mut shop = Shop::open();
    shop.execute(
        r#"alter table invoices add "odd ""name\" text, add said json;
        alter table invoices add total_in_words text generated always as ('= ' || amount_paid::text) stored"#,
    );
    lost(&mut shop, "INV-1");
    shop.execute(
        r#"update invoices set "odd ""name\" = E'a "text"\n\\', said = '{"b" :  1,
            "a": 1e3}'"#,
    );

    shop.sweep();

    assert_eq!(
        shop.text(
            "select concat_ws(' ', before - 'paid_date', after - 'paid_date') from invoice_sync.full_change
            where table_name = 'public.invoices'"
        ),
        Some(
            "{\"amount_paid\": 0.000, \"balance_due\": 125.000, \"invoice_status\": \"Sent\", \"total_in_words\": \"= 0.000\"} \
             {\"amount_paid\": 125.000, \"balance_due\": 0.000, \"invoice_status\": \"Paid\", \"total_in_words\": \"= 125.000\"}"
                .to_owned()
        )
    );
}

#[test]
fn whatever_stands_where_ids_belong_is_noted_as_it_stands() {
    let mut shop = Shop::open();
    let id = sent(&mut shop, "INV-1", r#"cs_"a\{b},null"#);

    shop.sweep();

    assert_eq!(
        shop.text(&format!(
            "select k.stored_ids[1] || ' ' || (k.stored_ids = array[i.stripe_session_id])
            from invoice_sync.invoice_check k join invoices i on i.id::text = k.invoice_id
            where i.id = '{id}'"
        )),
        Some(r#"cs_"a\{b},null true"#.to_owned())
    );
}

/// Such a domain takes no row without a value for it, and a row of JSON has none for columns that are not written.
#[test]
fn a_domain_that_is_not_null_hinders_nothing_that_does_not_write_it() {
    let mut shop = Shop::open();
    shop.execute(
        r#"create domain label as text not null check (value <> '');
        alter table payments add memo label default 'x';
        alter table invoices add memo label default 'y';
        update invoice_sync.settings set
            payment_values = payment_values || '{"payment_notes": {"sql": "'of ' || payment_name"}}',
            invoice_update_values = '{"memo": {"sql": "memo || '' '' || invoice_status"}}'"#
            .replace("'of '", "''of ''")
            .as_str(),
    );
    let id = lost(&mut shop, "INV-1");
    let report = shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0], "{report}");
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    let noted = "select concat_ws(', ', p.memo, p.payment_notes, i.memo)
        from payments p join invoices i on i.id = p.invoice_id";
    assert_eq!(
        shop.text(noted).as_deref(),
        Some("x, of Stripe payment, y Paid")
    );

    // The row as it was recorded goes back, too, and comes again.
    let run = &report["runId"];
    let undone = shop.json(&format!("invoice_sync.undo({run})"));
    assert_eq!(
        (&undone["undone"], &undone["left"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
    let undo = &undone["runId"];
    let again = shop.json(&format!("invoice_sync.undo({undo})"));
    assert_eq!((&again["undone"], &again["left"]), (&json!(1), &json!([])));
    assert_eq!(
        shop.text(noted).as_deref(),
        Some("x, of Stripe payment, y Paid")
    );
}

/// As hstore is one, whose JSON is an object.
#[test]
fn a_type_that_does_not_read_its_own_json_hinders_nothing_that_does_not_write_it() {
    let mut shop = Shop::open();
    shop.execute(
        r#"create type mood as enum ('glad', 'sad');
        create function as_json(mood) returns json language sql immutable
            as $$ select json_build_object('mood', $1::text) $$;
        create cast (mood as json) with function as_json(mood);
        alter table invoices add feels mood default 'glad', add said text;
        alter table payments add feels mood default 'sad';
        update invoice_sync.settings set
            payment_update_values = '{"payment_notes": {"sql": "feels::text || payment_status"}}',
            invoice_update_values = '{"said": {"sql": "feels::text || invoice_status"}}'"#,
    );
    let id = lost(&mut shop, "INV-1");
    // A payment that was expected is updated.
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        select id, 'Expected', 'Pending', 125, stripe_session_id from invoices where id = '{id}'"
    ));
    let report = shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0], "{report}");
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    let said = "select concat_ws(', ', p.payment_notes, p.feels, i.said, i.feels)
        from payments p join invoices i on i.id = p.invoice_id";
    assert_eq!(
        shop.text(said).as_deref(),
        Some("sadPaid, sad, gladPaid, glad")
    );
    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(
        (&undone["undone"], &undone["left"]),
        (&json!(1), &json!([])),
        "{undone}"
    );
    assert_eq!(shop.text(said).as_deref(), Some("sad, glad"));
}

#[test]
fn columns_may_have_the_names_that_statements_give_the_tables() {
    let mut shop = Shop::open();
    for table in ["invoices", "payments"] {
        shop.execute(&format!(
            "alter table {table} add i text default 'i', add p text default 'p', add t text default 't'"
        ));
    }
    crate::harness::sale::Sale::unbooked(&mut shop, "INV-1");
    shop.execute("call invoice_sync.run_sweep()");
    let paid = "select count(*) from invoices where invoice_status = 'Paid'";
    assert_eq!(shop.text(paid).as_deref(), Some("1"));
    shop.execute(
        "select invoice_sync.undo(id) from invoice_sync.recent_runs where invoices_fixed = 1",
    );
    assert_eq!(shop.text(paid).as_deref(), Some("0"));
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("0")
    );
}

/// The tables have two owners, so that what is read of one is given to the statement on the other as rows.
#[test]
fn a_column_may_have_the_name_of_the_rows_that_statements_are_given() {
    let mut shop = Shop::open();
    shop.give_tables_to("keeper_of_invoices", "keeper_of_payments");
    shop.execute(
        r#"alter table payments rename stripe_session_id to "$rows";
        update invoice_sync.settings set payment_session_column = '$rows'"#,
    );
    crate::harness::sale::Sale::unbooked(&mut shop, "INV-1");
    shop.execute("call invoice_sync.run_sweep()");
    shop.execute("delete from payments");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(
        shop.text("select string_agg(\"$rows\", ' ') from payments"),
        shop.text("select stripe_session_id from invoices")
    );
}
