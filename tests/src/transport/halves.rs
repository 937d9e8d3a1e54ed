//! Streams of `embedded-io-async`, as embassy has them, over a Unix socket of tokio.

use super::Clock;
use embedded_io_async::{ErrorType, Read, Write};
use redwire_core::embedded;
use redwire_core::time::Instant;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Sleep;

/// One direction of a stream.
pub struct Half<T>(T);

/// Opens both directions to the socket at `path`.
pub async fn halves(path: &Path) -> io::Result<(Half<OwnedReadHalf>, Half<OwnedWriteHalf>)> {
    let (reader, writer) = UnixStream::connect(path).await?.into_split();
    Ok((Half(reader), Half(writer)))
}

impl<T> ErrorType for Half<T> {
    type Error = io::Error;
}

impl Read for Half<OwnedReadHalf> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).await
    }
}

impl Write for Half<OwnedWriteHalf> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

/// tokio's clock.
pub struct Ticks {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
}

impl Default for Ticks {
    /// Begins at zero.
    fn default() -> Self {
        Self { clock: Clock, sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl embedded::Clock for Ticks {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let left = Duration::from_millis(until.0.saturating_sub(self.now().0));
        if left.is_zero() {
            return Poll::Ready(());
        }
        self.sleep.as_mut().reset(tokio::time::Instant::now() + left);
        self.sleep.as_mut().poll(cx)
    }
}
