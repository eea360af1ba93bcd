//! Evidence for many invoices at once: questions spread over threads.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::client::{Client, Connection};
use super::error::StripeError;
use super::objects::Reading;
use super::retrieve::retrieve;
use crate::domain::evidence::Evidence;
use crate::domain::identity::StripeId;
use crate::pg::{Problem, Stop, run_on_threads};

/// So many questions in a row without an answer, and Stripe counts as unreachable.
const FAILURES_THAT_END_A_RUN: u32 = 5;

/// What is to be asked about one invoice.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What the asker knows it by: an invoice's id, a payment's.
    pub(crate) about: String,
    /// As the host stores them, sessions first: a session brings its intent along.
    pub(crate) ids: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) about: String,
    pub(crate) evidence: Result<Vec<Evidence>, StripeError>,
}

/// All findings, and what they cost.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// In the order of the questions.
    pub(crate) findings: Vec<Finding>,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    /// The error for which no further question was put.
    pub(crate) fatal: Option<StripeError>,
}

/// What the threads of one gathering share.
pub(super) struct Round {
    client: Client,
    reading: Reading,
    failures_in_a_row: AtomicU32,
    fatal: Mutex<Option<StripeError>>,
}

/// Puts all questions, at most `connection.concurrency` at a time, until
/// `deadline`. The backend waits interruptibly.
///
/// A key that Stripe rejects ends the round after one answer, and a Stripe that
/// cannot be reached after a few.
pub(crate) fn gather(
    questions: Vec<Question>,
    connection: Connection,
    reading: Reading,
    deadline: Instant,
) -> Result<Gathered, Problem> {
    let concurrency = connection.concurrency;
    let round = Arc::new(Round::new(connection, reading, deadline));
    let subjects: Vec<String> = questions.iter().map(|q| q.about.clone()).collect();
    let shared = Arc::clone(&round);
    let answers = run_on_threads(questions, concurrency, deadline, move |question, stop| {
        shared.answer(&question, stop)
    })?;
    Ok(round.gathered(subjects, answers))
}

impl Round {
    pub(super) fn new(connection: Connection, reading: Reading, deadline: Instant) -> Self {
        Self {
            client: Client::new(connection, deadline),
            reading,
            failures_in_a_row: AtomicU32::new(0),
            fatal: Mutex::new(None),
        }
    }

    /// What came of it all; an answer that is missing was not asked for.
    pub(super) fn gathered(
        &self,
        subjects: Vec<String>,
        answers: Vec<Option<Result<Vec<Evidence>, StripeError>>>,
    ) -> Gathered {
        let findings = subjects
            .into_iter()
            .zip(answers)
            .map(|(about, answer)| Finding {
                about,
                evidence: answer.unwrap_or(Err(StripeError::NotAsked)),
            })
            .collect();
        Gathered {
            findings,
            requests: self.client.requests(),
            retries: self.client.retries(),
            fatal: self.fatal().clone(),
        }
    }

    pub(super) fn answer(
        &self,
        question: &Question,
        stop: &Stop,
    ) -> Result<Vec<Evidence>, StripeError> {
        let mut evidence: Vec<Evidence> = Vec::new();
        for text in &question.ids {
            if self.fatal().is_some() {
                return Err(StripeError::NotAsked);
            }
            let Some(id) = StripeId::parse(text) else {
                evidence.push(Evidence::NotAnId { text: text.clone() });
                continue;
            };
            if evidence.iter().any(|known| speaks_of(known, &id)) {
                continue;
            }
            match retrieve(&self.client, &id, &self.reading, stop) {
                Ok(finding) => {
                    self.failures_in_a_row.store(0, Ordering::Relaxed);
                    evidence.push(finding);
                }
                Err(error) => {
                    self.note_failure(&error);
                    return Err(error);
                }
            }
        }
        Ok(evidence)
    }

    /// Ends the round where every other question would fail as well.
    fn note_failure(&self, error: &StripeError) {
        let hopeless = match error {
            StripeError::Unreachable { .. } => {
                let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                failures >= FAILURES_THAT_END_A_RUN
            }
            other => other.ends_the_run(),
        };
        if hopeless {
            self.fatal().get_or_insert_with(|| error.clone());
        }
    }

    fn fatal(&self) -> std::sync::MutexGuard<'_, Option<StripeError>> {
        self.fatal
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether the answer about another id told about this one as well.
fn speaks_of(evidence: &Evidence, id: &StripeId) -> bool {
    matches!(evidence, Evidence::Payment(payment) if payment.ids.contains(id.as_str()))
}
