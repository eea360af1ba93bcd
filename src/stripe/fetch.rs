//! Fetches evidence for many lookups at once, by pages of lists and single requests, on threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use serde_json::Value;

use crate::domain::evidence::{Evidence, SessionSide, StripePayment};
use crate::domain::identity::StripeId;
use crate::pg::{Problem, Running, Step, Stop, start_on_threads, unpoisoned};
use crate::stripe::client::Client;
use crate::stripe::connections::Connections;
use crate::stripe::cost::{Cost, Planned};
use crate::stripe::error::StripeError;
use crate::stripe::fetch_account::{Answered, by_account, ids_of_several, of_all};
use crate::stripe::invoices::with_invoice_of;
use crate::stripe::lists::{List, Page};
use crate::stripe::lookups::{
    Found, Job, LookupQueue, OpenQuestion, Question, is_evidence_for, read_found,
};
use crate::stripe::objects::Reading;
use crate::stripe::planner::Scan;
use crate::stripe::retrieve::{complete, retrieve};
use crate::stripe::sessions::{AllSessions, join_sessions, with_session};

/// After this many failed requests in a row, Stripe counts as unreachable and the run ends.
const FAILURES_THAT_END_A_RUN: u32 = 5;

/// The outcome of one lookup.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) about: String,
    pub(crate) evidence: Result<Vec<Evidence>, StripeError>,
}

/// All findings and their cost.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// In the order of the lookups.
    pub(crate) findings: Vec<Finding>,
    pub(crate) cost: Cost,
}

/// A fetch in progress. Dropping it stops its threads.
pub(crate) struct Fetching {
    running: Running<Vec<Answered>>,
    states: Vec<Arc<OfAccount>>,
    /// Lookups of accounts that cannot be asked.
    refused: Vec<Answered>,
    /// The accounts that cannot be asked, with the reason.
    refused_accounts: BTreeMap<String, Option<StripeError>>,
    /// What each lookup is about, until it is answered.
    unanswered: Vec<Option<String>>,
}

/// The part of a fetch that goes to one Stripe account. It knows ids as Stripe writes them.
struct OfAccount {
    /// `None` is the key's own.
    account: Option<String>,
    /// The indexes of its lookups among those of all accounts.
    places: Vec<usize>,
    state: FetchState,
}

/// The evidence for one id.
type Retrieved = Result<Vec<Evidence>, StripeError>;

/// What the threads of one fetch share.
pub(super) struct FetchState {
    client: Client,
    reading: Reading,
    queue: Mutex<LookupQueue>,
    sessions: AllSessions,
    /// The ids that several lookups ask about: requested once, so that all these lookups have the same answer, of the
    /// same age.
    shared: BTreeMap<String, OnceLock<Retrieved>>,
    list_pages: AtomicU64,
    from_lists: AtomicU64,
    singles: AtomicU64,
    failures_in_a_row: AtomicU32,
    fatal: Mutex<Option<StripeError>>,
}

/// Runs all lookups and waits for all answers. See [`Fetching::start`].
pub(crate) fn fetch(
    questions: Vec<Question>,
    connections: impl Into<Connections>,
    reading: Reading,
    deadline: Instant,
) -> Result<Fetched, Problem> {
    let fetching = Fetching::start(questions, connections, reading, deadline)?;
    Ok(fetching.collect(Running::next))
}

/// A function that waits for the next answers, such as [`Running::next`].
type Wait = fn(&mut Running<Vec<Answered>>) -> Option<Vec<Answered>>;

