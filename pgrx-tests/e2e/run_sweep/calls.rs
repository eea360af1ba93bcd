//! How `run_sweep` may be called, by whom, and the caller's session afterwards.

use std::time::Duration;

use postgres::Client;
use serde_json::json;

use super::{DOZE, last_run, run};
use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json, refusal};
use crate::harness::{Shop, wait_until};

const CALL: &str = "call invoice_sync.run_sweep()";

fn payments(shop: &mut Shop) -> String {
    shop.text("select count(*) from payments")
        .expect("a number")
}

#[test]
fn where_nothing_can_be_committed_it_is_refused_and_says_what_to_call() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "create function sweeps() returns void language plpgsql as $$
        begin call invoice_sync.run_sweep(); end $$",
    );
    for statement in [
        "begin; call invoice_sync.run_sweep(); commit",
        "select sweeps()",
        "begin; do $$ begin call invoice_sync.run_sweep(); end $$; commit",
    ] {
        let error = refusal(&mut shop.db, statement);
        assert_eq!(error.sqlstate, "2D000", "{statement}: {error:?}");
        assert!(
            error.hint.contains("select invoice_sync.sweep()"),
            "{statement}: {error:?}"
        );
        let _ = attempt(&mut shop.db, "rollback");
    }
    let handled = "do $$ begin call invoice_sync.run_sweep(); exception when division_by_zero then null; end $$";
    assert_eq!(
        refusal(&mut shop.db, handled).sqlstate,
        "2D000",
        "a subtransaction"
    );
    assert_eq!(payments(&mut shop), "0");
    assert!(shop.stripe.requests().is_empty(), "Stripe was not asked");

    attempt(
        &mut shop.db,
        "do $$ begin call invoice_sync.run_sweep(); end $$",
    )
    .expect("a block that is no transaction may commit");
    assert_eq!(payments(&mut shop), "1");
}

/// A role that may operate and nothing else.
fn operator(shop: &mut Shop) -> (String, Client) {
    let name = format!("operator_of_{}", shop.name());
    shop.execute(&format!(
        "create role {name} login; select invoice_sync.grant_access('{name}')"
    ));
    let client = shop.connect_as(&name);
    (name, client)
}

fn drop_role(shop: &mut Shop, name: &str) {
    shop.execute(&format!("drop owned by {name} cascade; drop role {name}"));
}

#[test]
fn a_role_that_may_call_it_sees_nothing_of_what_it_works_with() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    let (name, mut operator) = operator(&mut shop);

    run(&mut operator);

    assert_eq!(payments(&mut shop), "1");
    assert_eq!(
        last_run(&mut shop)["role"],
        json!(name),
        "the caller's name"
    );
    for denied in [
        "show invoice_sync.stripe_api_key",
        "select * from invoice_sync.event",
        "select * from invoice_sync.feed",
        "select * from invoice_sync.invoice_check",
        "select * from invoice_sync.round",
        "update invoice_sync.settings set invoices_table = 'evil'",
        "select * from invoices",
    ] {
        assert_eq!(refusal(&mut operator, denied).sqlstate, "42501", "{denied}");
    }
    drop(operator);
    drop_role(&mut shop, &name);
}

/// What stands in a schema before pg_catalog writes down as whom it was called.
const TRAPS: &str = "
    create table evil.called (what text, as_whom text);
    create function evil.note(what text) returns void language plpgsql as $$
    begin
        perform pg_catalog.set_config('evil.called', pg_catalog.concat(what, ' as ', current_user), false);
    end $$;
    create function evil.equal(text, text) returns boolean language plpgsql as $$
    begin perform evil.note('='); return true; end $$;
    create operator evil.= (leftarg = text, rightarg = text, function = evil.equal);
    create function evil.equal(name, name) returns boolean language plpgsql as $$
    begin perform evil.note('='); return true; end $$;
    create operator evil.= (leftarg = name, rightarg = name, function = evil.equal);
    create function evil.set_config(text, text, boolean) returns text language plpgsql as $$
    begin perform evil.note('set_config'); return null; end $$;
    create function evil.to_jsonb(bigint) returns jsonb language plpgsql as $$
    begin perform evil.note('to_jsonb'); return '10'; end $$;
    create function evil.to_jsonb(text) returns jsonb language plpgsql as $$
    begin perform evil.note('to_jsonb'); return '10'; end $$;
    create function evil.clock_timestamp() returns timestamptz language plpgsql as $$
    begin perform evil.note('clock_timestamp'); return '-infinity'; end $$";

