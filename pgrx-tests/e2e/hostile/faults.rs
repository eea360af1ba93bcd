//! Errors that the owner's code raises become issues of one invoice, whatever their SQLSTATE; only PostgreSQL's own
//! errors end a run.

use serde_json::json;

use crate::harness::sale::Sale;
use crate::harness::sender::deliver_signed;
use crate::harness::server::{Server, refusal};
use crate::harness::{Shop, SqlError, wait_until};

/// A trigger that raises for one invoice.
fn raises(shop: &mut Shop, number: &str, raise: &str) {
    shop.execute(&format!(
        "create function refuse() returns trigger language plpgsql as $$
        begin
            if new.invoice_number = '{number}' then {raise}; end if;
            return new;
        end $$;
        create trigger refuse before update on invoices for each row execute function refuse()"
    ));
}

#[test]
fn a_trigger_that_raises_what_only_postgresql_should_stops_its_own_invoice_alone() {
    for state in [
        "57014", "57P01", "57P02", "53200", "55000", "XX000", "40001",
    ] {
        let mut shop = Shop::open();
        raises(
            &mut shop,
            "INV-1",
            &format!(
                "raise exception 'a table is not the one that was looked up: x' using errcode = '{state}'"
            ),
        );
        Sale::many(&mut shop, 3);

        let report = shop.sweep();

        assert_eq!(report["fixed"], json!(2), "{state}: {report}");
        assert_eq!(
            shop.texts("select invoice_number from invoices where invoice_status <> 'Paid'"),
            [Some("INV-1".to_owned())],
            "{state}"
        );
        assert_eq!(
            shop.texts(
                "select evidence ->> 'sqlstate' from invoice_sync.issue where kind = 'apply_failed'"
            ),
            [Some(state.to_owned())]
        );
    }
}

/// pgrx puts a backtrace into the DETAIL of errors where the environment asks for it, and this server's does: it hands
/// its own on to each session.
fn must_ask_for_backtraces() {
    let pid_file = Server::main().data.join("postmaster.pid");
    let pid_file = std::fs::read_to_string(pid_file).expect("the server runs");
    let id = pid_file.lines().next().expect("it has a number");
    let environment = std::fs::read(format!("/proc/{id}/environ")).expect("it is of our user");
    let mut variables = environment.split(|byte| *byte == 0);
    assert!(
        variables.any(|variable| variable == b"RUST_BACKTRACE=1"),
        "without it no error would have a backtrace, whatever the code does"
    );
}

#[test]
fn a_genuine_cancel_and_a_genuine_timeout_end_the_run_and_show_nothing_of_rust() {
    let mut shop = Shop::open();
    must_ask_for_backtraces();
    shop.not_at_rest("a trigger sleeps");
    raises(&mut shop, "INV-1", "perform pg_sleep(60)");
    Sale::many(&mut shop, 3);
    let clean = |error: &SqlError| {
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        assert_eq!(error.detail, "", "{error:?}");
    };

    let mut hasty = shop.connect();
    hasty
        .batch_execute("set statement_timeout = '1s'")
        .expect("anybody may");
    clean(&refusal(&mut hasty, "select invoice_sync.sweep()"));

    let mut session = shop.connect();
    let id: i32 = session
        .query_one("select pg_backend_pid()", &[])
        .expect("it lives")
        .get(0);
    let sweep = std::thread::spawn(move || refusal(&mut session, "select invoice_sync.sweep()"));
    wait_until("the trigger sleeps", || {
        shop.text(&format!(
            "select wait_event from pg_stat_activity where pid = {id}"
        ))
        .as_deref()
            == Some("PgSleep")
    });
    shop.execute(&format!("select pg_cancel_backend({id})"));
    clean(&sweep.join().expect("the thread lives"));
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("0"),
        "the caller's transaction is gone as a whole"
    );
}

#[test]
fn a_timeout_that_ends_a_webhook_shows_nothing_of_rust() {
    let mut shop = Shop::with_webhooks();
    must_ask_for_backtraces();
    shop.not_at_rest("a trigger sleeps");
    raises(&mut shop, "INV-1", "perform pg_sleep(60)");
    Sale::unbooked(&mut shop, "INV-1");
    let body = shop
        .stripe
        .events()
        .into_iter()
        .find(|event| event["type"] == "checkout.session.completed")
        .expect("a session was completed")
        .to_string();
    let signature = crate::harness::sender::signature(
        crate::harness::sender::SECRET,
        crate::harness::sender::now(),
        &body,
    );
    shop.execute("set statement_timeout = '1s'");

    let error = deliver_signed(&mut shop.db, &body, &signature).expect_err("it takes too long");

    assert_eq!(error.sqlstate, "57014", "{error:?}");
    assert_eq!(error.detail, "", "{error:?}");
}

#[test]
fn what_the_caller_left_for_the_commit_runs_as_the_caller_and_constraints_wait_again_afterwards() {
    let mut shop = Shop::open();
    shop.give_tables_to("owner of invoices", "owner of payments");
    shop.execute(
        "create table witness (name text);
        grant insert on witness to public;
        create function tell() returns trigger language plpgsql as $$
        begin insert into public.witness values (current_user); return null; end $$;
        create table callers (it integer primary key);
        create table refers (it integer references callers deferrable initially deferred);
        create constraint trigger tell after insert on callers deferrable initially deferred
            for each row execute function tell()",
    );
    Sale::unbooked(&mut shop, "INV-1");

    shop.execute(
        "begin;
        insert into callers values (1);
        select invoice_sync.sweep();
        insert into refers values (2);
        insert into callers values (2);
        commit",
    );

    assert_eq!(
        shop.texts("select name from witness"),
        [Some("postgres".to_owned()), Some("postgres".to_owned())],
        "both as the caller, before the sweep and at the end"
    );
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("1")
    );

    Sale::unbooked(&mut shop, "INV-2");
    let error = refusal(
        &mut shop.db,
        "begin; insert into refers values (9); select invoice_sync.sweep(); commit",
    );
    assert_eq!(error.sqlstate, "23503", "the caller's own error: {error:?}");
    shop.execute("rollback");
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("1")
    );
}

#[test]
fn what_a_trigger_says_of_constraints_does_not_hold_for_the_callers_next_statements() {
    let mut shop = Shop::open();
    shop.execute(
        "create table unique_at_once (it integer unique deferrable);
        create function defer_all() returns trigger language plpgsql as $$
        begin set constraints all deferred; return new; end $$;
        create trigger defer_all before update on invoices for each row execute function defer_all()",
    );
    Sale::unbooked(&mut shop, "INV-1");

    shop.execute("begin; select invoice_sync.sweep()");
    let error = refusal(&mut shop.db, "insert into unique_at_once values (1), (1)");

    assert_eq!(
        error.sqlstate, "23505",
        "at once, not at the commit: {error:?}"
    );
}
