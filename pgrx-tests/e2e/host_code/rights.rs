//! The rights with which triggers run, and the caller's session afterwards.

use serde_json::json;

use super::{count, invoice, lost};
use crate::harness::Shop;
use crate::money_cases::hosts::{Host, HostileTables, bill};
use stripe_double::Checkout;

/// Default tables whose owners are two plain roles; their triggers write down
/// as whom they run.
fn shop_with_plain_owners() -> Shop {
    let mut shop = Shop::open();
    shop.give_tables_to("owner of invoices", "owner of payments");
    shop.make_roles(&["operator"]);
    shop.execute(
        "create table witness (place text, name text, is_superuser boolean);
        grant insert, select on witness to public;
        create function bear_witness() returns trigger language plpgsql as $$
        begin
            insert into witness
            select concat_ws(' ', tg_table_name, tg_argv[0]), r.rolname, r.rolsuper
            from pg_catalog.pg_roles r
            where r.rolname = current_user;
            return new;
        end $$;
        select invoice_sync.grant_access('operator')",
    );
    shop
}

const AT_ONCE: &str = "
    create trigger bear_witness before update on invoices for each row execute function bear_witness('at once');
    create trigger bear_witness after insert on payments for each row execute function bear_witness('at once');";

const LATER: &str = "
    create constraint trigger invoices_later after update on invoices deferrable initially deferred
        for each row execute function bear_witness('later');
    create constraint trigger payments_later after insert on payments deferrable initially deferred
        for each row execute function bear_witness('later');";

fn witnesses(shop: &mut Shop) -> Vec<String> {
    shop.texts("select distinct concat_ws(' as ', place, name) || case when is_superuser then ', a superuser' else '' end from witness order by 1")
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn triggers_run_as_the_owner_of_their_table_whoever_calls() {
    let mut shop = shop_with_plain_owners();
    shop.execute(AT_ONCE);
    let wanted = [
        "invoices at once as owner of invoices",
        "payments at once as owner of payments",
    ];

    lost(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(witnesses(&mut shop), wanted, "called by a superuser");

    shop.execute("truncate witness");
    let id = lost(&mut shop, "INV-2");
    let mut operator = shop.connect_as("operator");
    let report: serde_json::Value = operator
        .query_one("select invoice_sync.sync_invoice($1::text)", &[&id])
        .expect("the operator may")
        .get(0);
    assert_eq!(report["fixed"], json!(1));
    assert_eq!(witnesses(&mut shop), wanted, "called by a plain role");
    assert_eq!(
        shop.text("select role from invoice_sync.recent_runs limit 1")
            .as_deref(),
        Some("operator")
    );
}

#[test]
fn triggers_that_wait_for_the_commit_do_not_run_with_the_callers_rights() {
    let mut shop = shop_with_plain_owners();
    shop.execute(LATER);
    lost(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(
        witnesses(&mut shop),
        [
            "invoices later as owner of invoices",
            "payments later as owner of payments",
        ]
    );
}

#[test]
fn what_waits_for_the_commit_waits_for_all_of_an_invoice_even_with_two_owners() {
    let mut shop = shop_with_plain_owners();
    shop.execute(
        "grant select on payments to \"owner of invoices\";
        grant select on invoices to \"owner of payments\";
        create function the_sums_agree() returns trigger language plpgsql as $$
        begin
            if (select sum(amount_paid) from invoices) <> (select sum(total_amount) from payments) then
                raise exception 'the sums do not agree';
            end if;
            return null;
        end $$;
        create constraint trigger sums_of_payments after insert on payments
            deferrable initially deferred for each row execute function the_sums_agree();
        create constraint trigger sums_of_invoices after update on invoices
            deferrable initially deferred for each row execute function the_sums_agree();",
    );
    for number in 1..=3 {
        lost(&mut shop, &format!("INV-{number}"));
    }

    let report = shop.sweep();

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(3), &json!(0)),
        "{report}"
    );
}

#[test]
fn a_trigger_cannot_step_out_of_its_owners_rights() {
    for escape in [
        "set role postgres",
        "reset role",
        "set session authorization postgres",
        "reset session authorization",
    ] {
        let mut shop = shop_with_plain_owners();
        shop.execute(&format!(
            "create function step_out() returns trigger language plpgsql as $$
            begin
                {escape};
                insert into witness select 'stepped out', current_user, true;
                return new;
            end $$;
            create trigger step_out before update on invoices for each row execute function step_out()"
        ));
        let id = lost(&mut shop, "INV-1");

        shop.sync(&id);

        assert_eq!(shop.open_issues(), ["apply_failed INV-1"], "{escape}");
        assert_eq!(
            shop.text("select evidence ->> 'sqlstate' from invoice_sync.open_issues")
                .as_deref(),
            Some("42501"),
            "{escape}"
        );
        assert_eq!(witnesses(&mut shop), [""; 0], "{escape}");
        assert_eq!(invoice(&mut shop, &id), "Sent 0 125", "{escape}");
        assert_eq!(
            shop.text("select current_user").as_deref(),
            Some("postgres")
        );
    }
}

#[test]
fn the_callers_search_path_and_role_are_what_they_were() {
    let mut shop = shop_with_plain_owners();
    shop.execute(AT_ONCE);
    let id = lost(&mut shop, "INV-1");
    let refused = lost(&mut shop, "INV-2");
    shop.execute(
        "alter table payments add constraint none_for_2 check (payment_name <> 'INV-2');
        update invoice_sync.settings
        set payment_values = payment_values || '{\"payment_name\": {\"invoice\": \"invoice_number\"}}'",
    );
    let mut operator = shop.connect_as("operator");
    operator
        .batch_execute("set search_path = \"no such schema\", pg_catalog")
        .expect("a path is set");

    for (invoice, fixed) in [(&id, 1), (&refused, 0), (&id, 0)] {
        let report: serde_json::Value = operator
            .query_one("select invoice_sync.sync_invoice($1::text)", &[invoice])
            .expect("the operator may")
            .get(0);
        assert_eq!(report["fixed"], json!(fixed));
        let row = operator
            .query_one(
                "select current_setting('search_path'), current_user::text, session_user::text, current_setting('role')",
                &[],
            )
            .expect("the session lives");
        let found: [String; 4] = std::array::from_fn(|column| row.get(column));
        assert_eq!(
            found,
            [
                "\"no such schema\", pg_catalog",
                "operator",
                "operator",
                "none"
            ]
        );
    }
    let denied = operator.batch_execute("select from public.invoices");
    assert!(
        denied.is_err(),
        "the operator has no right to the tables themselves"
    );
}

#[test]
fn a_role_that_was_set_stays_set() {
    let mut shop = shop_with_plain_owners();
    let id = lost(&mut shop, "INV-1");
    shop.execute("set role operator");
    let report = shop.sync(&id);
    assert_eq!(report["fixed"], json!(1));
    assert_eq!(
        shop.text("select current_user").as_deref(),
        Some("operator")
    );
    shop.execute("reset role");
    assert_eq!(
        shop.text("select role from invoice_sync.recent_runs limit 1")
            .as_deref(),
        Some("operator"),
        "the role that called"
    );
}

#[test]
fn row_level_security_hides_nothing_from_a_repair_and_shows_nothing_to_the_caller() {
    let mut shop = Shop::with_tables(HostileTables.tables());
    shop.execute(HostileTables.settings());
    shop.make_roles(&["operator"]);
    let session = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    let bill = bill("Sent", "125").session(session.session_id());
    let id: String = shop.rows(&HostileTables.insert_invoice(&bill))[0].get(0);
    shop.execute(
        "select invoice_sync.grant_access('operator');
        grant usage on schema \"Billing Data\" to operator;
        grant select on all tables in schema \"Billing Data\" to operator",
    );
    let mut operator = shop.connect_as("operator");

    let report: serde_json::Value = operator
        .query_one(&format!("select invoice_sync.sync_invoice({id})"), &[])
        .expect("the operator may")
        .get(0);

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        shop.text("select concat_ws(' ', \"State\", \"Paid So Far\", \"left\") from \"Billing Data\".\"order\"").as_deref(),
        Some("settled 12500 0")
    );
    let seen = operator.query("select from \"Billing Data\".\"order\"", &[]);
    assert_eq!(
        seen.expect("it may ask").len(),
        0,
        "no policy lets it see a row"
    );
}

