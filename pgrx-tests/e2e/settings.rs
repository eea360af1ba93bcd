//! Settings that do not match the database are rejected, and the error says what and where.

use serde_json::json;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt};

/// Tables beside the default ones, each with something odd about it.
const ODD_TABLES: &str = "
    create schema odd;
    create type odd.status as enum ('Sent', 'Paid', 'Partial', 'Cancelled');
    create table odd.invoices (
        id uuid primary key, invoice_number text, invoice_status odd.status,
        total_amount numeric, amount_paid numeric, balance_due numeric, paid_date timestamptz,
        currency text, stripe_session_id text, stripe_payment_intent text,
        as_float double precision, as_text text, as_json jsonb, as_date date, as_time time, as_number bigint
    );
    create view odd.view_of_invoices as select distinct * from odd.invoices;
    create table odd.payments_of_numbers (
        id bigint generated always as identity primary key, invoice_id bigint, payment_status text,
        total_amount numeric, gratuity numeric, transaction_date date, payment_name text,
        payment_method text, payment_notes text, stripe_session_id text, stripe_payment_intent text
    )";

#[test]
fn each_kind_of_wrong_setting_is_refused_at_once_and_names_the_culprit() {
    let mut shop = Shop::open();
    shop.execute(ODD_TABLES);
    let before = shop.text("select to_jsonb(s)::text from invoice_sync.settings s");
    // What is set, the SQLSTATE, and the words that the error must hold.
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "invoices_table = 'public.invoises'",
            "42P01",
            &["public.invoises", "invoices_table"],
        ),
        (
            "payments_table = 'nowhere.payments'",
            "42P01",
            &["nowhere.payments", "payments_table"],
        ),
        (
            "invoices_table = 'odd.view_of_invoices'",
            "55000",
            &["odd.view_of_invoices", "INSTEAD OF"],
        ),
        (
            "payments_table = 'invoice_sync.run_id_seq'",
            "42809",
            &["run_id_seq"],
        ),
        (
            "invoice_total_column = 'total'",
            "42703",
            &["\"total\"", "public.invoices", "invoice_total_column"],
        ),
        (
            "payment_date_column = 'paid_on'",
            "42703",
            &["paid_on", "public.payments", "payment_date_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_total_column = 'as_json'",
            "42804",
            &["as_json", "jsonb", "invoice_total_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_balance_column = 'as_text'",
            "42804",
            &["as_text", "invoice_balance_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_id_column = 'as_json'",
            "42804",
            &["as_json", "jsonb", "invoice_id_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_paid_at_column = 'as_time'",
            "42804",
            &["as_time", "invoice_paid_at_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_session_column = 'as_number'",
            "42804",
            &["as_number", "bigint", "invoice_session_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_status_column = 'as_time'",
            "42804",
            &["as_time", "invoice_status_column"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_status_column = 'as_number'",
            "22023",
            &[
                "Paid",
                "as_number",
                "invoice_paid_word",
                "invoice_status_values",
            ],
        ),
        (
            "payment_amount_unit = 'cents'",
            "23514",
            &["payment_amount_unit"],
        ),
        (
            "payments_table = 'odd.payments_of_numbers'",
            "42804",
            &["invoice_id", "bigint", "uuid"],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_paid_word = 'Settled'",
            "22023",
            &[
                "Settled",
                "invoice_paid_word",
                "Sent, Paid, Partial, Cancelled",
            ],
        ),
        (
            "invoices_table = 'odd.invoices', invoice_closed_words = '{Cancelled,Void}'",
            "22023",
            &["Void", "invoice_closed_words"],
        ),
        (
            r#"payment_values = '{"payment_name": {"stripes": "x"}}'"#,
            "22023",
            &["payment_name", "stripes"],
        ),
        (
            r#"payment_values = '{"payment_name": {"stripe": "customer.name"}}'"#,
            "22023",
            &["payment_name", "customer.name"],
        ),
        (
            r#"payment_values = '{"payment_name": "Stripe"}'"#,
            "22023",
            &["payment_name"],
        ),
        (
            r#"payment_values = '{"payment_name": {"metadata": 7}}'"#,
            "22023",
            &["payment_name"],
        ),
        (
            r#"payment_values = '{"no_such": {"value": 1}}'"#,
            "42703",
            &["no_such", "payment_values"],
        ),
        (
            r#"payment_values = '{"payment_name": {"invoice": "no_such"}}'"#,
            "42703",
            &["no_such", "payment_values"],
        ),
        (
            r#"payment_values = '{"total_amount": {"value": 1}}'"#,
            "22023",
            &["total_amount", "payment_values"],
        ),
        (
            r#"payment_values = '["payment_name"]'"#,
            "23514",
            &["payment_values"],
        ),
        (
            "default_currency = 'dollar'",
            "23514",
            &["default_currency"],
        ),
        ("default_currency = 'u$d'", "23514", &["default_currency"]),
        ("amount_unit = 'cents'", "23514", &["amount_unit"]),
        ("gratuity_unit = 'cents'", "23514", &["gratuity_unit"]),
        (
            "time_zone = 'Europe/Atlantis'",
            "22023",
            &["Europe/Atlantis"],
        ),
        ("invoice_paid_word = null", "23502", &["invoice_paid_word"]),
        ("singleton = false", "23514", &["singleton"]),
    ];
    for (wrong, sqlstate, words) in cases {
        let error = shop.error(&format!("update invoice_sync.settings set {wrong}"));
        assert_eq!(error.sqlstate, *sqlstate, "{wrong}: {error:?}");
        let reported = format!("{} {} {}", error.message, error.detail, error.hint);
        for word in *words {
            assert!(
                reported.contains(word),
                "{wrong}: {word} is not in: {reported}"
            );
        }
    }
    assert_eq!(
        shop.text("select to_jsonb(s)::text from invoice_sync.settings s"),
        before,
        "nothing was taken"
    );
}

#[test]
fn what_fits_is_taken() {
    let mut shop = Shop::open();
    shop.execute(ODD_TABLES);
    for right in [
        "invoices_table = 'odd.invoices'",
        "invoice_paid_at_column = 'as_date'",
        "invoice_balance_column = null, invoice_amount_paid_column = null, invoice_currency_column = null",
        "invoice_total_column = 'as_number', amount_unit = 'stripe'",
        "invoice_total_column = 'as_float', amount_unit = 'major', payment_amount_unit = 'minor'",
        "time_zone = 'Europe/Vienna', default_currency = 'EUR'",
        r#"payment_values = '{"payment_name": [{"metadata": "a"}, {"invoice": "invoice_number"}, {"value": null}]}'"#,
        "payment_status_column = null",
    ] {
        shop.execute(&format!("update invoice_sync.settings set {right}"));
    }
}

#[test]
fn a_table_that_changes_afterwards_is_reported_by_the_next_sweep() {
    let mut shop = Shop::open();
    shop.execute("alter table invoices rename column balance_due to open_amount");
    for call in [
        "select invoice_sync.sweep(dry_run => true)",
        "call invoice_sync.run_sweep()",
        "select invoice_sync.sync_invoice(gen_random_uuid())",
    ] {
        let error = shop.error(call);
        assert_eq!(error.sqlstate, "42703");
        assert!(error.message.contains("balance_due"), "{error:?}");
        assert!(error.detail.contains("invoice_balance_column"), "{error:?}");
        assert!(error.hint.contains("open_amount"), "{error:?}");
    }
    let report = shop.sweep();
    assert_eq!(report["success"], json!(false));
    assert_eq!(report["error"]["sqlstate"], json!("42703"), "{report}");

    // Nobody may have read any of that.
    assert_eq!(shop.open_issues(), ["misconfigured -"]);
    let reported = shop.text(
        "select format('%s runs, %s alerts', count(*) filter (where not success),
            (select count(*) from invoice_sync.alerts))
        from invoice_sync.recent_runs",
    );
    assert_eq!(reported, Some("2 runs, 1 alerts".into()));

    shop.execute("alter table invoices rename column open_amount to balance_due");
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
}

const INJECTION: &str = "x'); drop table victim; --";

#[test]
fn names_and_words_are_quoted_wherever_they_are_written() {
    let mut shop = Shop::with_tables(&format!(
        r#"create table victim ();
        create schema "odd; schema";
        create table "odd; schema"."in""voices'; drop table victim; --" (
            "the ""id" bigint generated always as identity primary key,
            "Status; drop table victim" text not null,
            "to'tal" numeric not null,
            "Session Id" text,
            "intent$1" text
        );
        create table "odd; schema"."pay ments" (
            "order" uuid primary key default gen_random_uuid(),
            "select" bigint not null,
            "a ""state""; drop table victim; --" text,
            "to'tal" numeric not null,
            "intent$1" text,
            "no'te" text
        );
        {}"#,
        crate::harness::DEFAULT_TABLES
    ));
    shop.execute(&format!(
        r#"update invoice_sync.settings set
            invoices_table = $$"odd; schema"."in""voices'; drop table victim; --"$$,
            invoice_id_column = $$the "id$$, invoice_number_column = null,
            invoice_status_column = $$Status; drop table victim$$,
            invoice_total_column = $$to'tal$$,
            invoice_amount_paid_column = null, invoice_balance_column = null,
            invoice_paid_at_column = null, invoice_currency_column = null,
            invoice_session_column = 'Session Id', invoice_intent_column = 'intent$1',
            payments_table = $$"odd; schema"."pay ments"$$,
            payment_id_column = 'order', payment_invoice_column = 'select',
            payment_status_column = $$a "state"; drop table victim; --$$,
            payment_amount_column = $$to'tal$$, payment_gratuity_column = null,
            payment_date_column = null, payment_session_column = null,
            payment_intent_column = 'intent$1',
            payment_values = $${{"no'te": {{"value": "{INJECTION}"}}}}$$,
            invoice_paid_word = $${INJECTION}$$,
            invoice_partial_word = $$'$$,
            invoice_closed_words = array[$$it's; drop table victim$$, $$\'; drop table victim; --$$],
            payment_paid_word = $$\'; drop table victim; --$$,
            payment_pending_words = array[$$'{{}}"$$, $$\$$],
            payment_refunded_word = $$'$$, payment_disputed_word = $$''$$,
            gratuity_key = $$'; drop table victim; --$$,
            invoice_reference_key = $$'; drop table victim; --$$,
            host_search_path = $$pg_catalog$$"#
    ));
    let paid = shop
        .stripe
        .checkout(stripe_double::Checkout::new(10_000, "usd"))
        .pay();
    shop.execute(&format!(
        r#"insert into "odd; schema"."in""voices'; drop table victim; --"
            ("Status; drop table victim", "to'tal", "Session Id") values ('Sent', 100, '{}')"#,
        paid.session_id()
    ));

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(1), "{report:#}");
    assert_eq!(
        shop.text(r#"select "Status; drop table victim" from "odd; schema"."in""voices'; drop table victim; --""#),
        Some(INJECTION.to_owned())
    );
    assert_eq!(
        shop.text(
            r#"select concat_ws('|', "to'tal", "no'te", "intent$1") from "odd; schema"."pay ments""#
        ),
        Some(format!("100.00|{INJECTION}|{}", paid.intent_id()))
    );
    shop.execute("select from invoice_sync.paid_without_payment");
    shop.execute("select from invoice_sync.stripe_without_payment");
    assert_eq!(shop.sync("1")["fixed"], json!(0), "all is written already");
    shop.execute("select from victim");
}

#[test]
fn an_invoice_id_is_a_value_and_never_sql() {
    let mut shop = Shop::open();
    shop.execute("create table victim ()");
    let error = shop.error("select invoice_sync.sync_invoice($$'; drop table victim; --$$)");
    assert_eq!(error.sqlstate, "22P02");
    shop.execute("select from victim");
}

#[test]
fn there_is_always_one_row_of_settings_and_inserting_replaces_it() {
    let mut shop = Shop::open();
    for removal in [
        "delete from invoice_sync.settings",
        "truncate invoice_sync.settings",
    ] {
        let error = shop.error(removal);
        assert_eq!(error.sqlstate, "55000", "{removal}");
        assert!(
            error.hint.contains("default values"),
            "{removal}: {error:?}"
        );
    }

    shop.execute("update invoice_sync.settings set default_currency = 'eur'");
    shop.execute("insert into invoice_sync.settings (default_currency) values ('chf')");
    let rows = shop.texts("select default_currency from invoice_sync.settings");
    assert_eq!(rows, [Some("chf".to_owned())]);
    shop.execute("insert into invoice_sync.settings default values");
    let rows = shop.texts("select default_currency from invoice_sync.settings");
    assert_eq!(rows, [Some("usd".to_owned())]);

    let error = shop.error("insert into invoice_sync.settings (invoices_table) values ('nowhere')");
    assert_eq!(error.sqlstate, "42P01");
    let rows = shop.texts("select default_currency from invoice_sync.settings");
    assert_eq!(rows, [Some("usd".to_owned())], "the old row is still there");
}

#[test]
fn a_not_null_column_that_nothing_fills_is_warned_of_until_payment_values_fill_it() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "alter table payments add contact text not null, add made_at timestamptz not null default now(),
            add number bigint not null generated always as identity",
    );
    let (mut session, notices) = Server::main().connect_listening(shop.name(), "postgres");

    attempt(
        &mut session,
        "update invoice_sync.settings set time_zone = 'UTC'",
    )
    .expect("it is taken");
    assert!(notices.text().contains("WARNING"), "{}", notices.text());
    assert!(
        notices.text().contains("public.payments") && notices.text().contains(": contact\n"),
        "only the one column: {}",
        notices.text()
    );
    let report = shop.sweep();
    assert_eq!(
        report["details"]["issues"][0]["kind"],
        json!("apply_failed")
    );

    notices.forget();
    attempt(
        &mut session,
        r#"update invoice_sync.settings
        set payment_values = payment_values || '{"contact": {"invoice": "customer"}}'"#,
    )
    .expect("it is taken");
    assert_eq!(notices.text(), "");
    assert_eq!(shop.sync(&sale.invoice)["fixed"], json!(1));
    assert_eq!(
        shop.text("select contact from payments"),
        Some("Customer".into())
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}
