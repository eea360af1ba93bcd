//! Faults that tests request: which requests fail, and how.

use crate::http::Request;
use crate::params::Params;
use serde_json::{Value, json};
use std::time::Duration;

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// 429 with code `rate_limit`.
    RateLimited,
    /// 429 with code `lock_timeout`.
    LockTimeout,
    /// This status with an `api_error`: 500, 503, ….
    Status(u16),
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// The connection is closed (TCP FIN) without an answer.
    CloseBeforeAnswer,
    /// No answer until the double stops.
    Hang,
    /// The first half of the correct answer.
    TruncatedBody,
    /// 200 with a JSON string of this many bytes.
    OversizedBody(u64),
    /// This status with an HTML page.
    Html(u16),
    /// 200 with JSON that ends too early, with a matching `Content-Length`.
    InvalidJson,
    /// 302 to this URL.
    Redirect(String),
    /// The correct answer, in pieces with a pause after each.
    SlowBody {
        /// Bytes per piece.
        piece: usize,
        /// The pause after each piece.
        pause: Duration,
    },
    /// The correct answer, delayed by this time.
    Latency(Duration),
    /// The answer that is correct when the request arrives, sent only by
    /// [`Double::release_held`](crate::Double::release_held).
    Hold,
}

#[derive(Clone, Debug)]
enum When {
    Always,
    Next(u64),
    Nth(u64),
}

/// A rule: an [`Action`] and the requests it applies to. By default, it applies to the next request.
///
/// ```
/// # use stripe_double::{Action, Fault};
/// let fault = Fault::new(Action::Status(503)).on_path("/v1/events").times(2).should_retry("true");
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    action: Action,
    when: When,
    method: Option<String>,
    path: Option<String>,
    object: Option<String>,
    /// The largest `limit` that it leaves alone.
    limit: Option<u64>,
    should_retry: Option<String>,
    retry_after: Option<u64>,
    /// How many requests have matched the rule.
    matched: u64,
}

impl Fault {
    /// Creates a fault for the next request.
    pub fn new(action: Action) -> Self {
        Fault {
            action,
            when: When::Next(1),
            method: None,
            path: None,
            object: None,
            limit: None,
            should_retry: None,
            retry_after: None,
            matched: 0,
        }
    }

    /// Limits the fault to this method.
    pub fn on_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Limits the fault to paths with this prefix.
    pub fn on_path(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(prefix.into());
        self
    }

    /// Limits the fault to requests whose path or parameters name this object.
    pub fn on_object(mut self, id: impl Into<String>) -> Self {
        self.object = Some(id.into());
        self
    }

    /// Limits the fault to lists of which a page of more than this many objects is requested.
    pub fn limit_above(mut self, objects: u64) -> Self {
        self.limit = Some(objects);
        self
    }

    /// Applies the fault to this many matching requests.
    pub fn times(mut self, times: u64) -> Self {
        self.when = When::Next(times);
        self
    }

    /// Applies the fault only to the n-th matching request, counted from 1.
    pub fn nth(mut self, nth: u64) -> Self {
        self.when = When::Nth(nth);
        self
    }

    /// Applies the fault to all matching requests until faults are cleared.
    pub fn always(mut self) -> Self {
        self.when = When::Always;
        self
    }

    /// Sets the answer's `Stripe-Should-Retry` header, `true` or `false`.
    pub fn should_retry(mut self, value: impl Into<String>) -> Self {
        self.should_retry = Some(value.into());
        self
    }

    /// Sets the answer's `Retry-After` header, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn matches(&self, request: &Request) -> bool {
        let method = self.method.as_deref();
        let path = self.path.as_deref();
        method.is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
            && path.is_none_or(|prefix| request.path.starts_with(prefix))
            && self.limit.is_none_or(|most| {
                let params = Params::parse(&request.query);
                let limit = params
                    .one("limit")
                    .and_then(|limit| limit.parse::<u64>().ok());
                limit.is_some_and(|limit| limit > most)
            })
            && self.object.as_deref().is_none_or(|id| {
                let named = request.path.split('/').any(|part| part == id);
                named
                    || Params::parse(&request.query)
                        .values()
                        .any(|value| value == id)
            })
    }
}

/// A fault that applies to a request.
#[derive(Debug)]
pub(crate) struct AppliedFault {
    pub(crate) action: Action,
    pub(crate) should_retry: Option<String>,
    pub(crate) retry_after: Option<u64>,
}

/// The rules, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns how many rules may still apply.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// Returns the first rule that applies. Every matching rule counts the request for [`Fault::nth`].
    pub(crate) fn pick(&mut self, request: &Request) -> Option<AppliedFault> {
        let mut applied: Option<AppliedFault> = None;
        for fault in &mut self.0 {
            if !fault.matches(request) {
                continue;
            }
            fault.matched += 1;
            if applied.is_some() {
                continue;
            }
            let strikes = match &mut fault.when {
                When::Always => true,
                When::Next(left) => {
                    *left = left.saturating_sub(1);
                    true
                }
                When::Nth(nth) => fault.matched == *nth,
            };
            if strikes {
                applied = Some(AppliedFault {
                    action: fault.action.clone(),
                    should_retry: fault.should_retry.clone(),
                    retry_after: fault.retry_after,
                });
            }
        }
        self.0.retain(|fault| match fault.when {
            When::Always => true,
            When::Next(left) => left > 0,
            When::Nth(nth) => fault.matched < nth,
        });
        applied
    }
}

/// Reads a rule in the format of the control API.
pub(crate) fn read(rule: &Value) -> Result<Fault, String> {
    let text = |name: &str| rule[name].as_str().map(str::to_owned);
    let number = |name: &str| rule[name].as_u64();
    let needed = |name: &str| number(name).ok_or(format!("\"{name}\" must be a whole number"));
    let status = |default: u64| u16::try_from(number("status").unwrap_or(default)).unwrap_or(500);
    let action = match text("action").as_deref() {
        Some("rate_limited") => Action::RateLimited,
        Some("lock_timeout") => Action::LockTimeout,
        Some("status") => Action::Status(status(500)),
        Some("reset") => Action::Reset,
        Some("close") => Action::CloseBeforeAnswer,
        Some("hang") => Action::Hang,
        Some("truncated_body") => Action::TruncatedBody,
        Some("oversized_body") => Action::OversizedBody(needed("bytes")?),
        Some("html") => Action::Html(status(502)),
        Some("invalid_json") => Action::InvalidJson,
        Some("redirect") => Action::Redirect(text("url").ok_or("\"url\" is missing")?),
        Some("slow_body") => Action::SlowBody {
            piece: usize::try_from(number("bytes").unwrap_or(1)).unwrap_or(1),
            pause: Duration::from_millis(needed("ms")?),
        },
        Some("latency") => Action::Latency(Duration::from_millis(needed("ms")?)),
        other => return Err(format!("unknown fault action {}", json!(other))),
    };
    let mut fault = Fault::new(action);
    fault.method = text("method");
    fault.path = text("path");
    fault.object = text("object");
    fault.limit = number("limit_above");
    fault.should_retry = rule["should_retry"]
        .as_bool()
        .map(|should| should.to_string());
    fault.retry_after = number("retry_after");
    fault.when = match (number("times"), number("nth"), rule["always"].as_bool()) {
        (_, _, Some(true)) => When::Always,
        (_, Some(nth), _) => When::Nth(nth),
        (times, None, _) => When::Next(times.unwrap_or(1)),
    };
    Ok(fault)
}
