//! Sends queued mails by Resend's `POST /emails`. Knows no SQL.
//! Source: <https://resend.com/docs/api-reference/emails/send-email>.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::http::{self, HttpError, Reply};
use crate::pg::{Problem, Stop, run_on_threads};
use crate::settings::{self, Secret};

/// Resend accepts two requests per second.
const SEND_INTERVAL: Duration = Duration::from_millis(500);

/// A longer `Retry-After` is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// In characters, how much of an error text is stored.
const MAX_ERROR: usize = 500;

/// Base URL, key and timeout for Resend, copied from the settings for use on a thread.
pub(crate) struct Connection {
    base: String,
    key: Secret,
    timeout: Duration,
}

/// A mail from the outbox.
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

/// The outcome of sending a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Sent {
        /// Resend's id of the mail.
        message_id: String,
    },
    Failed {
        /// The error text, without the key.
        error: String,
        recovery: Recovery,
    },
    /// The time ran out, or an earlier mail failed for a reason that concerns all mails.
    NotTried,
}

/// Whether a retry may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// A retry may succeed, after `wait` if Resend asked for a delay.
    Retry { wait: Option<Duration> },
    /// A person must act first: the key, the domain or an address is wrong.
    NeedsAction,
}

/// Returns the connection to Resend, or `None` if no key is set. Fails if a key is set but cannot be read (see
/// [`settings::resend_api_key`]).
pub(crate) fn connection() -> Result<Option<Connection>, Problem> {
    Ok(settings::resend_api_key()?.map(|key| Connection {
        base: settings::resend_api_base(),
        timeout: settings::http_timeout(),
        key,
    }))
}

/// Posts the mails one after another, each once, on a thread, while the backend checks for interrupts. Starts none
/// after `deadline`. Returns one outcome for each mail.
///
/// Fails with 53000 if no thread can be started.
pub(crate) fn deliver(
    mails: Vec<QueuedMail>,
    connection: Connection,
    deadline: Instant,
) -> Result<Vec<(i64, Delivery)>, Problem> {
    let ids: Vec<i64> = mails.iter().map(|mail| mail.id).collect();
    let sender = Sender {
        agent: http::agent(&connection.base, 1),
        connection,
        deadline,
        is_first: AtomicBool::new(true),
        is_stopped: AtomicBool::new(false),
    };
    let outcomes = run_on_threads(mails, 1, deadline, move |mail, stop| {
        sender.send_mail(&mail, stop)
    })?;
    let deliveries = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Delivery::NotTried));
    Ok(ids.into_iter().zip(deliveries).collect())
}

/// What the mails of one call share. They are sent one by one.
struct Sender {
    agent: Agent,
    connection: Connection,
    deadline: Instant,
    /// Whether nothing has been posted yet.
    is_first: AtomicBool,
    /// Whether a mail failed for a reason that concerns all mails.
    is_stopped: AtomicBool,
}

impl Sender {
    fn send_mail(&self, mail: &QueuedMail, stop: &Stop) -> Delivery {
        let pause = match self.is_first.swap(false, Ordering::Relaxed) {
            true => Duration::ZERO,
            false => SEND_INTERVAL,
        };
        if self.is_stopped.load(Ordering::Relaxed)
            || !stop.sleep(pause)
            || self.time_left().is_zero()
        {
            return Delivery::NotTried;
        }
        let (delivery, concerns_all) =
            delivery_of(http::read(self.post(mail), &self.connection.key));
        self.is_stopped.store(concerns_all, Ordering::Relaxed);
        delivery
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn post(&self, mail: &QueuedMail) -> Result<Response<Body>, ureq::Error> {
        let connection = &self.connection;
        // Byte for byte the same on every retry, because the idempotency key is the same.
        let contents = json!({
            "from": mail.from,
            "to": mail.to,
            "subject": mail.subject,
            "html": mail.html,
            "text": mail.text,
        });
        self.agent
            .post(format!("{}/emails", connection.base))
            .config()
            .timeout_global(Some(connection.timeout.min(self.time_left())))
            .build()
            .header("Authorization", http::bearer(&connection.key))
            .header("Idempotency-Key", &mail.idempotency_key)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .send(contents.to_string())
    }
}

/// Returns the outcome, and whether the next mail would fail for the same reason.
/// Source: <https://resend.com/docs/api-reference/errors>.
fn delivery_of(reply: Result<Reply, HttpError>) -> (Delivery, bool) {
    let failed = |error: String, recovery: Recovery| Delivery::Failed {
        error: error.chars().take(MAX_ERROR).collect(),
        recovery,
    };
    let retry = Recovery::Retry { wait: None };
    let reply = match reply {
        Ok(reply) => reply,
        Err(
            HttpError::Connection { what }
            | HttpError::Silence { what }
            | HttpError::Incomplete { what },
        ) => {
            return (
                failed(format!("Resend cannot be reached: {what}"), retry),
                true,
            );
        }
        Err(HttpError::TooLarge { what }) => {
            return (
                failed(format!("Resend's answer cannot be used: {what}"), retry),
                true,
            );
        }
    };
    let field = |name: &str| reply.json.as_ref()?.get(name)?.as_str();
    let refusal = || {
        let words = field("message").unwrap_or("no readable message");
        match field("name") {
            Some(name) => format!(
                "Resend rejected the mail ({}, {name}): {words}",
                reply.status
            ),
            None => format!("Resend rejected the mail ({}): {words}", reply.status),
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
                    "the answer is not from Resend's API (status {})",
                    reply.status
                ),
                retry,
            ),
            true,
        ),
        (429, _) => {
            let wait = reply.retry_after().map(|wait| wait.min(MAX_RETRY_AFTER));
            (failed(refusal(), Recovery::Retry { wait }), true)
        }
        (408 | 409 | 500.., _) => (failed(refusal(), retry), true),
        (401 | 403, _) => (failed(refusal(), Recovery::NeedsAction), true),
        // The reason is the content of this mail.
        _ => (failed(refusal(), Recovery::NeedsAction), false),
    }
}
