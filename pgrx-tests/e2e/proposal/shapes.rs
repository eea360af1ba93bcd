//! Tables as common frameworks create them.

use serde_json::json;
use stripe_double::Checkout;

use super::proposals;
use crate::harness::Shop;

#[test]
fn camel_case_tables_whose_ids_the_application_makes() {
    let mut shop = Shop::with_tables(
        r#"create table "Invoice" (
               id text primary key, "invoiceNumber" text not null, status text not null default 'draft',
               "totalAmount" numeric not null, "paidAt" timestamp, currency text not null,
               "stripePaymentIntentId" text, "createdAt" timestamp not null default now(), "updatedAt" timestamp not null
           );
           create table "Payment" (
               id text primary key, "invoiceId" text not null references "Invoice", amount numeric not null,
               currency text not null, "stripePaymentIntentId" text unique, "createdAt" timestamp not null default now(),
               "updatedAt" timestamp not null
           );"#,
    );
    shop.not_at_rest("the settings do not fit the tables");

    assert_eq!(
        proposals(
            &mut shop,
            "current is distinct from proposed or setting like '%.%'"
        ),
        [
            r#"invoices_table=public."Invoice""#,
            "invoice_number_column=invoiceNumber",
            "invoice_status_column=status",
            "invoice_total_column=totalAmount",
            "invoice_amount_paid_column=",
            "invoice_balance_column=",
            "invoice_paid_at_column=paidAt",
            "invoice_session_column=",
            "invoice_intent_column=stripePaymentIntentId",
            r#"payments_table=public."Payment""#,
            "payment_invoice_column=invoiceId",
            "payment_status_column=",
            "payment_amount_column=amount",
            "payment_currency_column=currency",
            "payment_gratuity_column=",
            "payment_date_column=",
            "payment_session_column=",
            "payment_intent_column=stripePaymentIntentId",
            // Neither the invoice's id nor its dates are copied.
            r#"payment_values={"id":{"sql":"gen_random_uuid()::text"},"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            r#"invoice_update_values={"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            r#"payment_update_values={"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            // The default of the column says how words are written.
            "invoice_paid_word=paid",
            // No row shows the application's word for it, which is no longer the default one.
            "invoice_partial_word=",
            "invoice_closed_words={cancelled}",
            "invoice_open_words={draft,sent,overdue}",
            "invoice_refunded_words={refunded}",
        ]
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    let sold = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    let paid = sold.intent_id();
    shop.execute(&format!(
        r#"insert into "Invoice" values ('I-1', 'N', 'draft', 100, null, 'usd', '{paid}', now(), '2020-01-01')"#
    ));
    shop.sweep();
    assert_eq!(
        shop.text(
            r#"select concat_ws(' ', i.status, i."updatedAt" > '2021-01-01', length(p.id), p."updatedAt" > '2021-01-01')
            from "Invoice" i join "Payment" p on p."invoiceId" = i.id"#
        )
        .as_deref(),
        Some("paid t 36 t")
    );
}

#[test]
fn a_partitioned_table_and_a_boolean_status() {
    let mut shop = Shop::with_tables(
        "create schema app; create schema parts; set search_path = app;
         create table invoices (
             id bigint, year integer not null, paid boolean not null default false, amount_cents integer not null,
             amount_paid_cents integer, checkout_session_id text, primary key (id, year)
         ) partition by list (year);
         create table parts.invoices partition of invoices for values in (2026);
         create table invoice_payments (
             id bigserial primary key, invoice_id bigint not null, amount_cents integer not null,
             payment_intent text, paid_on date
         );
         reset search_path;",
    );
    shop.execute("select invoice_sync.adopt_mapping()");

    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoices_table', 'invoice_id_column', 'invoice_status_column', 'invoice_paid_word',
                         'payments_table', 'payment_invoice_column', 'amount_unit')"
        ),
        [
            "invoices_table=app.invoices",
            "invoice_id_column=id",
            "invoice_status_column=paid",
            "payments_table=app.invoice_payments",
            "payment_invoice_column=invoice_id",
            "invoice_paid_word=true",
            "amount_unit=minor",
        ]
    );

    let sold = shop.stripe.checkout(Checkout::new(5_000, "usd")).pay();
    shop.execute(&format!(
        "insert into app.invoices values (1, 2026, false, 5000, 0, '{}')",
        sold.session_id()
    ));
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(1), "{report}");
    assert_eq!(
        shop.text("select concat_ws(' ', paid, amount_paid_cents) from app.invoices")
            .as_deref(),
        Some("t 5000")
    );
}

