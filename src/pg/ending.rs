//! Stops threads before the end of a backend takes away what they use.
//!
//! A backend may end without unwinding: a FATAL error (pg_terminate_backend, fast shutdown) calls `proc_exit` from
//! where it is raised, so no destructor runs. [`stop_threads`] is registered with `before_shmem_exit` and runs before
//! dynamic shared memory is detached (`shmem_exit` in ipc.c). An immediate shutdown, or the crash of another backend,
//! ends the process with `_exit`, and its threads with it.
//!
//! A thread may be in a request that takes longer than [`THREADS_TIMEOUT`]. It then continues while the process
//! exits. This is safe: its heap values, sockets and thread-locals exist until the process is gone, and shared
//! memory, the only resource of the server that threads use, cannot be accessed any more ([`with_shared_memory`]).

use std::sync::{Condvar, Mutex, RwLock, Weak};
use std::time::{Duration, Instant};

use super::stop::{StopState, unpoisoned};

/// How long the end of a backend waits for its threads.
const THREADS_TIMEOUT: Duration = Duration::from_millis(100);

/// The most threads that one backend may have at a time. The threads of a canceled statement end only after their
/// current request, so threads of several canceled statements add up.
pub(super) const MAX_THREADS: usize = 256;

static LIVE_THREADS: Mutex<usize> = Mutex::new(0);
static THREAD_ENDED: Condvar = Condvar::new();
static STOPS: Mutex<Vec<Weak<StopState>>> = Mutex::new(Vec::new());
static SHARED_MEMORY_IS_GONE: RwLock<bool> = RwLock::new(false);

/// Counts one running thread until it is dropped.
pub(super) struct LiveThread(());

impl LiveThread {
    /// Returns `None` if [`MAX_THREADS`] are running already.
    pub(super) fn register() -> Option<Self> {
        let mut live = unpoisoned(LIVE_THREADS.lock());
        if *live >= MAX_THREADS {
            return None;
        }
        *live += 1;
        Some(Self(()))
    }
}

impl Drop for LiveThread {
    fn drop(&mut self) {
        *unpoisoned(LIVE_THREADS.lock()) -= 1;
        THREAD_ENDED.notify_all();
    }
}

/// Registers `stop` to be set when this backend ends.
pub(super) fn stop_at_exit(stop: Weak<StopState>) {
    // Unit tests run without a server.
    #[cfg(not(test))]
    register_exit_callback();
    let mut stops = unpoisoned(STOPS.lock());
    stops.retain(|known| known.strong_count() > 0);
    stops.push(stop);
}

/// Runs `work`, which uses shared memory and must take next to no time. Returns `None` if that memory is about to be
/// detached, or has been.
pub(super) fn with_shared_memory<T>(work: impl FnOnce() -> T) -> Option<T> {
    let is_gone = unpoisoned(SHARED_MEMORY_IS_GONE.read());
    (!*is_gone).then(work)
}

/// Exits if the postmaster died, as other waits do (`WaitLatch` with `WL_EXIT_ON_PM_DEATH`).
pub(super) fn exit_if_the_server_died() {
    unsafe extern "C" {
        fn PostmasterIsAliveInternal() -> bool;
    }
    // SAFETY: on the backend's thread; reads from a pipe that stays open.
    let is_alive = unsafe { PostmasterIsAliveInternal() };
    if !is_alive {
        // SAFETY: called as in `WaitEventSetWait` in latch.c.
        unsafe { pgrx::pg_sys::proc_exit(1) };
    }
}

/// Registers the callback once per process: a forked child does not inherit its parent's callbacks.
#[cfg(not(test))]
fn register_exit_callback() {
    use std::sync::atomic::{AtomicI32, Ordering};

    use pgrx::pg_sys;

    static REGISTERED_BY: AtomicI32 = AtomicI32::new(0);

    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn at_exit(_code: core::ffi::c_int, _arg: pg_sys::Datum) {
        stop_threads();
    }
    // SAFETY: a plain read of the backend's state.
    let process = unsafe { pg_sys::MyProcPid };
    if REGISTERED_BY.swap(process, Ordering::Relaxed) != process {
        // SAFETY: the function exists for the life of the process. Callbacks of this kind run before dynamic shared
        // memory is detached, the last registered one first, so this one also runs before the transaction is aborted.
        unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) };
    }
}

/// Sets all stops, closes shared memory to all threads, and waits up to [`THREADS_TIMEOUT`] for them to end.
#[cfg_attr(test, expect(dead_code, reason = "called by the server"))]
fn stop_threads() {
    let stops = std::mem::take(&mut *unpoisoned(STOPS.lock()));
    for stop in stops.iter().filter_map(Weak::upgrade) {
        stop.set();
    }
    // Waits for threads that use the memory at this moment, which takes next to no time.
    *unpoisoned(SHARED_MEMORY_IS_GONE.write()) = true;
    let until = Instant::now() + THREADS_TIMEOUT;
    let mut live = unpoisoned(LIVE_THREADS.lock());
    while *live > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        live = unpoisoned(THREAD_ENDED.wait_timeout(live, left)).0;
    }
}
