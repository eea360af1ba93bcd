//! Fetches evidence for many lookups at once, by pages of lists and single requests, on threads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::Value;

use crate::domain::evidence::{Evidence, SessionSide, StripePayment};
use crate::domain::identity::StripeId;
use crate::pg::{Problem, Running, Step, Stop, start_on_threads, unpoisoned};
use crate::stripe::client::{Client, Connection};
use crate::stripe::error::StripeError;
use crate::stripe::lists::{List, Page};
use crate::stripe::lookups::{Found, Job, LookupQueue, Open, Question, speaks_of};
use crate::stripe::objects;
use crate::stripe::objects::Reading;
use crate::stripe::planner::Walk;
use crate::stripe::retrieve::{disputes, retrieve};
use crate::stripe::sessions::{join_sessions, with_session};

/// So many questions in a row without an answer, and Stripe counts as unreachable.
const FAILURES_THAT_END_A_RUN: u32 = 5;

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) about: String,
    pub(crate) evidence: Result<Vec<Evidence>, StripeError>,
}

/// How the questions were put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Pages of lists asked for.
    pub(crate) list_pages: u64,
    /// Objects that were found on them.
    pub(crate) from_lists: u64,
    /// Objects that were asked for one by one.
    pub(crate) singles: u64,
}

/// What was spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Retries included.
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) planned: Planned,
    /// The error for which no further question was put.
    pub(crate) fatal: Option<StripeError>,
}

/// All findings, and what they cost.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// In the order of the questions.
    pub(crate) findings: Vec<Finding>,
    pub(crate) cost: Cost,
}

/// Questions that are being asked. Dropping it ends the asking.
pub(crate) struct Fetching {
    running: Running<Vec<Answered>>,
    round: Arc<Round>,
    /// What each question is about, until it is answered.
    unanswered: Vec<Option<String>>,
}

/// The place of a question, and its answer.
pub(super) type Answered = (usize, Result<Vec<Evidence>, StripeError>);

/// What the threads of one gathering share.
pub(super) struct Round {
    client: Client,
    reading: Reading,
    queue: Mutex<LookupQueue>,
    list_pages: AtomicU64,
    from_lists: AtomicU64,
    singles: AtomicU64,
    failures_in_a_row: AtomicU32,
    fatal: Mutex<Option<StripeError>>,
}

/// Puts all questions and waits for all answers: see [`Fetching::start`].
pub(crate) fn fetch(
    questions: Vec<Question>,
    connection: Connection,
    reading: Reading,
    deadline: Instant,
) -> Result<Fetched, Problem> {
    let gathering = Fetching::start(questions, connection, reading, deadline)?;
    Ok(gathering.collect(Running::next))
}

/// How the next answers are waited for: [`Running::next`].
type Wait = fn(&mut Running<Vec<Answered>>) -> Option<Vec<Answered>>;

impl Fetching {
    /// Begins to put all questions, at most `connection.concurrency` at a time,
    /// until `deadline`. Many are answered by pages of lists where that is fewer
    /// requests: see [`crate::stripe::planner`].
    ///
    /// A key that Stripe rejects ends the round after one answer, and a Stripe that
    /// cannot be reached after a few. Fails with 53000 where no thread can be started.
    pub(crate) fn start(
        questions: Vec<Question>,
        connection: Connection,
        reading: Reading,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let threads = connection.concurrency.min(questions.len());
        let unanswered = questions.iter().map(|q| Some(q.about.clone())).collect();
        let mut queue =
            LookupQueue::new(questions, connection.concurrency, connection.key.livemode());
        let jobs = queue.next_jobs();
        let round = Arc::new(Round::new(queue, connection, reading, deadline));
        let shared = Arc::clone(&round);
        let running = start_on_threads(jobs, threads, deadline, move |job, stop| {
            shared.work(job, stop)
        })?;
        Ok(Self {
            running,
            round,
            unanswered,
        })
    }

