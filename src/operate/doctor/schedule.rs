//! Checks pg_cron and its job, here or in another database of the server.

use serde_json::Value;

use super::{Check, database, described, text};
use crate::pg::{Problem, in_subtransaction, sql};

/// The job in pg_cron; also used by [`super::history`].
pub(super) struct Job {
    pub(super) schedule: String,
    role: String,
    is_active: bool,
    /// pg_cron's message if the last run of the job failed.
    failure: Option<String>,
}

/// What can be seen of pg_cron from this database.
enum Visibility {
    /// Its library is not loaded.
    NotLoaded,
    /// The extension does not exist in the database that the library uses.
    NotCreated {
        place: String,
    },
    /// It is in another database, which cannot be queried.
    Unseen {
        place: String,
        why: Option<Problem>,
    },
    Seen {
        place: String,
        job: Option<Job>,
    },
}

pub(super) fn checks() -> Result<Vec<Check>, Problem> {
    let name = "pg_cron";
    Ok(match visibility() {
        Visibility::NotLoaded => vec![Check::bad(
            name,
            "the server has not loaded its library",
            load_statements(),
        )],
        Visibility::NotCreated { place } => vec![Check::bad(
            name,
            format!("it is not an extension of the database {place}"),
            within(&place, "create extension pg_cron;"),
        )],
        Visibility::Unseen { place, why: None } => vec![Check::bad(
            name,
            format!("it is in the database {place}; its job cannot be read without dblink"),
            "create extension dblink;",
        )],
        Visibility::Unseen {
            place,
            why: Some(why),
        } => vec![unseen(&place, &why)],
        Visibility::Seen { place, job } => {
            let there = Check::good(name, format!("it is in the database {place}"));
            let mut checks = vec![there, scheduled(job.as_ref())];
            checks.extend(job.as_ref().map(|job| may_sweep(&job.role)));
            checks
        }
    })
}

/// Returns the job, if it can be seen.
pub(super) fn job() -> Option<Job> {
    match visibility() {
        Visibility::Seen { job, .. } => job,
        _ => None,
    }
}

fn visibility() -> Visibility {
    if text("exists (select from pg_extension where extname = 'pg_cron')") == "true" {
        return seen(text("current_database()"));
    }
    if text(
        "'pg_cron' = any (regexp_split_to_array(current_setting('shared_preload_libraries'), '[ ,\"]+'))",
    ) != "true"
    {
        return Visibility::NotLoaded;
    }
    let place = text("(select database from invoice_sync.pg_cron_place())");
    if place == text("current_database()") {
        return Visibility::NotCreated { place };
    }
    if text("exists (select from pg_extension where extname = 'dblink')") != "true" {
        return Visibility::Unseen { place, why: None };
    }
    seen(place)
}

fn seen(place: String) -> Visibility {
    match in_subtransaction(read_job) {
        Ok(job) => Visibility::Seen { place, job },
        // 3F000, 42P01: no such schema, no such table.
        Err(problem) if matches!(problem.sqlstate_text(), "3F000" | "42P01") => {
            Visibility::NotCreated { place }
        }
        Err(problem) => Visibility::Unseen {
            place,
            why: Some(problem),
        },
    }
}

fn read_job() -> Result<Option<Job>, Problem> {
    let row = sql::fetch_one("select invoice_sync.pg_cron_job('read')::jsonb", &[]);
    let field = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    Ok(row.filter(Value::is_object).map(|row| Job {
        schedule: field(&row, "schedule").unwrap_or_default(),
        role: field(&row, "role").unwrap_or_default(),
        is_active: row["active"] == Value::Bool(true),
        failure: field(&row, "failure"),
    }))
}