#[test]
fn a_label_of_the_hosts_takes_the_place_of_a_word_that_is_none() {
    let mut shop = Shop::with_tables(
        "create type method as enum ('cash', 'credit_card');
         create table invoices (id uuid primary key, status text, total numeric, stripe_session_id text);
         create table payments (id uuid primary key default gen_random_uuid(), invoice_id uuid references invoices,
             amount numeric, payment_method method not null, payment_notes text, customer_name text not null,
             stripe_session_id text);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    assert_eq!(
        proposals(&mut shop, "setting like 'payment_values%'"),
        [
            r#"payment_values={"payment_notes":{"value":"Recorded by invoice_sync"},"payment_method":{"value":"credit_card"}}"#,
            "payment_values.customer_name=",
        ]
    );
}

#[test]
fn flags_and_times_say_what_is_paid_and_closed() {
    let mut shop = Shop::with_tables(
        "create table bookings (
             id bigserial primary key, reference text, total numeric(10, 2) not null, currency text, state text,
             is_paid boolean not null default false, paid_at timestamptz, cancelled_at timestamptz,
             checkout_session_id text
         );
         create type progress as enum ('requested', 'accepted', 'cancelled');
         alter table bookings alter state type progress using null;
         create table payments (
             id bigserial primary key, booking_id bigint not null references bookings, amount_cents integer not null,
             currency_code char(3), success boolean not null, payment_intent_id text
         );",
    );
    shop.execute("select invoice_sync.adopt_mapping()");

    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_status_column', 'invoice_closed_column', 'invoice_paid_at_column', 'invoice_paid_word',
                         'invoice_partial_word', 'invoice_closed_words', 'payment_status_column', 'payment_paid_word',
                         'payment_pending_words', 'payment_refunded_word', 'payment_currency_column', 'amount_unit',
                         'payment_amount_unit')"
        ),
        [
            "invoice_status_column=is_paid",
            "invoice_closed_column=state",
            "invoice_paid_at_column=paid_at",
            "payment_status_column=success",
            "payment_currency_column=currency_code",
            "invoice_paid_word=true",
            "invoice_partial_word=",
            "invoice_closed_words={cancelled}",
            "payment_paid_word=true",
            "payment_pending_words={false}",
            "payment_refunded_word=",
            "amount_unit=major",
            "payment_amount_unit=minor",
        ]
    );

    for (state, currency) in [("accepted", "EUR"), ("cancelled", "USD")] {
        let paid = shop
            .stripe
            .checkout(Checkout::new(5_000, currency.to_lowercase()))
            .pay();
        shop.execute(&format!(
            "insert into bookings (total, currency, state, checkout_session_id)
            values (50, '{currency}', '{state}', '{}')",
            paid.session_id()
        ));
    }
    shop.sweep();
    assert_eq!(
        shop.texts(
            "select concat_ws(' ', b.state, b.is_paid, b.paid_at is not null, p.amount_cents, p.currency_code, p.success)
            from bookings b join payments p on p.booking_id = b.id order by b.id"
        ),
        [
            Some("accepted t t 5000 EUR t".to_owned()),
            Some("cancelled f f 5000 USD t".to_owned())
        ]
    );
}

#[test]
fn numbers_are_asked_for_their_words() {
    let mut shop = Shop::with_tables(
        "create table invoices (
             id bigserial primary key, status integer not null default 0, total numeric, stripe_session_id text
         );
         create table payments (
             id bigserial primary key, invoice_id bigint references invoices, amount numeric, stripe_session_id text
         );",
    );
    let asked = shop.error("select invoice_sync.adopt_mapping()");
    assert_eq!(
        asked.message,
        "no proposal for settings that must not be null: invoice_paid_word"
    );
    assert!(
        asked.detail.contains("invoice_status_values"),
        "{}",
        asked.detail
    );

    let unknown =
        shop.error(r#"select invoice_sync.adopt_mapping(overrides => '{"paid_word": "paid"}')"#);
    assert_eq!(
        (unknown.sqlstate.as_str(), unknown.message.as_str()),
        ("22023", "there is no setting \"paid_word\"")
    );

    shop.execute(
        r#"select invoice_sync.adopt_mapping(overrides => '{
            "invoice_status_values": {"draft": 0, "sent": 1, "paid": 2, "void": 3}, "invoice_open_words": ["sent"],
            "default_currency": "eur"}')"#,
    );
    assert_eq!(
        shop.text(
            "select concat_ws(' ', default_currency, invoice_open_words) from invoice_sync.settings"
        )
        .as_deref(),
        Some("eur {sent}")
    );

    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_paid_word', 'invoice_open_words', 'invoice_closed_words')"
        ),
        [
            "invoice_paid_word=paid",
            "invoice_closed_words={void}",
            "invoice_open_words={sent,draft}",
        ]
    );
}
