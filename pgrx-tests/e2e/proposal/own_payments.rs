//! Applications without a table of payments: the extension's own takes them.

use serde_json::json;
use stripe_double::{Checkout, Refund};

use crate::harness::Shop;
use crate::harness::sender::SECRET;

const ORDERS: &str = "create table orders (
        id uuid primary key default gen_random_uuid(), total_cents integer not null, amount_paid_cents integer,
        status text not null default 'pending' check (status in ('pending', 'paid', 'shipped', 'cancelled')),
        paid_at timestamptz, stripe_checkout_session_id text, stripe_payment_intent_id text);";

const ORDER: &str = "00000000-0000-4000-8000-000000000001";

fn shop() -> Shop {
    let mut shop = Shop::with_tables(ORDERS);
    shop.execute("select invoice_sync.adopt_mapping()");
    shop
}

/// Adds the order, which stores the session of a payment of this amount.
fn order(shop: &mut Shop, cents: i64) -> stripe_double::Purchase {
    let sold = shop.stripe.checkout(Checkout::new(cents, "usd")).pay();
    shop.execute(&format!(
        "insert into orders (id, total_cents, stripe_checkout_session_id) values ('{ORDER}', 12500, '{}')",
        sold.session_id()
    ));
    sold
}

fn books(shop: &mut Shop) -> Vec<String> {
    let rows = shop.texts(
        "select concat_ws(' ', status, amount_paid_cents, paid_at is not null) from orders
        union all
        select concat_ws(' ', invoice_id, status, trim_scale(amount), trim_scale(refunded_amount), currency,
            left(stripe_payment_intent_id, 3), paid_at is not null)
        from invoice_sync.payment
        order by 1 desc",
    );
    rows.into_iter().flatten().collect()
}

fn paid() -> [String; 2] {
    [
        "paid 12500 t".to_owned(),
        format!("{ORDER} paid 125 0 usd pi_ t"),
    ]
}

#[test]
fn the_extensions_own_table_is_proposed_with_all_its_columns() {
    let mut shop = shop();
    let adopted = shop.text(
        "select concat_ws(' ', payments_table, payment_id_column, payment_invoice_column, payment_status_column,
            payment_amount_column, payment_gratuity_column, payment_refunded_column, payment_currency_column,
            payment_date_column, payment_session_column, payment_intent_column, payment_paid_word,
            payment_refunded_word, payment_disputed_word, amount_unit, payment_amount_unit, payment_values)
        from invoice_sync.settings",
    );
    assert_eq!(
        adopted.as_deref(),
        Some(
            "invoice_sync.payment id invoice_id status amount gratuity refunded_amount currency paid_at stripe_session_id stripe_payment_intent_id paid refunded disputed minor major {}"
        )
    );
    let bad = shop.texts("select d.check || ': ' || d.detail from invoice_sync.doctor() d where not d.ok and d.check ~ 'table|column|index|row|settings'");
    let of_orders = "indexes: missing: public.orders (stripe_checkout_session_id), public.orders (stripe_payment_intent_id)";
    assert_eq!(bad, [Some(of_orders.to_owned())]);
}

#[test]
fn a_lost_payment_is_booked_by_each_entry_point_and_once() {
    for entry_point in ["sweep", "run_sweep", "backfill", "button", "webhook"] {
        let mut shop = shop();
        shop.use_secret("stripe_webhook_secret", SECRET);
        order(&mut shop, 12_500);
        match entry_point {
            "button" => drop(shop.sync(ORDER)),
            "webhook" => shop.deliver_all(&["checkout.session.completed"]),
            "backfill" => shop.execute("call invoice_sync.backfill(now() - interval '1 day')"),
            "run_sweep" => shop.execute("call invoice_sync.run_sweep()"),
            _ => drop(shop.sweep()),
        }
        assert_eq!(books(&mut shop), paid(), "{entry_point}");
        shop.deliver_all(&["payment_intent.succeeded", "checkout.session.completed"]);
        shop.sweep();
        shop.sync(ORDER);
        assert_eq!(books(&mut shop), paid(), "{entry_point}");
        assert_eq!(shop.open_issues(), [] as [&str; 0], "{entry_point}");
    }
}

#[test]
fn what_the_application_wrote_into_the_invoice_is_not_booked_again() {
    let mut shop = shop();
    let sold = order(&mut shop, 12_500);
    // Its own handler of the webhook.
    shop.execute(&format!(
        "update orders set status = 'paid', paid_at = now(), amount_paid_cents = 12500,
            stripe_payment_intent_id = '{}'",
        sold.intent_id()
    ));
    let before = shop.text("select to_jsonb(o) from orders o");
    shop.sweep();
    shop.sync(ORDER);
    shop.sweep();
    assert_eq!(shop.text("select to_jsonb(o) from orders o"), before);
    // The ledger has it, once, so that what comes later adds to it.
    assert_eq!(books(&mut shop), paid());
    assert_eq!(shop.open_issues(), [] as [&str; 0]);

    let twice = Checkout::new(12_500, "usd").metadata("invoice_id", ORDER);
    shop.stripe.checkout(twice).pay();
    shop.sweep();
    assert_eq!(books(&mut shop)[0], "paid 25000 t");
    let overpaid = shop.texts("select kind from invoice_sync.open_issues");
    assert_eq!(overpaid, [Some("overpaid".to_owned())]);
}