#[test]
fn what_stands_in_the_callers_search_path_is_never_called() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    let (name, mut operator) = operator(&mut shop);
    shop.execute(&format!("create schema evil authorization {name}"));
    attempt(&mut operator, TRAPS).expect("its own schema");
    attempt(&mut operator, "set search_path = evil, pg_catalog").expect("its own session");
    let trapped = attempt_json(&mut operator, "to_jsonb(1::bigint)").expect("it is called");
    assert_eq!(trapped, json!(10), "the traps are set");
    attempt(&mut operator, "set evil.called = 'nothing'").expect("they are set anew");

    let state = |client: &mut Client| -> Vec<Option<String>> {
        let row = client
            .query_one(
                "select array[pg_catalog.current_setting('search_path'), current_user::text,
                    session_user::text, pg_catalog.current_setting('evil.called')]",
                &[],
            )
            .expect("the session lives");
        row.get(0)
    };
    let before = state(&mut operator);
    run(&mut operator);
    assert_eq!(state(&mut operator), before);
    assert_eq!(payments(&mut shop), "3");

    // Fails in the middle: there is no such table any more.
    shop.execute("alter table payments rename to receipts");
    let error = refusal(&mut operator, CALL);
    assert_eq!(error.sqlstate, "42P01", "{error:?}");
    assert_eq!(state(&mut operator), before, "after an error");
    shop.execute("alter table receipts rename to payments");

    // And ended while a trigger sleeps.
    shop.execute(DOZE);
    Sale::unbooked(&mut shop, "INV-3");
    attempt(&mut operator, "set statement_timeout = '2s'").expect("it is set");
    assert_eq!(refusal(&mut operator, CALL).sqlstate, "57014");
    attempt(&mut operator, "set statement_timeout = 0").expect("it is set");
    assert_eq!(state(&mut operator), before, "after a timeout");
    shop.execute("drop trigger doze on payments");
    drop(operator);
    drop_role(&mut shop, &name);
}

#[test]
fn the_role_that_was_set_is_still_set_afterwards() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    let (name, _) = operator(&mut shop);
    let mut session = shop.connect();
    attempt(&mut session, &format!("set role {name}")).expect("a superuser may");
    run(&mut session);
    let after: String = session
        .query_one("select current_user::text", &[])
        .expect("the session lives")
        .get(0);
    assert_eq!(after, name);
    assert_eq!(last_run(&mut shop)["role"], json!(name));
    drop(session);
    drop_role(&mut shop, &name);
}

#[test]
fn one_sweep_works_at_a_time_and_the_button_does_not_wait() {
    let mut shop = Shop::open();
    let sales = Sale::many(&mut shop, 2);
    let (mut second, notices) = Server::main().connect_listening(shop.name(), "postgres");
    let mut first = shop.connect();
    shop.stripe.set_latency(Duration::from_secs(4));

    std::thread::scope(|scope| {
        let sweeping = scope.spawn(move || attempt(&mut first, CALL));
        let stripe = &shop.stripe;
        wait_until("the first one asks", || stripe.count_of("/v1/") >= 1);
        stripe.set_latency(Duration::ZERO);

        run(&mut second);
        let reported = notices.text();
        assert!(reported.contains("Another sweep is running"), "{reported}");
        assert!(!reported.contains("WARNING"), "{reported}");
        let skipped = attempt_json(&mut shop.db, "invoice_sync.sweep()").expect("it answers");
        assert_eq!(skipped["skipped"], json!(true));
        let pressed = attempt_json(&mut shop.db, &sales[0].sync()).expect("it answers");
        assert_eq!(pressed["fixed"], json!(1));
        assert!(!sweeping.is_finished(), "all that, while it was at work");
        sweeping.join().expect("no panic").expect("it sweeps");
    });
    assert_eq!(payments(&mut shop), "2");
    assert_eq!(
        shop.text("select count(*) from invoice_sync.run where kind = 'sweep'"),
        Some("1".into()),
        "no row for what was not done"
    );
}

#[test]
fn while_sweep_is_at_work_run_sweep_returns_at_once() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    let mut first = shop.connect();
    attempt(&mut first, "begin; select invoice_sync.sweep()").expect("it sweeps");
    run(&mut shop.db);
    assert_eq!(payments(&mut shop), "0", "the first has not committed");
    attempt(&mut first, "commit").expect("it commits");
    run(&mut shop.db);
    assert_eq!(payments(&mut shop), "1");
}

#[test]
fn its_time_is_a_positive_one_or_the_usual() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    for never in ["'0'", "'-1 second'"] {
        let error = refusal(
            &mut shop.db,
            &format!("call invoice_sync.run_sweep({never})"),
        );
        assert_eq!(error.sqlstate, "22023", "{never}: {error:?}");
    }
    assert_eq!(payments(&mut shop), "0");
    attempt(&mut shop.db, "call invoice_sync.run_sweep(null)").expect("the usual time");
    assert_eq!(payments(&mut shop), "1");
}
