//! Primary keys of every type, named in every way.

use serde_json::{Value, json};
use stripe_double::Checkout;

use crate::harness::{DEFAULT_TABLES, Shop};

/// The default tables with another type of key.
fn shop_with_keys(type_name: &str) -> Shop {
    let default = match type_name {
        "uuid" => "gen_random_uuid()".to_owned(),
        text if text.contains("char") || text == "text" => {
            format!("substr(gen_random_uuid()::text, 1, 4)::{text}")
        }
        number => format!("(random() * 30000)::{number}"),
    };
    let tables = DEFAULT_TABLES
        .replace(
            "id uuid primary key default gen_random_uuid()",
            &format!("id {type_name} primary key default {default}"),
        )
        .replace("invoice_id uuid", &format!("invoice_id {type_name}"));
    Shop::with_tables(&tables)
}

/// An invoice whose webhook was lost, with this key.
fn lost(shop: &mut Shop, key: &str) {
    let session = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ({key}, {key}, 'Ada', 'Sent', 125, '{}')",
        session.session_id()
    ));
}

fn expect_repaired(shop: &mut Shop, key: &str, report: &Value) {
    assert_eq!(report["fixed"], json!(1), "{key}: {report}");
    let state = shop.text(&format!(
        "select concat_ws(' ', i.invoice_status, trim_scale(p.total_amount), c.invoice_id)
        from invoices i join payments p on p.invoice_id = i.id
        join invoice_sync.change c on c.row_id = i.id::text
        where i.id = {key}"
    ));
    let id = shop.text(&format!("select id from invoices where id = {key}"));
    assert_eq!(state, id.map(|id| format!("Paid 125 {id}")));
}

#[test]
fn keys_of_every_type_are_taken_as_they_are_and_as_text() {
    for (type_name, keys) in [
        (
            "uuid",
            [
                "'6F9619FF-8B86-D011-B42D-00C04FC964F1'",
                "'6F9619FF-8B86-D011-B42D-00C04FC964F2'",
                "'6F9619FF-8B86-D011-B42D-00C04FC964F3'",
                "'6F9619FF-8B86-D011-B42D-00C04FC964F4'",
            ],
        ),
        (
            "bigint",
            ["9007199254740993", "9223372036854775807", "0", "(-1)"],
        ),
        ("integer", ["2147483647", "0", "(-1)", "7"]),
        ("smallint", ["32767", "0", "(-1)", "7"]),
        (
            "text",
            [
                "'O''Brien/1; drop table invoices --'",
                "' with a space'",
                "'Ä{\"x\"}$1'",
                "'7'",
            ],
        ),
        ("varchar(8)", ["'A-1'", "'a-1'", "'A-1x'", "'7'"]),
    ] {
        let mut shop = shop_with_keys(type_name);
        let [first, second, third, fourth] = keys;
        for (key, call) in [
            (
                first,
                format!("invoice_sync.sync_invoice({first}::{type_name})"),
            ),
            (
                second,
                format!("invoice_sync.sync_invoice(id => {second}::{type_name}, dry_run => false)"),
            ),
            (
                third,
                format!("invoice_sync.sync_invoice(invoice_id => {third}::{type_name}::text)"),
            ),
            (fourth, "invoice_sync.sweep()".to_owned()),
        ] {
            lost(&mut shop, key);
            let report = shop.json(&call);
            expect_repaired(&mut shop, key, &report);
        }
    }
}

#[test]
fn a_text_that_a_key_cannot_hold_is_no_other_invoice() {
    let mut shop = shop_with_keys("varchar(4)");
    lost(&mut shop, "'A-12'");
    let error = shop.error("select invoice_sync.sync_invoice('A-123')");
    assert_eq!(error.sqlstate, "P0002", "{error:?}");
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("0")
    );
}
