//! GET requests to Stripe's API, with retries and rate limit.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ureq::Agent;

use super::error::StripeError;
use super::http_date;
use super::limiter::Limits;
use super::retry::{AttemptOutcome, Next, next};
use crate::http::{self, HttpError};
use crate::pg::Stop;
use crate::settings::Secret;

/// How to call Stripe: values copied from the settings, for use on other threads.
#[derive(Clone)]
pub(crate) struct Connection {
    /// `https://api.stripe.com`, without a slash at the end.
    pub(crate) base: String,
    pub(crate) key: Secret,
    /// The header `Stripe-Version`.
    pub(crate) version: String,
    /// The header `Stripe-Account`, for Connect.
    pub(crate) account: Option<String>,
    /// For one attempt.
    pub(crate) timeout: Duration,
    pub(crate) limits: Limits,
    /// How many idle connections are kept open.
    pub(crate) concurrency: usize,
}

/// Requests that this backend has sent and that are not in the month's count yet.
static UNCOUNTED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of requests sent since the last call, retries included.
pub(crate) fn take_uncounted() -> u64 {
    UNCOUNTED.swap(0, Ordering::Relaxed)
}

/// A client for one run, shared by its threads.
pub(crate) struct Client {
    agent: Agent,
    connection: Connection,
    /// Whether the next request may be sent on a connection of an earlier call, which may be dead.
    may_be_dead: AtomicBool,
    /// The end of the run: no attempt starts after it or takes longer.
    deadline: Instant,
    requests: AtomicU64,
    retries: AtomicU64,
    /// Whether the key lacks the permission to read balance transactions.
    lacks_balance: AtomicBool,
}

/// An answer with status 200.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The header `Request-Id`, which Stripe's support needs.
    pub(crate) request_id: Option<String>,
    /// The header `Date`: Stripe's clock, in seconds since 1970.
    pub(crate) date: Option<i64>,
    /// When the request was sent, in microseconds since 1970 by the server's clock, which all backends share.
    pub(crate) asked_at: i64,
}

/// An attempt that did not return status 200.
struct Failure {
    error: StripeError,
    outcome: AttemptOutcome,
    /// Whether the answer may have been too much: a smaller page may come whole.
    may_be_its_size: bool,
    /// Whether the connection may have been dead.
    no_answer_began: bool,
}

/// How many objects a page of a list has: the most that Stripe returns, and fewer where their answer does not come whole.
const PAGE_SIZES: [&str; 4] = ["100", "25", "5", "1"];

impl Client {
    pub(crate) fn new(connection: Connection, deadline: Instant) -> Self {
        let agent = http::agent(&connection.base, connection.concurrency);
        Self::with_agent(agent, false, connection, deadline)
    }

    /// Creates a client that sends one request after another.
    pub(crate) fn of_one_thread(connection: Connection, deadline: Instant) -> Self {
        let (agent, may_be_open) = http::agent_of_backend(&connection.base);
        Self::with_agent(agent, may_be_open, connection, deadline)
    }

    fn with_agent(
        agent: Agent,
        may_be_dead: bool,
        connection: Connection,
        deadline: Instant,
    ) -> Self {
        Self {
            agent,
            connection,
            may_be_dead: AtomicBool::new(may_be_dead),
            deadline,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            lacks_balance: AtomicBool::new(false),
        }
    }

    /// Returns the number of requests sent so far, retries included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of retries among the requests.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Returns the mode of the key, if its prefix shows it.
    pub(crate) fn livemode(&self) -> Option<bool> {
        self.connection.key.livemode()
    }

