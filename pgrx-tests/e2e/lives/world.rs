//! A shop whose life is lived: its database, its Stripe, and what the simulation knows of it by
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::Client;
use serde_json::Value;
use stripe_double::{Config, Double};

use super::hosts::Host;
use super::script::{BILLS, TOTAL};
use super::step::{Bill, Sale};
use super::watch::Mirror;
use crate::harness::sender::SECRET;
use crate::harness::server::Server;
use crate::harness::{KEY, tell};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A server of the lives' own, with a database for each host that lives are copied from.
pub struct Ground {
    pub server: Server,
}

impl Ground {
    pub fn open(name: &str, hosts: &[&Host]) -> Self {
        let server = Server::start(
            name,
            &[
                ("max_connections", "100"),
                ("full_page_writes", "off"),
                ("synchronous_commit", "off"),
                ("autovacuum", "off"),
                ("jit", "off"),
                ("deadlock_timeout", "200ms"),
            ],
        );
        let mut admin = server.connect("postgres", "postgres");
        for (name, secret) in SECRETS {
            let path = secret_path(&server.data, name);
            execute(
                &mut admin,
                &format!("copy (select '{secret}') to program 'umask 077; cat > {path}'"),
            );
        }
        for host in hosts {
            execute(&mut admin, &format!("create database like_{}", host.name));
            let mut db = server.connect(&format!("like_{}", host.name), "postgres");
            execute(&mut db, &host.statements());
        }
        Self { server }
    }
}

const SECRETS: [(&str, &str); 3] = [
    ("stripe_api_key", KEY),
    ("stripe_webhook_secret", SECRET),
    ("resend_api_key", "re_double"),
];

fn secret_path(data: &Path, name: &str) -> String {
    format!("{}/{name}", data.display())
}

pub fn execute(db: &mut Client, sql: &str) {
    db.batch_execute(sql)
        .unwrap_or_else(|error| panic!("{sql}: {}", tell(&error)));
}

/// What the simulation knows of an invoice.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub id: String,
    pub deleted: bool,
    pub cancelled: bool,
    /// A person decided something that writes, so that not all follows from the payments.
    pub decided: bool,
    /// A repair of it was undone.
    pub undone: bool,
    /// The application entered money without an id, at some time.
    pub cash: bool,
    /// The application set its amounts or status without a payment, at some time.
    pub set_by_hand: bool,
    /// The application changed its total after it had begun to be paid.
    pub total_changed: bool,
}

/// What the simulation knows of a purchase.
#[derive(Clone, Debug)]
pub struct Purchase {
    pub bill: Bill,
    /// The id of its session, or of its intent where it has none.
    pub handle: String,
    pub session: Option<String>,
    pub gratuity: i64,
    /// Whether the invoice is named by metadata.
    pub named: bool,
    pub refunds: Vec<String>,
    pub disputes: Vec<String>,
    /// The application wrote a paid row for it that there was one of already.
    pub careless: bool,
}

/// A shop.
pub struct World<'a> {
    pub ground: &'a Ground,
    pub host: &'a Host,
    pub stripe: Double,
    pub db: Client,
    /// Sessions that nobody uses at the moment.
    pub spare: Vec<Client>,
    pub database: String,
    pub bills: Vec<Known>,
    pub sales: BTreeMap<Sale, Purchase>,
    /// Webhooks that wait to be delivered, and those that came.
    pub waiting: Vec<Value>,
    pub came: Vec<Value>,
    pub events_seen: usize,
    /// The invoices that ever stored an id.
    pub stored: BTreeMap<String, BTreeSet<Bill>>,
    pub mirror: Mirror,
    /// Stripe is in trouble, or was while the step was played.
    pub trouble: bool,
    /// How many steps were about something, and not passed over.
    pub played: usize,
}

impl<'a> World<'a> {
    pub fn begin(ground: &'a Ground, host: &'a Host) -> Self {
        let server = &ground.server;
        let database = format!("life_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let stripe = Double::start(Config::default()).expect("the stand-in starts");
        let mut admin = server.connect("postgres", "postgres");
        execute(
            &mut admin,
            &format!("create database {database} template like_{}", host.name),
        );
        let mut settings = vec![
            ("stripe_api_base", stripe.url()),
            ("resend_api_base", stripe.url()),
            ("requests_per_second", "1000".to_owned()),
            // No life is about a Stripe that is that slow; a busy machine may be.
            ("http_timeout", "20s".to_owned()),
        ];
        settings.extend(
            SECRETS.map(|(name, _)| (name, format!("file:{}", secret_path(&server.data, name)))),
        );
        let settings = settings.iter().map(|(name, value)| {
            format!("alter database {database} set invoice_sync.{name} = '{value}';")
        });
        execute(&mut admin, &settings.collect::<String>());
        let mut db = server.connect(&database, "postgres");
        let bills = (0..BILLS)
            .map(|bill| Known {
                id: format!("7d8e6b50-0000-4000-8000-{bill:012}"),
                ..Known::default()
            })
            .collect::<Vec<_>>();
        let rows: Vec<String> = bills
            .iter()
            .enumerate()
            .map(|(number, bill)| {
                format!(
                    "('{}', 'INV-{number}', 'Ada', 'Sent', {TOTAL} * {unit}, {TOTAL} * {unit})",
                    bill.id,
                    unit = host.per_cent
                )
            })
            .collect();
        execute(
            &mut db,
            &format!(
                "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due)
                values {}",
                rows.join(", ")
            ),
        );
        let mut world = Self {
            ground,
            host,
            stripe,
            db,
            spare: Vec::new(),
            database,
            bills,
            sales: BTreeMap::new(),
            waiting: Vec::new(),
            came: Vec::new(),
            events_seen: 0,
            stored: BTreeMap::new(),
            mirror: Mirror::default(),
            trouble: false,
            played: 0,
        };
        // The schedule runs from the first day on: the feed is read from there.
        world.execute("call invoice_sync.run_sweep()");
        world.mirror = Mirror::read(&mut world.db);
        world
    }

    /// Another session in the shop's database. Who has done with it gives it back.
    pub fn session(&mut self) -> Client {
        let connect = || self.ground.server.connect(&self.database, "postgres");
        self.spare.pop().unwrap_or_else(connect)
    }

    /// An amount as the tables have it, in SQL.
    pub fn money(&self, cents: i64) -> String {
        format!("({cents} * {})", self.host.per_cent)
    }

    pub fn execute(&mut self, sql: &str) {
        execute(&mut self.db, sql);
    }

    /// The first column of every row, as text; null is left out.
    pub fn texts(&mut self, sql: &str) -> Vec<String> {
        let sql = format!("select t.c::text from ({sql}) t (c) where t.c is not null");
        let rows = self.db.query(&sql, &[]);
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {}", tell(&error)));
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The intent of a purchase, once there is one.
    pub fn intent(&self, sale: &Purchase) -> Option<String> {
        let object = self.stripe.object(&sale.handle)?;
        let intent = match &sale.session {
            Some(_) => &object["payment_intent"],
            None => &object["id"],
        };
        intent.as_str().map(str::to_owned)
    }

    /// Whether a purchase's money was received.
    pub fn is_paid(&self, sale: &Purchase) -> bool {
        let object = self
            .intent(sale)
            .and_then(|intent| self.stripe.object(&intent));
        object.is_some_and(|intent| intent["status"] == "succeeded")
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        let config = self.ground.server.config("postgres", "postgres");
        if let Ok(mut admin) = config.connect(postgres::NoTls) {
            let drop = format!("drop database if exists {} with (force)", self.database);
            let _ = admin.batch_execute(&drop);
        }
    }
}
