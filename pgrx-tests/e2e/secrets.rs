//! The API key and its destination: who can read and set them.

mod literals;
mod traces;

use stripe_double::{Config, Double, Key};

use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, attempt_json, refusal};
use crate::harness::{DEFAULT_TABLES, Shop, SqlError};

/// A shop whose key nobody else's test knows, and a role that may operate.
struct Guarded {
    shop: Shop,
    key: String,
    operator: String,
    /// Another stand-in, which must never be asked.
    evil: Double,
}

impl Guarded {
    fn open() -> Self {
        let key = format!("sk_test_guarded{:016x}", random());
        let stripe = Double::start(Config {
            keys: vec![Key::new(&key)],
            ..Config::default()
        })
        .expect("the stand-in starts");
        let mut shop = Shop::with(stripe, DEFAULT_TABLES);
        let operator = format!("{}_operator", shop.name());
        shop.execute(&format!(
            "create role {operator} login; select invoice_sync.grant_access('{operator}')"
        ));
        let mut guarded = Self {
            shop,
            key,
            operator,
            evil: Double::start(Config::default()).expect("the stand-in starts"),
        };
        let key = guarded.key.clone();
        let path = guarded.write_file("key", &key, "600");
        guarded
            .shop
            .configure("stripe_api_key", &format!("file:{path}"));
        guarded
    }

    /// A file of the server's user with these contents and permissions.
    fn write_file(&mut self, name: &str, contents: &str, mode: &str) -> String {
        let path = format!(
            "{}/{}.{name}",
            Server::main().data.display(),
            self.shop.name()
        );
        self.shop.execute(&format!(
            "copy (select) to program
            $$cat > /dev/null; rm -f {path}; printf '%b' '{contents}' > {path}; chmod {mode} {path}$$"
        ));
        path
    }