#[test]
fn an_invoice_that_says_paid_needs_no_payment() {
    let mut shop = shop();
    shop.execute(&format!(
        "insert into orders (id, total_cents, amount_paid_cents, status) values
            ('{ORDER}', 12500, 12500, 'paid'), (gen_random_uuid(), 100, null, 'paid');
        insert into orders (total_cents, status, amount_paid_cents, stripe_checkout_session_id)
        select 100, w.status, 100, 'cs_test_gone' || n
        from generate_series(1, 50) n cross join (values ('paid'), ('shipped')) w (status)"
    ));
    let before = shop.dump_of(&["orders"]);
    let report = shop.sweep();
    assert_eq!(report["stats"]["invoicesFixed"], json!(0), "{report}");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    assert_eq!(shop.dump_of(&["orders"]), before);
    for view in ["paid_without_payment", "stripe_without_payment"] {
        let found = shop.text(&format!("select count(*) from invoice_sync.{view}"));
        assert_eq!(found.as_deref(), Some("0"), "{view}");
    }

    // A person asks: Stripe knows none of these ids.
    shop.execute(&format!(
        "update orders set stripe_checkout_session_id = 'cs_test_gone' where id = '{ORDER}'"
    ));
    shop.sync(ORDER);
    let issues = shop.texts("select kind from invoice_sync.open_issues order by 1");
    let issues: Vec<String> = issues.into_iter().flatten().collect();
    assert_eq!(issues, ["paid_without_payment", "stripe_object_missing"]);
    shop.not_at_rest("an issue about an object is looked at again");
}

#[test]
fn refunds_and_parts_are_recorded_and_undone_to_the_byte() {
    let mut shop = shop();
    let before_all = shop.dump_of(&["orders", "invoice_sync.payment"]);
    let deposit = order(&mut shop, 5_000);
    let ordered = shop.dump_of(&["orders", "invoice_sync.payment"]);
    assert_ne!(before_all, ordered);
    shop.sweep();
    assert_eq!(books(&mut shop)[0], "pending 5000 f");
    let balance = Checkout::new(7_500, "usd").metadata("invoice_id", ORDER);
    shop.stripe.checkout(balance).pay();
    shop.sweep();
    assert_eq!(
        books(&mut shop),
        [
            "paid 12500 t".to_owned(),
            format!("{ORDER} paid 75 0 usd pi_ t"),
            format!("{ORDER} paid 50 0 usd pi_ t"),
        ]
    );
    shop.stripe.refund(&deposit.intent_id(), Refund::of(2_000));
    shop.sweep();
    assert_eq!(books(&mut shop)[2], format!("{ORDER} paid 50 20 usd pi_ t"));
    shop.stripe.refund(&deposit.intent_id(), Refund::of(3_000));
    shop.sweep();
    assert_eq!(
        books(&mut shop)[1],
        format!("{ORDER} refunded 50 50 usd pi_ t")
    );
    assert_eq!(books(&mut shop)[0], "paid 12500 t", "it is never set back");

    let runs = shop.texts("select distinct run_id from invoice_sync.changes order by 1 desc");
    assert_eq!(runs.len(), 4, "{runs:?}");
    for run in runs.into_iter().flatten() {
        let report = shop.json(&format!("invoice_sync.undo({run})"));
        assert_eq!(report["left"], json!([]), "{report}");
    }
    let rows = |dump: String| {
        let lines = dump.lines().map(str::to_owned);
        lines
            .filter(|line| line.starts_with("INSERT"))
            .collect::<Vec<_>>()
    };
    let undone = shop.dump_of(&["orders", "invoice_sync.payment"]);
    assert_eq!(rows(undone), rows(ordered));
    shop.not_at_rest("what was undone waits for a person");
}

