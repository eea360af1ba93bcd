//! Runs jobs on threads that never touch PostgreSQL.
//!
//! A backend is single-threaded, including its signal handlers. So all signals are masked before a thread is spawned
//! (a thread inherits the mask), the threads get owned values only, and the backend's own thread only waits in short
//! intervals and checks for interrupts.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::ending::{self, LiveThread, MAX_THREADS};
use super::problem::Problem;
use super::stop::{Stop, unpoisoned};

/// The longest wait between two checks for interrupts: cancel, statement_timeout and shutdown take effect within 100 ms.
const WAIT_INTERVAL: Duration = Duration::from_millis(50);

/// Microseconds that this backend has waited for its threads.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// Returns how long this backend has waited for its threads since it started.
pub(crate) fn waited_for_threads() -> Duration {
    Duration::from_micros(WAITED.load(Ordering::Relaxed))
}

/// Runs every job on at most `limit` threads. Returns the results in the order of the jobs, with `None` if the
/// deadline passed first or `work` panicked (which also gives a WARNING). Otherwise as [`start_on_threads`].
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
    let mut results: Vec<Option<R>> = std::iter::repeat_with(|| None).take(jobs.len()).collect();
    let limit = limit.max(1).min(jobs.len());
    let jobs = jobs.into_iter().enumerate().collect();
    let mut running = start_on_threads(jobs, limit, deadline, move |(position, job), stop| Step {
        portion: (position, work(job, stop)),
        then: Vec::new(),
    })?;
    while let Some((position, result)) = running.next() {
        results[position] = Some(result);
    }
    Ok(results)
}

/// The outcome of a job.
pub(crate) struct Step<J, R> {
    /// The result, passed to the backend.
    pub(crate) portion: R,
    /// Further jobs that follow from it.
    pub(crate) then: Vec<J>,
}

/// Starts `limit` threads that run the jobs, in their order, and the jobs that follow from them. [`Running::next`]
/// returns the results.
///
/// `work` runs on threads, where nothing of pgrx may be called. When the handle is dropped (for example when the
/// caller is canceled), [`Stop`] is set and the threads end after their current request; nothing waits for them. See
/// [`super::ending`] for the end of the backend. Threads block while the backend does not take their results.
///
/// Fails with SQLSTATE 53000 if no thread could be started, or if too many threads of canceled statements are still
/// running.
pub(crate) fn start_on_threads<J, R>(
    jobs: Vec<J>,
    limit: usize,
    deadline: Instant,
    work: impl Fn(J, &Stop) -> Step<J, R> + Send + Sync + 'static,
) -> Result<Running<R>, Problem>
where
    J: Send + 'static,
    R: Send + 'static,
{
    let stop = Stop::new();
    let set_on_drop = StopOnDrop(stop.clone());
    ending::stop_at_exit(Arc::downgrade(&stop.0));
    let (portions, arrivals) = sync_channel(limit);
    let shared = Arc::new(SharedWork {
        queue: Mutex::new(Queue {
            jobs: jobs.into(),
            in_progress: 0,
        }),
        work,
        stop,
        deadline,
    });
    // Only the threads hold senders, so the channel closes when the last of them ends.
    spawn_threads(&shared, limit, &portions)?;
    Ok(Running {
        arrivals,
        deadline,
        panicked: 0,
        _set_on_drop: set_on_drop,
    })
}

/// The threads of one call. Dropping it stops them.
pub(crate) struct Running<R> {
    arrivals: Receiver<Option<R>>,
    deadline: Instant,
    panicked: usize,
    _set_on_drop: StopOnDrop,
}

/// The outcome of a short wait.
enum WaitOutcome<R> {
    Arrived(R),
    Nothing,
    /// Nothing more will arrive: all jobs are done, or the deadline has passed.
    Over,
}

impl<R> Running<R> {
    /// Returns the next result, in the order in which they become ready; `None` at the end and after the deadline.
    /// Waits on the backend's own thread, in short intervals, and unwinds when interrupted. If jobs panicked, gives a
    /// WARNING at the end.
    pub(crate) fn next(&mut self) -> Option<R> {
        loop {
            pgrx::check_for_interrupts!();
            ending::exit_if_the_server_died();
            match self.wait_briefly() {
                WaitOutcome::Arrived(portion) => return Some(portion),
                WaitOutcome::Nothing => {}
                WaitOutcome::Over => break,
            }
        }
        let panicked = std::mem::take(&mut self.panicked);
        if panicked > 0 {
            pgrx::warning!("{panicked} requests ended in an internal error");
        }
        None
    }

    /// Returns a result that has arrived already, without waiting.
    pub(crate) fn at_hand(&mut self) -> Option<R> {
        loop {
            match self.arrivals.try_recv() {
                Ok(Some(portion)) => return Some(portion),
                Ok(None) => self.panicked += 1,
                Err(_) => return None,
            }
        }
    }