impl Fetching {
    /// Starts all lookups, with at most as many requests at a time as the connection allows, until `deadline`. Each goes
    /// to the account of its ids. Pages of lists answer many lookups if that takes fewer requests, see
    /// [`crate::stripe::planner`].
    ///
    /// The lookups of an account end after one answer if Stripe rejects the key, and after
    /// [`FAILURES_THAT_END_A_RUN`] failures if Stripe cannot be reached; those of others go on. Fails with 53000 if no
    /// thread can be started.
    pub(crate) fn start(
        questions: Vec<Question>,
        connections: impl Into<Connections>,
        reading: Reading,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let connections = connections.into();
        let threads = connections.concurrency().min(questions.len());
        let unanswered = questions.iter().map(|q| Some(q.about.clone())).collect();
        let (mut states, mut jobs, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused_accounts = BTreeMap::new();
        for (account, asked) in by_account(questions) {
            let (places, questions): (Vec<usize>, Vec<Question>) = asked.into_iter().unzip();
            let connection = match connections.to(account.as_deref()) {
                Ok(connection) => connection,
                Err(error) => {
                    refused.extend(places.into_iter().map(|place| (place, Err(error.clone()))));
                    refused_accounts.extend(account.map(|account| (account, Some(error))));
                    continue;
                }
            };
            let ids_asked_twice = ids_of_several(&questions);
            let mut queue =
                LookupQueue::new(questions, connection.concurrency, connection.key.livemode());
            let which = states.len();
            jobs.extend(queue.next_jobs().into_iter().map(|job| (which, job)));
            let client = match threads {
                1 => Client::of_one_thread(connection, deadline),
                _ => Client::new(connection, deadline),
            };
            let state = FetchState::new(queue, ids_asked_twice, client, reading.clone());
            states.push(Arc::new(OfAccount {
                account,
                places,
                state,
            }));
        }
        let shared = states.clone();
        let running = start_on_threads(jobs, threads, deadline, move |(which, job), stop| {
            let of: &OfAccount = &shared[which];
            let step = of.state.work(job, stop);
            Step {
                portion: of_all(of.account.as_deref(), &of.places, step.portion),
                then: step.then.into_iter().map(|job| (which, job)).collect(),
            }
        })?;
        Ok(Self {
            running,
            states,
            unanswered,
            refused,
            refused_accounts,
        })
    }

    /// Waits for the next findings, interruptibly; `None` at the end. Each lookup gets one finding; lookups that the
    /// deadline prevented come last.
    pub(crate) fn next(&mut self) -> Option<Vec<Finding>> {
        let answers = self.next_answers(Running::next)?;
        Some(without_indexes(answers))
    }

    /// Returns findings that have arrived already, without waiting.
    pub(crate) fn at_hand(&mut self) -> Option<Vec<Finding>> {
        let answers = self.running.at_hand()?;
        Some(without_indexes(self.findings(answers)))
    }

    /// As [`Self::next`], for tests without a server.
    #[cfg(test)]
    pub(super) fn next_without_server(&mut self) -> Option<Vec<Finding>> {
        let answers = self.next_answers(Running::next_without_server)?;
        Some(without_indexes(answers))
    }

    /// Waits for the remaining findings. Returns them with the whole cost.
    pub(super) fn collect(mut self, wait: Wait) -> Fetched {
        let mut findings = Vec::new();
        while let Some(answers) = self.next_answers(wait) {
            findings.extend(answers);
        }
        findings.sort_by_key(|(index, _)| *index);
        Fetched {
            findings: findings.into_iter().map(|(_, finding)| finding).collect(),
            cost: self.cost(),
        }
    }

    /// Returns the cost so far; after the end, the whole cost.
    pub(crate) fn cost(&self) -> Cost {
        let mut all = Cost {
            accounts: self.refused_accounts.clone(),
            ..Cost::default()
        };
        for of in &self.states {
            all.add(of.account.as_deref(), of.state.cost());
        }
        all
    }

    fn next_answers(&mut self, wait: Wait) -> Option<Vec<(usize, Finding)>> {
        let refused = std::mem::take(&mut self.refused);
        if !refused.is_empty() {
            return Some(self.findings(refused));
        }
        while let Some(answers) = wait(&mut self.running) {
            let findings = self.findings(answers);
            if !findings.is_empty() {
                return Some(findings);
            }
        }
        let rest = self.not_asked();
        Some(self.findings(rest)).filter(|findings| !findings.is_empty())
    }

    /// Returns the first answer to each lookup.
    fn findings(&mut self, answers: Vec<Answered>) -> Vec<(usize, Finding)> {
        let finding = |(index, evidence): Answered| {
            let about = self.unanswered.get_mut(index)?.take()?;
            Some((index, Finding { about, evidence }))
        };
        answers.into_iter().filter_map(finding).collect()
    }

    fn not_asked(&self) -> Vec<Answered> {
        let indexes = self.unanswered.iter().enumerate();
        indexes
            .filter(|(_, about)| about.is_some())
            .map(|(index, _)| (index, Err(StripeError::NotAsked)))
            .collect()
    }
}

fn without_indexes(answers: Vec<(usize, Finding)>) -> Vec<Finding> {
    answers.into_iter().map(|(_, finding)| finding).collect()
}

impl FetchState {
    fn new(queue: LookupQueue, shared: BTreeSet<String>, client: Client, reading: Reading) -> Self {
        Self {
            client,
            reading,
            queue: Mutex::new(queue),
            sessions: AllSessions::default(),
            shared: shared.into_iter().map(|id| (id, OnceLock::new())).collect(),
            list_pages: AtomicU64::new(0),
            from_lists: AtomicU64::new(0),
            singles: AtomicU64::new(0),
            failures_in_a_row: AtomicU32::new(0),
            fatal: Mutex::new(None),
        }
    }

