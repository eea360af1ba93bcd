//! The outbox (`invoice_sync.alert`): which issues are new to whom, the alerts about them, and their delivery.

use std::fmt::Write;

use pgrx::prelude::PgSqlErrorCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::entry::{Entry, Occasion};
use super::mail::{Mail, compose};
use super::send::{Delivery, QueuedMail, Recovery};
use super::settings::{AlertSettings, Notify};
use crate::pg::{Problem, in_subtransaction, sql};

/// The channel of `listen invoice_sync_issues`.
const CHANNEL: &str = "invoice_sync_issues";

/// In bytes; PostgreSQL accepts less than 8000.
const MAX_PAYLOAD: usize = 7_900;

/// More than a mail describes or a payload can hold.
const MAX_DETAILED: usize = 100;

/// The most mails sent in one call; the next call sends the others.
const MAX_MAILS: usize = 10;

/// In seconds, how long no other session sends a mail that was taken. If the session dies, the mail becomes due again
/// after this time.
const LEASE: u32 = 120;

/// In minutes. A failed mail is retried after 1, 2, 4 … minutes, and at most after this time.
const MAX_BACKOFF: u32 = 6 * 60;

/// In minutes, the wait after a failure that only a person can fix.
const BACKOFF_NEEDS_ACTION: u32 = 60;

/// Writes the alert about a run's issues into the outbox and notifies the listeners, both in this transaction, so
/// that nothing is sent if it is rolled back.
///
/// The mail is rendered here and never changed, because Resend rejects a repeated idempotency key with other content.
/// If the alert cannot be rendered or stored, for any reason, gives a WARNING and the next run tries again; the run's
/// own changes are kept.
pub(crate) fn digest(run: i64) {
    let mut outcome = in_subtransaction(|| try_digest(run));
    if matches!(&outcome, Err(problem) if problem.is(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION)) {
        // Another run put the same issues into an alert at the same time. The second try leaves them out.
        outcome = in_subtransaction(|| try_digest(run));
    }
    if let Err(problem) = outcome {
        pgrx::warning!("could not write the alert of run {run}: {problem}");
    }
}

fn try_digest(run: i64) -> Result<(), Problem> {
    let entries = entries(run)?;
    if entries.is_empty() {
        return Ok(());
    }
    let settings = AlertSettings::load()?;
    let mail = compose(&entries, &settings, &database());
    let alert = insert_alert(run, &mail, &settings, &entries);
    let in_json = match settings.alert_notify {
        Notify::Full => Entry::to_json,
        Notify::Ids => Entry::to_bare_json,
        Notify::Off => return Ok(()),
    };
    sql::execute(
        "select pg_notify($1, $2)",
        &[Some(CHANNEL), Some(&payload(alert, run, &entries, in_json))],
    );
    Ok(())
}

/// Returns the entries, new ones first, then by severity. Entries after the first [`MAX_DETAILED`] have no summary
/// and evidence.
fn entries(run: i64) -> Result<Vec<Entry>, Problem> {
    let rows = sql::fetch(
        "with alerted as (
            select x.*, e.occasion,
                   row_number() over (
                       order by array_position(array['new', 'changed', 'reminder', 'resolved'], e.occasion),
                                array_position(array['critical', 'warning', 'notice'], x.severity),
                                x.first_seen, x.id
                   ) as place
            from invoice_sync.alert_entries($1::bigint) e
            join invoice_sync.issue x on x.id = e.issue_id
        )
        select jsonb_build_object(
            'issue', t.id, 'occasion', t.occasion, 'severity', t.severity, 'kind', t.kind,
            'invoice', t.invoice_id, 'number', t.invoice_number, 'object', t.object,
            'summary', case when t.place <= $2::int then t.summary else '' end,
            'evidence', case when t.place <= $2::int then t.evidence end,
            'since', to_char(t.first_seen at time zone s.time_zone, 'YYYY-MM-DD HH24:MI'))
        from alerted t
        cross join invoice_sync.settings s
        order by t.place",
        &[Some(&run.to_string()), Some(&MAX_DETAILED.to_string())],
    );
    parsed(rows)
}

