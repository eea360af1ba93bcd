//! A sweep: every invoice that Stripe has to be asked about, and every one
//! whose own rows do not agree, in one transaction and one bounded batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::apply::{Insistence, Mode, Treatment, apply};
use super::connect;
use super::inbox;
use super::report::Report;
use crate::domain::evidence::Evidence;
use crate::domain::issue::IssueKind;
use crate::host::candidates;
use crate::host::mapping::Mapping;
use crate::host::write::now;
use crate::ledger::events;
use crate::ledger::runs::Kind;
use crate::pg::{Problem, identity, sql};
use crate::stripe::client::Connection;
use crate::stripe::error::StripeError;
use crate::stripe::gather::{Finding, Question, gather};
use crate::stripe::objects::Reading;

/// The bounds of one sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Invoices that Stripe is asked about, and as many again that are judged
    /// by their own rows.
    pub(crate) invoices: usize,
    /// No question is put and no invoice begun after this.
    pub(crate) duration: Duration,
}

impl Batch {
    /// How long Stripe may be asked: the rest is for what it answered, which
    /// would be asked again and again if there were no time to write it.
    fn for_questions(&self) -> Duration {
        self.duration / 4 * 3
    }
}

/// Sweeps once. The answer is the JSON of a [`Report`].
///
/// Stripe's failures are reported in it and never end it: what can be repaired
/// without Stripe is. Fails for settings that do not fit the database, and in a
/// transaction that keeps one snapshot (0A000).
pub(crate) fn sweep(batch: Batch, mode: Mode) -> Result<Value, Problem> {
    if mode == Mode::Write {
        require_fresh_snapshots()?;
        if !take_turn() {
            return Ok(another_runs());
        }
    }
    let begun = Instant::now();
    let (mapping, settings) = Mapping::load()?;
    let connection = connect::connection();
    let livemode = connection
        .as_ref()
        .ok()
        .and_then(|connection| connection.as_ref()?.key.livemode());
    let sweep = Sweep {
        treatment: Treatment {
            mapping: &mapping,
            rules: settings.rules(livemode)?,
            mode,
            insistence: Insistence::Once,
        },
        reading: connect::reading(&settings, &mapping),
        invoices: batch.invoices,
        questions_until: begun + batch.for_questions(),
        deadline: begun + batch.duration,
    };
    let mut report = Report::open(Kind::Sweep, mode);
    let mut evidence = BTreeMap::new();
    match connection {
        Ok(Some(connection)) => evidence = sweep.ask_stripe(&connection, &mut report)?,
        Ok(None) => report.fail(connect::missing_key(), false),
        Err(problem) => report.fail(problem, false),
    }
    sweep.judge(&evidence, &mut report)?;
    if mode == Mode::Write {
        events::forget_old();
    }
    Ok(report.close())
}

/// What the steps of one sweep share.
struct Sweep<'a> {
    treatment: Treatment<'a>,
    reading: Reading,
    invoices: usize,
    questions_until: Instant,
    deadline: Instant,
}

/// What came of the events.
#[derive(Default)]
struct Taken {
    feed_was_read: bool,
    /// A key without the permission to read events still reads the rest.
    feed_forbidden: Option<StripeError>,
    /// For which nothing else is asked.
    failure: Option<StripeError>,
}

