//! Jobs of pg_cron: created, run and removed, in every kind of database, by roles that are not superusers.

mod errors;

use std::time::{Duration, Instant};

use crate::harness::sale::Sale;
use crate::harness::server::{Server, attempt, refusal};
use crate::harness::{DEFAULT_TABLES, Shop, SqlError, connect};

/// The job of the database, as pg_cron has it: schedule, database, user.
const JOBS: &str = "select string_agg(format('%s|%s|%s|%s', jobname, schedule, database, username), ',' order by jobname)
    from cron.job where database = $1";

fn jobs_of(cron: &mut postgres::Client, database: &str) -> Option<String> {
    cron.query_one(JOBS, &[&database])
        .unwrap_or_else(|error| panic!("{}", crate::harness::tell(&error)))
        .get(0)
}

fn text(client: &mut postgres::Client, sql: &str) -> Result<Option<String>, SqlError> {
    client
        .query_one(&format!("select ({sql})::text"), &[])
        .map(|row| row.get(0))
        .map_err(|error| SqlError::from(&error))
}

/// pg_cron's own database, with the extension in it. One test at a time uses
/// it; what was made is removed when dropped.
struct CronDatabase {
    db: postgres::Client,
    _alone: std::sync::MutexGuard<'static, ()>,
}

static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

const ROLE: &str = "e2e_scheduler";

impl CronDatabase {
    fn open() -> Self {
        let alone = ALONE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut db = connect("postgres");
        create_pg_cron(&mut db);
        let mut opened = Self { db, _alone: alone };
        opened.remove();
        attempt(
            &mut opened.db,
            &format!(
                "create schema e2e_cron; set search_path = e2e_cron; {DEFAULT_TABLES};
                reset search_path; create extension invoice_sync;
                update invoice_sync.settings
                set invoices_table = 'e2e_cron.invoices', payments_table = 'e2e_cron.payments';
                create role {ROLE} login; grant usage on schema cron to {ROLE};
                select invoice_sync.grant_access('{ROLE}')"
            ),
        )
        .expect("all is set up");
        opened
    }

    fn remove(&mut self) {
        for statement in [
            "delete from cron.job where username = 'e2e_scheduler' or jobname = 'invoice_sync in postgres'",
            "drop extension if exists invoice_sync",
            "drop schema if exists invoice_sync, e2e_cron cascade",
            "drop owned by e2e_scheduler",
            "drop role if exists e2e_scheduler",
        ] {
            let _ = self.db.batch_execute(statement);
        }
    }
}

impl Drop for CronDatabase {
    fn drop(&mut self) {
        self.remove();
    }
}

/// For the shops, in the main server's own place for pg_cron.
pub fn create_pg_cron(db: &mut postgres::Client) {
    // Two at once would meet at the catalog's unique index.
    attempt(
        db,
        "begin; select pg_advisory_xact_lock(20260101);
        set local client_min_messages = warning; create extension if not exists pg_cron; commit",
    )
    .expect("pg_cron is there");
}

/// A shop whose database pg_cron reaches through dblink.
pub fn shop_with_dblink() -> (Shop, postgres::Client) {
    let mut cron = connect("postgres");
    create_pg_cron(&mut cron);
    let mut shop = Shop::open();
    shop.execute("create extension dblink");
    (shop, cron)
}

