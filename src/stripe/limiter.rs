//! The limit of requests per second, shared by all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::pg::{SharedNumber, monotonic_nanoseconds};
use crate::settings::Secret;

const SECOND: u64 = 1_000_000_000;

/// The endpoints that are asked; one that ends with a slash is followed by an id.
const ENDPOINTS: [&str; 12] = [
    "/v1/charges",
    "/v1/charges/",
    "/v1/checkout/sessions",
    "/v1/checkout/sessions/",
    "/v1/disputes",
    "/v1/events",
    "/v1/invoice_payments",
    "/v1/invoices",
    "/v1/invoices/",
    "/v1/payment_intents",
    "/v1/payment_intents/",
    "/v1/refunds",
];

/// The rate of one endpoint by default, which is 20 in a second with the burst. Stripe allows 25; the rest is the
/// application's own.
const PER_ENDPOINT: u32 = 16;

/// Up to this rate of all requests, an endpoint is never asked more than Stripe allows.
const NEEDS_NO_ENDPOINTS: u32 = 20;

/// The limits of an account and mode: of all requests together, and of those to each endpoint.
///
/// Source: <https://docs.stripe.com/rate-limits>.
#[derive(Clone)]
pub(crate) struct Limits {
    all: Limiter,
    /// In the order of [`ENDPOINTS`]; none if the limit of all is low enough.
    endpoints: Arc<[Limiter]>,
}

impl Limits {
    /// Returns what is limited, given the rate of all requests: everything, and each endpoint.
    pub(crate) fn parts(per_second: u32) -> impl Iterator<Item = &'static str> {
        let has_endpoints = per_second > NEEDS_NO_ENDPOINTS;
        let endpoints = ENDPOINTS.iter().filter(move |_| has_endpoints);
        std::iter::once("").chain(endpoints.copied())
    }

    /// Creates the limits with the shared numbers of [`Self::parts`], as for [`Limiter::new`].
    pub(crate) fn new(
        per_second: u32,
        shared: impl IntoIterator<Item = Option<SharedNumber>>,
    ) -> Self {
        let mut shared = shared.into_iter();
        Self {
            all: Limiter::new(per_second, shared.next().flatten()),
            endpoints: shared
                .map(|shared| Limiter::new(per_endpoint(per_second), shared))
                .collect(),
        }
    }

    /// Returns the limiters of a request, in the order in which it passes them: the wait for the last is the last before
    /// it is sent, so that all requests together keep to their rate exactly.
    pub(crate) fn of(&self, path: &str) -> impl Iterator<Item = &Limiter> {
        let endpoint = ENDPOINTS
            .iter()
            .position(|endpoint| match path.strip_prefix(endpoint) {
                Some("") => true,
                Some(id) => endpoint.ends_with('/') && !id.contains('/'),
                None => false,
            });
        let endpoint = endpoint.and_then(|at| self.endpoints.get(at));
        endpoint.into_iter().chain(std::iter::once(&self.all))
    }
}

/// Returns the rate of one endpoint, given that of all requests: a fifth, as of the default.
fn per_endpoint(per_second: u32) -> u32 {
    per_second.div_ceil(5).max(PER_ENDPOINT)
}

/// Limits the rate of requests by the generic cell rate algorithm (GCRA): a short burst passes at once, after it
/// requests keep to the rate. Within one second, burst and rate together are a quarter more than the rate: with 80
/// and 20 requests per second, what Stripe allows (100 with a live key, 25 with a test key). Clones share one state,
/// and so do all limiters with the same shared number.
///
/// Source: <https://docs.stripe.com/rate-limits>.
#[derive(Clone)]
pub(crate) struct Limiter {
    /// The time between two requests, in nanoseconds.
    interval: u64,
    /// How far requests may be ahead of the rate without waiting, in nanoseconds.
    burst: u64,
    arrival: Arrival,
}

/// The algorithm's theoretical arrival time: when the next request is due if all are evenly spaced, in nanoseconds of
/// [`monotonic_nanoseconds`].
#[derive(Clone)]
enum Arrival {
    Shared(SharedNumber),
    Own(Arc<AtomicU64>),
}

impl Limiter {
    /// Creates a limiter. `shared` is the number of all sessions that call Stripe with this account and mode; without
    /// it, the limit applies to clones only. A new shared number begins with one request at once and no burst: the
    /// sessions before, whose number went with them, may have just used it.
    pub(crate) fn new(per_second: u32, shared: Option<SharedNumber>) -> Self {
        let interval = SECOND.div_ceil(u64::from(per_second.max(1)));
        let burst = interval * u64::from(per_second / 4).max(1);
        if let Some(shared) = shared {
            let used_up = monotonic_nanoseconds() + burst - interval;
            shared.replace(|due| if due == 0 { used_up } else { due });
        }
        Self {
            interval,
            burst,
            arrival: shared.map_or_else(|| Arrival::Own(Arc::default()), Arrival::Shared),
        }
    }

    /// Reserves the next request. Returns how long to wait before sending it.
    pub(crate) fn reserve(&self) -> Duration {
        self.reserve_at(monotonic_nanoseconds())
    }

    pub(super) fn reserve_at(&self, now: u64) -> Duration {
        let after = |due: u64| due.max(now).saturating_add(self.interval);
        let before = match &self.arrival {
            // The backend is ending: nothing is sent any more.
            Arrival::Shared(shared) => shared.replace(after).unwrap_or(u64::MAX),
            Arrival::Own(own) => own
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |due| Some(after(due)))
                .unwrap_or_else(|unchanged| unchanged),
        };
        let earliest = after(before).saturating_sub(self.burst);
        Duration::from_nanos(earliest.saturating_sub(now))
    }
}

/// Returns the key under which sessions share the limit of a part of an account and mode ([`Limits::parts`]). Other roles
/// may read it; it is a hash that does not reveal the API key.
pub(crate) fn rate_limit_key(base: &str, key: &Secret, account: Option<&str>, part: &str) -> u64 {
    let mut digest = Sha256::new();
    for part in [
        "invoice_sync limiter",
        base,
        key.expose(),
        account.unwrap_or_default(),
        part,
    ] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