impl Sweep<'_> {
    /// Events first, because they tell of everything that moved; then the
    /// invoices that no event told of. Answers with what Stripe says of these.
    fn ask_stripe(
        &self,
        connection: &Connection,
        report: &mut Report,
    ) -> Result<BTreeMap<String, Vec<Evidence>>, Problem> {
        let mut taken = Taken::default();
        if self.treatment.mode == Mode::Write {
            taken = self.take_events(connection, report)?;
        }
        let mut evidence = BTreeMap::new();
        let mut failure = taken.failure;
        if failure.is_none() {
            let mut questions = questions(self.treatment.mapping, self.invoices);
            // An event told of these, and they were treated by that.
            questions.retain(|question| !report.has(&question.about));
            let gathered = gather(
                questions,
                connection.clone(),
                self.reading.clone(),
                self.questions_until,
            )?;
            report.count_requests(gathered.requests, gathered.retries);
            let last_error;
            (evidence, last_error) = sort(gathered.findings, report);
            // Too few were asked to be called hopeless, or none had an answer in time;
            // but where the feed was read, Stripe is there.
            let unanswered = (!taken.feed_was_read && evidence.is_empty() && gathered.requests > 0)
                .then(|| last_error.unwrap_or(StripeError::NotAsked));
            failure = gathered.fatal.or(unanswered).or(taken.feed_forbidden);
        }
        match failure {
            Some(error) => report.fail(connect::problem(&error), true),
            None => report.resolve_general_issue(IssueKind::StripeUnreachable),
        }
        Ok(evidence)
    }

    /// Reads the feed and acts on what waits in the inbox.
    fn take_events(&self, connection: &Connection, report: &mut Report) -> Result<Taken, Problem> {
        let own = inbox::own(connection);
        let followed = inbox::follow_feed(
            connection.clone(),
            &own,
            now(),
            self.questions_until,
            report,
        )?;
        let mut taken = Taken::default();
        match followed {
            Ok(()) => {
                taken.feed_was_read = true;
                inbox::watch_webhooks(report);
            }
            Err(error) => {
                report.note_stripe_error(None, &error.to_string());
                if !matches!(error, StripeError::Forbidden { .. }) {
                    taken.failure = Some(error);
                    return Ok(taken);
                }
                taken.feed_forbidden = Some(error);
            }
        }
        taken.failure = inbox::work_off(
            &self.treatment,
            connection.clone(),
            self.reading.clone(),
            self.invoices,
            self.questions_until,
            report,
        )?;
        Ok(taken)
    }

    /// Every invoice that Stripe told of, and every one whose rows do not agree.
    fn judge(
        &self,
        evidence: &BTreeMap<String, Vec<Evidence>>,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let suspects = candidates::suspects(self.treatment.mapping, self.invoices);
        let invoices: BTreeSet<&String> = evidence.keys().chain(&suspects).collect();
        for invoice in invoices {
            if Instant::now() >= self.deadline {
                break;
            }
            if report.has(invoice) {
                continue;
            }
            let found = evidence.get(invoice).map(Vec::as_slice);
            if let Some(outcome) = apply(&self.treatment, invoice, found.unwrap_or_default())? {
                report.add(&outcome, found);
            }
        }
        Ok(())
    }
}

/// What was read before a lock was waited for must not decide afterwards.
/// Fails with 0A000 in REPEATABLE READ and SERIALIZABLE.
pub(crate) fn require_fresh_snapshots() -> Result<(), Problem> {
    if !identity::transaction_keeps_one_snapshot() {
        return Ok(());
    }
    Err(Problem::new(
        pgrx::prelude::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        "invoices cannot be repaired in a transaction that keeps one snapshot",
    )
    .detail("A payment that somebody else writes at the same moment would not be seen.")
    .hint("Use READ COMMITTED, or dry_run."))
}

/// One sweep at a time per database; the lock goes with the transaction.
fn take_turn() -> bool {
    sql::fetch_one(
        "select to_jsonb(pg_try_advisory_xact_lock('invoice_sync.run'::regclass::oid::int, 0))",
        &[],
    ) == Some(Value::Bool(true))
}

fn another_runs() -> Value {
    json!({
        "success": true,
        "dryRun": false,
        "runId": null,
        "skipped": true,
        "stats": {
            "invoicesChecked": 0, "invoicesFixed": 0, "syncIssuesFound": 0, "stripeErrors": 0,
            "stripeRequests": 0, "stripeRetries": 0,
        },
        "fixed": 0,
        "issues": 0,
        "details": { "fixed": [], "issues": [], "stripeErrors": [] },
        "error": null,
        "message": "Another sweep is at work in this database. Nothing was done.",
    })
}

fn questions(mapping: &Mapping, limit: usize) -> Vec<Question> {
    candidates::due(mapping, limit)
        .into_iter()
        .map(|due| Question {
            about: due.invoice,
            ids: due.ids,
        })
        .collect()
}

/// Evidence by invoice; errors into the report, and the last of them.
fn sort(
    findings: Vec<Finding>,
    report: &mut Report,
) -> (BTreeMap<String, Vec<Evidence>>, Option<StripeError>) {
    let mut evidence = BTreeMap::new();
    let mut last_error = None;
    for finding in findings {
        match finding.evidence {
            Ok(found) => {
                evidence.insert(finding.about, found);
            }
            // Its turn comes with the next sweep; it is nobody's mistake.
            Err(StripeError::NotAsked) => {}
            Err(error) => {
                report.note_stripe_error(Some(&finding.about), &error.to_string());
                last_error = Some(error);
            }
        }
    }
    (evidence, last_error)
}
