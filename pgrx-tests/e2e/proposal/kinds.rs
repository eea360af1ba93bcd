//! Tables that contain other things than invoices or payments as well.

use stripe_double::{Checkout, Purchase};

use super::proposals;
use crate::harness::Shop;

/// Has an invoice paid at Stripe that only the metadata name.
fn pay(shop: &mut Shop, id: &str, cents: i64) -> Purchase {
    let checkout = Checkout::new(cents, "usd").metadata("invoice_id", id);
    shop.stripe.checkout(checkout).pay()
}

const TRANSACTIONS: &str = "
    create table orders (
        id bigserial primary key, status varchar(255) not null, total bigint not null);
    create table transactions (
        id bigserial primary key, order_id bigint not null references orders, success boolean not null,
        type varchar(255) not null default 'capture' check (type in ('refund', 'intent', 'capture')),
        driver varchar(255) not null, amount integer not null, reference varchar(255) not null,
        status varchar(255) not null, captured_at timestamp);
    insert into orders (status, total) values ('payment-received', 12500), ('awaiting-payment', 12500);
    insert into transactions (order_id, success, type, driver, amount, reference, status) values
        (1, true, 'intent', 'stripe', 12500, 'ch_0', 'succeeded'),
        (1, true, 'capture', 'stripe', 12500, 'ch_1', 'succeeded');";

#[test]
fn refunds_and_authorizations_are_no_payments() {
    let mut shop = Shop::with_tables(TRANSACTIONS);
    shop.execute("select invoice_sync.adopt_mapping()");
    let about = "setting in ('payment_condition', 'payment_values', 'invoice_paid_word')";
    assert_eq!(
        proposals(&mut shop, about),
        [
            "payment_condition=type::text = 'capture'",
            r#"payment_values={"type":{"value":"capture"},"driver":{"value":"stripe"},"success":{"value":true}}"#,
            "invoice_paid_word=payment-received",
        ]
    );
    // An authorization of the whole and a refund of a part stand beside the payment that is lost.
    pay(&mut shop, "2", 12_500);
    shop.execute(
        "insert into transactions (order_id, success, type, driver, amount, reference, status) values
            (2, true, 'intent', 'stripe', 12500, 'ch_x', 'succeeded'),
            (1, true, 'refund', 'stripe', 2500, 'ch_1', 'succeeded')",
    );
    shop.sweep();
    assert_eq!(
        shop.texts(
            "select concat_ws(' ', o.id, o.status, (
                select string_agg(concat_ws(' ', t.type, t.amount, t.success, t.driver), ', ' order by t.id)
                from transactions t where t.order_id = o.id and t.type = 'capture'))
            from orders o order by o.id"
        )
        .concat_all(),
        [
            "1 payment-received capture 12500 t stripe",
            "2 payment-received capture 12500 t stripe"
        ]
    );
    shop.not_at_rest("the first order's payment has an id that Stripe does not know");
}

/// Rows of one text.
trait Texts {
    fn concat_all(self) -> Vec<String>;
}

impl Texts for Vec<Option<String>> {
    fn concat_all(self) -> Vec<String> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_refund_that_is_negative_counts_as_one() {
    let mut shop = Shop::with_tables(
        "create table invoices (
            id serial primary key, total numeric not null, status text not null check (status in ('sent', 'paid')));
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, amount numeric not null,
            type text not null, stripe_payment_intent_id text);
        insert into invoices (total, status) values (10, 'sent');
        insert into payments (invoice_id, amount, type) values (1, 10, 'payment'), (1, -4, 'refund')",
    );
    shop.not_at_rest("the settings do not fit the tables");
    let condition = "setting = 'payment_condition'";
    assert_eq!(proposals(&mut shop, condition), ["payment_condition="]);
    shop.execute("insert into payments (invoice_id, amount, type) values (1, 3, 'authorization')");
    assert_eq!(
        proposals(&mut shop, condition),
        ["payment_condition=type::text is distinct from 'authorization'"]
    );
    shop.execute("update payments set amount = -amount where type = 'refund'");
    assert_eq!(
        proposals(&mut shop, condition),
        ["payment_condition=type::text = 'payment'"]
    );
}

#[test]
fn how_or_for_what_was_paid_is_no_kind() {
    for (words, expected) in [
        ("('credit'), ('debit'), ('cash')", "payment_condition="),
        ("('tuition'), ('fee'), ('deposit')", "payment_condition="),
        (
            "('tuition'), ('fee'), ('refund')",
            "payment_condition=type::text is distinct from 'refund'",
        ),
    ] {
        let mut shop = Shop::with_tables(&format!(
            "create table invoices (id serial primary key, total numeric, status text, type text);
            create table payments (
                id serial primary key, invoice_id integer references invoices, amount numeric, type text,
                stripe_session_id text);
            insert into invoices (type) values ('cash'), ('credit'), ('debit_note');
            insert into payments (type, amount) select word, 10 from (values {words}) v (word)"
        ));
        shop.not_at_rest("the settings do not fit the tables");
        assert_eq!(
            proposals(
                &mut shop,
                "setting in ('invoice_condition', 'payment_condition')"
            ),
            ["invoice_condition=", expected]
        );
    }
}

