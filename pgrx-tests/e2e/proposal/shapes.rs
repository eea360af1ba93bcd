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
            "payment_gratuity_column=",
            "payment_date_column=",
            "payment_session_column=",
            "payment_intent_column=stripePaymentIntentId",
            // Neither the invoice's id nor its dates are copied.
            r#"payment_values={"currency":{"invoice":"currency"},"id":{"sql":"gen_random_uuid()::text"},"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            r#"invoice_update_values={"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            r#"payment_update_values={"updatedAt":{"sql":"now() at time zone 'UTC'"}}"#,
            // The default of the column says how words are written.
            "invoice_paid_word=paid",
            "invoice_partial_word=partial",
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
