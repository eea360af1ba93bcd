//! The settings that `propose_mapping` proposes, and their adoption.

mod evidence;
mod hosts;
mod kinds;
mod lives;
mod own_payments;
mod rows;
mod shapes;
mod tables;
mod without_ids;
mod words;

use serde_json::json;
use stripe_double::Checkout;

use crate::harness::{DEFAULT_TABLES, Shop};

/// Nothing about these is as the defaults have it.
const HOSTILE_TABLES: &str = r#"
create schema "Billing Dept";
create type "Billing Dept"."Invoice State" as enum ('DRAFT', 'OPEN', 'PAID', 'PARTIALLY_PAID', 'VOID', 'UNCOLLECTIBLE');
create type "Billing Dept"."Payment State" as enum ('PENDING', 'SUCCEEDED', 'REFUNDED');
create type "Billing Dept"."Method" as enum ('CASH', 'CARD');
create table "Billing Dept".contacts (id bigint primary key);
create table "Billing Dept"."Customer Invoices" (
    "Invoice Key" bigint generated always as identity primary key,
    "Invoice No" text not null,
    "State" "Billing Dept"."Invoice State" not null default 'DRAFT',
    "Total Cents" bigint not null,
    "Amount Paid Cents" bigint not null default 0,
    "Amount Due Cents" bigint generated always as ("Total Cents" - "Amount Paid Cents") stored,
    "Paid At" timestamptz,
    "Currency Code" char(3) not null default 'eur',
    "Customer" bigint not null references "Billing Dept".contacts,
    "Stripe Checkout Session ID" text
);
create table "Billing Dept"."Customer Invoice Lines" (
    id bigint primary key,
    "Customer Invoice" bigint references "Billing Dept"."Customer Invoices",
    amount bigint
);
create table "Billing Dept"."Received Payments" (
    "Payment Key" bigint generated always as identity primary key,
    "For" bigint not null references "Billing Dept"."Customer Invoices",
    "State" "Billing Dept"."Payment State" not null,
    "Amount Cents" bigint not null,
    "Tip" bigint not null default 0,
    "Refunded Amount" bigint not null default 0,
    "Received At" timestamp,
    "Invoice No" text not null,
    "Contact" bigint not null references "Billing Dept".contacts,
    "Method" "Billing Dept"."Method" not null,
    "Ledger Account" integer not null,
    "Created" timestamptz not null,
    "paymentIntentId" text
);
create view invoices as select * from "Billing Dept"."Customer Invoices";
"#;

/// `setting=proposed` of all rows of which `condition` holds.
fn proposals(shop: &mut Shop, condition: &str) -> Vec<String> {
    shop.texts(&format!(
        "select format('%s=%s', setting, proposed) from invoice_sync.propose_mapping() where {condition}"
    ))
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn the_default_tables_get_the_defaults() {
    let mut shop = Shop::open();

    let differing = proposals(&mut shop, "current is distinct from proposed");
    let without_reason = proposals(&mut shop, "reason = ''");
    let before = shop.json("(select to_jsonb(s) from invoice_sync.settings s)");
    shop.execute("select invoice_sync.adopt_mapping()");

    assert_eq!(differing, [] as [&str; 0], "the defaults fit these tables");
    assert_eq!(without_reason, [] as [&str; 0]);
    let after = shop.json("(select to_jsonb(s) from invoice_sync.settings s)");
    assert_eq!(before, after);
}

#[test]
fn proposing_changes_nothing() {
    let mut shop = Shop::with_tables(HOSTILE_TABLES);
    shop.not_at_rest("the settings do not fit the tables");
    let before = shop.dump();

    shop.rows("select * from invoice_sync.propose_mapping()");

    assert_eq!(shop.dump(), before);
}

#[test]
fn a_hostile_schema_is_understood() {
    let mut shop = Shop::with_tables(HOSTILE_TABLES);
    shop.not_at_rest("the settings do not fit the tables");

    assert_eq!(
        proposals(&mut shop, "true"),
        [
            r#"invoices_table="Billing Dept"."Customer Invoices""#,
            "invoice_id_column=Invoice Key",
            "invoice_number_column=Invoice No",
            "invoice_status_column=State",
            "invoice_closed_column=",
            "invoice_total_column=Total Cents",
            "invoice_amount_paid_column=Amount Paid Cents",
            // Generated: PostgreSQL writes it, nobody else may.
            "invoice_balance_column=",
            "invoice_paid_at_column=Paid At",
            "invoice_currency_column=Currency Code",
            "invoice_session_column=Stripe Checkout Session ID",
            "invoice_intent_column=",
            "invoice_condition=",
            r#"payments_table="Billing Dept"."Received Payments""#,
            "payment_id_column=Payment Key",
            "payment_invoice_column=For",
            "payment_status_column=State",
            "payment_amount_column=Amount Cents",
            "payment_currency_column=",
            "payment_gratuity_column=Tip",
            "payment_refunded_column=Refunded Amount",
            "payment_date_column=Received At",
            "payment_session_column=",
            "payment_intent_column=paymentIntentId",
            "payment_condition=",
            r#"payment_values={"Contact":{"invoice":"Customer"},"Created":{"sql":"now()"},"Invoice No":{"invoice":"Invoice No"},"Method":{"value":"CARD"}}"#,
            "payment_values.Ledger Account=",
            "invoice_update_values={}",
            "payment_update_values={}",
            "invoice_paid_word=PAID",
            "invoice_partial_word=PARTIALLY_PAID",
            "invoice_closed_words={VOID,UNCOLLECTIBLE}",
            "invoice_open_words={DRAFT,OPEN}",
            "invoice_after_paid_words={}",
            "invoice_refunded_words={}",
            "payment_paid_word=SUCCEEDED",
            "payment_pending_words={PENDING}",
            "payment_failed_words={}",
            "payment_refunded_word=REFUNDED",
            "payment_partly_refunded_words={}",
            "payment_disputed_word=",
            "amount_unit=minor",
            "payment_amount_unit=",
        ]
    );
}

#[test]
fn a_sweep_works_right_after_a_hostile_schema_was_adopted() {
    let mut shop = Shop::with_tables(HOSTILE_TABLES);
    shop.execute(
        r#"alter table "Billing Dept"."Received Payments"
               alter "Created" set default now(), alter "Ledger Account" set default 8400;
           select invoice_sync.adopt_mapping()"#,
    );
    let sold = shop
        .stripe
        .checkout(Checkout::new(12_345, "eur").metadata("gratuity_amount", "23.45"))
        .pay();
    shop.execute(&format!(
        r#"insert into "Billing Dept".contacts values (7);
           insert into "Billing Dept"."Customer Invoices"
               ("Invoice No", "State", "Total Cents", "Customer", "Stripe Checkout Session ID")
           values ('R-1', 'OPEN', 10000, 7, '{}')"#,
        sold.session_id()
    ));

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(1), "{report}");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    assert_eq!(
        shop.text(
            r#"select format('%s %s %s', "State", "Amount Paid Cents", "Amount Due Cents")
               from "Billing Dept"."Customer Invoices""#
        )
        .as_deref(),
        Some("PAID 10000 0")
    );
    let intent = sold.intent_id();
    assert_eq!(
        shop.text(
            r#"select concat_ws(' ', "State", "Amount Cents", "Tip", "Refunded Amount", "Invoice No",
                                "Contact", "Method", "Ledger Account", "paymentIntentId")
               from "Billing Dept"."Received Payments""#
        ),
        Some(format!("SUCCEEDED 10000 2345 0 R-1 7 CARD 8400 {intent}"))
    );
}