#[test]
fn of_accounts_that_write_each_payment_twice_one_side_counts() {
    let mut shop = Shop::with_tables(
        "create table orders (id serial primary key, total integer, payment_status text);
        create table transactions (
            id serial primary key, order_id integer references orders, amount integer, type text, charge_id text);
        insert into orders (total, payment_status) values (100, 'PAID');
        insert into transactions (order_id, amount, type) values (1, 100, 'CREDIT'), (1, -100, 'DEBIT')",
    );
    shop.not_at_rest("the settings do not fit the tables");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('payment_condition', 'payment_values')"
        ),
        [
            "payment_condition=type::text = 'CREDIT'",
            r#"payment_values={"type":{"value":"CREDIT"}}"#
        ]
    );
}

#[test]
fn estimates_and_bills_are_no_invoices() {
    let mut shop = Shop::with_tables(
        r#"create table "Invoice" (
            id serial primary key, "totalValue" numeric not null, status text not null, "isEstimate" boolean,
            "invoiceType" text not null, "deletedAt" timestamp);
        create table "Payment" (
            id serial primary key, "invoiceId" integer not null references "Invoice", amount numeric not null,
            "stripePaymentIntentId" text);
        insert into "Invoice" ("totalValue", status, "isEstimate", "invoiceType") values
            (125, 'SENT', false, 'sales_invoice'), (125, 'SENT', true, 'sales_invoice'),
            (125, 'SENT', false, 'vendor_bill'), (125, 'FULLY_PAID', false, 'sales_invoice')"#,
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        proposals(&mut shop, "setting = 'invoice_condition'"),
        [
            r#"invoice_condition="deletedAt" is null and "isEstimate" is not true and "invoiceType"::text = 'sales_invoice'"#
        ]
    );
    for id in ["1", "2", "3"] {
        pay(&mut shop, id, 12_500);
    }
    shop.sweep();
    assert_eq!(
        shop.texts(r#"select concat_ws(' ', id, status) from "Invoice" order by id"#)
            .concat_all(),
        ["1 FULLY_PAID", "2 SENT", "3 SENT", "4 FULLY_PAID"]
    );
    assert_eq!(
        shop.texts("select kind from invoice_sync.open_issues where kind = 'unlinked_payment'")
            .len(),
        2
    );
}

#[test]
fn payments_of_other_things_are_told_from_those_of_invoices() {
    // The column by the name of an invoice is one that the application has given up.
    let mut shop = Shop::with_tables(
        r#"create table invoices (
            id uuid primary key default gen_random_uuid(), total_cents bigint not null,
            status text not null check (status in ('draft', 'finalized', 'paid', 'voided')));
        create table payments (
            id uuid primary key default gen_random_uuid(), invoice_id uuid, payable_type text not null, payable_id uuid,
            amount_cents bigint not null, status text not null, provider_payment_id text);
        insert into invoices select ('00000000-0000-0000-0000-00000000000' || n)::uuid, 12500, s
            from (values (1, 'paid'), (2, 'finalized'), (3, 'finalized')) v (n, s);"#,
    );
    let known = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    shop.execute(&format!(
        "insert into payments (payable_type, payable_id, amount_cents, status, provider_payment_id) values
            ('Billing::Invoice', '00000000-0000-0000-0000-000000000001', 12500, 'succeeded', '{}'),
            ('Billing::PaymentRequest', '00000000-0000-0000-0000-000000000002', 12500, 'succeeded', 'pi_other')",
        known.intent_id()
    ));
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('payment_invoice_column', 'payment_condition', 'payment_values')"
        ),
        [
            "payment_invoice_column=payable_id",
            "payment_condition=payable_type::text = 'Billing::Invoice'",
            r#"payment_values={"payable_type":{"value":"Billing::Invoice"}}"#,
        ]
    );
    pay(&mut shop, "00000000-0000-0000-0000-000000000003", 12_500);
    shop.sweep();
    assert_eq!(
        shop.texts(
            "select concat_ws(' ', right(i.id::text, 1), i.status, p.payable_type, p.amount_cents, p.invoice_id)
            from invoices i left join payments p on p.payable_id = i.id order by 1"
        )
        .concat_all(),
        [
            "1 paid Billing::Invoice 12500",
            "2 finalized Billing::PaymentRequest 12500",
            "3 paid Billing::Invoice 12500",
        ]
    );
}
