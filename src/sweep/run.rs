//! A sweep: every invoice that Stripe has to be asked about, and every one
//! whose own rows do not agree, in one transaction and one bounded batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::apply::{Insistence, Mode, Treatment, apply};
use super::connect;
use super::report::Report;
use crate::domain::evidence::Evidence;
use crate::host::candidates;
use crate::host::mapping::Mapping;
use crate::ledger::runs::Kind;
use crate::pg::{Problem, identity, sql};
use crate::stripe::error::StripeError;
use crate::stripe::gather::{Gathered, Question, gather};

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
    let deadline = begun + batch.duration;
    let (mapping, settings) = Mapping::load()?;
    let mut report = Report::open(Kind::Sweep, mode);
    let mut livemode = None;
    let mut evidence: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    match connect::connection() {
        Ok(Some(connection)) => {
            livemode = connection.key.livemode();
            let questions = questions(&mapping, batch.invoices);
            let reading = connect::reading(&settings, &mapping);
            let gathered = gather(
                questions,
                connection,
                reading,
                begun + batch.for_questions(),
            )?;
            evidence = take_in(gathered, &mut report);
        }
        Ok(None) => report.fail(connect::missing_key(), false),
        Err(problem) => report.fail(problem, false),
    }

    let treatment = Treatment {
        mapping: &mapping,
        rules: settings.rules(livemode)?,
        mode,
        insistence: Insistence::Once,
    };
    let suspects = candidates::suspects(&mapping, batch.invoices);
    let invoices: BTreeSet<&String> = evidence.keys().chain(&suspects).collect();
    for invoice in invoices {
        if Instant::now() >= deadline {
            break;
        }
        let found = evidence.get(invoice).map(Vec::as_slice);
        if let Some(outcome) = apply(&treatment, invoice, found.unwrap_or_default())? {
            report.add(&outcome, found);
        }
    }
    Ok(report.close())
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
            invoice: due.invoice,
            ids: due.ids,
        })
        .collect()
}

/// Sorts the findings: evidence by invoice, errors into the report.
fn take_in(gathered: Gathered, report: &mut Report) -> BTreeMap<String, Vec<Evidence>> {
    report.count_requests(gathered.requests, gathered.retries);
    let mut evidence = BTreeMap::new();
    let mut last_error = StripeError::NotAsked;
    for finding in gathered.findings {
        match finding.evidence {
            Ok(found) => {
                evidence.insert(finding.invoice, found);
            }
            // Its turn comes with the next sweep; it is nobody's mistake.
            Err(StripeError::NotAsked) => {}
            Err(error) => {
                report.note_stripe_error(&finding.invoice, &error.to_string());
                last_error = error;
            }
        }
    }
    match gathered.fatal {
        Some(error) => report.fail(connect::problem(&error), true),
        None if !evidence.is_empty() => report.stripe_answered(),
        // Too few were asked to be called hopeless, or none had an answer in time.
        None if gathered.requests > 0 => report.fail(connect::problem(&last_error), true),
        None => {}
    }
    evidence
}
