//! A sweep or backfill that is killed at any moment, alone or with the server: after the next one, the books equal those
//! of an undisturbed shop.

use std::process::Command;
use std::time::{Duration, Instant};

use postgres::Client;
use stripe_double::{Config, Double};

use super::mixed_invoices;
use crate::harness::books::{books, differences};
use crate::harness::dice::Dice;
use crate::harness::server::{Server, attempt};
use crate::harness::{DEFAULT_TABLES, KEY, wait_until};

/// More than one portion of Stripe's answers, and some pages of its events.
const INVOICES: usize = 300;

/// What a sweep finds is put back as it was with `call saved.restore()`. No more
/// than that has to be brought back: of the settings nothing changes.
const SAVE: &str = "
    create schema saved;
    create view saved.names as
    select schemaname, tablename, format('%I.%I', schemaname, tablename) as name
    from pg_catalog.pg_tables
    where schemaname in ('public', 'invoice_sync') and tablename <> 'settings';
    do $$
    declare it record;
    begin
        for it in select * from saved.names loop
            execute format('create table saved.%I as table %s', it.tablename, it.name);
        end loop;
    end $$;
    create procedure saved.restore() language plpgsql as $$
    declare it record;
    begin
        set local session_replication_role = replica;
        execute (select 'truncate ' || string_agg(name, ', ') from saved.names);
        for it in select * from saved.names loop
            execute format('insert into %s overriding system value table saved.%I', it.name, it.tablename);
        end loop;
    end $$";

/// What the application's handler does about one invoice, in a transaction that locks
/// it: what it writes is what the sweep would have written.
const HANDLER: &str = "
    create table saved.done_invoices as table invoices;
    create table saved.done_payments as table payments;
    create procedure saved.handle(invoice uuid) language plpgsql as $$
    begin
        perform from invoices where id = invoice for update;
        insert into payments (invoice_id, payment_name, payment_status, payment_method, total_amount,
                              gratuity, transaction_date, payment_notes, stripe_session_id, stripe_payment_intent)
        select invoice_id, payment_name, payment_status, payment_method, total_amount,
               gratuity, transaction_date, payment_notes, stripe_session_id, stripe_payment_intent
        from saved.done_payments d
        where d.invoice_id = invoice
          and not exists (select from payments p where p.stripe_payment_intent = d.stripe_payment_intent);
        update invoices i
        set invoice_status = d.invoice_status, amount_paid = d.amount_paid,
            balance_due = d.balance_due, paid_date = d.paid_date
        from saved.done_invoices d
        where i.id = invoice and d.id = invoice;
    end $$";

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Sweep,
    /// Of sales that are older than anything that events tell of.
    Backfill,
}

impl Work {
    fn call(self) -> &'static str {
        match self {
            Self::Sweep => "call invoice_sync.run_sweep()",
            Self::Backfill => "call invoice_sync.backfill(now() - interval '50 days')",
        }
    }

    /// As a person would who finds it interrupted: a backfill goes on where it was,
    /// or is begun where it had not even been noted.
    fn go_on(self, shop: &mut Client) {
        let again = match self {
            Self::Sweep => self.call(),
            Self::Backfill => "call invoice_sync.backfill()",
        };
        match attempt(shop, again) {
            Err(error) if error.sqlstate == "22023" => {
                attempt(shop, self.call()).unwrap_or_else(|error| panic!("{error:?}"));
            }
            other => other.unwrap_or_else(|error| panic!("{error:?}")),
        }
    }
}

/// A shop in a server of its own, whose sweeps are killed.
struct Site {
    work: Work,
    server: Server,
    stripe: Double,
    /// The books before a sweep, and after one that nobody disturbed.
    found: Vec<String>,
    wanted: Vec<String>,
    /// How long that took, and how often Stripe was asked.
    took: Duration,
    requests: usize,
}

