//! One HTTP exchange with a service that gets a secret, for the clients of Stripe and Resend. Knows no
//! PostgreSQL, so it may run on threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::json;
use crate::settings::Secret;

/// An answer has a few kilobytes; a full page of a list has a few hundred.
const MAX_BODY_BYTES: u64 = 4 * 1024 * 1024;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A complete answer, with any status. The secret is masked in all its texts.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The body, if its content type is JSON and it parses.
    pub(crate) json: Option<Value>,
    headers: Vec<(String, String)>,
}

/// A request without a complete answer. The texts do not contain the URL, and so no id.
pub(crate) enum HttpError {
    /// The connection failed or broke before there was an answer. A retry may succeed.
    Connection { what: String },
    /// The time ran out before an answer began. A retry may succeed, that of a smaller answer rather.
    Silence { what: String },
    /// The time ran out, or the answer broke off. A retry may succeed, that of a smaller answer rather.
    Incomplete { what: String },
    /// The answer is larger than any answer of the service.
    TooLarge { what: String },
}

/// Creates an agent that keeps at most `connections` connections open to `base`.
pub(crate) fn agent(base: &str, connections: usize) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .https_only(!base.starts_with("http://"))
        // A redirect could send the key to another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // Ignores HTTPS_PROXY in the server's environment.
        .proxy(None)
        .no_delay(true)
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .max_idle_age(IDLE_CONNECTIONS_LAST)
        .user_agent(concat!("invoice_sync/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// How long an idle connection may be used again: for ureq's `max_idle_age`, and for [`agent_of_backend`].
const IDLE_CONNECTIONS_LAST: Duration = Duration::from_secs(15);

/// The agent of this backend's last calls that took one connection.
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

struct Kept {
    base: String,
    agent: Agent,
    used_at: Instant,
}

/// Returns an agent for one connection at a time to `base`, which the next call may use again for up to 15 seconds: a
/// webhook asks one or two questions, and a new connection costs more than they do. Also returns whether this is such a
/// next call. Something on the way may have dropped the connection since, so that nothing sent on it will be answered.
pub(crate) fn agent_of_backend(base: &str) -> (Agent, bool) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    match kept.as_mut() {
        Some(kept) if kept.base == base => {
            let may_be_open = now - kept.used_at < IDLE_CONNECTIONS_LAST;
            kept.used_at = now;
            (kept.agent.clone(), may_be_open)
        }
        _ => {
            let agent = agent(base, 1);
            *kept = Some(Kept {
                base: base.to_owned(),
                agent: agent.clone(),
                used_at: now,
            });
            (agent, false)
        }
    }
}

/// Returns the header `Authorization` for this key.
pub(crate) fn bearer(key: &Secret) -> String {
    format!("Bearer {}", key.expose())
}

/// Reads the answer to a request. Masks the key in it, because texts of the answer may be stored in tables and shown
/// in errors, and a proxy may have put the key into them.
pub(crate) fn read(
    sent: Result<Response<Body>, ureq::Error>,
    key: &Secret,
) -> Result<Reply, HttpError> {
    let mut response = sent.map_err(|error| match error {
        ureq::Error::Timeout(_) => HttpError::Silence {
            what: error.to_string(),
        },
        ureq::Error::LargeResponseHeader(..) => of_answer(&error),
        other => HttpError::Connection {
            what: other.to_string(),
        },
    })?;
    let text = response
        .body_mut()
        .with_config()
        .limit(MAX_BODY_BYTES)
        .read_to_string()
        .map_err(|error| of_answer(&error))?;
    let headers: Vec<_> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| {
            Some((
                name.to_string(),
                masked(value.to_str().ok()?.to_owned(), key),
            ))
        })
        .collect();
    let mut reply = Reply {
        status: response.status().as_u16(),
        json: None,
        headers,
    };
    if reply.header("content-type").is_some_and(is_json) {
        reply.json = json::parse(&masked(text, key)).ok();
    }
    Ok(reply)
}

impl Reply {
    /// Returns a header's value, if it is ASCII. `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Returns the header `Retry-After`, if it is a number of seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("retry-after")?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

fn masked(text: String, key: &Secret) -> String {
    if text.contains(key.expose()) {
        text.replace(key.expose(), "********")
    } else {
        text
    }
}

/// Converts the error of an answer that was being awaited or read.
fn of_answer(error: &ureq::Error) -> HttpError {
    match error {
        ureq::Error::BodyExceedsLimit(limit) => HttpError::TooLarge {
            what: format!("its body is larger than {limit} bytes"),
        },
        ureq::Error::LargeResponseHeader(..) => HttpError::TooLarge {
            what: "its headers are too large".to_owned(),
        },
        other => HttpError::Incomplete {
            what: other.to_string(),
        },
    }
}

/// Returns whether a `Content-Type` is JSON, with any parameters.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}
