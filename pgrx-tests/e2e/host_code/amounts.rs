//! Amounts in units that differ, in binary floating-point numbers, and in the currency of the payment.

use serde_json::json;
use stripe_double::{Checkout, Refund};

use super::statuses::{rows, undo};
use crate::harness::Shop;

const TABLES: [&str; 2] = ["\"Booking\"", "\"Payment\""];

/// Bookings in whole units and payments in cents, both in double precision.
fn bookings() -> Shop {
    let mut shop = Shop::with_tables(include_str!("../proposal/hosts/booking_app_api.sql"));
    shop.execute(
        r#"insert into "User" default values;
        update invoice_sync.settings set
            invoices_table = 'public."Booking"', invoice_number_column = null, invoice_status_column = 'status',
            invoice_total_column = 'totalPrice', invoice_amount_paid_column = null, invoice_balance_column = null,
            invoice_paid_at_column = null, invoice_currency_column = null, invoice_session_column = null,
            invoice_intent_column = null, invoice_paid_word = 'CONFIRMED', invoice_partial_word = null,
            invoice_closed_words = '{CANCELLED}', invoice_after_paid_words = '{COMPLETED}',
            invoice_update_values = '{"updatedAt": {"sql": "now()"}}',
            payments_table = 'public."Payment"', payment_invoice_column = 'bookingId',
            payment_status_column = 'status', payment_amount_column = 'amount', payment_amount_unit = 'minor',
            payment_currency_column = 'currency', payment_gratuity_column = null, payment_date_column = null,
            payment_session_column = 'stripeSessionId', payment_intent_column = 'stripePaymentIntentId',
            payment_paid_word = 'SUCCEEDED', payment_pending_words = '{PENDING}', payment_failed_words = '{FAILED}',
            payment_refunded_word = null, payment_disputed_word = null,
            payment_values = '{"updatedAt": {"sql": "now()"}}', payment_update_values = '{"updatedAt": {"sql": "now()"}}',
            client_reference_names_invoice = true, default_currency = 'USD'"#,
    );
    shop
}

/// A booking over this price; gives its id.
fn book(shop: &mut Shop, price: &str) -> String {
    let booked = shop.rows(&format!(
        r#"insert into "Booking" ("userId", "bookingDate", "totalPrice", "updatedAt")
        values (1, '2026-01-01', {price}, '2026-01-01') returning id::text"#
    ));
    booked[0].get(0)
}

fn books(shop: &mut Shop, booking: &str) -> Option<String> {
    shop.text(&format!(
        r#"select concat_ws(' ', b.status, b."totalPrice",
                          (select string_agg(concat_ws(':', p.status, p.amount, p.currency), ', ' order by p.amount)
                           from "Payment" p where p."bookingId" = b.id))
        from "Booking" b where id = {booking}"#
    ))
}

fn pay(shop: &mut Shop, cents: i64, currency: &str, booking: &str) -> String {
    let checkout = Checkout::new(cents, currency).client_reference_id(booking);
    shop.stripe.checkout(checkout).pay().intent_id()
}

#[test]
fn each_table_has_its_unit_and_floats_are_exact_to_the_cent() {
    let mut shop = bookings();
    let whole = book(&mut shop, "0.1::float8 + 0.2");
    pay(&mut shop, 30, "usd", &whole);
    let parts = book(&mut shop, "1234567.89");
    for cents in [100_000_010, 23_456_779] {
        pay(&mut shop, cents, "usd", &parts);
    }
    let deposit = book(&mut shop, "100");
    pay(&mut shop, 4_000, "usd", &deposit);
    // A third of 100, which the application leaves to its type.
    let third = book(&mut shop, "100 / 3.0::float8");
    let session = shop
        .stripe
        .checkout(Checkout::new(3_333, "usd"))
        .pay()
        .session_id();
    shop.execute(&format!(
        r#"insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
        values ({third}, 10000 / 3.0::float8, 'USD', 'PENDING', '{session}', '2026-01-01')"#
    ));
    let foreign = book(&mut shop, "100");
    pay(&mut shop, 10_000, "eur", &foreign);
    let before = rows(&mut shop, &TABLES);

    shop.sweep();

    assert_eq!(
        books(&mut shop, &whole).as_deref(),
        Some("CONFIRMED 0.30000000000000004 SUCCEEDED:30:USD")
    );
    assert_eq!(
        books(&mut shop, &parts).as_deref(),
        Some("CONFIRMED 1234567.89 SUCCEEDED:23456779:USD, SUCCEEDED:100000010:USD")
    );
    assert_eq!(
        books(&mut shop, &deposit).as_deref(),
        Some("PENDING 100 SUCCEEDED:4000:USD")
    );
    assert_eq!(
        books(&mut shop, &third).as_deref(),
        Some("CONFIRMED 33.333333333333336 SUCCEEDED:3333.3333333333335:USD")
    );
    assert_eq!(books(&mut shop, &foreign).as_deref(), Some("PENDING 100"));
    assert_eq!(shop.open_issues(), [format!("currency_mismatch {foreign}")]);

    undo(&mut shop);
    assert_eq!(rows(&mut shop, &TABLES), before);
}