/// When a sweep is killed: some microseconds after Stripe was asked so often, or
/// after the first portion of its repairs was written.
struct Moment {
    requests: usize,
    writes: bool,
    pause: Duration,
}

impl Moment {
    fn any(dice: &mut Dice, site: &Site) -> Self {
        let writes = dice.once_in(2);
        let span = site.took / if writes { 8 } else { 2 };
        let span = usize::try_from(span.as_micros()).expect("it was not long");
        Self {
            requests: dice.below(site.requests + 1),
            writes,
            pause: Duration::from_micros(dice.below(span).try_into().expect("fits")),
        }
    }

    fn has_come(&self, site: &Site, witness: &mut Client) -> bool {
        if self.writes {
            let written = "select from payments where payment_name <> 'By hand' limit 1";
            !witness.query(written, &[]).expect("it is read").is_empty()
        } else {
            site.stripe.count_of("/v1/") >= self.requests
        }
    }
}

impl Site {
    fn open(name: &str, work: Work) -> Self {
        let config = Config {
            latency: Duration::from_millis(2),
            ..Config::default()
        };
        let mut site = Self {
            work,
            server: Server::start(name, &[]),
            stripe: Double::start(config).expect("the stand-in starts"),
            found: Vec::new(),
            wanted: Vec::new(),
            took: Duration::ZERO,
            requests: 0,
        };
        let now = site.stripe.now();
        if work == Work::Backfill {
            site.stripe.set_clock(now - 40 * 24 * 60 * 60);
        }
        site.fill();
        site.stripe.set_clock(now);
        site.work_undisturbed();
        site
    }