    /// Sends `GET {path}?{query}`, with retries. `path` starts with a slash and has no characters that need escaping.
    pub(crate) fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        self.get_sized(path, query, &[], stop)
    }

    /// As [`Self::get`], a page of a list, of at most 100 objects. If they do not come whole (too large, cut off, too
    /// slow), asks for fewer from the same place: cursors do not depend on the size of a page.
    pub(crate) fn get_page(
        &self,
        path: &str,
        query: &[(&str, &str)],
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        self.get_sized(path, query, &PAGE_SIZES, stop)
    }

    fn get_sized(
        &self,
        path: &str,
        query: &[(&str, &str)],
        sizes: &[&str],
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        let mut sizes = sizes.iter();
        let mut size = sizes.next();
        let mut attempt = 1;
        loop {
            let mut limiters = self.connection.limits.of(path);
            if !limiters.all(|it| stop.sleep(it.reserve())) || self.time_left().is_zero() {
                return Err(StripeError::NotAsked);
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            UNCOUNTED.fetch_add(1, Ordering::Relaxed);
            let mut sized = query.to_vec();
            sized.extend(size.map(|size| ("limit", *size)));
            let may_be_dead = self.may_be_dead.swap(false, Ordering::Relaxed);
            let patience = match may_be_dead {
                // A new connection gets as much.
                true => self.time_left() / 2,
                false => self.time_left(),
            };
            let failure = match self.try_once(path, &sized, patience) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if may_be_dead && failure.no_answer_began {
                // It was not given back, so the next request is sent on a new one.
                self.retries.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let smaller = sizes.as_slice().first().filter(|_| failure.may_be_its_size);
            if smaller.is_some() {
                size = sizes.next();
            }
            let left = self.time_left();
            match next(failure.outcome, attempt, random_fraction(), left) {
                Next::RetryAfter(delay) if stop.sleep(delay) => attempt += 1,
                // The same answer would be no better.
                Next::GiveUp if smaller.is_some() && !failure.outcome.is_transient() => {}
                _ => return Err(failure.error),
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As [`Self::get`], with the charge at the path `charge` of the answer, and the charge's balance transaction. The path
    /// is empty if the answer itself is the charge. A key that may not read balance transactions gets the charge without
    /// it.
    pub(crate) fn get_with_charge(
        &self,
        path: &str,
        query: &[(&str, &str)],
        charge: &str,
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        self.with_charge(query, charge, |query| self.get(path, query, stop))
    }

    /// As [`Self::get_page`], with the charges at the path `charge` of the answer, as [`Self::get_with_charge`]. The path is
    /// `data` if it is a list of charges.
    pub(crate) fn get_page_with_charges(
        &self,
        path: &str,
        query: &[(&str, &str)],
        charge: &str,
        stop: &Stop,
    ) -> Result<Answer, StripeError> {
        self.with_charge(query, charge, |query| self.get_page(path, query, stop))
    }

    fn with_charge(
        &self,
        query: &[(&str, &str)],
        charge: &str,
        get: impl Fn(&[(&str, &str)]) -> Result<Answer, StripeError>,
    ) -> Result<Answer, StripeError> {
        let ask = |expanded: Option<&str>| {
            let mut query = query.to_vec();
            query.extend(expanded.map(|expanded| ("expand[]", expanded)));
            get(&query)
        };
        let without_balance = Some(charge).filter(|path| !["", "data"].contains(path));
        if self.lacks_balance.load(Ordering::Relaxed) {
            return ask(without_balance);
        }
        let separator = if charge.is_empty() { "" } else { "." };
        match ask(Some(&format!("{charge}{separator}balance_transaction"))) {
            Err(StripeError::Forbidden { message }) if message.contains("balance") => {
                self.lacks_balance.store(true, Ordering::Relaxed);
                ask(without_balance)
            }
            other => other,
        }
    }

    /// Returns whether the API version is older than 2025-03-31.basil.
    pub(crate) fn is_before_basil(&self) -> bool {
        is_before_basil(&self.connection.version)
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends one request. Waits for the answer for at most `patience`, or the timeout of the settings.
    fn try_once(
        &self,
        path: &str,
        query: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let connection = &self.connection;
        let timeout = connection.timeout.min(patience);
        let mut request = self
            .agent
            .get(format!("{}{path}", connection.base))
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("Authorization", http::bearer(&connection.key))
            .header("Stripe-Version", &connection.version)
            .header("Accept", "application/json");
        if let Some(account) = &connection.account {
            request = request.header("Stripe-Account", account);
        }
        for (name, value) in query {
            request = request.query(name, value);
        }
        let asked_at = now_micros();
        let reply = http::read(request.call(), &connection.key).map_err(no_answer)?;
        let status = reply.status;
        let request_id = reply.header("request-id").map(str::to_owned);
        let outcome = AttemptOutcome {
            status: Some(status),
            should_retry: reply
                .header("stripe-should-retry")
                .and_then(|text| text.parse().ok()),
            retry_after: reply.retry_after(),
        };
        let date = reply.header("date").and_then(http_date::parse);
        match (status, reply.json) {
            (200, Some(body)) => Ok(Answer {
                body,
                request_id,
                date,
                asked_at,
            }),
            (200, None) => Err(Failure {
                error: StripeError::Malformed {
                    what: format!("the answer to {path} is not JSON"),
                },
                outcome,
                may_be_its_size: true,
                no_answer_began: false,
            }),
            (_, body) => Err(Failure {
                error: refusal(status, body.as_ref(), request_id.as_deref()),
                outcome,
                may_be_its_size: false,
                no_answer_began: false,
            }),
        }
    }
}

/// Returns whether an API version is older than 2025-03-31.basil. Versions begin with their date.
pub(crate) fn is_before_basil(version: &str) -> bool {
    version < "2025-03-31"
}

/// Returns microseconds since 1970.
pub(super) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

fn no_answer(error: HttpError) -> Failure {
    let may_be_its_size = !matches!(error, HttpError::Connection { .. });
    let no_answer_began = matches!(
        error,
        HttpError::Connection { .. } | HttpError::Silence { .. }
    );
    let (error, should_retry) = match error {
        HttpError::Connection { what }
        | HttpError::Silence { what }
        | HttpError::Incomplete { what } => (StripeError::Unreachable { what }, None),
        HttpError::TooLarge { what } => (StripeError::Malformed { what }, Some(false)),
    };
    Failure {
        may_be_its_size,
        no_answer_began,
        error,
        outcome: AttemptOutcome {
            status: None,
            should_retry,
            retry_after: None,
        },
    }
}

/// Converts an answer with another status than 200, in Stripe's format or not.
/// Source: <https://docs.stripe.com/api/errors>.
fn refusal(status: u16, body: Option<&Value>, request_id: Option<&str>) -> StripeError {
    let details = body.and_then(|body| body.get("error"));
    let field = |name: &str| {
        details
            .and_then(|error| error.get(name))
            .and_then(Value::as_str)
    };
    let mut message =
        field("message").map_or_else(|| format!("HTTP status {status}"), str::to_owned);
    if let Some(id) = request_id {
        message = format!("{message} (request {id})");
    }
    let missing = field("code") == Some("resource_missing");
    let of_cursor = matches!(field("param"), Some("starting_after" | "ending_before"));
    match status {
        400 | 404 if missing && of_cursor => StripeError::CursorGone { message },
        401 => StripeError::RejectedKey { message },
        403 => StripeError::Forbidden { message },
        // 400 if a parameter of a list names the object.
        400 | 404 if missing => StripeError::NoSuchObject { message },
        300..=399 => StripeError::Malformed {
            what: format!("it answers with a redirect ({status}), which is not followed"),
        },
        409 | 429 | 500.. => StripeError::Unreachable { what: message },
        _ => StripeError::Refused { status, message },
    }
}

/// Returns a number between 0 and 1 that spreads retries; it need not be a good random number.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
