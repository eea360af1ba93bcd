//! Sessions that are terminated while their requests are in flight; no process of the server ends by a signal.

use std::time::Duration;

use postgres::Client;
use stripe_double::{Checkout, Config, Double};

use super::useless_lists;
use crate::harness::dice::Dice;
use crate::harness::sender::{SECRET, now, signature};
use crate::harness::server::Server;
use crate::harness::{DEFAULT_TABLES, KEY, wait_until};

const INVOICES: usize = 300;

/// What the server's log says of a process that crashed, or of a shutdown that was none.
const SIGNS_OF_A_CRASH: [&str; 4] = [
    "signal 11",
    "was terminated by signal",
    "abnormal database system shutdown",
    "server process (PID",
];

/// So that there is as much to do as before.
const RESTORE: &str = "
    truncate payments, invoice_sync.invoice_check, invoice_sync.backfill, invoice_sync.event;
    update invoices
    set invoice_status = 'Sent', amount_paid = 0, balance_due = null, paid_date = null
    where invoice_status <> 'Sent'";

/// What a session does while it is ended.
#[derive(Clone, Copy, Debug)]
enum Work {
    Sweep,
    Backfill,
    Buttons,
    Webhooks,
}

impl Work {
    const ALL: [Self; 4] = [Self::Sweep, Self::Backfill, Self::Buttons, Self::Webhooks];

    /// Within so many requests it is ended: those that ask one after the other take long.
    fn requests(self) -> usize {
        match self {
            Self::Sweep | Self::Backfill => INVOICES * 3 / 4,
            Self::Buttons | Self::Webhooks => 20,
        }
    }

