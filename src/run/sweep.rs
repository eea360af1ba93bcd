//! A sweep: acts on events, asks Stripe about what is due, and checks rows that do not agree, in batches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alert;
use crate::apply::case::Case;
use crate::apply::contention::is_contention;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::invoices::{CHUNK, apply_in};
use crate::apply::payments::{PaymentEvidence, act};
use crate::apply::report::{Failure, Report};
use crate::domain::evidence::Evidence;
use crate::domain::issue::IssueKind;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::ledger::budget::{self, Usage};
use crate::ledger::events::{Verdict, Waiting};
use crate::ledger::retention;
use crate::ledger::runs::{self, Kind};
use crate::pg::{Problem, Transactions, in_subtransaction};
use crate::run::outage::Outage;
use crate::run::run_lock::{RunLock, require_fresh_snapshots};
use crate::select::due::{SelectedWork, WorkSelection};
use crate::select::feed;
use crate::select::inbox;
use crate::select::sessions::with_known_sessions;
use crate::stripe::client::Connection;
use crate::stripe::error::StripeError;
use crate::stripe::fetch::{Fetching, Finding};
use crate::stripe::lookups::Question;
use crate::stripe::objects::Reading;
use crate::stripe_access;

/// What a batch of a sweep in transactions of its own holds: little enough for its
/// memory, and much, for the more is asked about at once the more a page answers.
/// It is written, and committed, by portions.
pub(crate) const BATCH: usize = 20_000;

/// How many answers are waited for before they are acted on, in one transaction: a
/// slow Stripe must not keep what it has said from the books.
const PORTION: usize = 200;

/// The bounds of one sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// What is looked at in one batch: invoices, and payments that events are about.
    /// In the caller's transaction there is one batch.
    pub(crate) size: usize,
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
/// without Stripe is. Settings that do not fit the database are reported, too; in
/// transactions of its own, and in a dry run, they are an error. Fails in a
/// transaction that keeps one snapshot (0A000).
pub(crate) fn sweep(
    batch: Batch,
    mode: Mode,
    transactions: Transactions,
) -> Result<Value, Problem> {
    let mut turn = RunLock::NotNeeded;
    if mode == Mode::Write {
        require_fresh_snapshots()?;
        turn = RunLock::of_sweeps(transactions);
    }
    if matches!(turn, RunLock::Others) {
        return Ok(another_runs());
    }
    if mode == Mode::Write {
        // What was committed before: what this run finds may still be rolled back.
        alert::send_or_warn(transactions);
    }
    let begun = Instant::now();
    let (mapping, settings) = match in_subtransaction(Mapping::load) {
        Ok(loaded) => loaded,
        Err(problem) if mode == Mode::Write => return settings_do_not_fit(problem, transactions),
        Err(problem) => return Err(problem),
    };
    if mode == Mode::Write && !transactions.are_own() {
        fire_callers();
    }
    let connection = stripe_access::connection();
    let livemode = connection
        .as_ref()
        .ok()
        .and_then(|connection| connection.as_ref()?.key.livemode());
    if mode == Mode::Write {
        runs::close_abandoned(Kind::Sweep);
    }
    let mut report = Report::open(Kind::Sweep, mode);
    if transactions.are_own() {
        report = report.without_details();
    }
    let sweep = Sweep {
        context: Context {
            mapping: &mapping,
            rules: settings.rules(livemode)?,
            mode,
            on_override: OnOverride::Once,
        },
        transactions,
        reading: stripe_access::reading(&settings, &mapping),
        size: batch.size,
        questions_until: begun + batch.for_questions(),
        deadline: begun + batch.duration,
    };
    if mode == Mode::Write {
        budget::begin_month();
    }
    let usage = settings.monthly_read_budget.map(budget::usage);
    if let Some(usage) = &usage {
        report.note_usage(usage);
    }
    let mut choice = WorkSelection::new(
        &mapping,
        mode,
        runs::clock(),
        settings.local_check_budget(),
        usage.as_ref().map_or(usize::MAX, Usage::allowance),
    );
    match connection {
        Ok(Some(connection)) => sweep.with_stripe(&connection, &mut choice, &mut report)?,
        Ok(None) => report.fail_and_tell(stripe_access::missing_key(), Failure::Stripe),
        Err(problem) => report.fail_and_tell(problem, Failure::Stripe),
    }
    report.resolve_general_issue(IssueKind::Misconfigured);
    sweep.without_stripe(&mut choice, &mut report)?;
    if mode == Mode::Write {
        retention::forget_old();
    }
    let answer = report.close();
    if transactions.are_own() {
        transactions.commit();
        alert::send_or_warn(transactions);
    }
    Ok(answer)
}

