//! What is proposed because of the rows of both tables.

use super::proposals;
use crate::harness::Shop;

/// Bookings of 10, and their payments: status, amount and id of each.
fn shop(rows: &[(&str, &str, &str)]) -> Shop {
    let mut shop = Shop::with_tables(
        "create table bookings (
            id serial primary key, total numeric not null,
            status text not null check (status in ('pending', 'accepted', 'confirmed', 'completed', 'cancelled')));
        create table payments (
            id serial primary key, booking_id integer not null references bookings, amount numeric not null,
            state text not null, reference text, external_id text)",
    );
    shop.not_at_rest("the settings do not fit the tables");
    for (number, (status, amount, id)) in (1..).zip(rows) {
        shop.execute(&format!(
            "insert into bookings (total, status) values (10, '{status}');
            insert into payments (booking_id, amount, state, reference) values ({number}, {amount}, 'paid', '{id}')"
        ));
    }
    shop
}

fn proposed(rows: &[(&str, &str, &str)]) -> Vec<String> {
    proposals(
        &mut shop(rows),
        "setting in ('invoice_paid_word', 'payment_amount_unit', 'payment_session_column', 'payment_intent_column')",
    )
}

#[test]
fn rows_of_paid_bookings_say_the_word_the_unit_and_the_column_of_ids() {
    let rows = [
        ("confirmed", "1000", "pi_1"),
        ("pending", "300", "pi_2"),
        ("completed", "1000", "ch_3"),
    ];
    assert_eq!(
        proposed(&rows),
        [
            "payment_session_column=",
            "payment_intent_column=reference",
            "invoice_paid_word=confirmed",
            "payment_amount_unit=minor"
        ]
    );
}

#[test]
fn rows_that_contradict_each_other_say_nothing() {
    let rows = [
        ("confirmed", "1000", "x"),
        ("accepted", "10", "pi_2"),
        ("accepted", "10", "y"),
    ];
    assert_eq!(
        proposed(&rows),
        [
            "payment_session_column=",
            // Only a name says so, and no value contradicts it.
            "payment_intent_column=external_id",
            "invoice_paid_word=",
            "payment_amount_unit="
        ]
    );
}

#[test]
fn a_column_with_ids_of_another_provider_is_not_taken_by_its_name() {
    let mut shop = shop(&[("confirmed", "10", "x")]);
    shop.execute("update payments set external_id = 'PAYID-1'");
    let ids = "setting in ('payment_session_column', 'payment_intent_column')";
    assert_eq!(
        proposals(&mut shop, ids),
        ["payment_session_column=", "payment_intent_column="]
    );
}

#[test]
fn ids_are_found_beside_a_session_of_the_application() {
    let mut shop = Shop::with_tables(
        "create table orders (id serial primary key, total numeric, payment_status text, charge_id varchar(20));
        create table payments (
            id serial primary key, order_id integer references orders, amount numeric, session_id text,
            reference text);
        insert into payments (session_id, reference) values ('f3a1', 'pi_1')",
    );
    shop.not_at_rest("the settings do not fit the tables");
    assert_eq!(
        proposals(
            &mut shop,
            "setting like '%\\_session\\_column' or setting like '%\\_intent\\_column'"
        ),
        [
            // No id of Stripe's is as short.
            "invoice_session_column=",
            "invoice_intent_column=",
            "payment_session_column=",
            "payment_intent_column=reference",
        ]
    );
}

#[test]
fn a_payment_link_is_read_from_invoices_and_not_written_to_payments() {
    let mut shop = Shop::with_tables(
        "create table invoices (
            id serial primary key, total numeric, status text, stripe_payment_link_url text, stripe_payment_link_id text,
            stripe_payment_intent_id text);
        create table payments (
            id serial primary key, invoice_id integer references invoices, amount numeric, stripe_payment_link_id text,
            stripe_payment_intent_id text)",
    );
    shop.not_at_rest("the settings do not fit the tables");
    assert_eq!(
        proposals(
            &mut shop,
            "setting like '%\\_session\\_column' or setting like '%\\_intent\\_column'"
        ),
        [
            "invoice_session_column=stripe_payment_link_id",
            "invoice_intent_column=stripe_payment_intent_id",
            "payment_session_column=",
            "payment_intent_column=stripe_payment_intent_id",
        ]
    );
}

#[test]
fn columns_that_name_a_value_of_stripes_get_it() {
    let mut shop = Shop::with_tables(
        "create table invoices (
            id serial primary key, total_cents integer not null,
            status text not null check (status in ('sent', 'paid', 'void')));
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, amount_cents integer not null,
            status text not null check (status in ('pending', 'paid', 'failed')), stripe_payment_intent_id text,
            stripe_fee_cents integer default 0, stripe_net numeric(10, 2), stripe_receipt_url text, fee_cents integer)",
    );
    // Dollars beside cents: no unit is right for both. A fee that is not named Stripe's may be the application's own.
    assert_eq!(
        proposals(&mut shop, "setting = 'payment_values'"),
        [
            r#"payment_values={"stripe_fee_cents":{"stripe":"balance_transaction.fee"},"stripe_receipt_url":{"stripe":"charge.receipt_url"}}"#
        ]
    );
    shop.execute("select invoice_sync.adopt_mapping(); insert into invoices (total_cents, status) values (12500, 'sent')");
    let checkout = stripe_double::Checkout::new(12_500, "usd").metadata("invoice_id", "1");
    shop.stripe.checkout(checkout).pay();
    shop.sweep();
    let filled = "select concat_ws(' ', stripe_fee_cents, stripe_receipt_url like 'https://%') from payments";
    assert_eq!(shop.text(filled).as_deref(), Some("362 t"));
}

#[test]
fn rows_say_whether_a_transaction_is_a_charge_or_of_the_balance() {
    for (value, expected) in [
        (
            "txn_1",
            r#"payment_values={"stripe_transaction_id":{"stripe":"balance_transaction.id"}}"#,
        ),
        (
            "ch_1",
            r#"payment_values={"stripe_transaction_id":{"stripe":"charge.id"}}"#,
        ),
        ("T-1", "payment_values={}"),
    ] {
        let mut shop = Shop::with_tables(&format!(
            "create table invoices (
                id serial primary key, total_cents integer not null,
                status text not null check (status in ('sent', 'paid', 'void')));
            create table payments (
                id serial primary key, invoice_id integer not null references invoices, amount_cents integer not null,
                status text not null check (status in ('pending', 'paid', 'failed')), stripe_payment_intent_id text,
                stripe_transaction_id text);
            insert into invoices (total_cents, status) values (100, 'paid');
            insert into payments (invoice_id, amount_cents, status, stripe_payment_intent_id, stripe_transaction_id)
            values (1, 100, 'paid', 'pi_1', '{value}')"
        ));
        shop.not_at_rest("the settings do not fit the tables");
        assert_eq!(
            proposals(&mut shop, "setting = 'payment_values'"),
            [expected]
        );
    }
}