#[test]
fn triggers_find_unqualified_names_in_the_schemas_of_both_tables_and_in_public() {
    let mut shop = Shop::open();
    shop.execute(
        "create schema sales;
        create schema \"Books\";
        alter table invoices set schema sales;
        alter table payments set schema \"Books\";
        update invoice_sync.settings
        set invoices_table = 'sales.invoices', payments_table = '\"Books\".payments';
        create function public.what_is_left(numeric, numeric) returns numeric language sql as 'select $1 - $2';
        create table \"Books\".journal (total numeric);
        create function sales.note() returns trigger language plpgsql as $$
        begin
            insert into journal select sum(total_amount) from payments where invoice_id = new.id;
            new.balance_due := what_is_left(new.total_amount, new.amount_paid);
            perform from invoices where id = new.id;
            return new;
        end $$;
        create trigger note before update on sales.invoices for each row execute function sales.note()",
    );
    let session = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    shop.execute(&format!(
        "insert into sales.invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 125, '{}')",
        session.session_id()
    ));

    let report = shop.sweep();

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        shop.text("select trim_scale(total) from \"Books\".journal")
            .as_deref(),
        Some("125")
    );
    assert_eq!(count(&mut shop, "sales.invoices where balance_due = 0"), 1);
}

#[test]
fn a_host_search_path_takes_the_place_of_the_usual_one() {
    let mut shop = Shop::open();
    shop.execute(
        "create schema helpers;
        create function helpers.stamp() returns text language sql as 'select ''stamped''';
        create function note() returns trigger language plpgsql as $$
        begin
            new.payment_notes := stamp();
            return new;
        end $$;
        create trigger note before insert on payments for each row execute function note()",
    );
    let id = lost(&mut shop, "INV-1");
    shop.sync(&id);
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);

    shop.execute("update invoice_sync.settings set host_search_path = 'helpers, public'");
    shop.sync(&id);

    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(
        shop.text("select payment_notes from payments").as_deref(),
        Some("stamped")
    );
}
