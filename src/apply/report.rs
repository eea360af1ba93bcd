//! The report of a run: its row in the ledger, and the JSON that its caller gets.

pub(crate) mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::alert::outbox;
use crate::apply::context::Mode;
use crate::apply::outcome::{Outcome, describe};
use crate::apply::report::record::{Settled, subject, write_down};
use crate::domain::evidence::StripePayment;
use crate::domain::feed::Gap;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::budget::Usage;
use crate::ledger::changes::Change;
use crate::ledger::checks;
use crate::ledger::issues::{self, Subject};
use crate::ledger::payment_issues::{self, AboutPayment};
use crate::ledger::runs::{self, Kind, State, Totals};
use crate::pg::{Problem, waited_for_threads};
use crate::stripe::error::Asked;
use crate::stripe::fetch::Planned;
use crate::stripe_access;

/// Whom an issue is about that concerns them all.
const NOBODY: Subject = Subject {
    invoice: None,
    number: None,
};

/// Why a run is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Stripe could not be asked, or not about everything: for what it gave no answer
    /// yet, nothing where there was no key to ask with.
    Stripe(Vec<String>),
    /// The settings do not fit the database.
    Settings,
}

impl Failure {
    fn issue(self, problem: &Problem) -> Issue {
        let (kind, summary) = match &self {
            Self::Stripe(_) => (
                IssueKind::StripeUnreachable,
                "Stripe could not be asked, so payments may be missing from the books",
            ),
            Self::Settings => (
                IssueKind::Misconfigured,
                "Stripe is not asked about payments, because the settings of invoice_sync do not fit the database",
            ),
        };
        let mut evidence = json!({
            "sqlstate": problem.sqlstate_text(),
            "message": problem.message(),
            "detail": problem.detail_text(),
            "hint": problem.hint_text(),
        });
        if let Self::Stripe(unanswered) = self
            && !unanswered.is_empty()
        {
            evidence["unanswered"] = unanswered.into();
        }
        Issue::new(
            kind,
            Severity::Critical,
            format!("{summary}: {}.", problem.message()),
        )
        .with_evidence(evidence)
    }
}

/// What was changed for an invoice, or in a dry run would be.
struct Fixed {
    invoice: String,
    number: Option<String>,
    /// In words.
    action: String,
    changes: Vec<Change>,
}

impl Fixed {
    fn to_json(&self) -> Value {
        json!({
            "invoiceId": self.invoice,
            "invoiceNumber": self.number,
            "action": self.action,
            "changes": self.changes.iter().map(Change::to_json).collect::<Vec<_>>(),
        })
    }
}

/// A run while it goes on.
pub(crate) struct Report {
    /// `None` in a dry run: nothing is written down.
    run: Option<i64>,
    /// Whether somebody gets a report of each invoice; a run that goes on and
    /// on has no room for that, and the ledger has it all.
    keeps_details: bool,
    totals: Totals,
    /// Since it was last saved.
    checked: BTreeSet<String>,
    fixed: Vec<Fixed>,
    /// What was found, for a dry run; else the ledger says what stands.
    issues: Vec<Value>,
    errors: Vec<Value>,
    /// Payments that an invoice was asked about and has nothing to do with any more.
    disowned: Vec<StripePayment>,
    problem: Option<Problem>,
    /// How long this backend had waited for answers when the run began.
    had_waited: Duration,
}

impl Report {
    pub(crate) fn open(kind: Kind, mode: Mode) -> Self {
        Self {
            run: (mode == Mode::Write).then(|| runs::open(kind)),
            keeps_details: true,
            totals: Totals {
                success: true,
                ..Totals::default()
            },
            checked: BTreeSet::new(),
            fixed: Vec::new(),
            issues: Vec::new(),
            errors: Vec::new(),
            disowned: Vec::new(),
            problem: None,
            had_waited: waited_for_threads(),
        }
    }

    /// Invoices of which something was changed so far.
    pub(crate) fn fixed(&self) -> u64 {
        self.totals.invoices_fixed as u64
    }

    /// For a run over several transactions: what it has done is saved after each.
    pub(crate) fn without_details(mut self) -> Self {
        self.keeps_details = false;
        self
    }

    /// The run's number; `None` in a dry run.
    pub(crate) fn run(&self) -> Option<i64> {
        self.run
    }

    pub(crate) fn count_requests(&mut self, requests: u64, retries: u64) {
        self.totals.stripe_requests += requests;
        self.totals.stripe_retries += retries;
        if self.run.is_some() {
            stripe_access::count_reads();
        }
    }

    pub(crate) fn count_planned(&mut self, planned: Planned) {
        self.totals.list_pages += planned.list_pages;
        self.totals.objects_from_lists += planned.from_lists;
        self.totals.objects_one_by_one += planned.singles;
    }

    /// Whether Stripe could not be asked, or not about everything.
    pub(crate) fn has_failed(&self) -> bool {
        self.problem.is_some()
    }

