//! Checks the last sweeps, webhooks and alerts, and the time zone.

use serde_json::Value;

use super::{Check, schedule, secrets, text};
use crate::domain::cron::Cron;
use crate::pg::{Problem, sql};

/// How much later than scheduled a sweep of pg_cron may begin, in seconds: another sweep may run for as long as
/// that.
const MAY_BE_LATE: i64 = 15 * 60;

/// How old the last sweep may be if no schedule is visible, in seconds.
const USUAL_AGE: i64 = 60 * 60;

const FAILED_RUNS: &str =
    "select id, started_at, cause, error from invoice_sync.recent_runs where not success limit 10;";

pub(super) fn sweeps() -> Result<Vec<Check>, Problem> {
    let facts = sql::fetch_one(
        "select jsonb_build_object(
            'now', extract(epoch from now())::bigint,
            'last', (
                select jsonb_build_object(
                    'started', extract(epoch from r.started_at)::bigint,
                    'at', date_trunc('second', r.started_at)::text,
                    'success', r.success,
                    'error', concat_ws('. ', r.error ->> 'message', r.error ->> 'detail'))
                from invoice_sync.run r
                where r.kind = 'sweep' and r.finished_at is not null
                order by r.id desc limit 1),
            'look_back', (
                select jsonb_build_object(
                    'to', s.looked_back_to::date, 'percent', s.look_back_percent,
                    'is_pending', exists (
                        select from invoice_sync.feed
                        where read_at is not null and looked_back_to is null and account is null))
                from invoice_sync.status s),
            'unfinished', (
                select count(*) from invoice_sync.run
                where finished_at is null and started_at < now() - interval '30 minutes'),
            'killed', (
                select count(*) from invoice_sync.run
                where started_at > now() - interval '1 day' and error ->> 'sqlstate' = '57P01'))",
        &[],
    )
    .unwrap_or_default();
    let last = &facts["last"];
    let mut checks = vec![last_sweep(last, facts["now"].as_i64().unwrap_or_default())];
    if last.is_object() {
        let error = last["error"].as_str().unwrap_or_default();
        checks.push(match last["success"] == Value::Bool(true) {
            true => Check::good("success", "the last sweep succeeded"),
            false => Check::bad(
                "success",
                format!("the last sweep failed: {error}"),
                FAILED_RUNS,
            ),
        });
    }
    checks.extend(first_look(&facts["look_back"]));
    let count = |field: &str| facts[field].as_u64().unwrap_or_default();
    checks.push(Check::judged(
        "unfinished runs",
        count("unfinished") == 0,
        format!(
            "{} are unfinished, and {} were terminated within the last day",
            count("unfinished"),
            count("killed")
        ),
        "call invoice_sync.run_sweep();",
    ));
    Ok(checks)
}

/// Says how far the first runs have looked back for payments; nothing before the first sweep.
fn first_look(facts: &Value) -> Option<Check> {
    let name = "first look back";
    if facts["is_pending"] == Value::Bool(true) {
        let detail = "run_sweep() begins it once nothing is due";
        return Some(Check::good(name, detail).advice("call invoice_sync.run_sweep();"));
    }
    let to = facts["to"].as_str()?;
    Some(match facts["percent"].as_f64() {
        Some(percent) if percent < 100.0 => {
            let detail = format!("to {to}: {percent:.0} % done; every run_sweep() goes on with it");
            Check::good(name, detail).advice("select * from invoice_sync.progress;")
        }
        Some(_) => Check::good(name, format!("to {to}: done")),
        None => Check::good(name, format!("to {to}: nothing had to be read")),
    })
}

fn last_sweep(last: &Value, now: i64) -> Check {
    let name = "last sweep";
    let sweep = "call invoice_sync.run_sweep();";
    let Some(started) = last["started"].as_i64() else {
        return Check::bad(name, "no sweep has run", sweep);
    };
    let due = schedule::job()
        .and_then(|job| Cron::parse(&job.schedule)?.next_after(started))
        .unwrap_or(started + USUAL_AGE);
    let at = last["at"].as_str().unwrap_or_default();
    Check::judged(
        name,
        now <= due + MAY_BE_LATE,
        match now - due {
            late if late > MAY_BE_LATE => {
                format!("at {at}; the next one is {} minutes late", late / 60)
            }
            _ => format!("at {at}"),
        },
        sweep,
    )
}

