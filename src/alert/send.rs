//! Sends queued mails by Resend's `POST /emails`. Knows no SQL.
//! Source: <https://resend.com/docs/api-reference/emails/send-email>.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::http::{self, Broken, Reply};
use crate::pg::{Problem, Stop, run_on_threads};
use crate::settings::{self, Secret};

/// Resend takes two requests a second.
const BETWEEN_LETTERS: Duration = Duration::from_millis(500);

/// A longer `Retry-After` is not believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What Resend says of a failure is kept up to here, in characters.
const MAX_ERROR: usize = 500;

/// Where and as whom to send. Copied out of the settings: this goes to a thread.
pub(crate) struct Connection {
    base: String,
    key: Secret,
    timeout: Duration,
}

/// A mail as it was put into the outbox.
#[derive(Deserialize)]
pub(crate) struct QueuedMail {
    pub(crate) id: i64,
    pub(crate) idempotency_key: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Sent {
        /// Resend's id of the mail.
        message_id: String,
    },
    Failed {
        /// For people; without the key.
        error: String,
        outlook: Outlook,
    },
    /// There was no time left, or a letter before it failed as this one would have.
    NotTried,
}

/// Whether a failed letter may go better later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It may pass by itself. Not before so long, where Resend said so.
    MayPass { wait: Option<Duration> },
    /// A person has to do something: a key, a domain, an address.
    NeedsPerson,
}

/// How to reach Resend; `None` where no key is set. Fails where a key is set but
/// cannot be read (see [`settings::resend_api_key`]).
pub(crate) fn connection() -> Result<Option<Connection>, Problem> {
    Ok(settings::resend_api_key()?.map(|key| Connection {
        base: settings::resend_api_base(),
        timeout: settings::http_timeout(),
        key,
    }))
}

/// Posts the letters one after another, each once, on a thread of its own while
/// this one looks for interrupts. After `deadline` none is begun. There is an
/// answer for every letter.
///
/// Fails with 53000 where no thread could be started.
pub(crate) fn deliver(
    letters: Vec<QueuedMail>,
    connection: Connection,
    deadline: Instant,
) -> Result<Vec<(i64, Delivery)>, Problem> {
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    let office = Sender {
        agent: http::agent(&connection.base, 1),
        connection,
        deadline,
        is_fresh: AtomicBool::new(true),
        is_closed: AtomicBool::new(false),
    };
    let outcomes = run_on_threads(letters, 1, deadline, move |letter, stop| {
        office.take(&letter, stop)
    })?;
    let deliveries = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Delivery::NotTried));
    Ok(ids.into_iter().zip(deliveries).collect())
}

/// What the letters of one call share. They come one by one.
struct Sender {
    agent: Agent,
    connection: Connection,
    deadline: Instant,
    /// Nothing has been posted yet.
    is_fresh: AtomicBool,
    /// A letter failed as every other would.
    is_closed: AtomicBool,
}

impl Sender {
    fn take(&self, letter: &QueuedMail, stop: &Stop) -> Delivery {
        let pause = match self.is_fresh.swap(false, Ordering::Relaxed) {
            true => Duration::ZERO,
            false => BETWEEN_LETTERS,
        };
        if self.is_closed.load(Ordering::Relaxed)
            || !stop.sleep(pause)
            || self.time_left().is_zero()
        {
            return Delivery::NotTried;
        }
        let (delivery, concerns_all) = judge(http::read(self.post(letter), &self.connection.key));
        self.is_closed.store(concerns_all, Ordering::Relaxed);
        delivery
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn post(&self, letter: &QueuedMail) -> Result<Response<Body>, ureq::Error> {
        let connection = &self.connection;
        // The same for the same letter, byte for byte.
        let contents = json!({
            "from": letter.from,
            "to": letter.to,
            "subject": letter.subject,
            "html": letter.html,
            "text": letter.text,
        });
        self.agent
            .post(format!("{}/emails", connection.base))
            .config()
            .timeout_global(Some(connection.timeout.min(self.time_left())))
            .build()
            .header("Authorization", http::bearer(&connection.key))
            .header("Idempotency-Key", &letter.idempotency_key)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .send(contents.to_string())
    }
}

/// What became of it, and whether the next letter would fail alike.
/// Source: <https://resend.com/docs/api-reference/errors>.
fn judge(reply: Result<Reply, Broken>) -> (Delivery, bool) {
    let failed = |error: String, outlook: Outlook| Delivery::Failed {
        error: error.chars().take(MAX_ERROR).collect(),
        outlook,
    };
    let may_pass = Outlook::MayPass { wait: None };
    let reply = match reply {
        Ok(reply) => reply,
        Err(Broken::Connection { what }) => {
            return (
                failed(format!("Resend cannot be reached: {what}"), may_pass),
                true,
            );
        }
        Err(Broken::TooLarge { what }) => {
            return (
                failed(format!("Resend's answer is not usable: {what}"), may_pass),
                true,
            );
        }
    };
    let field = |name: &str| reply.json.as_ref()?.get(name)?.as_str();
    let refusal = || {
        let words = field("message").unwrap_or("no message that could be read");
        match field("name") {
            Some(name) => format!("Resend refused it ({}, {name}): {words}", reply.status),
            None => format!("Resend refused it ({}): {words}", reply.status),
        }
    };
    match (reply.status, field("id")) {
        (200..=299, Some(id)) => {
            let message_id = id.to_owned();
            (Delivery::Sent { message_id }, false)
        }
        (200..=399, _) => (
            failed(
                format!(
                    "the answer is not one of Resend's (status {})",
                    reply.status
                ),
                may_pass,
            ),
            true,
        ),
        (429, _) => {
            let wait = reply.retry_after().map(|wait| wait.min(MAX_RETRY_AFTER));
            (failed(refusal(), Outlook::MayPass { wait }), true)
        }
        (408 | 409 | 500.., _) => (failed(refusal(), may_pass), true),
        (401 | 403, _) => (failed(refusal(), Outlook::NeedsPerson), true),
        // Its own contents are the reason.
        _ => (failed(refusal(), Outlook::NeedsPerson), false),
    }
}
