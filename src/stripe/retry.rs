//! Whether and when a request is retried: a pure function.
//!
//! The rules are those of Stripe's official clients (`_shouldRetry` and
//! `_getSleepTimeInMS` in stripe-node's `RequestSender.ts`), with one
//! difference: a 429 is retried without `Stripe-Should-Retry`, within the limits.

use std::time::Duration;

/// Tries in all, the first one included.
const MAX_ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A longer `Retry-After` is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How one try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The HTTP status; `None` where the connection failed or broke.
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

/// Decides after try number `attempt` (1 for the first). `jitter` lies between
/// 0 and 1; `time_left` is the budget of the whole question.
pub(crate) fn next(ending: Ending, attempt: u32, jitter: f64, time_left: Duration) -> Next {
    if attempt >= MAX_ATTEMPTS || !is_transient(ending) {
        return Next::GiveUp;
    }
    let backoff = FIRST_DELAY
        .saturating_mul(1 << (attempt - 1).min(16))
        .min(MAX_DELAY)
        .mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    let delay = match ending.retry_after {
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

fn is_transient(ending: Ending) -> bool {
    match (ending.should_retry, ending.status) {
        (Some(advised), _) => advised,
        (None, None) => true,
        (None, Some(status)) => status == 409 || status == 429 || status >= 500,
    }
}
