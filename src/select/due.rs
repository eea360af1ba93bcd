//! Selects the work of a sweep: events, invoices that are due or have an open issue, and the next range of the scan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::apply::contention::leave_out_locked;
use crate::apply::context::Mode;
use crate::apply::orphans::{Orphan, orphans};
use crate::apply::report::Report;
use crate::domain::identity::PaymentIds;
use crate::host::find::{InvoiceKeys, invoices_of, those_there};
use crate::host::mapping::Mapping;
use crate::host::scan::ScanMethod;
use crate::ledger::events::{self, Waiting};
use crate::ledger::scan_rounds;
use crate::ledger::scan_rounds::Round;
use crate::ledger::{checks, issues, payment_issues, shared_payments};
use crate::pg::Problem;
use crate::select::candidates::{Candidate, CandidateFilter};

/// How many rows one statement and one run examine: at least, and if more are overdue.
const ROWS: std::ops::RangeInclusive<usize> = 1_000..=10_000;

/// How many payments without an invoice one run tries to link, and how many booked by several invoices it examines.
const MOST_UNCLAIMED: usize = 1_000;

/// So few overdue rows do not need another range, because the number of rows in a block is only an estimate.
const NEGLIGIBLE_ROWS: f64 = 100.0;

/// Selects the work of one run, batch by batch, each item once.
pub(crate) struct WorkSelection<'a> {
    mapping: &'a Mapping,
    mode: Mode,
    /// When the run began, in seconds since 1970.
    now: f64,
    /// How long the run may scan invoices that nothing else selected.
    budget: Duration,
    /// About how many invoices without an event Stripe may still be asked.
    checks: usize,
    issues_are_taken: bool,
    /// The events and the due invoices that were selected. They may still be due, because another session has locked
    /// their rows.
    taken: Taken,
    /// Invoices that were due and are decided about by their rows: their checks end once that is done.
    ending: Vec<String>,
    /// The position of the scan over all invoices, as stored and as reached now.
    round: Round,
    scan: ScanMethod,
    place: Option<String>,
    /// Rows still to be scanned in this run, however long it takes.
    owed: f64,
    /// Rows scanned since the position was last stored.
    passed: Option<usize>,
    scan_is_done: bool,
}

/// A batch of work.
#[derive(Default)]
pub(crate) struct SelectedWork {
    /// Each with the invoice that refers to the payment, if it is known already.
    pub(crate) events: Vec<(Waiting, Option<String>)>,
    pub(crate) invoices: Vec<Candidate>,
    pub(crate) orphans: Vec<Orphan>,
    /// Ids of payments that several invoices may have booked.
    pub(crate) booked: BTreeSet<String>,
}

impl SelectedWork {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.invoices.is_empty() && self.orphans.is_empty()
    }

    fn len(&self) -> usize {
        self.events.len() + self.invoices.len()
    }

    /// Keeps as many questions as `checks` allows. Returns the invoices whose questions are kept, and those whose
    /// questions are dropped: a later run asks about these, and this run decides about them by their rows.
    fn limit_questions(&mut self, checks: &mut usize) -> (Vec<String>, Vec<String>) {
        let (mut asked, mut not_asked) = (Vec::new(), Vec::new());
        for candidate in &mut self.invoices {
            if candidate.ids.is_empty() {
                continue;
            }
            if *checks > 0 {
                *checks -= 1;
                asked.push(candidate.invoice.clone());
            } else {
                candidate.ids.clear();
                not_asked.push(candidate.invoice.clone());
            }
        }
        (asked, not_asked)
    }

    /// Removes the questions of invoices that an event asks already. Returns these invoices.
    fn merge_into_events(&mut self) -> Vec<String> {
        let mut joined = Vec::new();
        let mut events_by_id: BTreeMap<String, &mut Option<String>> = self
            .events
            .iter_mut()
            .map(|(waiting, invoice)| (waiting.money.to_string(), invoice))
            .collect();
        let mut seen = BTreeSet::new();
        self.invoices.retain(|candidate| {
            let is_new = seen.insert(candidate.invoice.clone());
            let asked = candidate.ids.iter().all(|id| events_by_id.contains_key(id));
            let to_ask = asked && !candidate.ids.is_empty();
            for id in candidate.ids.iter().filter(|_| to_ask) {
                if let Some(invoice) = events_by_id.get_mut(id) {
                    **invoice = Some(candidate.invoice.clone());
                }
            }
            if to_ask {
                joined.push(candidate.invoice.clone());
            }
            is_new && !to_ask
        });
        joined
    }
}