/// Returns statements that add the library to those already loaded and restart the server.
fn load_statements() -> String {
    let mut lines = Vec::new();
    if text("exists (select from pg_available_extensions where name = 'pg_cron')") != "true" {
        let major = text("current_setting('server_version_num')::int / 10000");
        lines.push(format!("$ apt-get install -y postgresql-{major}-cron"));
    }
    lines.push(format!(
        "alter system set shared_preload_libraries = {};",
        text("concat_ws(', ', nullif(current_setting('shared_preload_libraries'), ''), 'pg_cron')")
    ));
    if text("nullif(current_setting('cron.database_name', true), '') is null") == "true" {
        lines.push(format!(
            "$ echo \"cron.database_name = '{}'\" >> '{}'",
            text("current_database()"),
            text("current_setting('config_file')")
        ));
    }
    lines.push(format!(
        "$ sudo -u '#{user}' '{programs}/pg_ctl' restart -D '{data}'  # or as your system restarts PostgreSQL",
        user = crate::pg::identity::server_user_id(),
        programs = text("(select setting from pg_config() where name = 'BINDIR')"),
        data = text("current_setting('data_directory')")
    ));
    lines.push("\\connect -".to_owned());
    lines.join("\n")
}

fn within(place: &str, statement: &str) -> String {
    if place == text("current_database()") {
        return statement.to_owned();
    }
    format!(
        "\\connect {}\n{statement}\n\\connect {}",
        pgrx::spi::quote_identifier(place),
        database()
    )
}

/// The check for a job that cannot be seen: it passes if the ledger has a recent sweep by pg_cron.
fn unseen(place: &str, why: &Problem) -> Check {
    let by_cron = text(
        "(select date_trunc('second', started_at) from invoice_sync.run
          where kind = 'sweep' and cause = 'cron' and started_at > now() - interval '1 day'
          order by id desc limit 1)",
    );
    let why = described(why);
    Check::judged(
        "schedule",
        !by_cron.is_empty(),
        match by_cron.as_str() {
            "" => format!(
                "pg_cron is in the database {place} and its job cannot be read ({why}); no sweep was started by it within the last day"
            ),
            at => format!(
                "pg_cron is in the database {place} and its job cannot be read ({why}); its last sweep started at {at}"
            ),
        },
        &within(
            place,
            &format!(
                "select * from cron.job where database = {};",
                pgrx::spi::quote_literal(text("current_database()"))
            ),
        ),
    )
}

fn scheduled(job: Option<&Job>) -> Check {
    let name = "schedule";
    let schedule = "select invoice_sync.schedule();";
    let Some(job) = job else {
        return Check::bad(name, "there is no job for this database", schedule);
    };
    let what = format!("{}, as {}", job.schedule, job.role);
    match &job.failure {
        _ if !job.is_active => Check::bad(name, format!("{what}: the job is not active"), schedule),
        Some(failure) => Check::bad(
            name,
            format!("{what}: the last run failed: {}", failure.trim()),
            "call invoice_sync.run_sweep();",
        ),
        None => Check::good(name, what),
    }
}

/// Checks whether the job's role, as which pg_cron connects, may run a sweep.
fn may_sweep(role: &str) -> Check {
    let lacks = sql::fetch_one(
        "select to_jsonb(array_remove(array[
            case when not r.rolcanlogin then format('alter role %I login;', r.rolname) end,
            case when not has_database_privilege(r.oid, d.oid, 'connect')
                 then format('grant connect on database %I to %I;', d.datname, r.rolname) end,
            case when not (has_schema_privilege(r.oid, 'invoice_sync', 'usage')
                           and has_function_privilege(r.oid, 'invoice_sync.run_sweep(interval)', 'execute'))
                 then format('select invoice_sync.grant_access(%L);', quote_ident(r.rolname)) end], null))
        from pg_roles r
        join pg_database d on d.datname = current_database()
        where r.rolname = $1",
        &[Some(role)],
    );
    let lacks: Vec<String> = lacks
        .and_then(|list| serde_json::from_value(list).ok())
        .unwrap_or_default();
    Check::judged(
        "role of the job",
        lacks.is_empty(),
        match lacks.len() {
            0 => format!("{role} can run sweeps"),
            _ => format!("{role} cannot run sweeps"),
        },
        &lacks.join("\n"),
    )
}