    fn fill(&self) {
        let mut db = self.server.connect("postgres", "postgres");
        let key = format!("{}/stripe.key", self.server.data.display());
        for statement in [
            "create database shop".to_owned(),
            format!("copy (select '{KEY}') to program 'umask 077; cat > {key}'"),
            format!("alter database shop set invoice_sync.stripe_api_key = 'file:{key}'"),
            format!(
                "alter database shop set invoice_sync.stripe_api_base = '{}'",
                self.stripe.url()
            ),
            "alter database shop set invoice_sync.requests_per_second = 1000".to_owned(),
        ] {
            db.batch_execute(&statement)
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let mut shop = self.session();
        shop.batch_execute(DEFAULT_TABLES).expect("tables");
        shop.batch_execute("create extension invoice_sync")
            .expect("the extension");
        mixed_invoices::fill(
            &self.stripe,
            &mut shop,
            (0..INVOICES).map(|n| n % mixed_invoices::SORTS),
        );
        shop.batch_execute(SAVE).expect("all is saved");
    }

    fn work_undisturbed(&mut self) {
        let mut shop = self.session();
        self.found = books(&mut shop);
        self.stripe.reset_requests();
        let begun = Instant::now();
        attempt(&mut shop, self.work.call()).expect("nobody disturbs it");
        self.took = begun.elapsed();
        self.requests = self.stripe.count_of("/v1/");
        self.wanted = books(&mut shop);
        assert!(
            differences(&self.wanted, &self.found).len() > INVOICES / 2,
            "there is much to do"
        );
        shop.batch_execute(HANDLER).expect("the handler is made");
        attempt(&mut shop, self.work.call()).expect("nobody disturbs it");
        assert_eq!(
            differences(&books(&mut shop), &self.wanted),
            Vec::<String>::new(),
            "once does it all"
        );
    }

    fn session(&self) -> Client {
        self.server.connect_again("shop", "postgres")
    }

    /// Handles the webhooks of plain sales, in any order, until the server goes down.
    fn handle(&self, mut application: Client, mut invoices: Vec<String>) {
        while let Some(invoice) = invoices.pop() {
            let call = format!("call saved.handle('{invoice}')");
            if application.batch_execute(&call).is_err() {
                return;
            }
        }
    }

    /// Restores the shop, begins a sweep and kills it by `kill` at a moment of
    /// chance: after so many requests, and some microseconds; `beside`, while the
    /// application is at work. Gives whether it was under way then.
    fn kill_one(&self, dice: &mut Dice, beside: bool, kill: impl Fn(&Server, i32)) -> bool {
        let moment = Moment::any(dice, self);
        let mut sweeping = self.session();
        let mut witness = self.session();
        sweeping
            .batch_execute("call saved.restore()")
            .expect("all is put back");
        let process: i32 = sweeping
            .query_one("select pg_backend_pid()", &[])
            .expect("a session has a process")
            .get(0);
        self.stripe.reset_requests();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| sweeping.batch_execute(self.work.call()));
            if beside {
                let application = self.session();
                let plain = (0..INVOICES).filter(|number| number % mixed_invoices::SORTS < 4);
                let mut plain: Vec<String> = plain.map(mixed_invoices::id).collect();
                dice.shuffle(&mut plain);
                scope.spawn(|| self.handle(application, plain));
            }
            wait_until("the moment has come", || {
                moment.has_come(self, &mut witness) || running.is_finished()
            });
            std::thread::sleep(moment.pause);
            kill(&self.server, process);
            // With one backend the server ends all, before it takes new ones.
            wait_until("all sessions are ended", || {
                witness.batch_execute("select 1").is_err()
            });
            running.join().expect("no panic").is_err()
        })
    }

    /// Gives whether what was killed had written a part of its repairs.
    fn is_whole_after_the_next_one(&self, how: &str) -> bool {
        let mut shop = self.session();
        let left = books(&mut shop);
        self.work.go_on(&mut shop);
        let differences = differences(&books(&mut shop), &self.wanted);
        assert!(differences.is_empty(), "{how}: {differences:#?}");
        let unfinished = shop
            .query(
                "select to_jsonb(r)::text from invoice_sync.run r where finished_at is null",
                &[],
            )
            .expect("the table is read");
        let unfinished: Vec<String> = unfinished.iter().map(|run| run.get(0)).collect();
        assert!(
            unfinished.is_empty(),
            "{how}: a run's row was left open: {unfinished:#?}"
        );
        left != self.found && left != self.wanted
    }

    fn kill_many(&self, rounds: usize, kill: impl Fn(&Server, i32)) {
        let mut dice = Dice::new();
        let (mut under_way, mut in_part) = (0, 0);
        for round in 0..rounds {
            let beside = round % 4 == 3;
            under_way += usize::from(self.kill_one(&mut dice, beside, &kill));
            let how = format!("seed {}, round {round}", dice.seed);
            in_part += usize::from(self.is_whole_after_the_next_one(&how));
        }
        println!("of {rounds} {under_way} were killed on their way, {in_part} with a part written");
        assert!(under_way >= rounds / 2, "most were killed too late");
        assert!(in_part >= rounds / 8, "hardly any had begun to write");
    }
}

fn kill_9(_: &Server, process: i32) {
    let status = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success(), "kill -9 {process}");
}

/// How many sweeps are killed: .ci/run kills a hundred each.
fn rounds() -> usize {
    std::env::var("INVOICE_SYNC_KILLS").map_or(20, |kills| {
        kills.parse().expect("INVOICE_SYNC_KILLS is a number")
    })
}

#[test]
fn kill_9_of_the_backend_loses_nothing_and_repeats_nothing() {
    Site::open("killed", Work::Sweep).kill_many(rounds(), kill_9);
}

#[test]
fn a_backfill_whose_backend_is_killed_goes_on_and_loses_nothing() {
    Site::open("backfill", Work::Backfill).kill_many(rounds().div_ceil(5), kill_9);
}

#[test]
fn a_server_that_goes_down_loses_nothing_and_repeats_nothing() {
    Site::open("crashed", Work::Sweep).kill_many(rounds(), |server, _| server.crash());
}
