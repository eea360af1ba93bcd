//! Faults on demand: which request goes wrong, and how.

use crate::http::Request;
use crate::params::Params;
use serde_json::{Value, json};
use std::time::Duration;

/// What goes wrong.
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
    /// No answer, until the double stops.
    Hang,
    /// The right answer, of which the second half is missing.
    TruncatedBody,
    /// 200 with a JSON string of so many bytes.
    OversizedBody(u64),
    /// This status with an HTML page.
    Html(u16),
    /// 200 with JSON that ends too early, whole by its `Content-Length`.
    InvalidJson,
    /// 302 to this URL.
    Redirect(String),
    /// The right answer, this many bytes at a time with a pause after each.
    SlowBody {
        /// Bytes at a time.
        piece: usize,
        /// Waited after each piece.
        pause: Duration,
    },
    /// The right answer, so much later.
    Latency(Duration),
    /// The answer that is right when the request comes, sent only with
    /// [`Double::release_held`](crate::Double::release_held).
    Hold,
}

#[derive(Clone, Debug)]
enum When {
    Always,
    Next(u64),
    Nth(u64),
}

/// A rule: which requests an [`Action`] befalls. A new one befalls the next request, whichever it is.
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
    should_retry: Option<String>,
    retry_after: Option<u64>,
    /// How many requests the rule was held against and fitted.
    fitted: u64,
}

impl Fault {
    /// A fault for the next request.
    pub fn new(action: Action) -> Self {
        Fault {
            action,
            when: When::Next(1),
            method: None,
            path: None,
            object: None,
            should_retry: None,
            retry_after: None,
            fitted: 0,
        }
    }

    /// Only for this method.
    pub fn on_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only for paths that begin so.
    pub fn on_path(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(prefix.into());
        self
    }

    /// Only where the path or a parameter names this object.
    pub fn on_object(mut self, id: impl Into<String>) -> Self {
        self.object = Some(id.into());
        self
    }

    /// For the next so many requests that fit.
    pub fn times(mut self, times: u64) -> Self {
        self.when = When::Next(times);
        self
    }

    /// Only for the n-th request that fits, counted from 1.
    pub fn nth(mut self, nth: u64) -> Self {
        self.when = When::Nth(nth);
        self
    }

    /// For all requests that fit, until faults are cleared.
    pub fn always(mut self) -> Self {
        self.when = When::Always;
        self
    }

    /// The `Stripe-Should-Retry` header of the answer, `true` or `false`.
    pub fn should_retry(mut self, value: impl Into<String>) -> Self {
        self.should_retry = Some(value.into());
        self
    }

    /// The `Retry-After` header of the answer, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn fits(&self, request: &Request) -> bool {
        let method = self.method.as_deref();
        let path = self.path.as_deref();
        method.is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
            && path.is_none_or(|prefix| request.path.starts_with(prefix))
            && self.object.as_deref().is_none_or(|id| {
                let named = request.path.split('/').any(|part| part == id);
                named
                    || Params::parse(&request.query)
                        .values()
                        .any(|value| value == id)
            })
    }
}

/// A fault that befalls a request.
#[derive(Debug)]
pub(crate) struct Befallen {
    pub(crate) action: Action,
    pub(crate) should_retry: Option<String>,
    pub(crate) retry_after: Option<u64>,
}

/// The rules in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many rules are left that may still befall a request.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// The first rule that strikes. Each rule that fits counts the request for its [`Fault::nth`].
    pub(crate) fn pick(&mut self, request: &Request) -> Option<Befallen> {
        let mut struck: Option<Befallen> = None;
        for fault in &mut self.0 {
            if !fault.fits(request) {
                continue;
            }
            fault.fitted += 1;
            if struck.is_some() {
                continue;
            }
            let strikes = match &mut fault.when {
                When::Always => true,
                When::Next(left) => {
                    *left = left.saturating_sub(1);
                    true
                }
                When::Nth(nth) => fault.fitted == *nth,
            };
            if strikes {
                struck = Some(Befallen {
                    action: fault.action.clone(),
                    should_retry: fault.should_retry.clone(),
                    retry_after: fault.retry_after,
                });
            }
        }
        self.0.retain(|fault| match fault.when {
            When::Always => true,
            When::Next(left) => left > 0,
            When::Nth(nth) => fault.fitted < nth,
        });
        struck
    }
}

/// Reads a rule as the control door takes it.
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
