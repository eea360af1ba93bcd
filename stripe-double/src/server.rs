//! The listening socket, its connections, and their end.

use crate::connection;
use crate::connections::Connections;
use crate::state::Shared;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

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
