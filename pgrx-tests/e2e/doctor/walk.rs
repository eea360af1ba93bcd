//! A new database is set up by following the hints of `doctor()`.

use postgres::Client;
use stripe_double::{Config, Double};

use super::{Check, bad, examine, run_in_shell};
use crate::harness::server::{Server, attempt};
use crate::harness::{DEFAULT_TABLES, KEY};

/// A name that has to be quoted everywhere.
const DATABASE: &str = "Shop 'n' Sons";

const SECRETS: [(&str, &str); 3] = [
    ("stripe_api_key", KEY),
    ("stripe_webhook_secret", "whsec_of_the_walk"),
    ("resend_api_key", "re_double"),
];

struct User {
    server: Server,
    db: Client,
    database: String,
}

impl User {
    fn connect_to(&mut self, database: &str) {
        self.database = database.to_owned();
        self.db = self.server.connect(database, "postgres");
    }

    /// Pastes a hint, line by line, with addresses of their own.
    fn follow(&mut self, check: &Check) {
        for line in check.hint.replace("@example.com", "@our-shop.at").lines() {
            if let Some(line) = line.strip_prefix("$ ") {
                self.run(line);
            } else if let Some(database) = line.strip_prefix("\\connect ") {
                let database = match database {
                    "-" => self.database.clone(),
                    quoted => quoted.trim_matches('"').to_owned(),
                };
                self.connect_to(&database);
            } else {
                attempt(&mut self.db, line)
                    .unwrap_or_else(|error| panic!("{}: {line}: {error:?}", check.name));
            }
        }
    }

    /// The server is restarted the way that it was started.
    fn run(&self, line: &str) {
        if line.contains("pg_ctl") {
            return self.server.restart();
        }
        let secret = SECRETS.iter().find(|(setting, _)| line.contains(setting));
        run_in_shell(line, secret.map_or("", |(_, secret)| secret));
    }
}

#[test]
fn following_the_hints_on_a_bare_database_leads_to_all_green() {
    let stripe = Double::start(Config::default()).expect("the stand-in starts");
    let server = Server::start("bare", &[("shared_preload_libraries", "")]);
    let mut admin = server.connect("postgres", "postgres");
    attempt(&mut admin, &format!("create database \"{DATABASE}\"")).expect("it is created");
    // Where the tests' Stripe is; a new user's is where it always is.
    for base in ["stripe_api_base", "resend_api_base"] {
        let url = stripe.url();
        attempt(
            &mut admin,
            &format!("alter database \"{DATABASE}\" set invoice_sync.{base} = '{url}'"),
        )
        .expect("it is set");
    }
    let mut user = User {
        db: server.connect(DATABASE, "postgres"),
        database: DATABASE.to_owned(),
        server,
    };
    attempt(
        &mut user.db,
        &format!(
            "create schema billing; set search_path = billing; {DEFAULT_TABLES};
            reset search_path; create extension invoice_sync"
        ),
    )
    .expect("the tables and the extension are created");

    let mut checks = examine(&mut user.db);
    assert_eq!(
        bad(&checks),
        [
            "Stripe key",
            "settings",
            "pg_cron",
            "last sweep",
            "webhook secret",
            "e-mail key",
            "e-mail addresses"
        ],
        "{checks:#?}"
    );
    let mut followed = Vec::new();
    while let Some(check) = checks.iter().find(|check| !check.ok).cloned() {
        let said = format!("{}: {}", check.name, check.detail);
        assert!(!followed.contains(&said), "in vain: {check:#?}");
        followed.push(said);
        user.follow(&check);
        checks = examine(&mut user.db);
    }

    let output = format!("{checks:?} {followed:?}");
    for (_, secret) in SECRETS {
        assert!(!output.contains(secret), "{secret} is output");
    }
    // What was missing behind what was missing.
    for name in ["indexes", "schedule"] {
        assert!(
            followed.iter().any(|said| said.starts_with(name)),
            "{followed:#?}"
        );
    }
    let swept: i64 = user
        .db
        .query_one(
            "select count(*) from invoice_sync.run where kind = 'sweep' and success",
            &[],
        )
        .expect("it is read")
        .get(0);
    assert!(swept > 0, "and it works");
}