    /// Waits for the next findings, interruptibly; `None` at the end. Each question
    /// has one finding in all; what was not asked in time comes last.
    pub(crate) fn next(&mut self) -> Option<Vec<Finding>> {
        let answers = self.next_answers(Running::next)?;
        Some(without_places(answers))
    }

    /// Findings that are there already: none may be, and more may come.
    pub(crate) fn at_hand(&mut self) -> Option<Vec<Finding>> {
        let answers = self.running.at_hand()?;
        Some(without_places(self.findings(answers)))
    }

    /// As [`Self::next`], where there is no server.
    #[cfg(test)]
    pub(super) fn next_portion(&mut self) -> Option<Vec<Finding>> {
        let answers = self.next_answers(Running::next_without_server)?;
        Some(without_places(answers))
    }

    /// The rest of the findings, and the whole cost.
    pub(super) fn collect(mut self, wait: Wait) -> Fetched {
        let mut findings = Vec::new();
        while let Some(answers) = self.next_answers(wait) {
            findings.extend(answers);
        }
        findings.sort_by_key(|(place, _)| *place);
        Fetched {
            findings: findings.into_iter().map(|(_, finding)| finding).collect(),
            cost: self.cost(),
        }
    }

    /// What it cost so far; after the end, all of it.
    pub(crate) fn cost(&self) -> Cost {
        self.round.cost()
    }

    fn next_answers(&mut self, wait: Wait) -> Option<Vec<(usize, Finding)>> {
        while let Some(answers) = wait(&mut self.running) {
            let findings = self.findings(answers);
            if !findings.is_empty() {
                return Some(findings);
            }
        }
        let rest = self.not_asked();
        Some(self.findings(rest)).filter(|findings| !findings.is_empty())
    }

    /// Of each question the first answer.
    fn findings(&mut self, answers: Vec<Answered>) -> Vec<(usize, Finding)> {
        let finding = |(place, evidence): Answered| {
            let about = self.unanswered.get_mut(place)?.take()?;
            Some((place, Finding { about, evidence }))
        };
        answers.into_iter().filter_map(finding).collect()
    }

    fn not_asked(&self) -> Vec<Answered> {
        let places = self.unanswered.iter().enumerate();
        places
            .filter(|(_, about)| about.is_some())
            .map(|(place, _)| (place, Err(StripeError::NotAsked)))
            .collect()
    }
}

fn without_places(answers: Vec<(usize, Finding)>) -> Vec<Finding> {
    answers.into_iter().map(|(_, finding)| finding).collect()
}

impl Round {
    fn new(
        queue: LookupQueue,
        connection: Connection,
        reading: Reading,
        deadline: Instant,
    ) -> Self {
        Self {
            client: Client::new(connection, deadline),
            reading,
            queue: Mutex::new(queue),
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
        }
    }

    fn work(&self, job: Job, stop: &Stop) -> Step<Job, Vec<Answered>> {
        match job {
            Job::Answer(place, open) => Step {
                portion: vec![(place, self.answer(open, stop))],
                then: Vec::new(),
            },
            Job::Page(list, walk) => self.turn_page(list, walk, stop),
        }
    }

    /// Reads the next page of a walk: answers what it answers, and plans on.
    fn turn_page(&self, list: List, walk: Walk, stop: &Stop) -> Step<Job, Vec<Answered>> {
        let page = self.read_page(list, &walk, stop).and_then(|page| {
            let found = self.find_wanted(&page, stop)?;
            Ok((page, found))
        });
        let mut queue = unpoisoned(self.queue.lock());
        let (answered, mut then) = match page {
            Ok((page, found)) => {
                let (taken, answered) = self.hand_out(found, &mut queue);
                let next = queue.go_on(list, walk, &page.contents(), &taken);
                (answered, Vec::from_iter(next))
            }
            Err(error) => {
                queue.page_failed(walk, &error);
                (Vec::new(), Vec::new())
            }
        };
        then.extend(queue.next_jobs());
        drop(queue);
        let (disputed, complete): (Vec<_>, Vec<_>) = answered
            .into_iter()
            .partition(|(_, open)| open.is_disputed());
        then.extend(
            disputed
                .into_iter()
                .map(|(place, open)| Job::Answer(place, open)),
        );
        let portion = complete
            .into_iter()
            .map(|(place, open)| (place, self.answer(open, stop)))
            .collect();
        Step { portion, then }
    }

