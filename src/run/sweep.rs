//! A sweep: acts on events, asks Stripe about what is due, and checks rows that do not agree, in batches.

mod answers;
mod feeds;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alert;
use crate::apply::contention::skip_if_locked;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::report::{Failure, Report};
use crate::apply::shared_payment;
use crate::apply::unknown_words;
use crate::domain::issue::IssueKind;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::ledger::budget::{self, Usage};
use crate::ledger::events::reopen_unclaimed;
use crate::ledger::retention;
use crate::ledger::runs::{self, Kind};
use crate::ledger::set_back;
use crate::ledger::stripe_accounts;
use crate::pg::{Problem, Transactions, in_subtransaction};
use crate::run::outage::Outage;
use crate::run::run_lock::{RunLock, require_fresh_snapshots};
use crate::select::accounts;
use crate::select::due::{SelectedWork, WorkSelection};
use crate::select::inbox;
use crate::stripe::client::Connection;
use crate::stripe::objects::Reading;
use crate::stripe_access;

/// The size of a batch in transactions of our own: small enough for memory, and otherwise large, because more
/// questions at once make better use of each page of answers. A batch is written and committed in portions.
pub(crate) const BATCH: usize = 20_000;

/// The bounds of one sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// How many invoices, and payments of events, one batch has. In the caller's transaction there is one batch.
    pub(crate) size: usize,
    /// After this time, no question is asked and no invoice is begun.
    pub(crate) duration: Duration,
}

impl Batch {
    /// Returns how long Stripe may be asked. The remaining time is for writing the answers; otherwise every run
    /// would ask the same again.
    fn for_questions(&self) -> Duration {
        self.duration / 4 * 3
    }
}

/// Runs one sweep. Returns the JSON of a [`Report`].
///
/// Failures of Stripe are reported there and never end the sweep: what can be repaired without Stripe is repaired.
/// Settings that do not match the database are reported, too; in transactions of our own and in a dry run they are
/// an error. Fails with 0A000 in a transaction that keeps one snapshot.
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
        skip_if_locked(set_back::make_due)?;
        // Sends only what was committed before: the issues of this run may still be rolled back.
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
    if mode == Mode::Write {
        budget::begin_month();
    }
    let usage = settings.monthly_read_budget.map(budget::usage);
    if let Some(usage) = &usage {
        report.note_usage(usage);
    }
    let checks = usage.as_ref().map_or(usize::MAX, Usage::allowance);
    let sweep = Sweep {
        context: Context {
            mapping: &mapping,
            rules: mapping.rules(&settings, livemode)?,
            mode,
            on_override: OnOverride::Once,
        },
        transactions,
        reading: stripe_access::reading(&settings, &mapping),
        size: batch.size,
        checks,
        questions_until: begun + batch.for_questions(),
        deadline: begun + batch.duration,
    };
    let mut selection = WorkSelection::new(
        &mapping,
        mode,
        runs::clock(),
        settings.local_check_budget(),
        checks,
    );
    let swept = transactions
        .until_a_table_is_replaced(|| sweep.go_through(connection, &mut selection, &mut report));
    if !transactions.are_own() {
        return swept.map(|()| report.close());
    }
    // Any error that ends a run is stored in its row.
    if let Err(problem) = &swept {
        report.fail(problem.clone());
    }
    let answer = report.close();
    transactions.commit();
    alert::send_or_warn(transactions);
    swept.map(|()| answer)
}

/// Raises an issue, because nothing else can be done. In transactions of our own it then fails, too, so that the
/// job shows the error. In the caller's transaction an error would roll the issue back.
fn settings_do_not_fit(problem: Problem, transactions: Transactions) -> Result<Value, Problem> {
    runs::close_abandoned(Kind::Sweep);
    let mut report = Report::open(Kind::Sweep, Mode::Write);
    report.fail_with_issue(problem.clone(), Failure::Settings);
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
    /// About how many questions the monthly budget allows that no event asks for.
    checks: usize,
    questions_until: Instant,
    deadline: Instant,
}