pub(super) fn webhooks() -> Result<Vec<Check>, Problem> {
    let last = text("(select date_trunc('second', at) from invoice_sync.last_webhook)");
    let failing = text(
        "(select summary from invoice_sync.issue
          where kind = 'webhooks_failing' and state <> 'resolved' limit 1)",
    );
    let detail = match last.as_str() {
        "" => "none was received; payments are found by sweeps only".to_owned(),
        last => format!("the last one was received at {last}"),
    };
    let deliveries = if failing.is_empty() {
        Check::good("webhooks", detail)
    } else {
        Check::bad(
            "webhooks",
            format!("{failing} In total: {detail}"),
            "select * from invoice_sync.webhook_health limit 20;",
        )
    };
    Ok(vec![secrets::webhook_secret(), deliveries])
}

pub(super) fn alerts() -> Result<Vec<Check>, Problem> {
    let facts = sql::fetch_one(
        r"select jsonb_build_object(
            'sender', s.alert_sender, 'recipients', cardinality(s.alert_recipients),
            'addresses', s.alert_recipients::text,
            -- Nobody's mail goes there (RFC 2606).
            'examples', (
                select coalesce(string_agg(a, ', '), '')
                from unnest(s.alert_recipients || s.alert_sender) a
                where a ~* '[@.](example\.(com|net|org)|example|test|invalid|localhost)>?\s*$'),
            'failing', (select count(*) from invoice_sync.alerts where state = 'failing'),
            'why', (select last_error from invoice_sync.alerts where state = 'failing' limit 1))
        from invoice_sync.settings s",
        &[],
    )
    .unwrap_or_default();
    let to_and_from = facts["sender"].is_string() && facts["recipients"].as_u64() > Some(0);
    let examples = facts["examples"].as_str().unwrap_or_default();
    let failing = facts["failing"].as_u64().unwrap_or_default();
    let addresses = match (to_and_from, examples) {
        (true, "") => Ok("alerts have a sender and recipients".to_owned()),
        (true, examples) => Err(format!(
            "{examples}: an example address, which receives no mail"
        )),
        (false, _) => Err(
            "alerts have no sender or no recipients, and are not mailed (see the view invoice_sync.alerts)"
                .to_owned(),
        ),
    };
    Ok(vec![
        secrets::email_key(),
        Check::judged(
            "e-mail addresses",
            addresses.is_ok(),
            addresses.unwrap_or_else(|why| why),
            "update invoice_sync.settings set alert_sender = 'books@example.com', alert_recipients = '{you@example.com}';",
        ),
        Check::judged(
            "alerts",
            failing == 0,
            match facts["why"].as_str() {
                Some(why) => format!("{failing} cannot be sent: {why}"),
                None => "no alert failed".to_owned(),
            },
            &format!(
                "update invoice_sync.settings set alert_sender = {}, alert_recipients = {};\nselect invoice_sync.send_alerts();",
                literal(&facts["sender"]),
                literal(&facts["addresses"]),
            ),
        ),
    ])
}

/// Returns the current value as a literal for a hint, to be corrected by the user.
fn literal(value: &Value) -> String {
    value
        .as_str()
        .map_or("null".to_owned(), pgrx::spi::quote_literal)
}

/// Compares the time zone of the settings with the server's; it determines the dates that are written.
pub(super) fn time_zone() -> Result<Vec<Check>, Problem> {
    let ours = text("(select time_zone from invoice_sync.settings)");
    let servers = text("(select reset_val from pg_settings where name = 'TimeZone')");
    let same = text(&format!(
        "(select now() at time zone {} = now() at time zone {})",
        pgrx::spi::quote_literal(&ours),
        pgrx::spi::quote_literal(&servers)
    ));
    let check = Check::good(
        "time zone",
        format!("dates are written in the time zone {ours}; that of the server is {servers}"),
    );
    if same == "true" {
        return Ok(vec![check]);
    }
    Ok(vec![check.advice(format!(
        "update invoice_sync.settings set time_zone = {};",
        pgrx::spi::quote_literal(&servers)
    ))])
}
