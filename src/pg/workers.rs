//! Concurrent work on threads that never touch PostgreSQL.
//!
//! PostgreSQL's backend is one thread, its signal handlers included. So every
//! signal is masked before a thread is spawned (a thread inherits the mask), the
//! threads get owned values only, and the backend's own thread does nothing but
//! wait in short slices and look for interrupts.

use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::problem::Problem;

/// The longest wait between two looks for interrupts: cancel, statement_timeout
/// and shutdown take effect well within 100 ms.
const SLICE: Duration = Duration::from_millis(10);

/// Runs every job on at most `limit` threads; results arrive in job order, with
/// `None` where the deadline passed first or where `work` panicked (which also
/// gives a WARNING).
///
/// `work` runs on threads where nothing of pgrx may be called. When the caller is
/// canceled or the deadline passes, [`Stop`] is set and the threads end by
/// themselves after the request they are in; nobody waits for them.
///
/// Fails with SQLSTATE 53000 where not a single thread could be started.
pub(crate) fn run_on_threads<J, R>(
    jobs: Vec<J>,
    limit: usize,
    deadline: Instant,
    work: impl Fn(J, &Stop) -> R + Send + Sync + 'static,
) -> Result<Vec<Option<R>>, Problem>
where
    J: Send + 'static,
    R: Send + 'static,
{
    let count = jobs.len();
    let stop = Stop::new();
    let _set_on_every_way_out = StopOnDrop(stop.clone());

    let (results, arrivals) = channel();
    let crew = Arc::new(Crew {
        jobs: Mutex::new(jobs.into_iter().enumerate()),
        work,
        stop,
        deadline,
    });
    spawn_threads(&crew, limit.max(1).min(count), &results)?;
    // Only the threads hold senders now, so the channel closes with the last one.
    drop(results);

    collect(&arrivals, count, deadline)
}

/// A token that tells threads to end. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    is_set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
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
        let _guard = unpoisoned(self.0.lock.lock());
        self.0.is_set.store(true, Ordering::Release);
        self.0.changed.notify_all();
    }

    /// Waits for `duration`, or less where stopped. True where the whole time
    /// passed, false where the work is to end.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        let guard = unpoisoned(self.0.lock.lock());
        let (_guard, _) = unpoisoned(
            self.0
                .changed
                .wait_timeout_while(guard, duration, |()| !self.is_set()),
        );
        !self.is_set()
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What the threads of one call share.
struct Crew<J, W> {
    jobs: Mutex<std::iter::Enumerate<std::vec::IntoIter<J>>>,
    work: W,
    stop: Stop,
    deadline: Instant,
}

/// A finished job: its position and its result, `None` where `work` panicked.
type Arrival<R> = (usize, Option<R>);

impl<J, W> Crew<J, W> {
    fn next_job(&self) -> Option<(usize, J)> {
        if self.stop.is_set() || Instant::now() >= self.deadline {
            return None;
        }
        self.lock_jobs().next()
    }

    fn lock_jobs(&self) -> MutexGuard<'_, std::iter::Enumerate<std::vec::IntoIter<J>>> {
        unpoisoned(self.jobs.lock())
    }

    fn work_off<R>(&self, results: &Sender<Arrival<R>>)
    where
        W: Fn(J, &Stop) -> R,
    {
        while let Some((position, job)) = self.next_job() {
            // pgrx's panic hook, off the main thread, only notes the place in a
            // thread-local and lets Rust's default hook write to stderr, which is
            // the server's log: nothing of PostgreSQL is touched.
            let result = catch_unwind(AssertUnwindSafe(|| (self.work)(job, &self.stop))).ok();
            if results.send((position, result)).is_err() {
                return;
            }
        }
    }
}

/// Starts up to `wanted` threads. Fewer will do; none will not.
fn spawn_threads<J, R, W>(
    crew: &Arc<Crew<J, W>>,
    wanted: usize,
    results: &Sender<Arrival<R>>,
) -> Result<(), Problem>
where
    J: Send + 'static,
    R: Send + 'static,
    W: Fn(J, &Stop) -> R + Send + Sync + 'static,
{
    let _unmasked_on_drop = AllSignalsMasked::in_this_thread().map_err(|e| no_thread(&e))?;
    for started in 0..wanted {
        let crew = Arc::clone(crew);
        let results = results.clone();
        let spawned = std::thread::Builder::new()
            .name("invoice_sync".into())
            .spawn(move || crew.work_off(&results));
        match spawned {
            Ok(_detached) => {}
            Err(error) if started == 0 => return Err(no_thread(&error)),
            Err(_) => break,
        }
    }
    Ok(())
}

fn no_thread(error: &io::Error) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "could not start a thread for requests",
    )
    .detail(format!("The operating system says: {error}."))
    .hint("Check the limits on processes and memory of the server's user.")
}

/// Waits for the results, on the backend's thread. Unwinds when interrupted.
fn collect<R>(
    arrivals: &Receiver<Arrival<R>>,
    count: usize,
    deadline: Instant,
) -> Result<Vec<Option<R>>, Problem> {
    let mut results: Vec<Option<R>> = std::iter::repeat_with(|| None).take(count).collect();
    let mut missing = count;
    let mut panicked = 0usize;
    while missing > 0 {
        pgrx::check_for_interrupts!();
        let left = deadline.saturating_duration_since(Instant::now());
        match arrivals.recv_timeout(SLICE.min(left)) {
            Ok((position, result)) => {
                panicked += usize::from(result.is_none());
                results[position] = result;
                missing -= 1;
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if panicked > 0 {
        pgrx::warning!("{panicked} of {count} requests ended in an internal error");
    }
    Ok(results)
}

/// Masks every signal of the calling thread until dropped.
struct AllSignalsMasked {
    former: libc::sigset_t,
}

impl AllSignalsMasked {
    fn in_this_thread() -> io::Result<Self> {
        let mut all = MaybeUninit::uninit();
        let mut former = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises `all`, and pthread_sigmask `former`
        // where it returns 0.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), former.as_mut_ptr()) {
                0 => Ok(Self {
                    former: former.assume_init(),
                }),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }
}

impl Drop for AllSignalsMasked {
    fn drop(&mut self) {
        // SAFETY: `former` is the mask that this thread had.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.former,
                std::ptr::null_mut(),
            );
        }
    }
}

/// A panic elsewhere leaves these locks' data whole: they guard single steps.
fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