    fn cost(&self) -> Cost {
        Cost {
            requests: self.client.requests(),
            retries: self.client.retries(),
            planned: Planned {
                list_pages: self.list_pages.load(Ordering::Relaxed),
                from_lists: self.from_lists.load(Ordering::Relaxed),
                singles: self.singles.load(Ordering::Relaxed),
            },
            fatal: self.fatal().clone(),
            own_requests: self.client.requests(),
            accounts: BTreeMap::new(),
        }
    }

    fn work(&self, job: Job, stop: &Stop) -> Step<Job, Vec<Answered>> {
        match job {
            Job::Answer(index, open) => Step {
                portion: vec![(index, self.answer(open, stop))],
                then: Vec::new(),
            },
            Job::Page(list, scan) => self.scan_page(list, scan, stop),
        }
    }

    /// Reads the next page of a scan, answers the lookups that it completes, and plans further requests.
    fn scan_page(&self, list: List, scan: Scan, stop: &Stop) -> Step<Job, Vec<Answered>> {
        let page = self.read_page(list, &scan, stop).and_then(|page| {
            let found = self.find_wanted(&page, stop)?;
            Ok((page, found))
        });
        let mut queue = unpoisoned(self.queue.lock());
        let (answered, mut then) = match page {
            Ok((page, found)) => {
                let (taken, answered) = self.deliver(found, &mut queue);
                let next = queue.continue_scan(list, scan, &page.contents(), &taken);
                (answered, Vec::from_iter(next))
            }
            Err(error) => {
                queue.page_failed(scan, &error);
                (Vec::new(), Vec::new())
            }
        };
        then.extend(queue.next_jobs());
        drop(queue);
        let (incomplete, complete): (Vec<_>, Vec<_>) = answered
            .into_iter()
            .partition(|(_, open)| open.has_open_points());
        then.extend(
            incomplete
                .into_iter()
                .map(|(index, open)| Job::Answer(index, open)),
        );
        let portion = complete
            .into_iter()
            .map(|(index, open)| (index, self.answer(open, stop)))
            .collect();
        Step { portion, then }
    }

    fn read_page(&self, list: List, scan: &Scan, stop: &Stop) -> Result<Page, StripeError> {
        if self.fatal().is_some() {
            return Err(StripeError::NotAsked);
        }
        let page = list.read_page(&self.client, scan.start(), stop);
        if !matches!(page, Err(StripeError::NotAsked)) {
            self.list_pages.fetch_add(1, Ordering::Relaxed);
        }
        self.check_fatal(page)
    }