impl<'a> WorkSelection<'a> {
    /// `now` is when the run began; what becomes due later is selected by the next run.
    pub(crate) fn new(
        mapping: &'a Mapping,
        mode: Mode,
        now: f64,
        budget: Duration,
        checks: usize,
    ) -> Self {
        let round = scan_rounds::current(&mapping.invoices.table, &mapping.payments.table);
        Self {
            mapping,
            mode,
            now,
            budget,
            checks,
            issues_are_taken: false,
            taken: Taken::default(),
            ending: Vec::new(),
            place: round.place.clone(),
            owed: round.owed.max(*ROWS.start() as f64),
            round,
            scan: ScanMethod::through(mapping),
            passed: None,
            scan_is_done: false,
        }
    }

    /// Returns the next batch, of about `limit` items; empty at the end. A dry run selects no events.
    pub(crate) fn next(&mut self, limit: usize) -> Result<SelectedWork, Problem> {
        let mut selected = SelectedWork::default();
        if self.mode == Mode::Write {
            let events = &self.taken.events;
            let is_taken = |it: &Waiting| it.events.iter().all(|id| events.contains(id));
            let waiting = not_taken(limit, |limit| events::waiting(limit, self.now), is_taken);
            let ids = waiting.iter().flat_map(|it| it.events.iter().cloned());
            self.taken.events.extend(ids);
            selected.events = waiting.into_iter().map(|it| (it, None)).collect();
        }
        let judge = CandidateFilter::new(self.now);
        self.take_due(&judge, limit, &mut selected)?;
        self.take_issues(&judge, limit, &mut selected);
        self.scan_further(&judge, limit, &mut selected);

        let mut due = selected.merge_into_events();
        let (asked, not_asked) = selected.limit_questions(&mut self.checks);
        // If the event cannot be acted on, the invoice is due.
        due.extend(not_asked);
        self.taken
            .invoices
            .extend(asked.iter().chain(&due).cloned());
        if self.mode == Mode::Write {
            leave_out_locked(&asked, checks::leave_due)?;
            leave_out_locked(&due, checks::mark_due)?;
        }
        Ok(selected)
    }

    /// Allows these events to be selected again, because they became due anew.
    pub(crate) fn select_again(&mut self, events: &[String]) {
        for event in events {
            self.taken.events.remove(event);
        }
    }

    /// Once the selected invoices are processed: stores the position of the scan, and ends the checks of those whose rows
    /// told enough. If a run ends earlier, the next one has them again.
    pub(crate) fn keep_place(&mut self, report: &Report) -> Result<(), Problem> {
        let mut ending = std::mem::take(&mut self.ending);
        ending.retain(|invoice| !report.was_put_off(invoice));
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        if let Some(rows) = self.passed.take() {
            self.round.advance(self.place.as_deref(), rows);
        }
        leave_out_locked(&ending, |ending| checks::end_due(ending, self.now))
    }

    fn take_due(
        &mut self,
        judge: &CandidateFilter,
        limit: usize,
        selected: &mut SelectedWork,
    ) -> Result<(), Problem> {
        let limit = limit.saturating_sub(selected.len()).min(self.checks);
        let taken = &self.taken.invoices;
        let due = not_taken(
            limit,
            |limit| checks::due(limit, self.now),
            |id| taken.contains(id),
        );
        if due.is_empty() {
            return Ok(());
        }
        self.taken.invoices.extend(due.iter().cloned());
        let found = judge.among(self.mapping, &due);
        if self.mode == Mode::Write {
            let still: BTreeSet<&str> = found.iter().map(|it| it.invoice.as_str()).collect();
            let settled = due.iter().map(String::as_str);
            let settled: Vec<&str> = settled.filter(|id| !still.contains(id)).collect();
            leave_out_locked(&settled, checks::end)?;
            let by_rows = found.iter().filter(|it| it.ids.is_empty());
            self.ending.extend(by_rows.map(|it| it.invoice.clone()));
        }
        selected.invoices.extend(found);
        Ok(())
    }

    /// Selects the invoices with an open issue: every run decides about them again, because the issue may be
    /// resolved.
    fn take_issues(&mut self, judge: &CandidateFilter, limit: usize, selected: &mut SelectedWork) {
        if std::mem::replace(&mut self.issues_are_taken, true) {
            return;
        }
        self.take_claimed(judge, selected);
        selected.orphans = orphans(self.mapping, MOST_UNCLAIMED);
        selected
            .booked
            .extend(shared_payments::open(MOST_UNCLAIMED));
        let invoices = issues::open_invoices(limit.saturating_sub(selected.len()));
        if invoices.is_empty() {
            return;
        }
        selected
            .invoices
            .extend(judge.among(self.mapping, &invoices));
        let judged_alone = invoices.into_iter().map(Candidate::by_its_rows);
        selected.invoices.extend(judged_alone);
    }

