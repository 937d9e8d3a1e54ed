//! What redwire asks of a host: a byte stream that can be opened again, and a clock.

use crate::time::Instant;
use core::task::{Context, Poll, Waker};

/// One byte stream to one server, opened and closed as often as the driver asks, with the host's clock beside it.
///
/// Calls that give [`Poll::Pending`] must have the task woken when it is worth calling again: reading and writing wait
/// independently of each other, so that neither direction can block the other. A stream that is not open gives an error.
pub trait Transport {
    /// Why the stream could not be opened, read or written.
    type Error: core::fmt::Display;

    /// Opens the stream, TLS included. Called until it is ready; [`close`](Self::close) gives an attempt up.
    ///
    /// # Errors
    /// When the stream cannot be opened; the next call begins a new attempt.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Reads into the start of `buffer`, which is never empty; gives the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// When the stream failed.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Self::Error>>;

    /// Writes from the start of `bytes`, which are never empty; gives how many were taken, 1 at least.
    ///
    /// # Errors
    /// When the stream failed.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Self::Error>>;

    /// Sends what the transport itself has kept back of the bytes taken.
    ///
    /// # Errors
    /// When the stream failed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Closes the stream at once, or gives up opening it; does nothing when there is none.
    fn close(&mut self);

    /// Tells whether nobody on the way can read or change the bytes. Stays the same over the transport's life.
    fn is_secure(&self) -> bool;

    /// Gives 128 bits that nobody can guess and nobody else is given, from the host's source of randomness for secrets. Asked once, by the
    /// client that is made with the transport: tokens of locks come of them, and without them there are no locks.
    fn entropy(&mut self) -> Option<[u8; 16]> {
        None
    }

    /// Gives a transport for another stream to the same server, which subscriptions need, and leases and commands that block one each; `None`
    /// where the host has no other, which is asked when the client is made. Where it is [`Blocking`], waiting on this one also ends when the
    /// other is ready.
    fn another(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Gives the time on the host's clock, which never goes back.
    fn now(&self) -> Instant;

    /// Waits until [`now`](Self::now) has reached `until`, and is pending before. Each call replaces the one before.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()>;
}

/// A [`Transport`] whose host has no executor: a thread that may block.
pub trait Blocking: Transport {
    /// Gives a waker that ends [`wait`](Self::wait), the one that runs or else the next. It may be woken on any thread.
    fn waker(&self) -> Waker;

    /// Blocks until the stream is ready for what gave [`Poll::Pending`], the waker was woken, or `until` has come. It may
    /// return early.
    fn wait(&mut self, until: Instant);
}
