//! Installing, dumping, restoring and dropping the extension.

mod access;
mod dumps;

use serde_json::json;

use crate::harness::{DEFAULT_TABLES, Shop, connect};

/// A database without the extension, gone when dropped.
struct Plain(Shop);

impl Plain {
    /// A shop as it was before it heard of the extension.
    fn open() -> Self {
        let mut shop = Shop::open();
        shop.not_at_rest("it has no extension");
        // The settings of the test's own that name the extension's.
        let name = shop.name().to_owned();
        shop.execute(&format!(
            "drop extension invoice_sync; alter database {name} reset all"
        ));
        Self(shop)
    }
}

/// The lines of a dump that say something.
fn lines(dump: &str) -> Vec<&str> {
    dump.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("--"))
        .collect()
}

#[test]
fn create_extension_leaves_the_hosts_schema_as_it_is() {
    let mut plain = Plain::open();
    let shop = &mut plain.0;
    shop.execute(
        "insert into invoices (invoice_number, customer, total_amount) values ('INV-1', 'C', 1)",
    );
    let of_public = |dump: String| -> Vec<String> {
        lines(&dump)
            .into_iter()
            .filter(|line| !line.contains("invoice_sync"))
            .map(str::to_owned)
            .collect()
    };
    let before = of_public(shop.dump());
    let objects = "select count(*)::text || (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)
        from pg_class where relnamespace = 'public'::regnamespace";
    let counted = shop.text(objects);

    shop.execute("create extension invoice_sync");

    assert_eq!(shop.text(objects), counted);
    // The dump of the database without the extension's own rows.
    let after: Vec<String> = of_public(shop.dump())
        .into_iter()
        .filter(|line| !line.starts_with("SELECT pg_catalog.setval"))
        .collect();
    assert_eq!(before, after);
}

#[test]
fn create_extension_needs_no_table_and_the_missing_one_is_named_when_it_is_wanted() {
    let mut shop = Shop::with_tables("");
    let error = shop.error("select invoice_sync.sweep(dry_run => true)");
    assert_eq!(error.sqlstate, "42P01");
    assert!(error.message.contains("public.invoices"), "{error:?}");
    assert_eq!(shop.sweep()["error"]["sqlstate"], json!("42P01"));
    assert_eq!(shop.open_issues(), ["misconfigured -"]);
    shop.execute(DEFAULT_TABLES);
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_schema_that_somebody_else_prepared_is_not_built_upon() {
    let mut plain = Plain::open();
    let shop = &mut plain.0;
    shop.execute("create schema invoice_sync");
    let error = shop.error("create extension invoice_sync");
    assert_eq!(error.sqlstate, "42P06", "{error:?}");
    shop.execute("drop schema invoice_sync; create extension invoice_sync");
}

#[test]
fn a_database_whose_texts_are_not_utf_8_is_refused() {
    let shop = Shop::open();
    let name = format!("{}_latin1", shop.name());
    let mut main = connect("postgres");
    main.batch_execute(&format!(
        "create database {name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
    ))
    .expect("the database is created");
    let refused = connect(&name).batch_execute("create extension invoice_sync");
    main.batch_execute(&format!("drop database {name} with (force)"))
        .expect("it is dropped");
    let refused = refused.expect_err("the encoding is not the library's");
    let refused = refused.as_db_error().expect("the server refuses it");
    assert_eq!(refused.code().code(), "0A000");
    assert!(refused.message().contains("LATIN1"), "{refused:?}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("UTF8")));
}

#[test]
fn drop_extension_leaves_no_trace() {
    let mut plain = Plain::open();
    let shop = &mut plain.0;
    let roles = "select string_agg(rolname, ' ' order by rolname) from pg_roles
        where rolname not like 'shop\\_%'";
    let (before, roles_before) = (shop.dump(), shop.text(roles));

    shop.execute("create extension invoice_sync; select invoice_sync.sweep()");
    assert_eq!(shop.text(roles), roles_before, "no role is made");
    shop.execute("drop extension invoice_sync");

    assert_eq!(lines(&before), lines(&shop.dump()));
    assert_eq!(shop.text(roles), roles_before);
    assert_eq!(
        shop.text("select to_regnamespace('invoice_sync')::text"),
        None
    );
    // Where pg_cron is no extension, there are no jobs.
    let jobs: i64 = connect("postgres")
        .query_one(
            "select count(*) from cron.job where database = $1",
            &[&shop.name()],
        )
        .map_or(0, |row| row.get(0));
    assert_eq!(jobs, 0);
}

#[test]
fn everything_says_what_it_is() {
    let mut shop = Shop::open();
    let silent = shop.texts(
        "select what from (
            select 'schema ' || nspname as what, obj_description(oid, 'pg_namespace') as said
            from pg_namespace where nspname = 'invoice_sync'
            union all
            select 'relation ' || relname, obj_description(oid, 'pg_class')
            from pg_class where relnamespace = 'invoice_sync'::regnamespace
                and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            union all
            select format('column %s.%s', c.relname, a.attname), col_description(c.oid, a.attnum)
            from pg_class c join pg_attribute a on a.attrelid = c.oid
            where c.relnamespace = 'invoice_sync'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                and a.attnum > 0 and not a.attisdropped
            union all
            select 'function ' || oid::regprocedure, obj_description(oid, 'pg_proc')
            from pg_proc where pronamespace = 'invoice_sync'::regnamespace
            union all
            select 'type ' || typname, obj_description(oid, 'pg_type')
            from pg_type where typnamespace = 'invoice_sync'::regnamespace and typtype in ('e', 'd')
            union all
            select 'extension', obj_description(oid, 'pg_extension')
            from pg_extension where extname = 'invoice_sync'
        ) thing where coalesce(btrim(said), '') = '' order by 1",
    );
    assert_eq!(silent, Vec::<Option<String>>::new());
}
