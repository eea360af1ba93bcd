//! The listening socket, its connections, and their end.

use crate::config::{Config, Key};
use crate::connection;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::limits::{InFlight, RateLimit};
use crate::resend::Outbox;
use crate::store::Store;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a stopping server waits for its connections' threads.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) store: Mutex<Store>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) in_flight: InFlight,
    pub(crate) keys: Vec<Key>,
    pub(crate) api_version: String,
    pub(crate) connections: Connections,
}

/// What may be changed while the server runs.
pub(crate) struct Limits {
    pub(crate) latency: Duration,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) concurrency: Option<usize>,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        Shared {
            store: Mutex::new(Store::new(config)),
            journal: Mutex::default(),
            faults: Mutex::default(),
            outbox: Mutex::new(Outbox::new(config.resend_keys.clone())),
            limits: Mutex::new(Limits {
                latency: config.latency,
                rate: config.rate_limit.map(RateLimit::new),
                concurrency: config.max_concurrency,
            }),
            in_flight: InFlight::default(),
            keys: config.keys.clone(),
            api_version: config.api_version.clone(),
            connections: Connections::default(),
        }
    }
}

/// Locks, also after a thread panicked with the lock held: the state is only a test's.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open connections, and whether the server stops.
#[derive(Default)]
pub(crate) struct Connections {
    state: Mutex<Open>,
    changed: Condvar,
}

#[derive(Default)]
struct Open {
    stopping: bool,
    accepted: u64,
    streams: HashMap<u64, Arc<TcpStream>>,
    threads: usize,
    /// Answers that are held back, and how often such were let go.
    held: usize,
    releases: u64,
}

impl Connections {
    /// How many connections were ever accepted.
    pub(crate) fn accepted(&self) -> u64 {
        lock(&self.state).accepted
    }

    /// Sleeps unless the server stops; says whether it goes on.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = lock(&self.state);
        let deadline = Instant::now() + time;
        let (state, _) = self
            .changed
            .wait_timeout_while(
                state,
                deadline.saturating_duration_since(Instant::now()),
                |open| !open.stopping,
            )
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    /// Waits until held answers are let go; says whether the server goes on.
    pub(crate) fn wait_for_release(&self) -> bool {
        let mut state = lock(&self.state);
        let before = state.releases;
        state.held += 1;
        let mut state = self
            .changed
            .wait_while(state, |open| !open.stopping && open.releases == before)
            .unwrap_or_else(PoisonError::into_inner);
        state.held -= 1;
        !state.stopping
    }

    /// Lets the answers go that are held back now.
    pub(crate) fn release(&self) {
        lock(&self.state).releases += 1;
        self.changed.notify_all();
    }

    /// How many answers are held back now.
    pub(crate) fn held(&self) -> usize {
        lock(&self.state).held
    }

    /// Waits until the server stops.
    pub(crate) fn wait_for_stop(&self) {
        let state = lock(&self.state);
        drop(self.changed.wait_while(state, |open| !open.stopping));
    }

    /// Forgets a stream, so that its thread holds the last handle to it.
    pub(crate) fn forget(&self, number: u64) {
        lock(&self.state).streams.remove(&number);
    }

    fn add(&self, stream: &Arc<TcpStream>) -> Option<u64> {
        let mut open = lock(&self.state);
        if open.stopping {
            return None;
        }
        open.accepted += 1;
        open.threads += 1;
        let number = open.accepted;
        open.streams.insert(number, Arc::clone(stream));
        Some(number)
    }

    fn thread_ended(&self, number: u64) {
        let mut open = lock(&self.state);
        open.streams.remove(&number);
        open.threads -= 1;
        self.changed.notify_all();
    }

    fn stop(&self) {
        let mut open = lock(&self.state);
        open.stopping = true;
        for stream in open.streams.values() {
            // it may be closed already
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        lock(&self.state).stopping
    }

    fn wait_for_threads(&self) {
        let state = lock(&self.state);
        drop(
            self.changed
                .wait_timeout_while(state, FAREWELL, |open| open.threads > 0),
        );
    }
}

/// A running server; dropping it stops it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(port: u16, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let served = Arc::clone(&shared);
        let accepting = thread::Builder::new()
            .name("stripe-double".into())
            .spawn(move || accept(&listener, &served))?;
        Ok(Server {
            address,
            shared,
            accepting: Some(accepting),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.connections.stop();
        // the accepting thread wakes up for a last connection and sees that it is to stop
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.shared.connections.wait_for_threads();
    }
}

/// Ends a connection's count also when its thread panics.
struct Ending<'a>(&'a Connections, u64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.thread_ended(self.1);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.connections.is_stopping() {
            return;
        }
        let Ok(stream) = stream else {
            // out of file descriptors, or the client was gone: the next one may fare better
            thread::yield_now();
            continue;
        };
        // answers are small and written whole
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let Some(number) = shared.connections.add(&stream) else {
            return;
        };
        let served = Arc::clone(shared);
        let spawned = thread::Builder::new()
            .name(format!("stripe-double {number}"))
            .spawn(move || {
                let _ending = Ending(&served.connections, number);
                connection::serve(&served, stream, number);
            });
        if spawned.is_err() {
            shared.connections.thread_ended(number);
        }
    }
}
