//! Clients that many threads and processes use at once.

use crate::transport::Socket;
use redwire_core::client::Client;
use redwire_core::connection::Config;
use redwire_core::pool::Limits;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// Makes a client whose driver has a thread of its own, until the last clone is dropped.
///
/// # Panics
/// When the system has no more sockets.
pub fn client(address: SocketAddr, config: Config) -> Client {
    limited(address, config, Limits::default())
}

/// Likewise, with so many leased links at most.
///
/// # Panics
/// Likewise.
pub fn limited(address: SocketAddr, config: Config, limits: Limits) -> Client {
    let (client, mut driver) = Client::with_limits(Socket::new(address).expect("a socket"), config, limits);
    thread::spawn(move || driver.run_blocking());
    client
}

/// Waits on this thread until `future` is ready.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
