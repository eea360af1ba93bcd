//! Primary keys of every type and name.

use serde_json::{Value, json};
use stripe_double::Checkout;

use crate::harness::{DEFAULT_TABLES, Shop};

/// The default tables with another type of key.
fn shop_with_keys(type_name: &str) -> Shop {
    let default = match type_name {
        "uuid" => "gen_random_uuid()".to_owned(),
        text if text.contains("char") || text == "text" => {
            format!("lpad(nextval('keys')::text, 4, 'k')::{text}")
        }
        number => format!("(nextval('keys') + 20000)::{number}"),
    };
    let tables = DEFAULT_TABLES
        .replace(
            "id uuid primary key default gen_random_uuid()",
            &format!("id {type_name} primary key default {default}"),
        )
        .replace("invoice_id uuid", &format!("invoice_id {type_name}"));
    Shop::with_tables(&format!("create sequence keys; {tables}"))
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
        join invoice_sync.full_change c on c.row_id = i.id::text
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

/// The ids that a type can hold and that a careless pattern of digits cannot.
const FAR_KEYS: [(&str, &[&str]); 3] = [
    ("smallint", &["32767", "-32768"]),
    ("integer", &["2147483647", "1000000000", "-5"]),
    (
        "bigint",
        &[
            "9223372036854775807",
            "1000000000000000000",
            "-9223372036854775808",
        ],
    ),
];

#[test]
fn integers_of_any_size_are_named_by_metadata_and_stay_due() {
    for (key, ids) in FAR_KEYS {
        let mut shop = Shop::with_tables(&format!(
            "create table invoices (
                id {key} primary key, invoice_number text, invoice_status text not null default 'Sent',
                total_amount numeric not null, amount_paid numeric, balance_due numeric,
                paid_date timestamptz, currency text, stripe_session_id text, stripe_payment_intent text);
            create table payments (
                id bigint generated always as identity primary key, invoice_id {key} references invoices,
                payment_name text, payment_status text, payment_method text, total_amount numeric,
                gratuity numeric, transaction_date date, payment_notes text,
                stripe_session_id text, stripe_payment_intent text)"
        ));
        shop.execute("select invoice_sync.adopt_mapping('invoices', 'payments')");
        let mut sessions = Vec::new();
        for id in ids {
            let named = Checkout::new(4_000, "usd").metadata("invoice_id", *id);
            shop.stripe.checkout(named).pay();
            let open = shop.stripe.checkout(Checkout::new(6_000, "usd"));
            sessions.push(open.session_id());
            shop.execute(&format!(
                "insert into invoices (id, total_amount, stripe_session_id) values ({id}, 100, '{}')",
                open.session_id()
            ));
        }
        // One that no key of any type can hold names nothing.
        let far = Checkout::new(4_000, "usd").metadata("invoice_id", "99999999999999999999");
        shop.stripe.checkout(far).pay();
        shop.sweep();
        let paid = "select count(*) from invoices where amount_paid = 40";
        assert_eq!(shop.text(paid), Some(ids.len().to_string()), "{key}");

        shop.make_all_due();
        shop.stripe.reset_requests();
        shop.sweep();
        for session in sessions {
            assert_eq!(
                shop.stripe
                    .count_of(&format!("/v1/checkout/sessions/{session}")),
                1,
                "{key}"
            );
        }
    }
}
