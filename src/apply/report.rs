//! The report of a run: its row in the ledger, and the JSON that its caller gets.

mod concerns;
mod failure;
pub(crate) mod record;
mod run_row;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::alert::outbox;
use crate::apply::context::Mode;
use crate::apply::outcome::{Outcome, describe};
use crate::apply::report::concerns::Found;
pub(crate) use crate::apply::report::failure::Failure;
use crate::apply::report::record::{GENERAL, Settled, subject, write_down};
use crate::apply::report::run_row::RunRow;
use crate::domain::evidence::StripePayment;
use crate::domain::feed::Gap;
use crate::domain::issue::{Issue, IssueKind};
use crate::domain::unknown_word;
use crate::ledger::budget::Usage;
use crate::ledger::changes::Change;
use crate::ledger::checks;
use crate::ledger::issues::{self, Subject};
use crate::ledger::payment_issues::{self, AboutPayment};
use crate::ledger::runs::{Kind, State, Totals};
use crate::pg::{Problem, waited_for_threads};
use crate::stripe::cost::Planned;
use crate::stripe::error::Asked;
use crate::stripe_access;

/// The changes made for an invoice, or, in a dry run, those that would be made.
struct Fixed {
    invoice: String,
    number: Option<String>,
    /// The changes in words.
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

/// The report of a run in progress.
pub(crate) struct Report {
    kind: Kind,
    /// `None` in a dry run, which writes nothing to the ledger.
    run: Option<i64>,
    row: RunRow,
    /// Whether the result lists each invoice. A long run does not, to save memory; the ledger contains everything.
    keeps_details: bool,
    totals: Totals,
    /// The invoices checked since the report was last saved.
    checked: BTreeSet<String>,
    /// Invoices that other sessions kept from being written.
    put_off: BTreeSet<String>,
    fixed: Vec<Fixed>,
    /// The issues found, for a dry run; otherwise the ledger has the open issues.
    issues: Vec<Value>,
    errors: Vec<Value>,
    /// Payments that were looked up for an invoice that no longer refers to them.
    disowned: Vec<StripePayment>,
    /// The outcomes, if they are to be explained.
    outcomes: Option<Vec<Outcome>>,
    problem: Option<Problem>,
    /// Status words about which an issue was raised because their meaning is not known.
    unknown_words: BTreeSet<String>,
    found: Found,
    /// How long this backend had waited for Stripe when the run began.
    had_waited: Duration,
}

impl Report {
    pub(crate) fn open(kind: Kind, mode: Mode) -> Self {
        let row = RunRow::open(kind, mode);
        Self {
            kind,
            run: row.id(),
            row,
            keeps_details: true,
            totals: Totals {
                success: true,
                ..Totals::default()
            },
            checked: BTreeSet::new(),
            put_off: BTreeSet::new(),
            fixed: Vec::new(),
            issues: Vec::new(),
            errors: Vec::new(),
            disowned: Vec::new(),
            outcomes: None,
            problem: None,
            unknown_words: BTreeSet::new(),
            found: Found::nothing_yet(kind),
            had_waited: waited_for_threads(),
        }
    }

    /// Returns the number of invoices changed so far.
    pub(crate) fn fixed(&self) -> u64 {
        self.totals.invoices_fixed as u64
    }

    /// Omits details, for a run over several transactions; it saves its report after each.
    pub(crate) fn without_details(mut self) -> Self {
        self.keeps_details = false;
        self
    }

    /// Keeps the outcomes, for [`Self::into_findings`].
    pub(crate) fn keeping_outcomes(mut self) -> Self {
        self.outcomes = Some(Vec::new());
        self
    }

    /// Returns what a dry run found: the outcomes that were kept, and the issues that a run would raise.
    pub(crate) fn into_findings(self) -> (Vec<Outcome>, Vec<Value>) {
        (self.outcomes.unwrap_or_default(), self.issues)
    }

    /// Returns the run's number, to which rows may refer; `None` in a dry run.
    pub(crate) fn run(&self) -> Option<i64> {
        self.row.refer(&self.totals_with(&[]))
    }