#[test]
fn the_owner_of_the_invoices_gains_no_rights() {
    let mut shop = shop();
    shop.make_roles(&["orders_owner"]);
    shop.execute(
        "alter table orders owner to orders_owner; grant usage, create on schema public to orders_owner;
        create table said (who text); grant insert on said to public",
    );
    // More specific than PostgreSQL's own function of this name, and in the search path of the application.
    let mut owner = shop.connect_as("orders_owner");
    let planted = owner.batch_execute(
        "create function public.jsonb_populate_recordset(invoice_sync.payment, jsonb)
            returns setof invoice_sync.payment language plpgsql as $$
            begin insert into public.said values (current_user); end $$;
        create function public.now() returns timestamptz language plpgsql as $$
            begin insert into public.said values (current_user); return pg_catalog.now(); end $$",
    );
    // Without a right on the schema, not even the type can be named.
    assert!(planted.is_err(), "the type of the rows is not visible");
    shop.execute(
        "create function public.jsonb_populate_recordset(invoice_sync.payment, jsonb)
            returns setof invoice_sync.payment language plpgsql as $$
            begin insert into public.said values (current_user); end $$",
    );
    for right in [
        "select",
        "insert",
        "update",
        "delete",
        "truncate",
        "references",
        "trigger",
    ] {
        let has = format!(
            "select has_table_privilege('orders_owner', 'invoice_sync.payment', '{right}')::text"
        );
        assert_eq!(shop.text(&has).as_deref(), Some("false"), "{right}");
    }
    order(&mut shop, 12_500);
    shop.sweep();
    assert_eq!(books(&mut shop), paid());
    let run = shop.text("select max(run_id)::text from invoice_sync.changes");
    let run = run.expect("something was written");
    shop.json(&format!("invoice_sync.undo({run})"));
    assert_eq!(shop.text("select count(*) from said").as_deref(), Some("0"));
    shop.execute("drop owned by orders_owner cascade");
    shop.not_at_rest("its tables are gone");
}

#[test]
fn what_may_contain_payments_is_named_and_not_passed_over() {
    let mut shop = Shop::with_tables(&format!(
        "{ORDERS} create table shop_payments (id bigint primary key, amount integer not null, basket bigint)"
    ));
    shop.not_at_rest("the settings do not fit the tables");
    let error = shop.error("select invoice_sync.adopt_mapping()");
    assert_eq!(error.sqlstate, "P0002");
    assert_eq!(
        error.detail,
        "What may contain payments has no column that is recognized as the id of an invoice in public.orders: public.shop_payments."
    );
    let (_, own) = error
        .hint
        .split_once("use the extension's own: ")
        .expect("it is there");
    shop.execute(own);
    assert_eq!(
        shop.text("select payments_table from invoice_sync.settings")
            .as_deref(),
        Some("invoice_sync.payment")
    );
}

#[test]
fn an_explanation_says_where_payments_are_recorded() {
    let mut shop = shop();
    order(&mut shop, 12_500);
    let explained = |shop: &mut Shop| {
        let line = format!(
            "select value || ': ' || why from invoice_sync.explain('{ORDER}') where part = 'invoice' and what = 'payments'"
        );
        shop.text(&line).expect("it is explained")
    };
    let why = "setting payments_table; that is this extension's own table, because the application has none: only payments that Stripe received are recorded in it";
    assert_eq!(
        explained(&mut shop),
        format!("0 in invoice_sync.payment: {why}")
    );
    shop.sweep();
    assert_eq!(
        explained(&mut shop),
        format!("1 in invoice_sync.payment: {why}")
    );
}

#[test]
fn payments_of_deleted_invoices_are_told_before_their_ids_are_used_again() {
    let mut shop = Shop::with_tables(&ORDERS.replace(
        "uuid primary key default gen_random_uuid()",
        "integer primary key",
    ));
    shop.execute("select invoice_sync.adopt_mapping()");
    let order = |shop: &mut Shop, id: u32| {
        let checkout = Checkout::new(12_500, "usd").metadata("invoice_id", id.to_string());
        let sold = shop.stripe.checkout(checkout).pay();
        shop.execute(&format!(
            "insert into orders (id, total_cents, stripe_checkout_session_id) values ({id}, 12500, '{}')",
            sold.session_id()
        ));
    };
    order(&mut shop, 1);
    order(&mut shop, 2);
    shop.sweep();
    let told = |shop: &mut Shop| {
        shop.text(
            "select concat_ws(' ', d.ok, d.detail, d.hint) from invoice_sync.doctor() d
            where d.check = 'payments of deleted invoices'",
        )
    };
    let good = "t there are none in invoice_sync.payment, this extension's own table";
    assert_eq!(told(&mut shop).as_deref(), Some(good));
    shop.execute("delete from orders where id = 1");
    let bad = told(&mut shop).expect("it is checked");
    let (found, hint) = bad.split_once("same id ").expect("there is a hint");
    assert_eq!(
        found,
        "f invoice_sync.payment has payments of 1 invoices that no longer exist; they would count for a new invoice with the "
    );
    shop.execute(hint);
    assert_eq!(told(&mut shop).as_deref(), Some(good));
    let left = shop.texts("select invoice_id from invoice_sync.payment");
    assert_eq!(left, [Some("2".to_owned())]);
    shop.not_at_rest("money of a deleted invoice is an issue that is looked at again");
}
