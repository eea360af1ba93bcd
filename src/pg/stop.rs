//! The token that tells threads to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A token that tells threads to end. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(pub(super) Arc<StopState>);

#[derive(Debug, Default)]
pub(super) struct StopState {
    is_set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl StopState {
    pub(super) fn set(&self) {
        let _guard = unpoisoned(self.lock.lock());
        self.is_set.store(true, Ordering::Release);
        self.changed.notify_all();
    }
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the work is no longer wanted.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Ends every [`Stop::sleep`] and lets no thread take another job.
    pub(crate) fn set(&self) {
        self.0.set();
    }

    /// Waits for `duration`, or less where stopped. True where the whole time
    /// passed, false where the work is to end.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        self.sleep_while(duration, || true);
        !self.is_set()
    }

    /// Waits until [`Stop::wake`] finds `condition` ended, at most for `duration`.
    pub(super) fn sleep_while(&self, duration: Duration, condition: impl Fn() -> bool) {
        let guard = unpoisoned(self.0.lock.lock());
        let asleep = |(): &mut ()| !self.is_set() && condition();
        let _ = unpoisoned(self.0.changed.wait_timeout_while(guard, duration, asleep));
    }

    /// Lets sleepers look at their condition again.
    pub(super) fn wake(&self) {
        let _guard = unpoisoned(self.0.lock.lock());
        self.0.changed.notify_all();
    }
}

/// A panic elsewhere leaves these locks' data whole: they guard single steps.
pub(crate) fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