#[test]
fn a_refund_and_an_overpayment_are_counted_in_the_unit_of_the_payments() {
    let mut shop = bookings();
    let refunded = book(&mut shop, "80");
    let intent = pay(&mut shop, 8_000, "usd", &refunded);
    let twice = book(&mut shop, "50.5");
    for _ in 0..2 {
        pay(&mut shop, 5_050, "usd", &twice);
    }
    shop.sweep();
    shop.stripe.refund(&intent, Refund::of(2_000));

    shop.sweep();

    assert_eq!(
        shop.open_issues(),
        [
            format!("overpaid {twice}"),
            format!("partially_refunded {refunded}")
        ]
    );
}

#[test]
fn what_is_found_without_stripe_is_compared_in_one_unit_by_each_currency() {
    let mut shop = bookings();
    shop.execute(
        r#"alter table "Booking" add currency text;
        update invoice_sync.settings set invoice_currency_column = 'currency'"#,
    );
    // 5000 yen are 5000 in both units; 1.5 dinars are 1500 fils.
    for (currency, price, amount) in [
        ("jpy", "5000", "5000"),
        ("KWD", "1.5", "1500"),
        ("usd", "12.5", "1250"),
    ] {
        // The second is paid in the same number, which is too little.
        for paid in [amount, if amount == price { "1" } else { price }] {
            shop.execute(&format!(
                r#"with booked as (
                    insert into "Booking" ("userId", "bookingDate", "totalPrice", status, currency, "updatedAt")
                    values (1, '2026-01-01', {price}, 'CONFIRMED', '{currency}', '2026-01-01') returning id)
                insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
                select id, {paid}, '{currency}', 'SUCCEEDED', 'cash {currency} {paid}', '2026-01-01' from booked"#
            ));
        }
    }

    // As much, in another currency.
    shop.execute(
        r#"with booked as (
            insert into "Booking" ("userId", "bookingDate", "totalPrice", status, currency, "updatedAt")
            values (1, '2026-01-01', 100, 'CONFIRMED', null, '2026-01-01') returning id)
        insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
        select id, 10000, 'EUR', 'SUCCEEDED', 'cash', '2026-01-01' from booked"#,
    );

    // Nobody can pay the fraction.
    for (currency, price, amount) in [("isk", "1240.32", "1240"), ("usd", "24.733", "2473")] {
        shop.execute(&format!(
            r#"with booked as (
                insert into "Booking" ("userId", "bookingDate", "totalPrice", currency, "updatedAt")
                values (1, '2026-01-01', {price}, '{currency}', '2026-01-01') returning id)
            insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
            select id, {amount}, '{currency}', 'SUCCEEDED', 'cash {currency}', '2026-01-01' from booked"#
        ));
    }

    shop.sweep();

    let short: Vec<String> = [2, 4, 6, 7]
        .map(|id| format!("amount_mismatch {id}"))
        .into();
    assert_eq!(shop.open_issues(), short);
    let states = r#"select string_agg(status::text, ' ' order by id) from "Booking" where id > 7"#;
    assert_eq!(shop.text(states), Some("CONFIRMED CONFIRMED".into()));
}

#[test]
fn a_payment_in_another_currency_than_its_invoice_does_not_count() {
    let mut shop = bookings();
    let booking = book(&mut shop, "100");
    let session = shop
        .stripe
        .checkout(Checkout::new(10_000, "usd"))
        .pay()
        .session_id();
    shop.execute(&format!(
        r#"insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
        values ({booking}, 10000, 'BDT', 'SUCCEEDED', '{session}', '2026-01-01')"#
    ));

    let report = shop.json(&format!("invoice_sync.sync_invoice('{booking}')"));

    assert_eq!(
        books(&mut shop, &booking).as_deref(),
        Some("PENDING 100 SUCCEEDED:10000:BDT")
    );
    assert_eq!(
        shop.open_issues(),
        [format!("amount_mismatch {booking}")],
        "{report}"
    );
    assert_eq!(report["fixed"], json!(0));
}
