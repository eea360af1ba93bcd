//! Stops threads before the end of a backend takes away what they use.
//!
//! A backend may end without unwinding: FATAL (terminated, a fast shutdown) goes from
//! wherever it is raised to `proc_exit`, so no destructor runs. What runs is
//! [`stop_threads`], before dynamic shared memory is unmapped (`shmem_exit` in ipc.c).
//! An immediate shutdown, and a crash elsewhere, end the process at once (`_exit`), and
//! all of its threads with it.
//!
//! A request may take longer than anybody waits for it here. Its thread then goes on
//! while the process is being torn down, and that is harmless: it has its own values on
//! the heap, its sockets and thread-locals, which stay until the process is gone, and the
//! one thing of the server's that threads use, shared memory, is behind a gate which is
//! closed for good.

use std::sync::{Condvar, Mutex, RwLock, Weak};
use std::time::{Duration, Instant};

use super::stop::{StopState, unpoisoned};

/// So long the end of a backend waits for its threads.
const PATIENCE: Duration = Duration::from_millis(100);

/// Threads that may be alive in one backend at a time: those of a canceled statement end
/// after the request that they are in, and many such statements must not add up.
pub(super) const MOST_THREADS: usize = 256;

static LIVE: Mutex<usize> = Mutex::new(0);
static FEWER: Condvar = Condvar::new();
static STOPS: Mutex<Vec<Weak<StopState>>> = Mutex::new(Vec::new());
static SHARED_MEMORY_IS_GONE: RwLock<bool> = RwLock::new(false);

/// A thread, counted as long as this lives.
pub(super) struct Live(());

impl Live {
    /// `None` where there are too many.
    pub(super) fn one_more() -> Option<Self> {
        let mut live = unpoisoned(LIVE.lock());
        if *live >= MOST_THREADS {
            return None;
        }
        *live += 1;
        Some(Self(()))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        *unpoisoned(LIVE.lock()) -= 1;
        FEWER.notify_all();
    }
}

/// From now on the end of this backend sets it.
pub(super) fn stop_at_the_end(stop: Weak<StopState>) {
    // In tests without a server nothing is left to call back.
    #[cfg(not(test))]
    call_back_at_the_end();
    let mut stops = unpoisoned(STOPS.lock());
    stops.retain(|known| known.strong_count() > 0);
    stops.push(stop);
}

/// Does `work`, which uses shared memory and takes next to no time; `None` where that
/// memory is about to go away, or has gone.
pub(super) fn while_shared_memory_is_there<T>(work: impl FnOnce() -> T) -> Option<T> {
    let is_gone = unpoisoned(SHARED_MEMORY_IS_GONE.read());
    (!*is_gone).then(work)
}

/// Ends this backend if the server is no more: nobody would tell it. As other waits do
/// (`WaitLatch` with `WL_EXIT_ON_PM_DEATH`).
pub(super) fn exit_if_the_server_died() {
    unsafe extern "C" {
        fn PostmasterIsAliveInternal() -> bool;
    }
    // SAFETY: on the backend's thread; it reads from a pipe that stays open.
    let is_alive = unsafe { PostmasterIsAliveInternal() };
    if !is_alive {
        // SAFETY: as in `WaitEventSetWait` in latch.c.
        unsafe { pgrx::pg_sys::proc_exit(1) };
    }
}

/// Once in each process: what is registered before a process is forked is not the child's.
#[cfg(not(test))]
fn call_back_at_the_end() {
    use std::sync::atomic::{AtomicI32, Ordering};

    use pgrx::pg_sys;

    static REGISTERED_BY: AtomicI32 = AtomicI32::new(0);

    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn at_the_end(_code: core::ffi::c_int, _arg: pg_sys::Datum) {
        stop_threads();
    }
    // SAFETY: a plain read of the backend's state.
    let process = unsafe { pg_sys::MyProcPid };
    if REGISTERED_BY.swap(process, Ordering::Relaxed) != process {
        // SAFETY: the function stays for the process's life. Callbacks of this kind run
        // before dynamic shared memory is detached, the last registered first: so this one
        // runs before the transaction is aborted, too.
        unsafe { pg_sys::before_shmem_exit(Some(at_the_end), pg_sys::Datum::from(0)) };
    }
}

/// Lets no thread begin anything, keeps all of them from shared memory, and waits a
/// moment for them to end.
#[cfg_attr(test, expect(dead_code, reason = "called by the server"))]
fn stop_threads() {
    let stops = std::mem::take(&mut *unpoisoned(STOPS.lock()));
    for stop in stops.iter().filter_map(Weak::upgrade) {
        stop.set();
    }
    // Waits for those that use it now, which takes no time.
    *unpoisoned(SHARED_MEMORY_IS_GONE.write()) = true;
    let until = Instant::now() + PATIENCE;
    let mut live = unpoisoned(LIVE.lock());
    while *live > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        live = unpoisoned(FEWER.wait_timeout(live, left)).0;
    }
}
