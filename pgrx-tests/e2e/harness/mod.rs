//! A shop: a database with the extension and the application's tables, and a stand-in for Stripe.

pub mod books;
pub mod dice;
pub mod gateway;
pub mod psql;
mod rest;
pub mod sale;
pub mod sender;
pub mod server;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, Config, NoTls, Row};
use serde_json::Value;
use stripe_double::Double;

/// The default tables, those of the demonstration.
pub const DEFAULT_TABLES: &str = include_str!("../../../examples/demo/tables.sql");

/// The key that every [`Double`] accepts.
pub const KEY: &str = "sk_test_double";

/// Stripe is to be asked about every invoice that it was ever asked about.
pub const ALL_ARE_DUE: &str = "
    insert into invoice_sync.invoice_check (invoice_id, stored_ids, next_check_at)
    select invoice_id, '{}', now()
    from (
        select invoice_id from invoice_sync.stripe_payment
        union
        select invoice_id from invoice_sync.invoice_check
    ) as known
    on conflict (invoice_id) do update set next_check_at = excluded.next_check_at";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The database and the stand-in of one test. Dropping it checks that the shop comes to rest, unless the test has failed
/// or has said why it does not ([`Shop::not_at_rest`]), and drops the database.
pub struct Shop {
    pub stripe: Double,
    pub db: Client,
    name: String,
    restless: bool,
}

impl Shop {
    /// Creates a shop with the default tables.
    pub fn open() -> Self {
        Self::with_tables(DEFAULT_TABLES)
    }

    /// Creates a shop with the tables that `tables` creates. If they are not the default ones, the caller updates
    /// `invoice_sync.settings`.
    pub fn with_tables(tables: &str) -> Self {
        Self::with(
            Double::start(stripe_double::Config::default()).expect("the stand-in starts"),
            tables,
        )
    }

    /// Creates a shop with the given stand-in.
    pub fn with(stripe: Double, tables: &str) -> Self {
        let name = format!(
            "shop_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let db = if tables == DEFAULT_TABLES {
            let template = TEMPLATE.get_or_init(|| {
                let template = format!("template_{}", std::process::id());
                drop(create_database(&template, tables));
                template
            });
            connect("postgres")
                .batch_execute(&format!("create database {name} template {template}"))
                .expect("the database is created");
            connect(&name)
        } else {
            create_database(&name, tables)
        };
        let mut shop = Self {
            stripe,
            db,
            name,
            restless: false,
        };
        shop.set("stripe_api_base", &shop.stripe.url());
        // Tests do not wait for the rate limit of test mode.
        shop.set("requests_per_second", "1000");
        shop.use_key(KEY);
        shop
    }

    /// Marks the first look back of each account that is named now as done, for tests of what a sweep alone requests or
    /// finds.
    pub fn skip_look_back(&mut self) {
        self.execute(
            "insert into invoice_sync.feed (whose, account, place, looked_back_to)
            select concat_ws(' ', 'test', a.account), a.account, '{}', now()
            from (select null::text as account union all select account from invoice_sync.stripe_account) a
            on conflict (whose) do update set looked_back_to = excluded.looked_back_to",
        );
    }

    /// Returns the database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens another session in the same database, as the superuser.
    pub fn connect(&self) -> Client {
        connect(&self.name)
    }

    /// Opens another session in the same database, as `role`.
    pub fn connect_as(&self, role: &str) -> Client {
        connect_as(&self.name, role)
    }

    /// Sets `invoice_sync.{setting}` for new sessions of this database, and reconnects `self.db`.
    pub fn configure(&mut self, setting: &str, value: &str) {
        self.set(setting, value);
        self.db = connect(&self.name);
    }

    fn set(&mut self, setting: &str, value: &str) {
        self.db
            .batch_execute(&format!(
                "alter database {} set invoice_sync.{setting} = '{value}'",
                self.name
            ))
            .expect("the setting is taken");
    }

    /// Writes `key` to a file that only the server may read, and configures it.
    pub fn use_key(&mut self, key: &str) {
        self.use_secret("stripe_api_key", key);
    }

    /// As [`Self::use_key`], for any secret.
    pub fn use_secret(&mut self, setting: &str, secret: &str) {
        let reference = self.store_secret(setting, secret);
        self.configure(setting, &reference);
    }