/// Parses rows of this module's own statements.
fn parsed<T: DeserializeOwned>(rows: Vec<Value>) -> Result<Vec<T>, Problem> {
    serde_json::from_value(rows.into()).map_err(|error| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not read a row of the outbox: {error}"),
        )
    })
}

fn database() -> String {
    let name = sql::fetch_one("select to_jsonb(current_database())", &[]);
    name.as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Inserts the alert and its issues. Returns the alert's number.
fn insert_alert(run: i64, mail: &Mail, settings: &AlertSettings, entries: &[Entry]) -> i64 {
    let recipients = json!(settings.alert_recipients);
    let row = sql::fetch_one(
        "with number as (select nextval('invoice_sync.alert_id_seq') as id),
        place as (
            select (select system_identifier from pg_control_system()) as server,
                   (select oid from pg_database where datname = current_database()) as database
        )
        insert into invoice_sync.alert (
            id, run_id, sender, recipients, subject, html, body, idempotency_key)
        overriding system value
        select id, $1::bigint, $2, array(select jsonb_array_elements_text($3::jsonb)), $4, $5, $6,
               format('invoice_sync/%s/%s/%s/%s', server, database, id, $7)
        from number, place
        returning to_jsonb(id)",
        &[
            Some(&run.to_string()),
            settings.alert_sender.as_deref(),
            Some(&recipients.to_string()),
            Some(&mail.subject),
            Some(&mail.html),
            Some(&mail.text),
            Some(&fingerprint(mail, settings)),
        ],
    );
    let alert = row.and_then(|id| id.as_i64()).unwrap_or_default();
    let listed: Vec<Value> = entries
        .iter()
        .map(|entry| json!({ "issue_id": entry.issue, "occasion": entry.occasion }))
        .collect();
    sql::execute(
        "insert into invoice_sync.alert_issue (alert_id, issue_id, occasion, severity, facts)
        select $1::bigint, t.issue_id, t.occasion, x.severity,
               invoice_sync.facts_that_matter(x.evidence)
        from jsonb_populate_recordset(null::invoice_sync.alert_issue, $2::jsonb) t
        join invoice_sync.issue x on x.id = t.issue_id",
        &[
            Some(&alert.to_string()),
            Some(&Value::from(listed).to_string()),
        ],
    );
    if entries
        .iter()
        .any(|entry| matches!(entry.occasion, Occasion::Reminder | Occasion::Changed))
    {
        sql::execute(
            "select invoice_sync.replace_alerts($1::bigint)",
            &[Some(&alert.to_string())],
        );
    }
    alert
}

/// Returns a hash of the content for the idempotency key. A database that was restored to an earlier state assigns a
/// number twice, and Resend must not take the second mail for the first.
fn fingerprint(mail: &Mail, settings: &AlertSettings) -> String {
    let contents = json!([
        settings.alert_sender,
        settings.alert_recipients,
        mail.subject,
        mail.html,
        mail.text,
    ]);
    let hash = Sha256::digest(contents.to_string());
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the payload for the listeners: as many issues as fit, in the same order, and how many were left out.
fn payload(alert: i64, run: i64, entries: &[Entry], in_json: impl Fn(&Entry) -> Value) -> String {
    let count = |occasion| {
        let those = entries.iter().filter(|entry| entry.occasion == occasion);
        those.count()
    };
    let text_of = |shown: usize| {
        let issues: Vec<Value> = entries[..shown].iter().map(&in_json).collect();
        json!({
            "alert": alert,
            "run": run,
            "new": count(Occasion::New),
            "changed": count(Occasion::Changed),
            "reminder": count(Occasion::Reminder),
            "resolved": count(Occasion::Resolved),
            "issues": issues,
            "issues_left_out": entries.len() - shown,
        })
        .to_string()
    };
    (0..=entries.len().min(MAX_DETAILED))
        .rev()
        .map(text_of)
        .find(|text| text.len() <= MAX_PAYLOAD)
        .unwrap_or_else(|| "{}".to_owned())
}

/// Takes the mails that are due, for [`LEASE`] seconds. Leaves out mails that this transaction wrote (`created_at` is
/// its start), because it may be rolled back. Whether this transaction commits before or after sending, every mail is
/// sent at least once, and its idempotency key makes Resend accept it once.
///
/// Resend forgets a key after 24 hours, and the mail is retried even then. It arrives twice only if Resend accepted
/// it, the answer was lost, and no retry got an answer for a whole day.
pub(crate) fn take_due() -> Result<Vec<QueuedMail>, Problem> {
    sql::execute("select invoice_sync.readdress_alerts()", &[]);
    let rows = sql::fetch(
        "update invoice_sync.alert a
        set attempts = a.attempts + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => $2::int)
        where a.id in (
            select id from invoice_sync.alert
            where sent_at is null
              and replaced_by is null
              and sender is not null
              and recipients <> '{}'
              and next_attempt_at <= clock_timestamp()
              and created_at < now()
            order by id
            limit $1::int
            for update skip locked
        )
        returning jsonb_build_object(
            'id', id, 'idempotency_key', idempotency_key, 'from', sender, 'to', recipients,
            'subject', subject, 'html', html, 'text', body)",
        &[Some(&MAX_MAILS.to_string()), Some(&LEASE.to_string())],
    );
    let mut mails: Vec<QueuedMail> = parsed(rows)?;
    mails.sort_by_key(|mail| mail.id);
    Ok(mails)
}

/// Records the deliveries, and when failed mails are due again.
pub(crate) fn record_deliveries(deliveries: &[(i64, Delivery)]) {
    for (alert, delivery) in deliveries {
        let alert = Some(alert.to_string());
        match delivery {
            Delivery::Sent { message_id } => sql::execute(
                "update invoice_sync.alert
                set sent_at = clock_timestamp(), message_id = $2, last_error = null
                where id = $1::bigint",
                &[alert.as_deref(), Some(message_id)],
            ),
            Delivery::NotTried => sql::execute(
                "update invoice_sync.alert
                set attempts = attempts - 1, next_attempt_at = clock_timestamp()
                where id = $1::bigint and sent_at is null",
                &[alert.as_deref()],
            ),
            Delivery::Failed { error, recovery } => {
                let (least, most, wait) = match recovery {
                    Recovery::Retry { wait } => (1, MAX_BACKOFF, wait.unwrap_or_default()),
                    Recovery::NeedsAction => (
                        BACKOFF_NEEDS_ACTION,
                        BACKOFF_NEEDS_ACTION,
                        Default::default(),
                    ),
                };
                sql::execute(
                    "update invoice_sync.alert
                    set last_error = $2,
                        next_attempt_at = clock_timestamp() + greatest(
                            make_interval(mins => greatest($3::int, least($4::int,
                                power(2, least(attempts - 1, 20))::int))),
                            make_interval(secs => $5::int))
                    where id = $1::bigint and sent_at is null",
                    &[
                        alert.as_deref(),
                        Some(error),
                        Some(&least.to_string()),
                        Some(&most.to_string()),
                        Some(&wait.as_secs().to_string()),
                    ],
                );
            }
        }
    }
}

/// Returns the number of alerts that are still to be mailed.
pub(super) fn count_unsent() -> i64 {
    let count = sql::fetch_one(
        "select to_jsonb(count(*)) from invoice_sync.alerts where state in ('waiting', 'failing')",
        &[],
    );
    count.as_ref().and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
#[path = "../../pgrx-tests/alert/payload.rs"]
mod tests;
