//! The limit of requests per second, shared by all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::pg::{SharedNumber, monotonic_nanoseconds};
use crate::settings::Secret;

const SECOND: u64 = 1_000_000_000;

/// The generic cell rate algorithm: a short burst goes through, a long run keeps to
/// the rate. In no second there are more than both together, which is a quarter
/// more than the rate: with 80 and 20 a second, what Stripe allows (100 with a live
/// key, 25 with a test key). Clones share one line of waiting, and so do all
/// limiters that were given the same number.
///
/// Source: <https://docs.stripe.com/rate-limits>.
#[derive(Clone)]
pub(crate) struct Limiter {
    /// Between two requests, in nanoseconds.
    interval: u64,
    /// For how much of it nobody waits, in nanoseconds.
    burst: u64,
    arrival: Arrival,
}

/// When the next request would be due if all came evenly spaced, in nanoseconds
/// of [`monotonic_nanoseconds`].
#[derive(Clone)]
enum Arrival {
    Shared(SharedNumber),
    Own(Arc<AtomicU64>),
}

impl Limiter {
    /// `shared` is what all who call Stripe as this account and mode have in
    /// common; without it, only clones wait for each other.
    pub(crate) fn new(per_second: u32, shared: Option<SharedNumber>) -> Self {
        let interval = SECOND.div_ceil(u64::from(per_second.max(1)));
        Self {
            interval,
            burst: interval * u64::from(per_second / 4).max(1),
            arrival: shared.map_or_else(|| Arrival::Own(Arc::default()), Arrival::Shared),
        }
    }

    /// Takes a place in the line; the answer is how long to wait for it.
    pub(crate) fn reserve(&self) -> Duration {
        self.reserve_at(monotonic_nanoseconds())
    }

    pub(super) fn reserve_at(&self, now: u64) -> Duration {
        let after = |due: u64| due.max(now).saturating_add(self.interval);
        let before = match &self.arrival {
            // At the end of the backend nobody is let through; whoever asks was stopped.
            Arrival::Shared(shared) => shared.replace(after).unwrap_or(u64::MAX),
            Arrival::Own(own) => own
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |due| Some(after(due)))
                .unwrap_or_else(|unchanged| unchanged),
        };
        let earliest = after(before).saturating_sub(self.burst);
        Duration::from_nanos(earliest.saturating_sub(now))
    }
}

/// What stands for the account and mode that requests are made as, in memory
/// that others may read: it tells nothing about the key.
pub(crate) fn line_of(base: &str, key: &Secret, account: Option<&str>) -> u64 {
    let mut digest = Sha256::new();
    for part in [
        "invoice_sync limiter",
        base,
        key.expose(),
        account.unwrap_or_default(),
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