    /// Writes a secret to a file that only the server may read. Returns a reference to it.
    pub fn store_secret(&mut self, name: &str, secret: &str) -> String {
        let directory: String = self
            .db
            .query_one("select current_setting('data_directory')", &[])
            .expect("a superuser sees it")
            .get(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = format!("{directory}/{}.{name}.{number}", self.name);
        self.db
            .batch_execute(&format!(
                "copy (select '{secret}') to program 'umask 077; cat > {path}'"
            ))
            .expect("the server writes the file");
        format!("file:{path}")
    }

    /// Creates roles without any rights, unless another test has, because roles belong to the whole server.
    pub fn make_roles(&mut self, names: &[&str]) {
        for name in names {
            self.execute(&format!(
                "do $$ begin create role \"{name}\" login;
                exception when duplicate_object or unique_violation then null; end $$"
            ));
        }
    }

    /// Makes these roles the owners of the default tables.
    pub fn give_tables_to(&mut self, invoices: &str, payments: &str) {
        self.make_roles(&[invoices, payments]);
        self.execute(&format!(
            "alter table invoices owner to \"{invoices}\";
            alter table payments owner to \"{payments}\""
        ));
    }

    /// Returns the result of `select {expression}`, of type jsonb.
    pub fn json(&mut self, expression: &str) -> Value {
        self.db
            .query_one(&format!("select {expression}"), &[])
            .unwrap_or_else(|error| panic!("{expression}: {}", tell(&error)))
            .get(0)
    }

    /// Runs `select invoice_sync.sweep()`.
    pub fn sweep(&mut self) -> Value {
        self.json("invoice_sync.sweep()")
    }

    /// Runs `select invoice_sync.sync_invoice(id)` with the id as text.
    pub fn sync(&mut self, id: &str) -> Value {
        self.json(&format!("invoice_sync.sync_invoice('{id}')"))
    }

    pub fn execute(&mut self, sql: &str) {
        self.db
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {}", tell(&error)));
    }

    pub fn rows(&mut self, sql: &str) -> Vec<Row> {
        self.db
            .query(sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {}", tell(&error)))
    }

    /// Returns the first column of the first row, as text; `None` for null.
    pub fn text(&mut self, sql: &str) -> Option<String> {
        self.texts(sql).into_iter().next().flatten()
    }

    /// Returns the first column of every row, as text.
    pub fn texts(&mut self, sql: &str) -> Vec<Option<String>> {
        let sql = format!("select t.c::text from ({sql}) t (c)");
        self.rows(&sql).iter().map(|row| row.get(0)).collect()
    }

    /// As if much time had passed for Stripe's answers about invoices: see [`ALL_ARE_DUE`].
    pub fn make_all_due(&mut self) {
        self.execute(ALL_ARE_DUE);
    }

    /// So much time passes for all that the extension has noted: it is that much older.
    pub fn age(&mut self, seconds: i64) {
        self.execute(include_str!("age.sql"));
        self.execute(&format!("call pg_temp.age({seconds})"));
    }

    /// The error of a statement that must fail.
    pub fn error(&mut self, sql: &str) -> SqlError {
        match self.db.batch_execute(sql) {
            Ok(()) => panic!("expected an error from: {sql}"),
            Err(error) => SqlError::from(&error),
        }
    }

    /// Returns kind and invoice of every issue that is not resolved.
    pub fn open_issues(&mut self) -> Vec<String> {
        self.texts(
            "select format('%s %s', kind, coalesce(invoice_number, invoice_id, '-'))
            from invoice_sync.open_issues order by 1",
        )
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns the contents of the whole database from `pg_dump`, including the extension's tables and sequences.
    pub fn dump(&self) -> String {
        self.pg_dump(&[])
    }

    /// Returns the contents of some tables from `pg_dump`, in an order that does not depend on the position of rows
    /// in files.
    pub fn dump_of(&self, tables: &[&str]) -> String {
        let options: Vec<String> = tables
            .iter()
            .map(|table| format!("--table={table}"))
            .collect();
        let dump = self.pg_dump(&options);
        let mut lines: Vec<&str> = dump.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    fn pg_dump(&self, options: &[String]) -> String {
        let output = std::process::Command::new("pg_dump")
            .args(["--inserts", "--no-owner", &self.name])
            .args(options)
            .output()
            .expect("pg_dump runs");
        assert!(
            output.status.success(),
            "pg_dump: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout);
        // Newer versions of pg_dump frame their output with a random word.
        text.lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The database with the default tables and the extension that shops are copied from, because creating an extension
/// takes several times as long.
static TEMPLATE: OnceLock<String> = OnceLock::new();

fn create_database(name: &str, tables: &str) -> Client {
    connect("postgres")
        .batch_execute(&format!("create database {name}"))
        .expect("the database is created");
    let mut db = connect(name);
    db.batch_execute(tables).expect("the tables are created");
    db.batch_execute("create extension invoice_sync")
        .expect("the extension is created");
    db
}

impl Drop for Shop {
    fn drop(&mut self) {
        let skips = self.restless || std::thread::panicking();
        let checked = catch_unwind(AssertUnwindSafe(|| {
            if !skips {
                self.check_rest();
            }
        }));
        if let Ok(mut admin) = try_connect("postgres", None) {
            let _ = admin.batch_execute(&format!(
                "drop database if exists {} with (force)",
                self.name
            ));
        }
        if let Err(panic) = checked {
            resume_unwind(panic);
        }
    }
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl From<&postgres::Error> for SqlError {
    fn from(error: &postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            panic!("not an error of the server's: {error}");
        };
        Self {
            sqlstate: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().unwrap_or_default().to_owned(),
            hint: db.hint().unwrap_or_default().to_owned(),
        }
    }
}

/// Returns the server's error with all fields, or else the client's message.
pub fn tell(error: &postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{db:?}"))
}

pub fn connect(database: &str) -> Client {
    try_connect(database, None).unwrap_or_else(|error| panic!("connecting: {error}"))
}

pub fn connect_as(database: &str, role: &str) -> Client {
    try_connect(database, Some(role)).unwrap_or_else(|error| panic!("connecting: {error}"))
}

fn try_connect(database: &str, role: Option<&str>) -> Result<Client, postgres::Error> {
    let variable = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set: run this with make test-e2e"))
    };
    Config::new()
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse().expect("PGPORT is a number"))
        .user(role.unwrap_or(&variable("PGUSER")))
        .dbname(database)
        .application_name("invoice_sync e2e")
        .connect(NoTls)
}

/// Waits until `condition` is true, for at most half a minute.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
