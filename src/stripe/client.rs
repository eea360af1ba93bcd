//! GET requests to Stripe's API: one question, its retries, its answer.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::error::StripeError;
use super::limiter::Limiter;
use super::retry::{Ending, Next, next};
use crate::pg::Stop;
use crate::settings::Secret;

/// An answer of Stripe's is some kilobytes; a full page of a list some hundreds.
const MAX_BODY_BYTES: u64 = 4 * 1024 * 1024;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Where and as whom to ask. Values copied out of the settings: this goes to
/// other threads.
#[derive(Clone)]
pub(crate) struct Connection {
    /// `https://api.stripe.com`, without a slash at the end.
    pub(crate) base: String,
    pub(crate) key: Secret,
    /// The header `Stripe-Version`.
    pub(crate) version: String,
    /// The header `Stripe-Account`, for Connect.
    pub(crate) account: Option<String>,
    /// For one try.
    pub(crate) timeout: Duration,
    pub(crate) requests_per_second: u32,
    /// How many connections are worth keeping open.
    pub(crate) concurrency: usize,
}

/// A client for one run. Shared between its threads.
pub(crate) struct Client {
    agent: Agent,
    connection: Connection,
    limiter: Limiter,
    /// The whole run's: no try is started after it, and none outlasts it.
    deadline: Instant,
    requests: AtomicU64,
    retries: AtomicU64,
}

/// An answer with status 200.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The header `Request-Id`, which Stripe's support asks for.
    pub(crate) request_id: Option<String>,
}

/// A try that did not bring a 200.
struct Failure {
    error: StripeError,
    ending: Ending,
}

impl Client {
    pub(crate) fn new(connection: Connection, deadline: Instant) -> Self {
        let encrypted = !connection.base.starts_with("http://");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(encrypted)
            // A redirect would carry the key to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // HTTPS_PROXY of the server's environment is nobody's decision here.
            .proxy(None)
            .no_delay(true)
            .max_response_header_size(MAX_HEADER_BYTES)
            .max_idle_connections(connection.concurrency)
            .max_idle_connections_per_host(connection.concurrency)
            .user_agent(concat!("invoice_sync/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            limiter: Limiter::new(connection.requests_per_second),
            connection,
            deadline,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Requests sent so far, retries included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of the requests were retries.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// The mode of the key, where its prefix tells.
    pub(crate) fn livemode(&self) -> Option<bool> {
        self.connection.key.livemode()
    }

    /// Asks `GET {path}?{query}`, with retries; `path` starts with a slash and
    /// holds nothing that would have to be escaped.
    pub(crate) fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        for attempt in 1.. {
            if !stop.sleep(self.limiter.reserve()) || self.time_left().is_zero() {
                return Err(StripeError::NotAsked);
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            let failure = match self.try_once(path, query) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match next(failure.ending, attempt, random_fraction(), self.time_left()) {
                Next::RetryAfter(delay) if stop.sleep(delay) => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                }
                _ => return Err(failure.error),
            }
        }
        Err(StripeError::NotAsked)
    }

    /// What an answer says may end in errors and in tables; whoever stands
    /// between here and Stripe may have put the key into it.
    fn without_key(&self, text: String) -> String {
        let key = self.connection.key.expose();
        if text.contains(key) {
            text.replace(key, "********")
        } else {
            text
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn try_once(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        let connection = &self.connection;
        let timeout = connection.timeout.min(self.time_left());
        let mut request = self
            .agent
            .get(format!("{}{path}", connection.base))
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header(
                "Authorization",
                format!("Bearer {}", connection.key.expose()),
            )
            .header("Stripe-Version", &connection.version)
            .header("Accept", "application/json");
        if let Some(account) = &connection.account {
            request = request.header("Stripe-Account", account);
        }
        for (name, value) in query {
            request = request.query(name, value);
        }
        let mut response = request.call().map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let request_id = header(&response, "request-id").map(|id| self.without_key(id));
        let ending = Ending {
            status: Some(status),
            should_retry: header(&response, "stripe-should-retry")
                .and_then(|text| text.parse().ok()),
            retry_after: header(&response, "retry-after")
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs),
        };
        let is_json = header(&response, "content-type").is_some_and(|kind| is_json_by(&kind));
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_BODY_BYTES)
            .read_to_string()
            .map_err(|error| broken(&error))?;
        let text = self.without_key(text);
        let body = serde_json::from_str::<Value>(&text)
            .ok()
            .filter(|_| is_json);
        match (status, body) {
            (200, Some(body)) => Ok(Answer { body, request_id }),
            (200, None) => Err(Failure {
                error: StripeError::Malformed {
                    what: format!("the answer to {path} is not JSON"),
                },
                ending,
            }),
            (_, body) => Err(Failure {
                error: refusal(status, body.as_ref(), request_id.as_deref()),
                ending,
            }),
        }
    }
}

/// A connection that failed or broke; the URL, and with it any id, is left out.
fn broken(error: &ureq::Error) -> Failure {
    let malformed = |what: &str| StripeError::Malformed {
        what: what.to_owned(),
    };
    let (error, transient) = match error {
        ureq::Error::BodyExceedsLimit(limit) => (
            malformed(&format!("its body is larger than {limit} bytes")),
            false,
        ),
        ureq::Error::LargeResponseHeader(..) => (malformed("its headers are too large"), false),
        other => (
            StripeError::Unreachable {
                what: other.to_string(),
            },
            true,
        ),
    };
    Failure {
        error,
        ending: Ending {
            status: None,
            should_retry: (!transient).then_some(false),
            retry_after: None,
        },
    }
}

/// An answer that is not 200, in Stripe's shape or not.
/// Source: <https://docs.stripe.com/api/errors>.
fn refusal(status: u16, body: Option<&Value>, request_id: Option<&str>) -> StripeError {
    let said = body.and_then(|body| body.get("error"));
    let field = |name: &str| {
        said.and_then(|error| error.get(name))
            .and_then(Value::as_str)
    };
    let mut message =
        field("message").map_or_else(|| format!("HTTP status {status}"), str::to_owned);
    if let Some(id) = request_id {
        message = format!("{message} (request {id})");
    }
    match status {
        401 => StripeError::RejectedKey { message },
        403 => StripeError::Forbidden { message },
        404 if field("code") == Some("resource_missing") => StripeError::NoSuchObject { message },
        300..=399 => StripeError::Malformed {
            what: format!("it answers with a redirect ({status}), which is never followed"),
        },
        409 | 429 | 500.. => StripeError::Unreachable { what: message },
        _ => StripeError::Refused { status, message },
    }
}

/// Whether a `Content-Type` says JSON, whatever its parameters.
fn is_json_by(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn header<B>(response: &Response<B>, name: &str) -> Option<String> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// Between 0 and 1; spreads retries, nothing depends on its quality.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
