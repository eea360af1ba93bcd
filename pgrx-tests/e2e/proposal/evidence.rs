//! What the rows say of statuses and amounts, where names alone would say something else.

use stripe_double::Checkout;

use super::proposals;
use crate::harness::Shop;

fn pay(shop: &mut Shop, id: &str, cents: i64) {
    let checkout = Checkout::new(cents, "usd").metadata("invoice_id", id);
    shop.stripe.checkout(checkout).pay();
}

fn rows(shop: &mut Shop, select: &str) -> Vec<String> {
    shop.texts(select).into_iter().flatten().collect()
}

#[test]
fn a_word_is_not_made_up_beside_words_that_nobody_knows() {
    let mut shop = Shop::with_tables(
        "create table invoices (id serial primary key, status text not null, total numeric not null);
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, state text not null,
            amount numeric not null, stripe_payment_intent_id text);
        insert into invoices (status, total) values ('p', 125), ('n', 125);
        insert into payments (invoice_id, state, amount) values (1, 'confirmed', 125), (2, 'created', 125)",
    );
    shop.not_at_rest("the settings do not fit the tables");
    let asked = shop.error("select invoice_sync.adopt_mapping()");
    assert_eq!(
        asked.detail,
        "invoice_paid_word: n, p may mean it: set the one that does; payment_paid_word: confirmed may mean it: set the one that does"
    );
    // Once it is known which payments were received, the rows say which invoices are paid.
    let asked = shop.error(
        r#"select invoice_sync.adopt_mapping(overrides => '{"payment_paid_word": "confirmed"}')"#,
    );
    assert_eq!(
        asked.detail,
        "invoice_paid_word: n, p may mean it: set the one that does (payments come to the total of invoices with p)"
    );
}

const ORDERS: &str = "
    create table orders (
        id serial primary key, order_number text, payment_status text not null default 'pending', status text,
        grand_total numeric(12, 4) not null, session_id varchar(40), deleted_at timestamp);
    create table payment_transaction (
        id serial primary key, order_id integer not null references orders, transaction_id text,
        transaction_type text not null, amount numeric(12, 4) not null);";

#[test]
fn a_word_for_paid_by_stripe_is_asked_for_beside_one_for_paid_otherwise() {
    let mut shop = Shop::with_tables(&format!(
        "{ORDERS}
        insert into orders (payment_status, status, grand_total) values
            ('stripe_captured', 'new', 125), ('paid', 'new', 80), ('pending', 'new', 125);
        insert into payment_transaction (order_id, transaction_id, transaction_type, amount) values
            (1, 'pi_1', 'online', 125)"
    ));
    let asked = shop.error("select invoice_sync.adopt_mapping()");
    assert_eq!(
        asked.detail,
        "invoice_paid_word: paid or stripe_captured, which invoices have whose payments come to their total: set the one that means it"
    );
    shop.execute(
        r#"select invoice_sync.adopt_mapping(overrides => '{"invoice_paid_word": "stripe_captured"}')"#,
    );
    pay(&mut shop, "3", 12_500);
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', o.payment_status, o.status, t.transaction_type, trim_scale(t.amount))
            from orders o join payment_transaction t on t.order_id = o.id order by o.id"
        ),
        ["stripe_captured new online 125", "stripe_captured new online 125"]
    );
    shop.not_at_rest("the first order's payment has an id that Stripe does not know");
}

#[test]
fn the_only_word_for_money_that_came_means_paid_and_a_browser_session_is_none_of_stripe() {
    let mut shop = Shop::with_tables(
        "create table orders (
            id bigint generated always as identity primary key, total_gross numeric(14, 2) not null, total_net numeric,
            status varchar not null, payment_status varchar, session_id varchar(255), deleted_at timestamp);
        create table stripe_payments (
            id bigint generated always as identity primary key, order_id bigint not null references orders,
            payment_intent_id varchar not null, amount_received bigint, deleted_at timestamp);
        insert into orders (total_gross, total_net, status, payment_status, session_id) values
            (125, 100, 'COMPLETED', 'PAYMENT_RECEIVED', 'kx1'), (125, 100, 'RESERVED', 'AWAITING_PAYMENT', 'kx2'),
            (125, 100, 'CANCELLED', 'AWAITING_PAYMENT', 'kx3')",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_total_column', 'invoice_session_column', 'invoice_paid_word', 'payment_amount_unit')"
        ),
        [
            "invoice_total_column=total_gross",
            "invoice_session_column=",
            "invoice_paid_word=PAYMENT_RECEIVED",
            "payment_amount_unit=minor",
        ]
    );
    for id in ["2", "3"] {
        pay(&mut shop, id, 12_500);
    }
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', o.id, o.status, o.payment_status, p.amount_received)
            from orders o left join stripe_payments p on p.order_id = o.id order by o.id"
        ),
        [
            "1 COMPLETED PAYMENT_RECEIVED",
            "2 RESERVED PAYMENT_RECEIVED 12500",
            "3 CANCELLED AWAITING_PAYMENT 12500",
        ]
    );
    assert_eq!(
        rows(
            &mut shop,
            "select distinct kind from invoice_sync.open_issues where kind <> 'paid_without_payment'"
        ),
        ["unlinked_payment"],
        "nobody asked Stripe for kx1"
    );
}