    /// The totals so far, as they will be once these outcomes are added.
    fn totals_with(&self, settled: &[&Settled]) -> Totals {
        let ids = settled.iter().map(|settled| &settled.outcome.invoice.id);
        let new = ids.filter(|id| !self.checked.contains(*id)).count();
        let changed = settled
            .iter()
            .filter(|settled| !settled.outcome.changes.is_empty());
        let totals = &self.totals;
        Totals {
            invoices_checked: totals.invoices_checked + self.checked.len() + new,
            invoices_fixed: totals.invoices_fixed + changed.count(),
            waited: waited_for_threads() - self.had_waited,
            ..totals.clone()
        }
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

    /// Returns whether the run is incomplete.
    pub(crate) fn has_failed(&self) -> bool {
        self.problem.is_some()
    }

    /// Records a question, about an invoice or for events, that Stripe did not answer.
    pub(crate) fn note_stripe_error(&mut self, invoice: Option<&str>, error: &str) {
        self.totals.stripe_errors += 1;
        if self.keeps_details {
            self.errors
                .push(json!({ "invoiceId": invoice, "error": error }));
        }
    }

    /// Records why the run is incomplete.
    pub(crate) fn fail(&mut self, problem: Problem) {
        self.totals.success = false;
        self.problem = Some(problem);
    }

    /// As [`Self::fail`], and raises an issue, because nobody may read the result.
    pub(crate) fn fail_with_issue(&mut self, problem: Problem, why: Failure) {
        if let Some(run) = self.run() {
            self.found.suspect();
            issues::raise(run, &[(GENERAL, &why.issue(&problem))]);
        }
        self.fail(problem);
    }

    /// Raises an issue that is about no single invoice.
    pub(crate) fn add_general_issue(&mut self, issue: &Issue) {
        self.add_general_issues(&[issue]);
    }

    /// Raises several such issues, each of another kind or about another object.
    pub(crate) fn add_general_issues(&mut self, issues: &[&Issue]) {
        if self.run.is_some() && !issues.is_empty() {
            let run = self.run().unwrap_or_default();
            self.found.suspect();
            let general: Vec<_> = issues.iter().map(|issue| (GENERAL, *issue)).collect();
            issues::raise(run, &general);
            return;
        }
        for issue in issues {
            self.issues.push(issue_json(GENERAL, issue));
        }
    }

    /// Returns the issues about these payments at invoices that they are not linked to. Each payment comes with the
    /// invoices that it is linked to.
    pub(crate) fn find_let_go(
        &self,
        linked: &[(&StripePayment, &BTreeSet<String>)],
    ) -> Vec<AboutPayment> {
        if self.run.is_none() {
            return Vec::new();
        }
        let mut links: BTreeMap<&str, &BTreeSet<String>> = BTreeMap::new();
        for (payment, link) in linked {
            if !self.is_settled(payment.ids.each()) {
                links.extend(payment.ids.each().map(|id| (id, *link)));
            }
        }
        let mut found = payment_issues::about_payments(&links.keys().copied().collect());
        found.retain(|issue| !links[issue.object.as_str()].contains(&issue.invoice_id));
        found
    }

    /// Resolves these issues.
    pub(crate) fn resolve_let_go(&self, issues: &[AboutPayment]) {
        if let Some(run) = self.run() {
            payment_issues::resolve_about_payments(run, issues);
        }
    }

    /// Returns and clears the payments that invoices no longer refer to; the caller decides about each by itself.
    pub(crate) fn take_disowned(&mut self) -> Vec<StripePayment> {
        std::mem::take(&mut self.disowned)
    }

    /// Resolves an issue that is about no single invoice.
    pub(crate) fn resolve_general_issue(&self, kind: IssueKind) {
        if let Some(run) = self.run() {
            issues::resolve_general(run, kind);
        }
    }

    /// Resolves the outage for the kinds of questions that Stripe answered; it remains for the others.
    pub(crate) fn resolve_outage(&self, answered: &BTreeSet<Asked>) {
        if let Some(run) = (!answered.is_empty()).then(|| self.run()).flatten() {
            issues::resolve_outage(run, None, &names(answered));
        }
    }

    /// Returns the kinds of questions without an answer, now or according to the open issue.
    pub(crate) fn unanswered(&self, asked: Asked, answered: &BTreeSet<Asked>) -> Vec<String> {
        let mut unanswered = issues::unanswered();
        unanswered.retain(|before| !names(answered).contains(&before.as_str()));
        if !unanswered.iter().any(|before| before == asked.as_str()) {
            unanswered.push(asked.as_str().to_owned());
        }
        unanswered.sort_unstable();
        unanswered
    }

    /// Resolves the issue about missing webhooks if one was received since.
    pub(crate) fn resolve_webhooks_failing(&self) {
        if let Some(run) = self.run() {
            issues::resolve_webhooks_failing(run);
        }
    }

    /// Resolves the issues about these failed events.
    pub(crate) fn resolve_event_issues(&self, events: &[&String]) {
        let has_none = events.is_empty() || self.found.no_event_failed();
        if let Some(run) = (!has_none).then(|| self.run()).flatten() {
            payment_issues::resolve_events(run, events);
        }
    }

    /// Resolves the issues about unreadable events of payments that were looked up since.
    pub(crate) fn resolve_unread_events(&self, asked: &Value) {
        if let Some(run) = self.run() {
            payment_issues::resolve_unread_events(run, asked);
        }
    }

    /// Records a gap: Stripe keeps events for 30 days, and they were not read for longer than that.
    pub(crate) fn note_gap(&mut self, account: Option<&str>, gap: Gap) {
        self.totals.remark = Some(describe_gap(account, gap));
    }

    /// Records how many requests of the monthly budget were used before this run.
    pub(crate) fn note_usage(&mut self, usage: &Usage) {
        self.totals.monthly_reads = usage.to_json();
    }

    /// Adds outcomes, at most one for each invoice. Writes them to the ledger before anything else, because that
    /// may fail and be tried again.
    pub(crate) fn add<'s, 'e: 's>(
        &mut self,
        settled: impl Iterator<Item = &'s Settled<'e>>,
    ) -> Result<(), Problem> {
        let mut settled: Vec<&Settled> = settled.collect();
        // All sessions write invoices in this order.
        settled.sort_unstable_by(|a, b| a.outcome.invoice.id.cmp(&b.outcome.invoice.id));
        if let Some(run) = self.run.filter(|_| !settled.is_empty()) {
            let run = || self.row.refer(&self.totals_with(&settled)).unwrap_or(run);
            let concerns = write_down(run, &settled)?;
            self.found.note(concerns);
        }
        self.note_unknown_words(&settled);
        for settled in settled {
            self.disowned.extend(settled.disowned());
            self.add_outcome(&settled.outcome);
        }
        Ok(())
    }

