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

    /// Returns whether the work is to end.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Ends every [`Stop::sleep`] and keeps threads from taking another job.
    pub(crate) fn set(&self) {
        self.0.set();
    }

    /// Waits for `duration`, or until stopped. Returns true if the whole time passed, false if the work is to end.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        self.sleep_while(duration, || true);
        !self.is_set()
    }

    /// Waits until [`Stop::wake`] is called and `condition` is false, for `duration` at most.
    pub(super) fn sleep_while(&self, duration: Duration, condition: impl Fn() -> bool) {
        let guard = unpoisoned(self.0.lock.lock());
        let asleep = |(): &mut ()| !self.is_set() && condition();
        let _ = unpoisoned(self.0.changed.wait_timeout_while(guard, duration, asleep));
    }

    /// Makes sleepers check their condition again.
    pub(super) fn wake(&self) {
        let _guard = unpoisoned(self.0.lock.lock());
        self.0.changed.notify_all();
    }
}

/// Ignores that another thread panicked while it held the lock: these locks guard single steps, so their data is
/// consistent.
pub(crate) fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