/// Nothing can be done but to raise an issue. In transactions of its own it fails
/// all the same once that is committed: who watches the job sees it, too. In the
/// caller's transaction failing would take the issue back.
fn settings_do_not_fit(problem: Problem, transactions: Transactions) -> Result<Value, Problem> {
    runs::close_abandoned(Kind::Sweep);
    let mut report = Report::open(Kind::Sweep, Mode::Write);
    report.fail_and_tell(problem.clone(), Failure::Settings);
    let answer = report.close();
    if !transactions.are_own() {
        return Ok(answer);
    }
    transactions.commit();
    alert::send_or_warn(transactions);
    Err(problem)
}

/// What the steps of one sweep share.
struct Sweep<'a> {
    context: Context<'a>,
    transactions: Transactions,
    reading: Reading,
    size: usize,
    questions_until: Instant,
    deadline: Instant,
}

/// Whom a question is for.
enum Requester {
    /// And the invoice, where it is known.
    Event(Waiting, Option<String>),
    Invoice(String),
}

impl Sweep<'_> {
    /// Events first, because they tell of everything that moved; then batch after
    /// batch of what they are about and of what they are not.
    fn with_stripe(
        &self,
        connection: &Connection,
        choice: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let mut outage = Outage::default();
        if self.context.mode == Mode::Write {
            self.follow_feed(connection, &mut outage, report)?;
        }
        while outage.fatal.is_none() && Instant::now() < self.questions_until {
            let chosen = choice.next(self.size)?;
            if chosen.is_empty() {
                choice.keep_place();
                break;
            }
            if self.process_selected(chosen, connection, &mut outage, report)? {
                choice.keep_place();
            }
            if !self.transactions.are_own() {
                break;
            }
            report.save();
            self.transactions.commit();
        }
        match outage.error() {
            Some(error) => report.fail_and_tell(stripe_access::problem(&error), Failure::Stripe),
            None => report.resolve_general_issue(IssueKind::StripeUnreachable),
        }
        Ok(())
    }

    /// What the rows alone tell, where Stripe could not be asked.
    fn without_stripe(
        &self,
        choice: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<(), Problem> {
        if !report.has_failed() {
            return Ok(());
        }
        let chosen = choice.next(self.size)?;
        let invoices = chosen.invoices.into_iter().map(|it| (it.invoice, None));
        if self.judge(&invoices.collect(), report)? {
            choice.keep_place();
        }
        Ok(())
    }

    /// Reads the feed; a key without the permission to read events still reads the rest.
    fn follow_feed(
        &self,
        connection: &Connection,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let followed = feed::follow(
            self.transactions,
            connection.clone(),
            &inbox::own(connection),
            self.questions_until,
            report,
        );
        let followed = match followed {
            Err(problem) if is_contention(&problem) => {
                report.fail(problem);
                return Ok(());
            }
            other => other?,
        };
        match followed {
            Ok(()) => {
                outage.was_answered = true;
                feed::watch_webhooks(report);
            }
            Err(error) => {
                report.note_stripe_error(None, &error.to_string());
                if matches!(error, StripeError::Forbidden { .. }) {
                    outage.forbidden = Some(error);
                } else {
                    outage.fatal = Some(error);
                }
            }
        }
        Ok(())
    }

    /// Asks Stripe about a batch and acts on what it says; what it need not be
    /// asked about is judged by its own rows: gives whether there was time for all of
    /// these.
    fn process_selected(
        &self,
        chosen: SelectedWork,
        connection: &Connection,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let mut cases = Cases::new();
        let mut askers = HashMap::new();
        let mut questions = Vec::new();
        let mut ask = |asker, ids, created| {
            let about = askers.len().to_string();
            askers.insert(about.clone(), asker);
            questions.push(Question {
                about,
                ids,
                created,
                sessionless: BTreeSet::new(),
            });
        };
        for (waiting, invoice) in chosen.events {
            let (ids, created) = (vec![waiting.money.to_string()], waiting.created);
            ask(Requester::Event(waiting, invoice), ids, created);
        }
        for candidate in chosen.invoices {
            if candidate.ids.is_empty() {
                cases.insert(candidate.invoice, None);
            } else {
                ask(Requester::Invoice(candidate.invoice), candidate.ids, None);
            }
        }
        let mut gathering = Fetching::start(
            with_known_sessions(questions),
            connection.clone(),
            self.reading.clone(),
            self.questions_until,
        )?;
        // The first portion brings along what nobody has to be asked about. While
        // one is written, the next answers are on their way.
        // In the caller's transaction nothing is written before all is answered: what
        // is locked there stays locked.
        let size = if self.transactions.are_own() {
            PORTION
        } else {
            usize::MAX
        };
        let mut all_judged = true;
        loop {
            let portion = self
                .transactions
                .wait(|| next_portion(&mut gathering, size));
            let is_last = portion.len() < size;
            if self.context.mode == Mode::Write {
                stripe_access::count_reads();
            }
            outage.note(&portion);
            let cases = std::mem::take(&mut cases);
            all_judged &= self.act_on(portion, &mut askers, cases, report)?;
            if is_last || Instant::now() >= self.deadline {
                break;
            }
        }
        let cost = gathering.cost();
        report.count_requests(cost.requests, cost.retries);
        report.count_planned(cost.planned);
        outage.was_asked |= cost.requests > 0;
        outage.fatal = outage.fatal.take().or(cost.fatal);
        Ok(all_judged)
    }

    /// Acts on what Stripe has answered, and on `cases` beside it; gives whether there
    /// was time for all of them.
    fn act_on(
        &self,
        findings: Vec<Finding>,
        askers: &mut HashMap<String, Requester>,
        mut cases: Cases,
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let mut answered_events = Vec::new();
        let mut failed = Vec::new();
        for finding in findings {
            let Some(asker) = askers.remove(&finding.about) else {
                continue;
            };
            match (asker, finding.evidence) {
                (Requester::Invoice(invoice), Ok(evidence)) => {
                    cases.insert(invoice, Some(evidence));
                }
                (Requester::Event(waiting, _), Ok(evidence)) => {
                    answered_events.push((waiting, evidence))
                }
                // Its turn comes with the next sweep; it is nobody's mistake.
                (_, Err(StripeError::NotAsked)) => {}
                (Requester::Invoice(invoice), Err(error)) => {
                    report.note_stripe_error(Some(&invoice), &error.to_string());
                }
                (Requester::Event(waiting, invoice), Err(error)) => {
                    report.note_stripe_error(invoice.as_deref(), &error.to_string());
                    failed.push((waiting.events, Verdict::Again(error.to_string())));
                }
            }
        }
        self.act_on_events(answered_events, failed, report)?;
        self.transactions.commit();
        self.judge(&cases, report)
    }

    /// Acts on what Stripe says now of the payments that events are about.
    fn act_on_events(
        &self,
        answered: Vec<(Waiting, Vec<Evidence>)>,
        failed: Vec<(Vec<String>, Verdict)>,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let payments: Vec<PaymentEvidence> = answered
            .iter()
            .map(|(waiting, evidence)| PaymentEvidence {
                evidence,
                waited: waiting.waited,
            })
            .collect();
        let mut verdicts = Vec::new();
        for chunk in payments.chunks(CHUNK) {
            if Instant::now() >= self.deadline {
                break;
            }
            verdicts.extend(act(self.transactions, &self.context, chunk, report)?);
        }
        let acted = answered.iter().zip(&verdicts);
        let settled: Vec<(&[String], &Verdict)> = acted
            .map(|((waiting, _), verdict)| (waiting.events.as_slice(), verdict))
            .chain(
                failed
                    .iter()
                    .map(|(events, verdict)| (&events[..], verdict)),
            )
            .collect();
        inbox::settle(&settled, report);
        Ok(())
    }

    /// Treats invoices by what Stripe says of them, or by their rows alone; gives
    /// whether there was time for all of them.
    fn judge(&self, cases: &Cases, report: &mut Report) -> Result<bool, Problem> {
        let cases: Vec<Case> = cases
            .iter()
            .map(|(invoice, evidence)| Case {
                invoice,
                evidence: evidence.as_deref(),
            })
            .collect();
        for chunk in cases.chunks(CHUNK) {
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            apply_in(self.transactions, &self.context, chunk, report)?;
        }
        Ok(true)
    }
}

/// What is known of each invoice: `None` where Stripe was not asked.
type Cases = BTreeMap<String, Option<Vec<Evidence>>>;

/// So many answers, and those that are there already, as many as are written together;
/// or the last of them.
fn next_portion(gathering: &mut Fetching, size: usize) -> Vec<Finding> {
    let mut portion = Vec::new();
    while portion.len() < size {
        match gathering.next() {
            Some(findings) => portion.extend(findings),
            None => return portion,
        }
    }
    while portion.len() < CHUNK
        && let Some(findings) = gathering.at_hand()
    {
        portion.extend(findings);
    }
    portion
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