impl Sweep<'_> {
    fn go_through(
        &self,
        connection: Result<Option<Connection>, Problem>,
        selection: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<(), Problem> {
        match connection {
            Ok(Some(connection)) => self.with_stripe(Some(&connection), selection, report)?,
            Ok(None) if stripe_accounts::have_own_keys() => {
                self.with_stripe(None, selection, report)?;
            }
            Ok(None) => {
                report.fail_with_issue(stripe_access::missing_key(), Failure::Stripe(Vec::new()))
            }
            Err(problem) => {
                // Feeds wait: without the key's mode, the places in them are not known.
                let mut outage = Outage::without_key();
                self.ask_accounts(None, selection, &mut outage, report)?;
                outage.report_accounts(report);
                report.fail_with_issue(problem, Failure::Stripe(Vec::new()));
            }
        }
        report.resolve_general_issue(IssueKind::Misconfigured);
        unknown_words::resolve_known(self.context.mapping, report);
        self.without_stripe(selection, report)?;
        if self.context.mode == Mode::Write {
            retention::forget_old();
        }
        Ok(())
    }

    /// Acts on events first, because they report all changes; then processes batch after batch. Without a connection, only
    /// accounts with a key of their own are asked.
    fn with_stripe(
        &self,
        connection: Option<&Connection>,
        selection: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let mut outage = Outage::default();
        if self.context.mode == Mode::Write {
            accounts::take_up(&inbox::own(connection), report);
            self.follow_feeds(connection, &mut outage, report)?;
        }
        while !outage.is_total() && Instant::now() < self.questions_until {
            let selected = selection.next(self.size)?;
            let more = self.examine_booked(&selected, selection, report)?;
            if selected.is_empty() {
                selection.keep_place(report)?;
                if more {
                    continue;
                }
                break;
            }
            if self.process_selected(selected, connection, &mut outage, report)? {
                selection.keep_place(report)?;
            }
            if !self.transactions.are_own() {
                break;
            }
            report.save();
            self.transactions.commit();
        }
        if outage.is_total() {
            self.ask_accounts(connection, selection, &mut outage, report)?;
        }
        let answered = outage.answered.clone();
        outage.report_accounts(report);
        match outage.error() {
            Some((asked, error)) => {
                let failed = report.unanswered(asked, &answered);
                report.fail_with_issue(stripe_access::problem(&error), Failure::Stripe(failed));
            }
            None => report.resolve_outage(&answered),
        }
        Ok(())
    }

    /// Asks accounts with keys of their own about one batch, because that of the key cannot be asked.
    fn ask_accounts(
        &self,
        connection: Option<&Connection>,
        selection: &mut WorkSelection,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<(), Problem> {
        if !stripe_accounts::have_own_keys() || Instant::now() >= self.questions_until {
            return Ok(());
        }
        let selected = selection.next(self.size)?;
        self.examine_booked(&selected, selection, report)?;
        if self.process_selected(selected, connection, outage, report)? {
            selection.keep_place(report)?;
        }
        Ok(())
    }

    /// Decides by the rows alone, because Stripe could not be asked.
    fn without_stripe(
        &self,
        selection: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<(), Problem> {
        if !report.has_failed() {
            return Ok(());
        }
        let selected = selection.next(self.size)?;
        self.examine_booked(&selected, selection, report)?;
        if self.judge_by_rows(selected.invoices, report)? {
            selection.keep_place(report)?;
        }
        Ok(())
    }

    /// Examines the payments of rows that were written since: several invoices may have booked one, and events may
    /// have reported one before any invoice referred to it. Returns whether there are such events: the next batch acts
    /// on them again.
    fn examine_booked(
        &self,
        selected: &SelectedWork,
        selection: &mut WorkSelection,
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let mut more = false;
        if self.context.mode == Mode::Write {
            let reopened = reopen_unclaimed(&selected.booked);
            more = !reopened.is_empty();
            selection.select_again(&reopened);
        }
        let mapping = self.context.mapping;
        shared_payment::find_overbooked(self.transactions, mapping, &selected.booked, report)?;
        Ok(more)
    }
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
        "message": "Another sweep is running in this database. Nothing was done.",
    })
}
