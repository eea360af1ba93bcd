//! The open connections, and whether the server stops.

use crate::lock::lock;
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a stopping server waits for its connections' threads.
const FAREWELL: Duration = Duration::from_secs(5);

/// The open connections, and whether the server stops.
#[derive(Default)]
pub(crate) struct Connections {
    state: Mutex<Open>,
    changed: Condvar,
}

#[derive(Default)]
struct Open {
    stopping: bool,
    /// Answers that are held back.
    held: usize,
    /// How often they were released.
    releases: u64,
    accepted: u64,
    streams: HashMap<u64, Arc<TcpStream>>,
    threads: usize,
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

    /// Waits until answers are released that are held back; false where the server stops.
    pub(crate) fn hold(&self) -> bool {
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

    /// How many answers are held back.
    pub(crate) fn held(&self) -> usize {
        lock(&self.state).held
    }

    /// Sends every answer that is held back.
    pub(crate) fn release(&self) {
        lock(&self.state).releases += 1;
        self.changed.notify_all();
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

    pub(crate) fn add(&self, stream: &Arc<TcpStream>) -> Option<u64> {
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

    pub(crate) fn thread_ended(&self, number: u64) {
        let mut open = lock(&self.state);
        open.streams.remove(&number);
        open.threads -= 1;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        let mut open = lock(&self.state);
        open.stopping = true;
        for stream in open.streams.values() {
            // it may be closed already
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.state).stopping
    }

    pub(crate) fn wait_for_threads(&self) {
        let state = lock(&self.state);
        drop(
            self.changed
                .wait_timeout_while(state, FAREWELL, |open| open.threads > 0),
        );
    }
}
