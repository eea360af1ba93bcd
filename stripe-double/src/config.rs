//! The configuration of a double.

use std::time::Duration;

/// The configuration of a [`Double`](crate::Double). By default it listens on any free port, accepts `sk_test_double`
/// and `sk_live_double`, answers without delay and has no limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The TCP port on 127.0.0.1; 0 chooses a free one.
    pub port: u16,
    /// The keys that are accepted; any other gets 401.
    pub keys: Vec<Key>,
    /// The account of the keys.
    pub account: String,
    /// The connected accounts that `Stripe-Account` may name, in addition to those of existing objects.
    pub connected_accounts: Vec<String>,
    /// The delay before each answer.
    pub latency: Duration,
    /// The most requests per second (a token bucket of one second); others get 429.
    pub rate_limit: Option<u32>,
    /// The most requests per second to each endpoint (as [`Config::rate_limit`]); others get 429.
    pub endpoint_rate_limit: Option<u32>,
    /// The most concurrent requests; others get 429.
    pub max_concurrency: Option<usize>,
    /// When an event appears in `GET /v1/events`.
    pub event_delay: EventDelay,
    /// Whether events that the product does not process are emitted, too (`payment_intent.created`,
    /// `charge.succeeded`, …).
    pub noise_events: bool,
    /// Whether a partial capture adds the released rest to the charge's `amount_refunded`, as older API versions of
    /// Stripe did.
    pub release_counts_as_refunded: bool,
    /// The API version of events, and of answers to requests that name none.
    pub api_version: String,
    /// The fixed time of the double's clock (unix seconds); `None` to follow the system's.
    pub clock: Option<i64>,
    /// The keys that `POST /emails` accepts.
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
            endpoint_rate_limit: None,
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

/// A Stripe key that the double accepts. Its prefix determines the mode.
#[derive(Clone, Debug)]
pub struct Key {
    pub(crate) secret: String,
    /// The account of the key; `None` is that of the configuration.
    pub(crate) account: Option<String>,
    pub(crate) missing: Vec<String>,
}

impl Key {
    /// Creates a key with all permissions: `sk_test_…`, `sk_live_…`, `rk_test_…` or `rk_live_…`.
    pub fn new(secret: impl Into<String>) -> Self {
        Key {
            secret: secret.into(),
            account: None,
            missing: Vec::new(),
        }
    }

    /// Makes it the key of another account, which has no connected accounts.
    pub fn of_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Removes a permission, by Stripe's name (`rak_event_read`); requests that need it get 403.
    pub fn without(mut self, permission: impl Into<String>) -> Self {
        self.missing.push(permission.into());
        self
    }

    /// Returns the key itself.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn livemode(&self) -> bool {
        self.secret.starts_with("sk_live_") || self.secret.starts_with("rk_live_")
    }
}

/// When a new event appears in the list. Stripe's list is eventually consistent: an event may appear after newer
/// ones. Retrieving an event by its id is never delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDelay {
    /// Without delay.
    None,
    /// After this much real time.
    For(Duration),
    /// After this many requests for the list of events, by any client.
    Lists(u64),
    /// When [`Double::release_events`](crate::Double::release_events) is called.
    Held,
}