#[test]
fn an_adopted_column_without_a_value_is_warned_of_and_not_refused() {
    let mut shop = Shop::with_tables(HOSTILE_TABLES);

    shop.execute("select invoice_sync.adopt_mapping()");

    assert_eq!(
        shop.text("select reason from invoice_sync.propose_mapping() where setting = 'payment_values.Ledger Account'")
            .as_deref(),
        Some("integer, NOT NULL and without a default: add it to payment_values")
    );
    assert_eq!(
        shop.text("select invoices_table from invoice_sync.settings")
            .as_deref(),
        Some(r#""Billing Dept"."Customer Invoices""#)
    );
}

#[test]
fn without_such_tables_the_hint_says_how_to_name_them() {
    let mut shop = Shop::with_tables(
        "create table customers (id bigint primary key, name text, status text, stripe_customer_id text);
         create table payments (id bigint primary key, invoice_id bigint, amount bigint, status text, stripe_session_id text);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    let error = shop.error("select invoice_sync.adopt_mapping()");

    assert_eq!(error.sqlstate, "P0002");
    assert_eq!(error.message, "no table of invoices was found");
    assert_eq!(
        error.hint,
        "Specify them: select * from invoice_sync.propose_mapping('your.invoices', 'your.payments'), and likewise for adopt_mapping."
    );
}

#[test]
fn invoices_without_a_table_of_payments_are_reported_as_such() {
    let mut shop = Shop::with_tables(
        "create table invoices (id uuid primary key, status text, total numeric);
         create table invoice_items (id uuid primary key, invoice_id uuid references invoices, amount numeric);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    let error = shop.error("select * from invoice_sync.propose_mapping()");

    assert_eq!(error.sqlstate, "P0002");
    assert_eq!(error.message, "no table of payments was found");
    assert_eq!(
        error.detail,
        "Besides public.invoices, no table appears to contain payments."
    );
}

#[test]
fn of_two_tables_that_fit_alike_none_is_guessed() {
    let twice = format!(
        "create schema north; create schema south;
         set search_path = north; {DEFAULT_TABLES}
         set search_path = south; {DEFAULT_TABLES}
         reset search_path;"
    );
    let mut shop = Shop::with_tables(&twice);

    let error = shop.error("select * from invoice_sync.propose_mapping()");
    assert_eq!(error.sqlstate, "P0003");
    assert_eq!(
        error.detail,
        "north.invoices and south.invoices fit equally."
    );

    // One of them given, the foreign key tells the other.
    shop.execute("select invoice_sync.adopt_mapping(payments => 'south.payments')");
    assert_eq!(
        shop.text("select invoices_table from invoice_sync.settings")
            .as_deref(),
        Some("south.invoices")
    );
    shop.execute("select invoice_sync.adopt_mapping('north.invoices')");
    assert_eq!(
        shop.text("select payments_table from invoice_sync.settings")
            .as_deref(),
        Some("north.payments")
    );
}

#[test]
fn a_mirror_of_stripes_own_objects_is_not_taken_for_the_books() {
    let mut shop = Shop::with_tables(
        "create schema stripe;
         create table stripe.invoices (id text primary key, number text, status text, total bigint,
             amount_paid bigint, amount_due bigint, currency text, payment_intent text, paid boolean);
         create table stripe.charges (id text primary key, invoice text references stripe.invoices,
             status text, amount bigint, amount_refunded bigint, payment_intent text);
         create schema books;
         create table books.invoices (id bigint primary key, status text, total numeric, session_id text);
         create table books.payments (id bigint primary key, invoice_id bigint, amount numeric, session_id text);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    assert_eq!(
        proposals(&mut shop, "setting like '%\\_table'"),
        [
            "invoices_table=books.invoices",
            "payments_table=books.payments"
        ]
    );
}

#[test]
fn what_is_no_table_is_refused_with_what_to_name_instead() {
    let mut shop = Shop::with_tables(HOSTILE_TABLES);
    shop.not_at_rest("the settings do not fit the tables");
    shop.execute("create materialized view copies as select * from invoices");

    let error = shop.error("select * from invoice_sync.propose_mapping('public.copies')");

    assert_eq!(error.sqlstate, "42809");
    assert_eq!(error.message, "public.copies is not a table or view");
    assert_eq!(
        error.hint,
        "Specify a table, or a view whose rows can be written."
    );
}

#[test]
fn for_given_views_it_is_known_what_is_behind_them() {
    let tables = "
        create table tenants (id bigint primary key);
        create table app_bills (
            id bigserial primary key, tenant_id bigint references tenants, state text not null default 'draft'
                check (state in ('draft', 'sent', 'paid')),
            total numeric not null, data jsonb);
        create table app_receipts (
            id uuid primary key, tenant_id bigint references tenants, bill bigint not null references app_bills,
            total numeric not null, stripe_payment_intent_id text, updated_at timestamptz not null);";
    let mut shop = Shop::with_tables(&format!(
        "{tables}
        create view v_invoices as
            select id as key, tenant_id, state, total, data ->> 'session' as stripe_session_id from app_bills;
        create view v_payments as
            select id, tenant_id, bill as of_bill, total, stripe_payment_intent_id, updated_at from app_receipts"
    ));
    shop.execute("select invoice_sync.adopt_mapping('v_invoices', 'v_payments')");
    let adopted = shop.texts(
        "select concat_ws(' ', invoice_id_column, invoice_status_column, invoice_session_column, invoice_paid_word,
            payment_id_column, payment_invoice_column, payment_status_column, payment_values::text)
        from invoice_sync.settings",
    );
    assert_eq!(
        adopted,
        [Some(r#"key state stripe_session_id paid id of_bill {"id": {"sql": "gen_random_uuid()"}, "tenant_id": {"invoice": "tenant_id"}, "updated_at": {"sql": "now()"}}"#.to_owned())]
    );
}

#[test]
fn what_cannot_be_determined_is_not_adopted() {
    let mut shop = Shop::with_tables(
        "create table invoices (id uuid primary key, wobble text, stripe_session_id text);
         create table payments (id uuid primary key, invoice_id uuid references invoices, amount numeric,
             stripe_session_id text);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    let error = shop.error("select invoice_sync.adopt_mapping()");

    assert_eq!(error.sqlstate, "P0002");
    assert_eq!(
        error.message,
        "no proposal for settings that must not be null: invoice_status_column, invoice_total_column"
    );
    assert_eq!(
        shop.text("select invoice_total_column from invoice_sync.settings")
            .as_deref(),
        Some("total_amount"),
        "nothing was taken over"
    );
    shop.execute("set standard_conforming_strings = off; set escape_string_warning = off");
    assert_eq!(
        shop.error("select invoice_sync.adopt_mapping()"),
        error,
        "where a backslash in a string means something"
    );
}

#[test]
fn only_the_owner_may_propose_and_adopt() {
    let mut shop = Shop::open();
    shop.execute("create role proposal_clerk login; select invoice_sync.grant_access('proposal_clerk', 'operate')");
    let mut clerk = shop.connect_as("proposal_clerk");

    let refused = ["propose_mapping()", "adopt_mapping()"].map(|call| {
        clerk
            .batch_execute(&format!("select invoice_sync.{call}"))
            .err()
            .and_then(|error| error.code().map(|code| code.code().to_owned()))
    });

    drop(clerk);
    shop.execute("drop owned by proposal_clerk; drop role proposal_clerk");
    assert_eq!(
        refused,
        [Some("42501".to_owned()), Some("42501".to_owned())]
    );
}