    /// A question that Stripe did not answer: about an invoice, or for events.
    pub(crate) fn note_stripe_error(&mut self, invoice: Option<&str>, error: &str) {
        self.totals.stripe_errors += 1;
        if self.keeps_details {
            self.errors
                .push(json!({ "invoiceId": invoice, "error": error }));
        }
    }

    /// Why the run is not whole.
    pub(crate) fn fail(&mut self, problem: Problem) {
        self.totals.success = false;
        self.problem = Some(problem);
    }

    /// The same as an issue, too: nobody may read the answer.
    pub(crate) fn fail_and_tell(&mut self, problem: Problem, why: Failure) {
        if let Some(run) = self.run {
            issues::raise(run, &[(NOBODY, &why.issue(&problem))]);
        }
        self.fail(problem);
    }

    /// An issue of no invoice in particular.
    pub(crate) fn add_general_issue(&mut self, issue: &Issue) {
        self.add_general_issues(&[issue]);
    }

    /// Several, each of another kind or about another object.
    pub(crate) fn add_general_issues(&mut self, issues: &[&Issue]) {
        if let Some(run) = self.run {
            let of_nobody: Vec<_> = issues.iter().map(|issue| (NOBODY, *issue)).collect();
            issues::raise(run, &of_nobody);
            return;
        }
        for issue in issues {
            self.issues.push(issue_json(NOBODY, issue));
        }
    }

    /// What invoices say of these payments that are not linked to them, each payment with
    /// the invoices that it is linked to.
    pub(crate) fn find_let_go(
        &self,
        told_of: &[(&StripePayment, &BTreeSet<String>)],
    ) -> Vec<AboutPayment> {
        if self.run.is_none() {
            return Vec::new();
        }
        let mut linked: BTreeMap<&str, &BTreeSet<String>> = BTreeMap::new();
        for (payment, link) in told_of {
            linked.extend(payment.ids.each().map(|id| (id, *link)));
        }
        let mut found = payment_issues::about_payments(&linked.keys().copied().collect());
        found.retain(|issue| !linked[issue.object.as_str()].contains(&issue.invoice_id));
        found
    }

    /// What they said is over.
    pub(crate) fn resolve_let_go(&self, issues: &[AboutPayment]) {
        if let Some(run) = self.run {
            payment_issues::resolve_about_payments(run, issues);
        }
    }

    /// Payments that were let go since this was last asked: they are to be judged by
    /// themselves.
    pub(crate) fn take_disowned(&mut self) -> Vec<StripePayment> {
        std::mem::take(&mut self.disowned)
    }

    /// What an issue of no invoice in particular said is over.
    pub(crate) fn resolve_general_issue(&self, kind: IssueKind) {
        if let Some(run) = self.run {
            issues::resolve_general(run, kind);
        }
    }

    /// Stripe answered for these; what was said of others stays.
    pub(crate) fn resolve_outage(&self, answered: &BTreeSet<Asked>) {
        if let Some(run) = self.run.filter(|_| !answered.is_empty()) {
            issues::resolve_outage(run, &names(answered));
        }
    }

    /// For what Stripe gives no answer, now or since it was last told of.
    pub(crate) fn unanswered(&self, asked: Asked, answered: &BTreeSet<Asked>) -> Vec<String> {
        let mut unanswered = issues::unanswered();
        unanswered.retain(|before| !names(answered).contains(&before.as_str()));
        if !unanswered.iter().any(|before| before == asked.as_str()) {
            unanswered.push(asked.as_str().to_owned());
        }
        unanswered.sort_unstable();
        unanswered
    }

    /// What was said of webhooks that fail is over, where one came since.
    pub(crate) fn resolve_webhooks_failing(&self) {
        if let Some(run) = self.run {
            issues::resolve_webhooks_failing(run);
        }
    }

    /// What was said of events that failed is over for these.
    pub(crate) fn resolve_event_issues(&self, events: &[&String]) {
        if let Some(run) = self.run.filter(|_| !events.is_empty()) {
            payment_issues::resolve_events(run, events);
        }
    }

    /// What was said of events that could not be read is over for payments that were looked
    /// at since.
    pub(crate) fn resolve_unread_events(&self, asked: &Value) {
        if let Some(run) = self.run {
            payment_issues::resolve_unread_events(run, asked);
        }
    }

    /// Stripe keeps events for 30 days, and nobody read them for longer than that.
    pub(crate) fn note_gap(&mut self, gap: Gap) {
        self.totals.remark = Some(describe_gap(gap));
    }

    /// What the month has used of its requests, before this run.
    pub(crate) fn note_usage(&mut self, usage: &Usage) {
        self.totals.monthly_reads = usage.to_json();
    }