    fn read_page(&self, list: List, walk: &Walk, stop: &Stop) -> Result<Page, StripeError> {
        if self.fatal().is_some() {
            return Err(StripeError::NotAsked);
        }
        let page = list.read_page(&self.client, walk.start(), stop);
        if !matches!(page, Err(StripeError::NotAsked)) {
            self.list_pages.fetch_add(1, Ordering::Relaxed);
        }
        self.note(page)
    }

    /// What was asked for, by its id. What cannot be read is left to be asked for one by
    /// one, with its error.
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
            let pages = join_sessions(&self.client, payments, time, &self.reading, stop);
            self.list_pages
                .fetch_add(self.note(pages)?, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Hands what was found to who asked: the ids that were found, and the questions
    /// that have all they need.
    fn hand_out(
        &self,
        found: Vec<(String, Found)>,
        queue: &mut LookupQueue,
    ) -> (Vec<String>, Vec<(usize, Open)>) {
        let (mut taken, mut answered) = (Vec::new(), Vec::new());
        for (id, found) in found {
            answered.extend(queue.hand_out(&id, &found));
            taken.push(id);
        }
        let count = u64::try_from(taken.len()).unwrap_or_default();
        self.from_lists.fetch_add(count, Ordering::Relaxed);
        (taken, answered)
    }

    /// One question's evidence: what was found on pages, and the rest by retrieval.
    fn answer(&self, mut open: Open, stop: &Stop) -> Result<Vec<Evidence>, StripeError> {
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
            if evidence.iter().any(|known| speaks_of(known, &id)) {
                continue;
            }
            let finding = match open.take_found(&id) {
                Some(found) => self.complete(found, stop),
                None => {
                    self.singles.fetch_add(1, Ordering::Relaxed);
                    retrieve(&self.client, &id, &self.reading, stop)
                }
            };
            let finding = match self.note(finding)? {
                Evidence::Payment(payment) => self.add_session(payment, &sessionless, stop)?,
                other => other,
            };
            evidence.push(finding);
        }
        Ok(evidence)
    }

    /// An intent is not judged without its session: see [`crate::stripe::sessions`].
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
        let payment = self.note(with_session(&self.client, payment, &self.reading, stop))?;
        Ok(Evidence::Payment(payment))
    }

    /// A page says that there was a dispute; how it stands is a request of its own.
    fn complete(&self, found: Found, stop: &Stop) -> Result<Evidence, StripeError> {
        let mut payment = found.payment;
        if found.disputed {
            payment.dispute = disputes(&self.client, &payment, stop)?;
        }
        Ok(Evidence::Payment(payment))
    }

    /// Ends the round where every other question would fail as well.
    fn note<T>(&self, answer: Result<T, StripeError>) -> Result<T, StripeError> {
        let hopeless = match &answer {
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
            && hopeless
        {
            self.fatal().get_or_insert_with(|| error.clone());
        }
        answer
    }

    fn fatal(&self) -> MutexGuard<'_, Option<StripeError>> {
        unpoisoned(self.fatal.lock())
    }
}

pub(super) fn read_found(
    object: &Value,
    reading: &Reading,
    page: &Page,
) -> Result<Found, StripeError> {
    let request_id = page.request_id.clone();
    let mut payment = match object.get("object").and_then(Value::as_str) {
        Some("checkout.session") => objects::read_session(object, reading, request_id)?,
        _ => objects::read_intent(object, reading, request_id)?,
    };
    payment.as_of = page.asked_at;
    Ok(Found {
        payment,
        disputed: objects::is_disputed(object)?,
    })
}
