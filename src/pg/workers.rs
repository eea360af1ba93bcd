//! Runs jobs on threads that never touch PostgreSQL.
//!
//! PostgreSQL's backend is one thread, its signal handlers included. So every
//! signal is masked before a thread is spawned (a thread inherits the mask), the
//! threads get owned values only, and the backend's own thread does nothing but
//! wait in short slices and look for interrupts.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::ending::{self, Live, MOST_THREADS};
use super::problem::Problem;
use super::stop::{Stop, unpoisoned};

/// The longest wait between two looks for interrupts: cancel, statement_timeout
/// and shutdown take effect well within 100 ms.
const SLICE: Duration = Duration::from_millis(10);

/// Microseconds that this backend has waited for its threads.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// How long this backend has waited for its threads since it started.
pub(crate) fn waited_for_threads() -> Duration {
    Duration::from_micros(WAITED.load(Ordering::Relaxed))
}

/// Runs every job on at most `limit` threads; results arrive in job order, with
/// `None` where the deadline passed first or where `work` panicked (which also
/// gives a WARNING). Otherwise as [`start_on_threads`].
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

/// What a job leaves behind.
pub(crate) struct Step<J, R> {
    /// For the backend.
    pub(crate) portion: R,
    /// Jobs that follow from it.
    pub(crate) then: Vec<J>,
}

/// Starts `limit` threads that work off the jobs, in their order, and those
/// that follow from them; what comes of them is taken with [`Running::next`].
///
/// `work` runs on threads where nothing of pgrx may be called. When the handle is
/// dropped (as it is when the caller is canceled), [`Stop`] is set and the threads
/// end by themselves after the request they are in; nobody waits for them. Nor do they
/// outlive what they use where the backend ends: see [`super::ending`]. Threads that are
/// ahead of the backend wait for it.
///
/// Fails with SQLSTATE 53000 where not a single thread could be started, or where those
/// of statements that were canceled are too many still.
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
    ending::stop_at_the_end(Arc::downgrade(&stop.0));
    let (portions, arrivals) = sync_channel(limit);
    let crew = Arc::new(SharedWork {
        queue: Mutex::new(Queue {
            jobs: jobs.into(),
            at_work: 0,
        }),
        work,
        stop,
        deadline,
    });
    // Only the threads hold senders, so the channel closes with the last of them.
    spawn_threads(&crew, limit, &portions)?;
    Ok(Running {
        arrivals,
        deadline,
        panicked: 0,
        _set_on_drop: set_on_drop,
    })
}

/// Work that is under way on threads, until it is dropped.
pub(crate) struct Running<R> {
    arrivals: Receiver<Option<R>>,
    deadline: Instant,
    panicked: usize,
    _set_on_drop: StopOnDrop,
}

/// What a short wait brought.
enum Slice<R> {
    Arrived(R),
    Nothing,
    /// Nothing more will arrive: all is done, or the deadline has passed.
    Over,
}

impl<R> Running<R> {
    /// The next portion, in the order in which they are ready; `None` at the end
    /// and after the deadline. Waits on the backend's own thread, in short slices,
    /// and unwinds when interrupted. A panic in a job gives a WARNING at the end.
    pub(crate) fn next(&mut self) -> Option<R> {
        loop {
            pgrx::check_for_interrupts!();
            ending::exit_if_the_server_died();
            match self.wait_a_slice() {
                Slice::Arrived(portion) => return Some(portion),
                Slice::Nothing => {}
                Slice::Over => break,
            }
        }
        let panicked = std::mem::take(&mut self.panicked);
        if panicked > 0 {
            pgrx::warning!("{panicked} requests ended in an internal error");
        }
        None
    }

    /// A portion that is there already.
    pub(crate) fn at_hand(&mut self) -> Option<R> {
        loop {
            match self.arrivals.try_recv() {
                Ok(Some(portion)) => return Some(portion),
                Ok(None) => self.panicked += 1,
                Err(_) => return None,
            }
        }
    }

    /// As [`Self::next`], where there is no server.
    #[cfg(test)]
    pub(crate) fn next_without_server(&mut self) -> Option<R> {
        loop {
            match self.wait_a_slice() {
                Slice::Arrived(portion) => return Some(portion),
                Slice::Nothing => {}
                Slice::Over => return None,
            }
        }
    }

    fn wait_a_slice(&mut self) -> Slice<R> {
        let begun = Instant::now();
        let left = self.deadline.saturating_duration_since(begun);
        let arrival = self.arrivals.recv_timeout(SLICE.min(left));
        WAITED.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        match arrival {
            Ok(Some(portion)) => Slice::Arrived(portion),
            Ok(None) => {
                self.panicked += 1;
                Slice::Nothing
            }
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => Slice::Nothing,
            Err(_) => Slice::Over,
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
    /// Jobs that were taken and may still be followed by others.
    at_work: usize,
}

impl<J> Queue<J> {
    /// Whether there is nothing to do now, but may be soon.
    fn is_waited_for(&self) -> bool {
        self.jobs.is_empty() && self.at_work > 0
    }
}

impl<J, W> SharedWork<J, W> {
    /// Waits for a job; `None` where none will come.
    fn next_job(&self) -> Option<J> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if self.stop.is_set() || left.is_zero() {
                return None;
            }
            let mut queue = self.queue();
            if let Some(job) = queue.jobs.pop_front() {
                queue.at_work += 1;
                return Some(job);
            }
            if !queue.is_waited_for() {
                return None;
            }
            drop(queue);
            self.stop.sleep_while(left, || self.queue().is_waited_for());
        }
    }

    fn job_ended(&self, followers: Vec<J>) {
        let mut queue = self.queue();
        queue.jobs.extend(followers);
        queue.at_work -= 1;
        drop(queue);
        self.stop.wake();
    }

    fn queue(&self) -> MutexGuard<'_, Queue<J>> {
        unpoisoned(self.queue.lock())
    }

    fn work_off<R>(&self, portions: &SyncSender<Option<R>>)
    where
        W: Fn(J, &Stop) -> Step<J, R>,
    {
        while let Some(job) = self.next_job() {
            // pgrx's panic hook, off the main thread, only notes the place in a
            // thread-local and lets Rust's default hook write to stderr, which is
            // the server's log: nothing of PostgreSQL is touched.
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

/// Starts up to `wanted` threads. Fewer will do; none will not.
fn spawn_threads<J, R, W>(
    crew: &Arc<SharedWork<J, W>>,
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
        let Some(live) = Live::one_more() else {
            return if started == 0 {
                Err(too_many_threads())
            } else {
                Ok(())
            };
        };
        let crew = Arc::clone(crew);
        let portions = portions.clone();
        let spawned = std::thread::Builder::new()
            .name("invoice_sync".into())
            .spawn(move || {
                // Dropped last: after the threads' own handles on what they share.
                let _live = live;
                crew.work_off(&portions);
                drop((crew, portions));
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
    .detail(format!("The operating system says: {error}."))
    .hint("Check the limits on processes and memory of the server's user.")
}

fn too_many_threads() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "too many requests of this session are still in flight",
    )
    .detail(format!(
        "{MOST_THREADS} requests of statements that were canceled have not ended yet."
    ))
    .hint("Try again when they have: invoice_sync.http_timeout says how long a request may take.")
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
