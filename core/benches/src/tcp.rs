//! A transport over tokio's TCP socket.

use redwire_core::time::Instant;
use redwire_core::transport::Transport;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// A [`Transport`] to one address.
pub struct Tcp {
    address: SocketAddr,
    attempt: Option<Attempt>,
    stream: Option<TcpStream>,
    begin: std::time::Instant,
    sleep: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Tcp {
    /// Makes a transport to `address`; opens nothing.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, attempt: None, stream: None, begin: std::time::Instant::now(), sleep: None }
    }

    fn stream(&mut self) -> Result<Pin<&mut TcpStream>, io::Error> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Transport for Tcp {
    type Error = io::Error;

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let address = self.address;
        let attempt = self.attempt.get_or_insert_with(|| Box::pin(TcpStream::connect(address)));
        attempt.as_mut().poll(cx).map(|opened| {
            self.attempt = None;
            let stream = opened?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
            Ok(())
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        self.stream()?.poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn close(&mut self) {
        (self.attempt, self.stream) = (None, None);
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let left = Duration::from_millis(until.0.saturating_sub(self.now().0));
        if left.is_zero() {
            self.sleep = None;
            return Poll::Ready(());
        }
        if self.sleep.as_ref().is_none_or(|(deadline, _)| *deadline != until) {
            self.sleep = Some((until, Box::pin(tokio::time::sleep(left))));
        }
        let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
        sleep.as_mut().poll(cx).map(|()| self.sleep = None)
    }
}
