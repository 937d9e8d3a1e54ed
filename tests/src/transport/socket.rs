//! A TCP or Unix socket for a thread that blocks in `poll(2)` or its like.

use super::{Clock, entropy};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll as Poller, Registry, Token};
use redwire_core::time::Instant;
use redwire_core::transport::{Blocking, Transport};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Where a server listens.
pub trait Address: Clone {
    /// What is open when connected.
    type Stream: Read + Write + Source;

    /// Begins to connect.
    fn connect(&self) -> io::Result<Self::Stream>;

    /// Tells whether `stream` is connected, or why it will never be.
    fn is_connected(stream: &Self::Stream) -> io::Result<bool>;

    /// Tells whether nobody on the way can read or change the bytes.
    fn is_secure(&self) -> bool;
}

impl Address for SocketAddr {
    type Stream = TcpStream;

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(*self)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn is_connected(stream: &TcpStream) -> io::Result<bool> {
        connected(stream.take_error(), stream.peer_addr().map(drop))
    }

    fn is_secure(&self) -> bool {
        false
    }
}

impl Address for PathBuf {
    type Stream = UnixStream;

    fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self)
    }

    fn is_connected(stream: &UnixStream) -> io::Result<bool> {
        connected(stream.take_error(), stream.peer_addr().map(drop))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

fn connected(error: io::Result<Option<io::Error>>, peer: io::Result<()>) -> io::Result<bool> {
    match (error?, peer) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(true),
        (None, Err(error)) if error.kind() == ErrorKind::NotConnected => Ok(false),
        (None, Err(error)) => Err(error),
    }
}

/// A [`Transport`] over a socket of the system.
pub struct Socket<A: Address> {
    address: A,
    stream: Option<A::Stream>,
    /// Where the transport that this one is another of waits for both.
    poller: Option<Poller>,
    registry: Registry,
    events: Events,
    alarm: Arc<Alarm>,
    clock: Clock,
}

const STREAM: Token = Token(0);
const ALARM: Token = Token(1);

impl<A: Address> Socket<A> {
    /// Makes a transport to `address`; opens nothing.
    pub fn new(address: A) -> io::Result<Self> {
        let poller = Poller::new()?;
        let alarm = Arc::new(Alarm(mio::Waker::new(poller.registry(), ALARM)?));
        Ok(Self {
            address,
            stream: None,
            registry: poller.registry().try_clone()?,
            poller: Some(poller),
            events: Events::with_capacity(8),
            alarm,
            clock: Clock,
        })
    }

    fn attempt(&mut self) -> io::Result<bool> {
        if let Some(stream) = &self.stream {
            return A::is_connected(stream);
        }
        let mut stream = self.address.connect()?;
        self.registry.register(&mut stream, STREAM, Interest::READABLE | Interest::WRITABLE)?;
        A::is_connected(self.stream.insert(stream))
    }

    fn with<R>(&mut self, io: impl FnOnce(&mut A::Stream) -> io::Result<R>) -> Poll<io::Result<R>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        match io(stream) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

impl<A: Address> Transport for Socket<A> {
    type Error = io::Error;

    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.attempt() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => {
                self.stream = None;
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| retry(|| stream.read(buffer)))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| retry(|| stream.write(bytes)))
    }

    fn close(&mut self) {
        self.stream = None;
    }

    fn is_secure(&self) -> bool {
        self.address.is_secure()
    }

    fn entropy(&mut self) -> Option<[u8; 16]> {
        entropy().ok()
    }

    fn another(&self) -> Option<Self> {
        Some(Self {
            address: self.address.clone(),
            stream: None,
            poller: None,
            registry: self.registry.try_clone().ok()?,
            events: Events::with_capacity(0),
            alarm: self.alarm.clone(),
            clock: self.clock,
        })
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll_sleep(&mut self, _: &mut Context<'_>, until: Instant) -> Poll<()> {
        // `wait` ends in time
        if self.now() < until { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl<A: Address> Blocking for Socket<A> {
    fn waker(&self) -> Waker {
        self.alarm.clone().into()
    }

    fn wait(&mut self, until: Instant) {
        let left =
            (until != Instant::NEVER).then(|| Duration::from_millis(until.0.saturating_sub(self.now().0)));
        let poller = self.poller.as_mut().expect("the driver waits on the first transport");
        match poller.poll(&mut self.events, left) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                unreachable!("waiting on an open poller failed: {error}")
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn retry(mut io: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match io() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Ends a wait from any thread.
struct Alarm(mio::Waker);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake().expect("an open poller can be woken");
    }
}