    /// Until all is done or the session is ended.
    fn run(self, site: &Site, session: &mut Client) -> Result<(), postgres::Error> {
        match self {
            Self::Sweep => session.batch_execute("call invoice_sync.run_sweep()"),
            Self::Backfill => {
                session.batch_execute("call invoice_sync.backfill(now() - interval '1 day')")
            }
            Self::Buttons => session.batch_execute(
                "do $$
                declare it record;
                begin
                    for it in select id from invoices loop
                        perform invoice_sync.sync_invoice(it.id::text);
                    end loop;
                end $$",
            ),
            Self::Webhooks => {
                for body in &site.events {
                    let signed = signature(SECRET, now(), body);
                    session.execute(
                        "select invoice_sync.handle_webhook($1::text, $2::text)",
                        &[body, &signed],
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// A shop in a server of its own.
struct Site {
    server: Server,
    stripe: Double,
    /// The bodies of Stripe's webhooks.
    events: Vec<String>,
}

impl Site {
    fn open(name: &str) -> Self {
        let config = Config {
            latency: Duration::from_millis(10),
            ..Config::default()
        };
        let mut site = Self {
            server: Server::start(name, &[]),
            stripe: Double::start(config).expect("the stand-in starts"),
            events: Vec::new(),
        };
        site.stripe.fault(useless_lists());
        let mut db = site.server.connect("postgres", "postgres");
        let url = site.stripe.url();
        let directory = site.server.data.display();
        for statement in [
            "create database shop".to_owned(),
            format!("copy (select '{KEY}') to program 'umask 077; cat > {directory}/stripe.key'"),
            format!("copy (select '{SECRET}') to program 'umask 077; cat > {directory}/webhook'"),
            format!(
                "alter database shop set invoice_sync.stripe_api_key = 'file:{directory}/stripe.key'"
            ),
            format!(
                "alter database shop set invoice_sync.stripe_webhook_secret = 'file:{directory}/webhook'"
            ),
            format!("alter database shop set invoice_sync.stripe_api_base = '{url}'"),
            "alter database shop set invoice_sync.requests_per_second = 10000".to_owned(),
            "alter database shop set invoice_sync.http_concurrency = 32".to_owned(),
        ] {
            db.batch_execute(&statement)
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let mut shop = site.session();
        shop.batch_execute(DEFAULT_TABLES).expect("tables");
        shop.batch_execute("create extension invoice_sync")
            .expect("the extension");
        for number in 0..INVOICES {
            let paid = site.stripe.checkout(Checkout::new(10_000, "usd")).pay();
            shop.execute(
                "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
                values ('INV-' || $1::int, 'Customer', 'Sent', 100, $2)",
                &[&i32::try_from(number).expect("fits"), &paid.session_id()],
            )
            .expect("the invoice is inserted");
        }
        let all = site.stripe.events().into_iter();
        site.events = all
            .filter(|event| event["type"] == "checkout.session.completed")
            .map(|event| event.to_string())
            .collect();
        assert_eq!(site.events.len(), INVOICES, "one for each sale");
        site
    }

    fn session(&self) -> Client {
        self.server.connect_again("shop", "postgres")
    }

    /// Does these works, each in a session of its own, and ends them at a moment of chance.
    /// Gives how many were under way then.
    fn end_one(&self, dice: &mut Dice, works: &[Work], end: impl FnOnce(&[i32])) -> usize {
        self.session()
            .batch_execute(RESTORE)
            .expect("all is put back");
        self.stripe.reset_requests();
        let requests = dice.below(works.iter().map(|work| work.requests()).max().unwrap_or(1));
        let pause = Duration::from_micros(dice.below(10_000).try_into().expect("fits"));
        let mut sessions: Vec<Client> = works.iter().map(|_| self.session()).collect();
        let processes: Vec<i32> = sessions.iter_mut().map(pid).collect();
        std::thread::scope(|scope| {
            let running: Vec<_> = sessions
                .iter_mut()
                .zip(works)
                .map(|(session, work)| scope.spawn(|| work.run(self, session)))
                .collect();
            wait_until(&format!("request {requests} of {works:?}"), || {
                self.stripe.count_of("/v1/") >= requests
                    || running.iter().all(|running| running.is_finished())
            });
            std::thread::sleep(pause);
            end(&processes);
            let ended = running.into_iter().map(|it| it.join().expect("no panic"));
            ended.filter(Result::is_err).count()
        })
    }

    fn assert_nothing_crashed(&self, how: &str) {
        let log = self.server.log_text();
        let mut lines = log.lines();
        let crash = lines.find(|line| SIGNS_OF_A_CRASH.iter().any(|sign| line.contains(sign)));
        assert_eq!(crash, None, "{how}");
    }
}

fn pid(session: &mut Client) -> i32 {
    session
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0)
}

/// How many sessions are terminated: .ci/run terminates a hundred.
fn rounds() -> usize {
    std::env::var("INVOICE_SYNC_KILLS").map_or(20, |kills| {
        kills.parse().expect("INVOICE_SYNC_KILLS is a number")
    })
}

#[test]
fn terminating_a_session_with_requests_in_flight_crashes_nothing() {
    let site = Site::open("terminated");
    let mut dice = Dice::new();
    let mut under_way = 0;
    for round in 0..rounds() {
        let work = Work::ALL[round % Work::ALL.len()];
        let mut witness = site.session();
        let how = format!("seed {}, round {round}: {work:?}", dice.seed);
        under_way += site.end_one(&mut dice, &[work], |processes| {
            witness
                .execute("select pg_terminate_backend($1)", &[&processes[0]])
                .unwrap_or_else(|error| panic!("{how}: {error}"));
        });
        let alive = witness.batch_execute("select 1");
        assert!(alive.is_ok(), "{how}: another session was ended as well");
        site.assert_nothing_crashed(&how);
    }
    println!("of {} {under_way} were ended on their way", rounds());
    assert!(under_way >= rounds() / 2, "most were ended too late");
}

#[test]
fn a_fast_shutdown_with_requests_in_flight_is_a_clean_one() {
    let site = Site::open("shut-down");
    let mut dice = Dice::new();
    for round in 0..rounds().div_ceil(5).min(20) {
        let how = format!("seed {}, round {round}", dice.seed);
        site.end_one(&mut dice, &Work::ALL, |_| site.server.restart());
        site.assert_nothing_crashed(&how);
    }
}