    /// Takes in what came of invoices, each another one, and writes it down: first
    /// of all, for that may fail and be tried again.
    pub(crate) fn add<'s, 'e: 's>(
        &mut self,
        settled: impl Iterator<Item = &'s Settled<'e>>,
    ) -> Result<(), Problem> {
        let mut settled: Vec<&Settled> = settled.collect();
        // In the order that everybody keeps to.
        settled.sort_unstable_by(|a, b| a.outcome.invoice.id.cmp(&b.outcome.invoice.id));
        if let Some(run) = self.run
            && !settled.is_empty()
        {
            write_down(run, &settled)?;
        }
        for settled in settled {
            self.disowned.extend(settled.disowned());
            self.tell(&settled.outcome);
        }
        Ok(())
    }

    /// Notes that these invoices are not there any more: nobody has to look at them.
    pub(crate) fn note_gone(&self, invoices: &[&str]) {
        if let Some(run) = self.run.filter(|_| !invoices.is_empty()) {
            issues::resolve_gone(run, invoices);
            checks::end(invoices);
        }
    }

    fn tell(&mut self, outcome: &Outcome) {
        let invoice = &outcome.invoice;
        self.checked.insert(invoice.id.clone());
        let touched = match self.run {
            Some(_) => !outcome.changes.is_empty(),
            None => !outcome.intended.changes_nothing(),
        };
        self.totals.invoices_fixed += usize::from(touched);
        if touched && self.keeps_details {
            self.fixed.push(Fixed {
                invoice: invoice.id.clone(),
                number: invoice.number.clone(),
                action: describe(&outcome.intended),
                changes: outcome.changes.clone(),
            });
        }
        if self.run.is_some() {
            return;
        }
        let subject = subject(invoice);
        let found = outcome.plan.issues.iter();
        let unsettled = found.filter(|issue| !issues::is_settled(subject, issue));
        self.issues
            .extend(unsettled.map(|issue| issue_json(subject, issue)));
    }

    /// Writes down what was done so far: whatever comes, that is done.
    pub(crate) fn save(&mut self) {
        if !self.keeps_details {
            self.count(State::UnderWay);
        }
    }

    fn count(&mut self, state: State) {
        self.totals.invoices_checked += std::mem::take(&mut self.checked).len();
        self.totals.waited = waited_for_threads() - self.had_waited;
        self.totals.error = self.problem.as_ref().map_or(Value::Null, as_json);
        self.totals.issues_found = match self.run {
            Some(run) if !self.keeps_details => issues::count_seen(run),
            _ => self.issues.len(),
        };
        if let Some(run) = self.run {
            runs::save(run, &self.totals, state);
        }
    }

    /// Ends the run; the answer is the JSON that callers of the original know.
    pub(crate) fn close(mut self) -> Value {
        if let Some(run) = self.run.filter(|_| self.keeps_details) {
            self.issues = issues::standing(run, &self.checked);
        }
        self.count(State::Finished);
        if let Some(run) = self.run {
            outbox::digest(run);
        }
        let totals = &self.totals;
        let fixed: Vec<Value> = self.fixed.iter().map(Fixed::to_json).collect();
        let mut message = format!(
            "Checked {} invoices. Fixed {} issues. Found {} remaining issues.",
            totals.invoices_checked, totals.invoices_fixed, totals.issues_found
        );
        if let Some(problem) = &self.problem {
            message = format!("{message} Not complete: {}.", problem.message());
        }
        if let Some(remark) = &totals.remark {
            message = format!("{message} {remark}");
        }
        json!({
            "success": totals.success,
            "dryRun": self.run.is_none(),
            "runId": self.run,
            "stats": {
                "invoicesChecked": totals.invoices_checked,
                "invoicesFixed": totals.invoices_fixed,
                "syncIssuesFound": totals.issues_found,
                "stripeErrors": totals.stripe_errors,
                "stripeRequests": totals.stripe_requests,
                "stripeRetries": totals.stripe_retries,
                "listPages": totals.list_pages,
                "objectsFromLists": totals.objects_from_lists,
                "objectsOneByOne": totals.objects_one_by_one,
            },
            "fixed": totals.invoices_fixed,
            "issues": totals.issues_found,
            "details": { "fixed": fixed, "issues": self.issues, "stripeErrors": self.errors },
            "monthlyReads": totals.monthly_reads,
            "error": totals.error,
            "message": message,
        })
    }
}

fn names(asked: &BTreeSet<Asked>) -> Vec<&'static str> {
    asked.iter().map(|asked| asked.as_str()).collect()
}

/// An issue that was found, for the answer of a dry run.
fn issue_json(subject: Subject, issue: &Issue) -> Value {
    json!({
        "invoiceId": subject.invoice,
        "invoiceNumber": subject.number,
        "kind": issue.kind.as_str(),
        "severity": issue.severity.as_str(),
        "object": issue.object,
        "issue": issue.summary,
    })
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "sqlstate": problem.sqlstate_text(),
        "message": problem.message(),
        "detail": problem.detail_text(),
        "hint": problem.hint_text(),
    })
}

fn describe_gap(gap: Gap) -> String {
    format!(
        "Stripe's events of {} hours are gone, because nobody read them within 30 days: run_sweep looks through its lists instead (see invoice_sync.progress).",
        (gap.until - gap.since + 3599) / 3600
    )
}