    fn as_operator(&self) -> postgres::Client {
        self.shop.connect_as(&self.operator)
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn error_text(error: &SqlError) -> String {
    format!("{} {} {}", error.message, error.detail, error.hint)
}

const LOAD: &str = "select invoice_sync.sweep(dry_run => true)";

const SETTINGS: [&str; 7] = [
    "stripe_api_key",
    "stripe_api_base",
    "stripe_api_version",
    "stripe_account",
    "stripe_webhook_secret",
    "resend_api_key",
    "resend_api_base",
];

#[test]
fn an_operator_cannot_read_a_setting() {
    let guarded = Guarded::open();
    let mut session = guarded.as_operator();
    attempt(&mut session, LOAD).expect("an operator sweeps");
    let numbers = ["http_concurrency", "http_timeout", "requests_per_second"];
    for name in SETTINGS.iter().chain(&numbers) {
        for statement in [
            format!("show invoice_sync.{name}"),
            format!("select current_setting('invoice_sync.{name}')"),
            format!("select current_setting('invoice_sync.{name}', true)"),
        ] {
            let error = refusal(&mut session, &statement);
            assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        }
    }
    let listed = session
        .query(
            "select name from pg_settings where name like 'invoice_sync.%'",
            &[],
        )
        .expect("the view is for all");
    assert!(
        listed.is_empty(),
        "pg_settings shows {} of them",
        listed.len()
    );
    for statement in [
        "table pg_file_settings",
        "select pg_read_file('postgresql.auto.conf')",
        "copy (select 1) to program 'cat'",
    ] {
        let error = refusal(&mut session, statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
}

#[test]
fn an_operator_cannot_set_a_setting() {
    let mut guarded = Guarded::open();
    let evil = guarded.evil.url();
    let (operator, database) = (guarded.operator.clone(), guarded.shop.name().to_owned());
    let statements = |name: &str| {
        [
            format!("set invoice_sync.{name} = '{evil}'"),
            format!("begin; set local invoice_sync.{name} = '{evil}'"),
            format!("select set_config('invoice_sync.{name}', '{evil}', false)"),
            format!("alter role {operator} set invoice_sync.{name} = '{evil}'"),
            format!(
                "alter role {operator} in database {database} set invoice_sync.{name} = '{evil}'"
            ),
            format!("alter database {database} set invoice_sync.{name} = '{evil}'"),
            format!("alter system set invoice_sync.{name} = '{evil}'"),
            format!("reset invoice_sync.{name}"),
            format!(
                "create function pg_temp.trick() returns jsonb language sql
                set invoice_sync.{name} = '{evil}' as 'select invoice_sync.sweep()';
                select pg_temp.trick()"
            ),
            format!(
                "update pg_settings set setting = '{evil}' where name = 'invoice_sync.{name}';
                select 1 / count(*) from pg_settings where name = 'invoice_sync.{name}'"
            ),
        ]
    };
    let mut session = guarded.as_operator();
    attempt(&mut session, LOAD).expect("an operator sweeps");
    for name in SETTINGS {
        for statement in statements(name) {
            let error = refusal(&mut session, &statement);
            let refused = ["42501", "22012"].contains(&error.sqlstate.as_str())
                // Judged before the right to set it: nothing is taken either way.
                || error.sqlstate == "22023";
            assert!(refused, "{statement}: {error:?}");
            let _ = session.batch_execute("rollback");
        }
    }
    let sale = Sale::unbooked(&mut guarded.shop, "INV-1");
    attempt_json(&mut session, &sale.sync()).expect("the button works");
    assert_eq!(guarded.evil.connections(), 0);
    assert!(!guarded.shop.stripe.requests().is_empty());
}

#[test]
fn what_an_operator_sets_before_the_library_is_loaded_never_takes_effect() {
    let mut guarded = Guarded::open();
    guarded.shop.execute(&format!(
        "create schema tricks authorization {}",
        guarded.operator
    ));
    let sale = Sale::unbooked(&mut guarded.shop, "INV-1");
    let evil = guarded.evil.url();
    let database = guarded.shop.name().to_owned();
    let set = |value: &str| format!("set invoice_sync.stripe_api_base = '{value}'");
    let sync = format!("select {}", sale.sync());
    let sweep = "select invoice_sync.sweep()".to_owned();
    let trick = |body: &str| {
        format!(
            "create or replace function tricks.trick() returns jsonb language sql
            set invoice_sync.stripe_api_base = '{evil}' as $${body}$$;
            select tricks.trick()"
        )
    };
    // Each in a session of its own, as one batch: errors on the way are fine.
    let tricks = [
        format!("{}; {sync}", set(&evil)),
        format!("{}; {sweep}", set(&evil)),
        format!(
            "begin; {}; {sync}; commit; {sync}",
            set(&evil).replace("set ", "set local ")
        ),
        format!(
            "begin; {}; savepoint s; {}; release s; {sync}; commit",
            set("x"),
            set(&evil)
        ),
        format!(
            "begin; {}; savepoint s; {}; rollback to s; {sync}; commit",
            set(&evil),
            set("x")
        ),
        format!("select set_config('invoice_sync.stripe_api_base', '{evil}', false); {sync}"),
        format!("{}; load 'invoice_sync'; {sync}", set(&evil)),
        trick(&sync),
        trick(&sweep),
        trick("select to_jsonb(t) from invoice_sync.stripe_without_payment t").replace(
            "select tricks.trick()",
            &format!("select tricks.trick(); {sync}"),
        ),
        format!(
            "set invoice_sync.stripe_api_key = 'sk_test_double'; {}; {sync}",
            set(&evil)
        ),
        format!(
            "alter role {} set invoice_sync.stripe_api_base = '{evil}'",
            guarded.operator
        ),
        format!("alter database {database} set invoice_sync.stripe_api_base = '{evil}'"),
    ];
    for batch in &tricks {
        let (mut session, _) = Server::main().connect_listening(&database, &guarded.operator);
        for statement in split_batch(batch) {
            let _ = session.batch_execute(&statement);
        }
        let _ = session.batch_execute("rollback");
        drop(session);
        let mut session = guarded.as_operator();
        attempt(&mut session, &sync).expect("the button works afterwards");
        assert_eq!(guarded.evil.connections(), 0, "{batch}");
    }
    // The client's startup packet.
    for options in [
        format!("-c invoice_sync.stripe_api_base={evil}"),
        format!("-c invoice_sync.stripe_api_base={evil} -c session_preload_libraries=invoice_sync"),
        format!("-c invoice_sync.stripe_api_base={evil} -c local_preload_libraries=invoice_sync"),
    ] {
        let mut config = Server::main().config(&database, &guarded.operator);
        if let Ok(mut session) = config.options(&options).connect(postgres::NoTls) {
            let _ = session.batch_execute(&sync);
            let _ = session.batch_execute(&sweep);
        }
        assert_eq!(guarded.evil.connections(), 0, "{options}");
    }
    let keys: Vec<_> = guarded.shop.stripe.requests();
    assert!(keys.len() >= tricks.len(), "Stripe itself was asked");
    assert!(
        keys.iter()
            .all(|seen| seen.header("authorization") == Some(&format!("Bearer {}", guarded.key))),
        "always with the right key"
    );
}

/// Statements one by one, so that one that fails does not keep the next from
/// running; a function's body stays whole.
fn split_batch(batch: &str) -> Vec<String> {
    if batch.contains("create or replace function") {
        let (definition, calls) = batch
            .split_once("$$;")
            .expect("the definition ends before the call");
        return [format!("{definition}$$"), calls.to_owned()].into();
    }
    batch.split(';').map(str::to_owned).collect()
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let mut guarded = Guarded::open();
    guarded.shop.not_at_rest("the key is refused");
    let sale = Sale::unbooked(&mut guarded.shop, "INV-1");
    let key = guarded.key.clone();
    let cases = [
        ("group", key.as_str(), "640", "42501", "0640"),
        ("others", &key, "604", "42501", "0604"),
        ("writable", &key, "620", "42501", "0620"),
        ("empty", "", "600", "F0000", "empty"),
        (
            "lines",
            &format!("{key}\\n{key}"),
            "600",
            "F0000",
            "not valid",
        ),
        ("long", &key.repeat(500), "600", "F0000", "too long"),
    ];
    for (name, contents, mode, sqlstate, words) in cases {
        let path = guarded.write_file(name, contents, mode);
        guarded
            .shop
            .configure("stripe_api_key", &format!("file:{path}"));
        let error = guarded.shop.error(&format!("select {}", sale.sync()));
        assert_eq!(error.sqlstate, sqlstate, "{name}: {error:?}");
        assert!(error_text(&error).contains(words), "{name}: {error:?}");
        assert!(!error_text(&error).contains(&key), "{name}: {error:?}");
        // A sweep goes on with what needs no Stripe, and says why it is not whole.
        let report = guarded.shop.sweep();
        assert_eq!(report["error"]["sqlstate"], sqlstate, "{name}: {report:#}");
        assert!(!report.to_string().contains(&key), "{name}");
    }
    for (path, sqlstate) in [
        ("/no/such/file", "58P01"),
        ("/tmp", "42809"),
        ("/dev/zero", "42809"),
    ] {
        guarded
            .shop
            .configure("stripe_api_key", &format!("file:{path}"));
        let error = guarded.shop.error(&format!("select {}", sale.sync()));
        assert_eq!(error.sqlstate, sqlstate, "{path}: {error:?}");
    }
    assert!(guarded.shop.stripe.requests().is_empty());
}
