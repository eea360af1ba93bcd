//! Errors of `schedule()` say what is missing and how to get it.

use super::{create_pg_cron, jobs_of, shop_with_dblink, text};
use crate::harness::server::{Server, attempt, refusal};
use crate::harness::{DEFAULT_TABLES, Shop, connect, connect_as};

/// The statement that a hint ends with: `… connect to "postgres" and run: STATEMENT;`
fn statement_of(hint: &str) -> &str {
    let (_, statement) = hint
        .split_once("onnect to \"postgres\" and run: ")
        .expect(hint);
    statement.strip_suffix(';').expect("it ends as SQL does")
}

#[test]
fn without_dblink_the_hint_holds_the_statement_to_run_where_pg_cron_is() {
    let mut cron = connect("postgres");
    create_pg_cron(&mut cron);
    let mut shop = Shop::open();
    let name = shop.name().to_owned();

    let error = refusal(&mut shop.db, "select invoice_sync.schedule('5 4 * * *')");
    assert_eq!(error.sqlstate, "55000");
    assert!(
        error.message.contains("another database, \"postgres\""),
        "{error:?}"
    );
    assert!(error.hint.contains("create extension dblink"), "{error:?}");
    attempt(&mut cron, statement_of(&error.hint)).expect("it works as it stands");
    assert_eq!(
        jobs_of(&mut cron, &name),
        Some(format!("invoice_sync in {name}|5 4 * * *|{name}|postgres"))
    );

    let error = refusal(&mut shop.db, "select invoice_sync.unschedule()");
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(
        text(
            &mut cron,
            &format!("select t.c from ({}) t (c)", statement_of(&error.hint))
        ),
        Ok(Some("true".into()))
    );
    assert_eq!(jobs_of(&mut cron, &name), None);
}

#[test]
fn a_database_with_a_difficult_name_is_scheduled_as_well() {
    let name = format!("it's a \"shop\" {}", std::process::id());
    let quoted = name.replace('"', "\"\"");
    let mut cron = connect("postgres");
    create_pg_cron(&mut cron);
    attempt(&mut cron, &format!("create database \"{quoted}\"")).expect("it is created");
    let mut db = connect(&name);
    attempt(&mut db, "create extension invoice_sync").expect("it is created");

    let hint = refusal(&mut db, "select invoice_sync.schedule()").hint;
    attempt(&mut cron, statement_of(&hint)).expect("it works as it stands");
    assert!(jobs_of(&mut cron, &name).is_some());
    attempt(&mut db, "create extension dblink").expect("it is created");
    let removed = text(&mut db, "select invoice_sync.unschedule()");

    drop(db);
    attempt(
        &mut cron,
        &format!("drop database \"{quoted}\" with (force)"),
    )
    .expect("it goes");
    assert_eq!(removed, Ok(Some("true".into())));
    assert_eq!(jobs_of(&mut cron, &name), None);
}

#[test]
fn a_superuser_with_a_difficult_name_is_let_through() {
    let (mut shop, mut cron) = shop_with_dblink();
    let name = shop.name().to_owned();
    let role = format!("o'ne\\il {name}");
    shop.execute(&format!("create role \"{role}\" login superuser"));
    let mut session = connect_as(&name, &role);
    let made = text(&mut session, "select invoice_sync.schedule()");
    let removed = text(&mut session, "select invoice_sync.unschedule()");
    drop(session);
    shop.execute(&format!("drop role \"{role}\""));
    assert_eq!(made, Ok(Some(format!("invoice_sync in {name}"))));
    assert_eq!(removed, Ok(Some("true".into())));
    assert_eq!(jobs_of(&mut cron, &name), None);
}

#[test]
fn a_role_that_dblink_does_not_connect_gets_the_statement_too() {
    let (mut shop, mut cron) = shop_with_dblink();
    let name = shop.name().to_owned();
    let role = format!("{name}_operator");
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}')"
    ));
    let mut session = connect_as(&name, &role);
    for call in ["schedule()", "unschedule()"] {
        let error = refusal(&mut session, &format!("select invoice_sync.{call}"));
        assert_eq!(error.sqlstate, "55000", "{error:?}");
        assert!(error.message.contains("dblink cannot reach"), "{error:?}");
        attempt(&mut cron, statement_of(&error.hint)).expect("it works as it stands");
        let expected = (call == "schedule()").then_some(1);
        assert_eq!(jobs_of(&mut cron, &name).map(|_| 1), expected, "{call}");
    }
}

#[test]
fn a_server_without_pg_cron_and_one_where_it_is_not_created_yet_differ() {
    let server = Server::start(
        "nocron",
        &[("shared_preload_libraries", ""), ("cron.database_name", "")],
    );
    let mut db = server.connect("postgres", "postgres");
    attempt(
        &mut db,
        &format!("{DEFAULT_TABLES}; create extension invoice_sync"),
    )
    .expect("pg_cron is not needed");
    for call in ["schedule()", "unschedule()"] {
        let error = refusal(&mut db, &format!("select invoice_sync.{call}"));
        assert_eq!(error.sqlstate, "55000");
        assert_eq!(error.message, "pg_cron is not available");
        assert!(error.hint.contains("shared_preload_libraries"), "{error:?}");
    }
    drop(server);

    let server = Server::start("nocron", &[]);
    let mut db = server.connect("postgres", "postgres");
    attempt(&mut db, "create extension invoice_sync").expect("pg_cron is not needed");
    let error = refusal(&mut db, "select invoice_sync.schedule()");
    assert_eq!(error.sqlstate, "55000");
    let (_, statement) = error
        .hint
        .split_once(": ")
        .expect("the hint says what to do");
    attempt(&mut db, statement).expect("it works as it stands");
    attempt(&mut db, "select invoice_sync.schedule()").expect("now it can");
    assert!(jobs_of(&mut db, "postgres").is_some());
}
