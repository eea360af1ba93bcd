//! Whether and when a request is retried: a pure function.
//!
//! The rules are those of Stripe's official clients (`_shouldRetry` and `_getSleepTimeInMS` in stripe-node's
//! `RequestSender.ts`), except that a 429 is retried without `Stripe-Should-Retry`, within the limits.

use std::time::Duration;

/// The number of attempts, including the first.
const MAX_ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// After a longer `Retry-After` there is no retry.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The outcome of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptOutcome {
    /// The HTTP status; `None` if the connection failed or broke.
    pub(crate) status: Option<u16>,
    /// The header `Stripe-Should-Retry`.
    pub(crate) should_retry: Option<bool>,
    /// The header `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GiveUp,
    RetryAfter(Duration),
}

/// Decides after attempt number `attempt` (1 for the first). `jitter` is between 0 and 1; `time_left` is the time
/// left for the whole request.
pub(crate) fn next(
    outcome: AttemptOutcome,
    attempt: u32,
    jitter: f64,
    time_left: Duration,
) -> Next {
    if attempt >= MAX_ATTEMPTS || !outcome.is_transient() {
        return Next::GiveUp;
    }
    let backoff = FIRST_DELAY
        .saturating_mul(1 << (attempt - 1).min(16))
        .min(MAX_DELAY)
        .mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    let delay = match outcome.retry_after {
        Some(asked) if asked > MAX_RETRY_AFTER => return Next::GiveUp,
        Some(asked) => asked.max(backoff),
        None => backoff,
    };
    if delay < time_left {
        Next::RetryAfter(delay)
    } else {
        Next::GiveUp
    }
}

impl AttemptOutcome {
    /// Returns whether the same request may succeed later.
    pub(crate) fn is_transient(self) -> bool {
        match (self.should_retry, self.status) {
            (Some(advised), _) => advised,
            (None, None) => true,
            (None, Some(status)) => status == 409 || status == 429 || status >= 500,
        }
    }
}