#[test]
fn the_status_of_the_payment_goes_before_one_that_is_never_paid() {
    let mut shop = Shop::with_tables(
        "create table invoices (
            id serial primary key, status text not null, paid_status text not null, total bigint not null,
            due_amount bigint not null, base_total bigint);
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, amount bigint not null,
            base_amount bigint, stripe_payment_intent_id text);
        insert into invoices (status, paid_status, total, due_amount) values
            ('COMPLETED', 'PAID', 12500, 0), ('SENT', 'UNPAID', 12500, 12500), ('VIEWED', 'PARTIALLY_PAID', 12500, 2500)",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_status_column', 'invoice_closed_column', 'payment_amount_column', 'invoice_paid_word')"
        ),
        [
            "invoice_status_column=paid_status",
            "invoice_closed_column=status",
            // In the company's currency, not in that of the payment.
            "payment_amount_column=amount",
            "invoice_paid_word=PAID",
        ]
    );
    pay(&mut shop, "2", 12_500);
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', i.paid_status, i.due_amount, p.amount, coalesce(p.base_amount, 0))
            from invoices i join payments p on p.invoice_id = i.id"
        ),
        ["PAID 0 12500 0"]
    );
    shop.not_at_rest("two invoices are paid without a payment");
}

#[test]
fn what_else_says_paid_says_so_with_the_status() {
    let mut shop = Shop::with_tables(
        "create type progress as enum ('unpaid', 'partially_paid', 'paid');
        create table invoices (
            id serial primary key, status text not null check (status in ('draft', 'sent', 'paid', 'void')),
            payment_status progress not null default 'unpaid', is_paid boolean, total numeric(10, 2) not null);
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, amount numeric(10, 2) not null,
            stripe_payment_intent_id text);
        insert into invoices (status, total) values ('sent', 125), ('sent', 125)",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    pay(&mut shop, "1", 12_500);
    pay(&mut shop, "2", 5_000);
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', status, payment_status, coalesce(is_paid::text, 'null')) from invoices order by id"
        ),
        ["paid paid true", "sent unpaid null"]
    );
}

#[test]
fn a_flag_goes_before_a_status_that_is_never_paid() {
    let mut shop = Shop::with_tables(
        "create table orders (
            id serial primary key, status varchar(20) not null default 'pending', paid boolean not null default false,
            total numeric(10, 2) not null);
        create table payments (
            id serial primary key, order_id integer not null references orders, amount numeric(10, 2) not null,
            stripe_payment_intent_id text);
        insert into orders (status, paid, total) values ('completed', false, 125), ('pending', false, 125)",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    pay(&mut shop, "2", 12_500);
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', status, paid) from orders order by id"
        ),
        ["completed f", "pending t"],
        "an order that is completed is not one that is paid"
    );
}

#[test]
fn a_balance_that_paid_invoices_owe_in_whole_is_none() {
    let tables = "
        create table invoices (
            id serial primary key, status text not null, total numeric(10, 2), amount_due numeric(10, 2) not null,
            amount_paid numeric(10, 2));
        create table payments (
            id serial primary key, invoice_id integer not null references invoices, amount numeric(10, 2) not null,
            stripe_payment_intent_id text);";
    for (rows, total, balance) in [
        ("('paid', 125, 125, 125)", "total", ""),
        ("('paid', 125, 0, 125)", "total", "amount_due"),
        ("('sent', 125, 125, 0)", "total", "amount_due"),
    ] {
        let mut shop = Shop::with_tables(&format!(
            "{tables} insert into invoices (status, total, amount_due, amount_paid) values {rows}"
        ));
        shop.not_at_rest("the settings do not fit the tables");
        assert_eq!(
            proposals(
                &mut shop,
                "setting in ('invoice_total_column', 'invoice_balance_column')"
            ),
            [
                format!("invoice_total_column={total}"),
                format!("invoice_balance_column={balance}")
            ]
        );
    }
    let mut shop = Shop::with_tables(&format!("{tables} alter table invoices drop total"));
    shop.not_at_rest("the settings do not fit the tables");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_total_column', 'invoice_balance_column')"
        ),
        ["invoice_total_column=", "invoice_balance_column="],
        "it may be the total"
    );
}

#[test]
fn totals_in_whole_units_are_known_by_payments_in_cents() {
    let mut shop = Shop::with_tables(
        "create table bookings (
            id serial primary key, price integer not null,
            status text not null check (status in ('pending', 'paid', 'cancelled')));
        create table payments (
            id serial primary key, booking_id integer not null references bookings, amount integer not null,
            status text not null check (status in ('pending', 'succeeded')), stripe_payment_intent_id text);
        insert into bookings (price, status) values (125, 'paid'), (80, 'pending');
        insert into payments (booking_id, amount, status) values (1, 12500, 'succeeded')",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    pay(&mut shop, "2", 8_000);
    shop.sweep();
    assert_eq!(
        rows(
            &mut shop,
            "select concat_ws(' ', b.status, p.amount) from bookings b join payments p on p.booking_id = b.id
            order by b.id"
        ),
        ["paid 12500", "paid 8000"]
    );
}

#[test]
fn what_is_the_payments_own_is_not_copied_from_the_invoice() {
    let mut shop = Shop::with_tables(
        "create table orders (
            id serial primary key, payment_status text not null check (payment_status in ('unpaid', 'paid')),
            grand_total numeric not null, charge_status text not null, kind text not null, tax_amount numeric not null,
            channel text not null);
        create table payments (
            id serial primary key, order_id integer not null references orders, amount numeric not null,
            status text not null check (status in ('pending', 'paid')), charge_status text not null, kind text not null,
            tax_amount numeric not null, channel text not null, stripe_payment_intent_id text)",
    );
    shop.not_at_rest("the settings do not fit the tables");
    assert_eq!(
        proposals(&mut shop, "setting like 'payment_values%'"),
        [
            r#"payment_values={"channel":{"invoice":"channel"}}"#,
            "payment_values.charge_status=",
            "payment_values.kind=",
            "payment_values.tax_amount=",
        ]
    );
}