    /// As [`Self::next`], for tests without a server.
    #[cfg(test)]
    pub(crate) fn next_without_server(&mut self) -> Option<R> {
        loop {
            match self.wait_briefly() {
                WaitOutcome::Arrived(portion) => return Some(portion),
                WaitOutcome::Nothing => {}
                WaitOutcome::Over => return None,
            }
        }
    }

    fn wait_briefly(&mut self) -> WaitOutcome<R> {
        let begun = Instant::now();
        let left = self.deadline.saturating_duration_since(begun);
        let arrival = self.arrivals.recv_timeout(WAIT_INTERVAL.min(left));
        WAITED.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        match arrival {
            Ok(Some(portion)) => WaitOutcome::Arrived(portion),
            Ok(None) => {
                self.panicked += 1;
                WaitOutcome::Nothing
            }
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => WaitOutcome::Nothing,
            Err(_) => WaitOutcome::Over,
        }
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What the threads of one call share.
struct SharedWork<J, W> {
    queue: Mutex<Queue<J>>,
    work: W,
    stop: Stop,
    deadline: Instant,
}

struct Queue<J> {
    jobs: VecDeque<J>,
    /// Jobs that were taken and may still add others.
    in_progress: usize,
}

impl<J> Queue<J> {
    /// Returns whether there is no job now, but there may be one soon.
    fn may_grow(&self) -> bool {
        self.jobs.is_empty() && self.in_progress > 0
    }
}

impl<J, W> SharedWork<J, W> {
    /// Waits for a job. Returns `None` if no more will come.
    fn next_job(&self) -> Option<J> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if self.stop.is_set() || left.is_zero() {
                return None;
            }
            let mut queue = self.queue();
            if let Some(job) = queue.jobs.pop_front() {
                queue.in_progress += 1;
                return Some(job);
            }
            if !queue.may_grow() {
                return None;
            }
            drop(queue);
            self.stop.sleep_while(left, || self.queue().may_grow());
        }
    }

    fn job_ended(&self, followers: Vec<J>) {
        let mut queue = self.queue();
        queue.jobs.extend(followers);
        queue.in_progress -= 1;
        drop(queue);
        self.stop.wake();
    }

    fn queue(&self) -> MutexGuard<'_, Queue<J>> {
        unpoisoned(self.queue.lock())
    }

    fn run_jobs<R>(&self, portions: &SyncSender<Option<R>>)
    where
        W: Fn(J, &Stop) -> Step<J, R>,
    {
        while let Some(job) = self.next_job() {
            // Off the main thread, pgrx's panic hook only records the location in a thread-local and calls Rust's
            // default hook, which writes to stderr, the server's log. It calls nothing of PostgreSQL.
            let step = catch_unwind(AssertUnwindSafe(|| (self.work)(job, &self.stop)));
            let (portion, followers) = match step {
                Ok(step) => (Some(step.portion), step.then),
                Err(_) => (None, Vec::new()),
            };
            self.job_ended(followers);
            if portions.send(portion).is_err() {
                return;
            }
        }
    }
}

/// Starts up to `wanted` threads. Fails if not even one could be started.
fn spawn_threads<J, R, W>(
    shared: &Arc<SharedWork<J, W>>,
    wanted: usize,
    portions: &SyncSender<Option<R>>,
) -> Result<(), Problem>
where
    J: Send + 'static,
    R: Send + 'static,
    W: Fn(J, &Stop) -> Step<J, R> + Send + Sync + 'static,
{
    let _unmasked_on_drop = AllSignalsMasked::in_this_thread().map_err(|e| no_thread(&e))?;
    for started in 0..wanted {
        let Some(live) = LiveThread::register() else {
            return if started == 0 {
                Err(too_many_threads())
            } else {
                Ok(())
            };
        };
        let shared = Arc::clone(shared);
        let portions = portions.clone();
        let spawned = std::thread::Builder::new()
            .name("invoice_sync".into())
            .spawn(move || {
                // Dropped last, after the thread's handles on shared data.
                let _live = live;
                shared.run_jobs(&portions);
                drop((shared, portions));
            });
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
    .detail(format!("The operating system reported: {error}."))
    .hint("Check the limits on processes and memory of the server's user.")
}

fn too_many_threads() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "too many requests of this session are still in flight",
    )
    .detail(format!(
        "{MAX_THREADS} requests of statements that were canceled have not ended yet."
    ))
    .hint("Try again when they have: invoice_sync.http_timeout says how long a request may take.")
}

/// Masks all signals of the calling thread until dropped.
struct AllSignalsMasked {
    former: libc::sigset_t,
}

impl AllSignalsMasked {
    fn in_this_thread() -> io::Result<Self> {
        let mut all = MaybeUninit::uninit();
        let mut former = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises `all`; pthread_sigmask initialises `former` if it returns 0.
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
