//! The server of all shops, and servers with a configuration of their own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use postgres::{Client, Config, NoTls};
use serde_json::Value;

use super::{SqlError, wait_until};

/// A running server. Dropping one that was started here stops it.
pub struct Server {
    host: String,
    port: u16,
    pub log: PathBuf,
    pub data: PathBuf,
    started: Option<String>,
}

impl Server {
    /// Returns the server of all shops.
    pub fn main() -> Self {
        Self::of(|name| std::env::var(name).ok(), None)
    }

    /// Starts a server for one test. `name` must be unique among all tests; `settings` are lines of its
    /// configuration.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let mut cluster = std::env::var("INVOICE_SYNC_CLUSTER").unwrap_or_else(|_| "e2e".into());
        cluster.truncate(10);
        let cluster = format!("{cluster}-{name}");
        let mut command = ci_cluster();
        command.args(["start", &cluster]);
        // The script that starts the same name later may remove what a killed test left behind.
        command.env("OWNER", std::process::id().to_string());
        for (key, value) in settings {
            command.args(["-c", &format!("{key}={value}")]);
        }
        let output = command.output().expect(".ci/cluster runs");
        assert!(
            output.status.success(),
            ".ci/cluster start {cluster}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let variable = |name: &str| {
            let prefix = format!("export {name}=");
            let value = printed
                .lines()
                .find_map(|line| line.strip_prefix(&prefix))?;
            Some(value.trim_matches('\'').to_owned())
        };
        Self::of(variable, Some(cluster.clone()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>, started: Option<String>) -> Self {
        let needed = |name: &str| {
            variable(name)
                .unwrap_or_else(|| panic!("{name} is not set: run this with make test-e2e"))
        };
        Self {
            host: needed("PGHOST"),
            port: needed("PGPORT").parse().expect("PGPORT is a number"),
            log: needed("INVOICE_SYNC_LOG").into(),
            data: needed("PGDATA").into(),
            started,
        }
    }

    /// Returns the directory of the cluster's own programs.
    pub fn programs(&self) -> PathBuf {
        self.directory("BINDIR")
    }

    /// Returns the directory of the files that extensions install, of which the cluster has a copy of its own.
    pub fn extensions(&self) -> PathBuf {
        self.directory("SHAREDIR").join("extension")
    }

    fn directory(&self, name: &str) -> PathBuf {
        let directory: String = self
            .connect("postgres", "postgres")
            .query_one("select setting from pg_config where name = $1", &[&name])
            .expect("every server knows it")
            .get(0);
        directory.into()
    }

    /// Returns what PostgreSQL's programs need to find it, for environments.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", "postgres".to_owned()),
        ]
    }

    pub fn config(&self, database: &str, role: &str) -> Config {
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(role)
            .dbname(database)
            .application_name("invoice_sync e2e");
        config
    }

    pub fn connect(&self, database: &str, role: &str) -> Client {
        self.config(database, role)
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting to {database} as {role}: {error}"))
    }

    /// As [`Self::connect`], as soon as the server accepts connections.
    pub fn connect_again(&self, database: &str, role: &str) -> Client {
        let mut client = None;
        wait_until("the server takes sessions", || {
            client = self.config(database, role).connect(NoTls).ok();
            client.is_some()
        });
        client.expect("there is one")
    }

    /// Stops a server that was started here immediately, as a power failure would, and starts it again.
    pub fn crash(&self) {
        let cluster = self.started.as_deref().expect("it was started here");
        let output = ci_cluster()
            .args(["restart", cluster, "-m", "immediate"])
            .output()
            .expect(".ci/cluster runs");
        assert!(
            output.status.success(),
            ".ci/cluster restart {cluster}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Opens a session. Returns it with the notices that the server sends.
    pub fn connect_listening(&self, database: &str, role: &str) -> (Client, Notices) {
        let notices = Notices::default();
        let received = Arc::clone(&notices.0);
        let client = self
            .config(database, role)
            .notice_callback(move |notice| {
                let words = format!("{notice} {:?} {:?}", notice.detail(), notice.hint());
                received.lock().expect("no test holds it").push(words);
            })
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting to {database} as {role}: {error}"));
        (client, notices)
    }

    /// Opens a session of a superuser to which the server sends each statement, nested ones too, with its plan and the rows
    /// that were read.
    pub fn connect_explained(&self, database: &str) -> (Client, Notices) {
        let (mut session, notices) = self.connect_listening(database, "postgres");
        for statement in [
            "load 'auto_explain'",
            "set auto_explain.log_min_duration = 0",
            "set auto_explain.log_nested_statements = on",
            "set auto_explain.log_analyze = on",
            "set auto_explain.log_timing = off",
            "set client_min_messages = log",
        ] {
            attempt(&mut session, statement).expect("a superuser may");
        }
        (session, notices)
    }

    /// Restarts a server that was started here, on the same port.
    pub fn restart(&self) {
        let cluster = self.started.as_deref().expect("a server of the test's own");
        let output = ci_cluster()
            .args(["restart", cluster])
            .output()
            .expect(".ci/cluster runs");
        assert!(
            output.status.success(),
            ".ci/cluster restart {cluster}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Returns the whole log of the server.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("the log is readable"))
            .into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(cluster) = &self.started {
            let _ = ci_cluster()
                .args(["stop", cluster, "-m", "immediate"])
                .output();
        }
    }
}

fn ci_cluster() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/cluster"))
}

/// Notices and warnings, in order.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    pub fn text(&self) -> String {
        self.0.lock().expect("no test holds it").join("\n")
    }

    pub fn forget(&self) {
        self.0.lock().expect("no test holds it").clear();
    }
}

/// Runs `sql` in a session of any role.
pub fn attempt(client: &mut Client, sql: &str) -> Result<(), SqlError> {
    client
        .batch_execute(sql)
        .map_err(|error| SqlError::from(&error))
}

/// Returns the result of `select {expression}`, of type jsonb, in a session of any role.
pub fn attempt_json(client: &mut Client, expression: &str) -> Result<Value, SqlError> {
    client
        .query_one(&format!("select {expression}"), &[])
        .map(|row| row.get(0))
        .map_err(|error| SqlError::from(&error))
}

/// Returns the error of a statement that must fail.
pub fn refusal(client: &mut Client, sql: &str) -> SqlError {
    attempt(client, sql).expect_err(&format!("expected an error from: {sql}"))
}