    /// Returns whether nothing open was found about the payments with these ids, nor about events.
    pub(crate) fn is_settled<'i>(&self, ids: impl Iterator<Item = &'i str>) -> bool {
        self.found.are_unconcerned(ids)
    }

    /// Records that other sessions kept these invoices from being written.
    pub(crate) fn note_put_off(&mut self, invoices: &[String]) {
        self.put_off.extend(invoices.iter().cloned());
    }

    pub(crate) fn was_put_off(&self, invoice: &str) -> bool {
        self.put_off.contains(invoice)
    }

    /// Raises the issues about status words whose meaning is not known, each once in a run.
    fn note_unknown_words(&mut self, settled: &[&Settled]) {
        let words = settled.iter();
        let words = words.filter_map(|settled| settled.outcome.plan.unknown_word.as_ref());
        let words: BTreeSet<String> = words.cloned().collect();
        let new: Vec<Issue> = words
            .difference(&self.unknown_words)
            .map(|word| unknown_word::issue(word))
            .collect();
        self.add_general_issues(&new.iter().collect::<Vec<_>>());
        self.unknown_words.extend(words);
    }

    /// Ends the checks and resolves the issues of invoices that no longer exist.
    pub(crate) fn note_gone(&self, invoices: &[&str]) {
        if let Some(run) = (!invoices.is_empty()).then(|| self.run()).flatten() {
            issues::resolve_gone(run, invoices);
            checks::end(invoices);
        }
    }

    fn add_outcome(&mut self, outcome: &Outcome) {
        let invoice = &outcome.invoice;
        if let Some(kept) = &mut self.outcomes {
            kept.push(outcome.clone());
        }
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

    /// Saves the figures so far in the run's row, so that they survive an error.
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
        self.row.save(&self.totals, state);
    }

    /// Ends the run. Returns the JSON for the caller.
    pub(crate) fn close(self) -> Value {
        self.finish().into_json()
    }

    /// As [`Self::close`], if nobody gets the JSON.
    pub(crate) fn finish(mut self) -> Self {
        if let Some(run) = self
            .run
            .filter(|_| self.keeps_details && self.found.may_be_open)
        {
            self.issues = issues::standing(run, &self.checked);
        }
        self.count(State::Finished);
        // The next sweep alerts of what a webhook opened: a storm of webhooks makes one mail.
        if let Some(run) = self.run.filter(|_| self.kind != Kind::Webhook) {
            outbox::digest(run);
        }
        self
    }

    fn into_json(self) -> Value {
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

/// Returns an issue as JSON, for the result of a dry run.
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

fn describe_gap(account: Option<&str>, gap: Gap) -> String {
    let whose = account.map_or("its".to_owned(), |of| format!("the account {of}'s"));
    let hours = (gap.until - gap.since + 3599) / 3600;
    format!(
        "Stripe no longer has the events of {hours} hours, because they were not read within 30 days; run_sweep reads {whose} lists instead (see invoice_sync.progress)."
    )
}