#[test]
fn pg_cron_sweeps_in_its_own_database_in_another_and_in_background_workers() {
    let (mut shop, mut cron) = shop_with_dblink();
    Sale::unbooked(&mut shop, "INV-1");
    let name = shop.name().to_owned();
    let mut own = CronDatabase::open();
    let workers = Server::start(
        "workers",
        &[
            ("cron.use_background_workers", "on"),
            ("max_worker_processes", "20"),
        ],
    );
    let mut in_workers = workers.connect("postgres", "postgres");
    attempt(
        &mut in_workers,
        &format!("create extension pg_cron; {DEFAULT_TABLES}; create extension invoice_sync"),
    )
    .expect("all is set up");

    shop.execute("select invoice_sync.schedule('* * * * *')");
    let mut scheduler = crate::harness::connect_as("postgres", ROLE);
    attempt(&mut scheduler, "select invoice_sync.schedule('* * * * *')").expect("a plain role may");
    attempt(&mut in_workers, "select invoice_sync.schedule('* * * * *')").expect("it may");

    let run = "select (select jsonb_build_array(cause, kind, role, error ->> 'sqlstate') from invoice_sync.run where finished_at is not null order by id limit 1)::text";
    let patience = Instant::now() + Duration::from_secs(600);
    let mut seen = [None, None, None];
    while seen.iter().any(Option::is_none) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(500));
        let clients = [&mut shop.db, &mut own.db, &mut in_workers];
        for (client, seen) in clients.into_iter().zip(&mut seen) {
            *seen = client.query_one(run, &[]).expect("it is read").get(0);
        }
    }
    let reported = |cause: &str| Some(cause.to_owned());
    let runs = text(
        &mut cron,
        &format!(
            "select jsonb_agg(jsonb_build_array(d.database, d.status, d.return_message, d.start_time))
            from cron.job_run_details d where d.database in ('{name}', 'postgres')"
        ),
    );
    assert_eq!(
        seen,
        [
            reported(r#"["cron", "sweep", "postgres", null]"#),
            reported(r#"["cron", "sweep", "e2e_scheduler", "55000"]"#),
            reported(r#"["cron", "sweep", "postgres", "55000"]"#),
        ],
        "another database, pg_cron's own, background workers; pg_cron says {runs:?}"
    );
    assert_eq!(
        shop.text("select payment_status from payments"),
        reported("Paid"),
        "and it did its work"
    );
    let log = text(
        &mut cron,
        &format!(
            "select string_agg(distinct command, ';') from cron.job_run_details where database in ('{name}', 'postgres')"
        ),
    );
    assert_eq!(
        log.expect("it is read").as_deref(),
        Some("call invoice_sync.run_sweep()"),
        "no secret is part of a command"
    );

    assert_eq!(
        text(&mut shop.db, "select invoice_sync.unschedule()"),
        Ok(reported("true"))
    );
    assert_eq!(
        text(&mut scheduler, "select invoice_sync.unschedule()"),
        Ok(reported("true"))
    );
    assert_eq!(jobs_of(&mut cron, &name), None);
    assert_eq!(jobs_of(&mut cron, "postgres"), None);
}

#[test]
fn scheduling_again_changes_the_times_and_unscheduling_returns_whether_there_was_a_job() {
    let (mut shop, mut cron) = shop_with_dblink();
    let name = shop.name().to_owned();
    let job = format!("invoice_sync in {name}");
    let db = &mut shop.db;

    assert_eq!(
        text(db, "select invoice_sync.unschedule()"),
        Ok(Some("false".into()))
    );
    assert_eq!(
        text(db, "select invoice_sync.schedule()"),
        Ok(Some(job.clone()))
    );
    assert_eq!(
        jobs_of(&mut cron, &name),
        Some(format!("{job}|*/15 * * * *|{name}|postgres"))
    );
    assert_eq!(
        text(db, "select invoice_sync.schedule('7 3 * * *')"),
        Ok(Some(job.clone()))
    );
    assert_eq!(
        jobs_of(&mut cron, &name),
        Some(format!("{job}|7 3 * * *|{name}|postgres"))
    );
    assert_eq!(
        text(db, "select invoice_sync.unschedule()"),
        Ok(Some("true".into()))
    );
    assert_eq!(
        text(db, "select invoice_sync.unschedule()"),
        Ok(Some("false".into()))
    );
    assert_eq!(jobs_of(&mut cron, &name), None);
}

#[test]
fn a_plain_role_schedules_its_own_job_in_pg_crons_database() {
    let mut own = CronDatabase::open();
    let mut scheduler = crate::harness::connect_as("postgres", ROLE);
    let job = "invoice_sync in postgres";

    for times in ["*/15 * * * *", "0 * * * *"] {
        attempt(
            &mut scheduler,
            &format!("select invoice_sync.schedule('{times}')"),
        )
        .expect("a plain role may");
        assert_eq!(
            jobs_of(&mut own.db, "postgres"),
            Some(format!("{job}|{times}|postgres|{ROLE}"))
        );
    }
    assert_eq!(
        text(&mut own.db, "select invoice_sync.unschedule()"),
        Ok(Some("false".into())),
        "a job is its role's"
    );
    assert_eq!(
        text(&mut scheduler, "select invoice_sync.unschedule()"),
        Ok(Some("true".into()))
    );
    let wrong = refusal(&mut scheduler, "select invoice_sync.schedule('every day')");
    assert!(wrong.message.contains("every day"), "{wrong:?}");
    assert_eq!(jobs_of(&mut own.db, "postgres"), None);
}
