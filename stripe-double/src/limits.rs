//! Limits of requests per second and of concurrent requests.

use crate::errors::ApiError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A token bucket for one second.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> Self {
        RateLimit {
            per_second,
            tokens: f64::from(per_second),
            filled: Instant::now(),
        }
    }

    /// Fails with this reason if the second has no request left.
    pub(crate) fn admit(&mut self, reason: &'static str) -> Result<(), ApiError> {
        let now = Instant::now();
        let rate = f64::from(self.per_second);
        let refill = now.duration_since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + refill).min(rate);
        self.filled = now;
        if self.tokens < 1.0 {
            return Err(ApiError::rate_limited(Some(reason)));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// Counts the requests in flight and their maximum.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A request in flight, until it is dropped.
pub(crate) struct Flight<'a>(&'a InFlight);

impl InFlight {
    /// Counts a request. Returns it with the current number of requests, itself included.
    pub(crate) fn enter(&self) -> (Flight<'_>, usize) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        (Flight(self), now)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    pub(crate) fn reset_peak(&self) {
        let now = self.now.load(Ordering::SeqCst);
        self.peak.store(now, Ordering::SeqCst);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}