    /// Returns the wanted objects of a page, with their ids. Objects that cannot be read are left out, so that they
    /// are requested one by one and fail with their own error.
    fn find_wanted(&self, page: &Page, stop: &Stop) -> Result<Vec<(String, Found)>, StripeError> {
        let wanted: Vec<(&str, &Value)> = {
            let queue = unpoisoned(self.queue.lock());
            let named = page.objects.iter();
            let named = named.filter_map(|object| Some((object.get("id")?.as_str()?, object)));
            named.filter(|(id, _)| queue.waits_for(id)).collect()
        };
        let mut found: Vec<(String, Found)> = wanted
            .into_iter()
            .filter_map(|(id, object)| {
                let found = read_found(object, &self.reading, page).ok()?;
                Some((id.to_owned(), found))
            })
            .collect();
        for (id, found) in &mut found {
            if unpoisoned(self.queue.lock()).is_sessionless(id) {
                found.payment.session_side = SessionSide::Read;
            }
        }
        if let Some(time) = page.contents().time() {
            let payments = found.iter_mut().map(|(_, found)| &mut found.payment);
            let pages = join_sessions(
                &self.client,
                payments,
                time,
                &self.reading,
                &self.sessions,
                stop,
            );
            self.list_pages
                .fetch_add(self.check_fatal(pages)?, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Passes objects to the lookups that wait for them. Returns the ids that were found, and the lookups that are
    /// complete.
    fn deliver(
        &self,
        found: Vec<(String, Found)>,
        queue: &mut LookupQueue,
    ) -> (Vec<String>, Vec<(usize, OpenQuestion)>) {
        let (mut taken, mut answered) = (Vec::new(), Vec::new());
        for (id, found) in found {
            answered.extend(queue.deliver(&id, &found));
            taken.push(id);
        }
        let count = u64::try_from(taken.len()).unwrap_or_default();
        self.from_lists.fetch_add(count, Ordering::Relaxed);
        (taken, answered)
    }

    /// Returns the evidence for one lookup: objects found on pages, and the rest by retrieval.
    fn answer(&self, mut open: OpenQuestion, stop: &Stop) -> Result<Vec<Evidence>, StripeError> {
        let mut evidence: Vec<Evidence> = Vec::new();
        let sessionless = std::mem::take(&mut open.sessionless);
        for text in std::mem::take(&mut open.ids) {
            if self.fatal().is_some() {
                return Err(StripeError::NotAsked);
            }
            let Some(id) = StripeId::parse(&text) else {
                evidence.push(Evidence::NotAnId { text });
                continue;
            };
            if evidence.iter().any(|known| is_evidence_for(known, &id)) {
                continue;
            }
            let found = open.take_found(&id);
            let evidence_of_id = || self.evidence_of(&id, found, &sessionless, stop);
            evidence.extend(match self.shared.get(id.as_str()) {
                Some(shared) => shared.get_or_init(evidence_of_id).clone()?,
                None => evidence_of_id()?,
            });
        }
        Ok(evidence)
    }

    /// Returns the evidence for one id: the object that a page had, or that Stripe has now.
    fn evidence_of(
        &self,
        id: &StripeId,
        found: Option<Found>,
        sessionless: &BTreeSet<String>,
        stop: &Stop,
    ) -> Retrieved {
        let findings = match found {
            Some(found) => self.complete(found, stop),
            None => {
                self.singles.fetch_add(1, Ordering::Relaxed);
                retrieve(&self.client, id, &self.reading, stop)
            }
        };
        let with_session = |finding| match finding {
            Evidence::Payment(payment) => self.add_session(payment, sessionless, stop),
            other => Ok(other),
        };
        let findings = self.check_fatal(findings)?;
        findings.into_iter().map(with_session).collect()
    }

    /// Adds the session to an intent's payment, because an intent is not decided without it: see
    /// [`crate::stripe::sessions`].
    fn add_session(
        &self,
        mut payment: StripePayment,
        sessionless: &BTreeSet<String>,
        stop: &Stop,
    ) -> Result<Evidence, StripeError> {
        let intent = payment.ids.intent.as_ref();
        if intent.is_some_and(|intent| sessionless.contains(intent)) {
            payment.session_side = SessionSide::Read;
        }
        let was_unread = payment.lacks_session();
        let mut payment =
            self.check_fatal(with_session(&self.client, payment, &self.reading, stop))?;
        let may_have_invoice = was_unread && payment.ids.origin().is_none();
        if may_have_invoice && self.reading.stripe_invoices && !self.client.is_before_basil() {
            let asked = with_invoice_of(payment, &self.client, &self.reading, stop);
            payment = self.check_fatal(asked)?;
        }
        Ok(Evidence::Payment(payment))
    }

    /// Completes an object from a page.
    fn complete(&self, found: Found, stop: &Stop) -> Result<Vec<Evidence>, StripeError> {
        let Found { payment, open } = found;
        let payments = complete(payment, &open, &self.client, &self.reading, stop)?;
        Ok(payments.into_iter().map(Evidence::Payment).collect())
    }

    /// Ends the fetch if every other request would fail as well. Returns the answer unchanged.
    fn check_fatal<T>(&self, answer: Result<T, StripeError>) -> Result<T, StripeError> {
        let ends_fetch = match &answer {
            Ok(_) => {
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                false
            }
            Err(StripeError::Unreachable { .. }) => {
                let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                failures >= FAILURES_THAT_END_A_RUN
            }
            Err(other) => other.ends_the_run(),
        };
        if let Err(error) = &answer
            && ends_fetch
        {
            self.fatal().get_or_insert_with(|| error.clone());
        }
        answer
    }

    fn fatal(&self) -> MutexGuard<'_, Option<StripeError>> {
        unpoisoned(self.fatal.lock())
    }
}
