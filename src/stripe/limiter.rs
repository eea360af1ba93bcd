//! Requests per second, as Stripe limits them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A token bucket that holds one second's worth: a short burst goes through,
/// a long run keeps to the rate.
pub(crate) struct Limiter {
    per_second: f64,
    state: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Limiter {
    pub(crate) fn new(per_second: u32) -> Self {
        Self::starting_at(per_second, Instant::now())
    }

    pub(super) fn starting_at(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            state: Mutex::new(Bucket {
                tokens: per_second,
                filled_at: now,
            }),
        }
    }

    /// Takes a place in the line; the answer is how long to wait for it.
    pub(crate) fn reserve(&self) -> Duration {
        self.reserve_at(Instant::now())
    }

    pub(super) fn reserve_at(&self, now: Instant) -> Duration {
        let mut bucket = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // Another thread's clock reading may have overtaken this one.
        let now = now.max(bucket.filled_at);
        let gained = (now - bucket.filled_at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(self.per_second) - 1.0;
        bucket.filled_at = now;
        Duration::from_secs_f64((-bucket.tokens / self.per_second).max(0.0))
    }
}
