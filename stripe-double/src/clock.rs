//! The double's own clock: unix seconds, so that objects can be made in the past.

use std::time::{SystemTime, UNIX_EPOCH};

/// Follows the system's clock at a distance, or stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Running { ahead: i64 },
    Frozen(i64),
}

impl Clock {
    pub(crate) fn starting_at(frozen: Option<i64>) -> Self {
        frozen.map_or(Clock::Running { ahead: 0 }, Clock::Frozen)
    }

    pub(crate) fn now(self) -> i64 {
        match self {
            Clock::Running { ahead } => system_seconds().saturating_add(ahead),
            Clock::Frozen(at) => at,
        }
    }

    pub(crate) fn advance(&mut self, seconds: i64) {
        match self {
            Clock::Running { ahead } => *ahead = ahead.saturating_add(seconds),
            Clock::Frozen(at) => *at = at.saturating_add(seconds),
        }
    }
}

fn system_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