    /// Selects money that named an invoice which did not exist then and exists now: Stripe is asked about it in
    /// addition to the invoice's own ids.
    fn take_claimed(&self, judge: &CandidateFilter, selected: &mut SelectedWork) {
        let unclaimed = payment_issues::unclaimed(MOST_UNCLAIMED);
        if unclaimed.is_empty() {
            return;
        }
        let ids: Vec<PaymentIds> = unclaimed
            .iter()
            .map(|money| PaymentIds::from_columns([Some(money.object.as_str())]))
            .collect();
        let keys = ids.iter().zip(&unclaimed).map(|(ids, money)| InvoiceKeys {
            ids,
            former_ids: &[],
            references: &money.names,
            but_for: None,
        });
        let mut found = invoices_of(self.mapping, &keys.collect::<Vec<_>>());
        // The ledger also has invoices that no longer exist.
        let there = those_there(
            self.mapping,
            &found
                .iter()
                .flat_map(|link| &link.invoices)
                .map(String::as_str)
                .collect(),
        );
        for link in &mut found {
            link.invoices.retain(|invoice| there.contains(invoice));
        }
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut still: Vec<&str> = Vec::new();
        for (money, link) in unclaimed.iter().zip(found) {
            if link.invoices.is_empty() {
                still.push(&money.object);
            }
            for invoice in link.invoices {
                claims
                    .entry(invoice)
                    .or_default()
                    .push(money.object.clone());
            }
        }
        if self.mode == Mode::Write && !still.is_empty() {
            payment_issues::refresh_unclaimed(&still);
        }
        let invoices: Vec<String> = claims.keys().cloned().collect();
        let mut in_question: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for candidate in judge.among(self.mapping, &invoices) {
            in_question.insert(candidate.invoice.clone(), candidate.in_question);
            let more = claims.entry(candidate.invoice).or_default();
            more.extend(candidate.ids);
        }
        let claiming = claims.into_iter().map(|(invoice, ids)| Candidate {
            in_question: in_question.remove(&invoice).unwrap_or_default(),
            invoice,
            ids,
        });
        selected.invoices.splice(..0, claiming);
    }

    /// Scans further ranges of all invoices: as far as the time budget allows, as far as needed for the scan to
    /// finish in time, and further while there are invoices that Stripe was never asked about.
    fn scan_further(&mut self, judge: &CandidateFilter, limit: usize, selected: &mut SelectedWork) {
        while !self.scan_is_done && selected.len() < limit {
            let begun = Instant::now();
            let size = (self.owed.ceil() as usize).clamp(*ROWS.start(), *ROWS.end());
            let range = self.scan.next_range(
                self.mapping,
                self.place.as_deref(),
                size,
                self.round.basis,
                &judge.invoices_in_question,
            );
            selected.booked.extend(range.booked);
            let room = limit - selected.len();
            let mut found = judge.candidates(self.mapping, range.candidates);
            let (mut next, mut rows) = (range.next, range.rows);
            if found.len() > room {
                found.truncate(room);
                next = found.last().map(|(place, _)| place.clone());
                // The range had fewer rows; counting starts again with the next one.
                rows = 0;
            }
            let taken = &self.taken.invoices;
            let found = found.into_iter().map(|(_, candidate)| candidate);
            let found = found.filter(|it| it.ids.is_empty() || !taken.contains(&it.invoice));
            let already = selected.invoices.len();
            selected.invoices.extend(found);
            let has_new = self.checks > 0
                && selected.invoices[already..]
                    .iter()
                    .any(|candidate| !candidate.ids.is_empty());
            self.owed -= rows as f64;
            self.scan_is_done = next.is_none();
            self.place = next;
            self.passed = Some(self.passed.unwrap_or_default() + rows);
            self.budget = self.budget.saturating_sub(begun.elapsed());
            if self.budget.is_zero() && self.owed < NEGLIGIBLE_ROWS && !has_new {
                self.scan_is_done = true;
            }
        }
    }
}

/// What a run has selected.
#[derive(Default)]
struct Taken {
    events: BTreeSet<String>,
    invoices: BTreeSet<String>,
}

/// Returns up to `limit` items of those that `fetch` returns, the first of them, without those that were taken already.
fn not_taken<T>(
    limit: usize,
    fetch: impl Fn(usize) -> Vec<T>,
    is_taken: impl Fn(&T) -> bool,
) -> Vec<T> {
    let mut taken = 0;
    loop {
        let most = limit.saturating_add(taken);
        let mut found = fetch(most);
        let is_all = found.len() < most;
        let before = found.len();
        found.retain(|it| !is_taken(it));
        let now = before - found.len();
        if is_all || now == taken {
            return found;
        }
        taken = now;
    }
}
