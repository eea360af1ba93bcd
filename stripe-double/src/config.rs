//! What a double is started with.

use std::time::Duration;

/// Settings of a [`Double`](crate::Double). The default listens on any free port, accepts
/// `sk_test_double` and `sk_live_double`, answers at once and knows no limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// Keys that are let in; any other gets 401.
    pub keys: Vec<Key>,
    /// The account the keys belong to.
    pub account: String,
    /// Connected accounts that `Stripe-Account` may name, besides those that objects were made for.
    pub connected_accounts: Vec<String>,
    /// Waited before each answer.
    pub latency: Duration,
    /// Requests a second that are let through (a token bucket of one second); more get 429.
    pub rate_limit: Option<u32>,
    /// Requests that may be in flight at once; more get 429.
    pub max_concurrency: Option<usize>,
    /// When an event appears in `GET /v1/events`.
    pub event_delay: EventDelay,
    /// Whether events that nobody acts on are emitted too (`payment_intent.created`, `charge.succeeded`, …).
    pub noise_events: bool,
    /// Whether a partial capture shows the released rest in the charge's `amount_refunded`, as Stripe's
    /// older API versions did.
    pub release_counts_as_refunded: bool,
    /// The API version that events carry, and that is answered when a request names none.
    pub api_version: String,
    /// Freezes the double's clock at this time (unix seconds); `None` follows the system's.
    pub clock: Option<i64>,
    /// Keys that `POST /emails` accepts.
    pub resend_keys: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            port: 0,
            keys: vec![Key::new("sk_test_double"), Key::new("sk_live_double")],
            account: "acct_double".into(),
            connected_accounts: Vec::new(),
            latency: Duration::ZERO,
            rate_limit: None,
            max_concurrency: None,
            event_delay: EventDelay::None,
            noise_events: true,
            release_counts_as_refunded: false,
            api_version: "2026-07-29.dahlia".into(),
            clock: None,
            resend_keys: vec!["re_double".into()],
        }
    }
}

/// A Stripe key that the double accepts. Its prefix says the mode.
#[derive(Clone, Debug)]
pub struct Key {
    pub(crate) secret: String,
    pub(crate) missing: Vec<String>,
}

impl Key {
    /// A key with every permission: `sk_test_…`, `sk_live_…`, `rk_test_…` or `rk_live_…`.
    pub fn new(secret: impl Into<String>) -> Self {
        Key {
            secret: secret.into(),
            missing: Vec::new(),
        }
    }

    /// Takes one permission away, by Stripe's name (`rak_event_read`): what needs it gets 403.
    pub fn without(mut self, permission: impl Into<String>) -> Self {
        self.missing.push(permission.into());
        self
    }

    pub(crate) fn livemode(&self) -> bool {
        self.secret.starts_with("sk_live_") || self.secret.starts_with("rk_live_")
    }
}

/// When an event appears in the list after it was created. Stripe's feed is eventually consistent: an
/// event may appear after newer ones. Retrieving an event by its id is never delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDelay {
    /// At once.
    None,
    /// After this much real time.
    For(Duration),
    /// After this many requests for the list of events, by anyone.
    Lists(u64),
    /// When [`Double::release_events`](crate::Double::release_events) is called.
    Held,
}
