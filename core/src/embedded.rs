//! Streams of `embedded-io-async` as a [`Transport`].

use crate::time::Instant;
use crate::transport::Transport;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};

/// The clock of a host whose streams have none, and its entropy.
pub trait Clock {
    /// Gives the time, which never goes back.
    fn now(&self) -> Instant;

    /// Waits until [`now`](Self::now) has reached `until`, and is pending before. Each call replaces the one before.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()>;

    /// See [`Transport::entropy`].
    fn entropy(&mut self) -> Option<[u8; 16]> {
        None
    }
}

/// A [`Transport`] over the halves of a split stream, so that neither direction waits for the other.
///
/// Their methods are futures that borrow them, and that need not bear being dropped half-way: each call is boxed with its half
/// and polled to its end. That costs an allocation for each read and write, and makes the transport (and so its driver) not
/// `Send`: for executors of one thread. Closing drops the halves with whatever they were doing.
pub struct Embedded<'a, R: Read, W, C> {
    open: Box<dyn FnMut() -> Opening<'a, R, W> + 'a>,
    opening: Option<Opening<'a, R, W>>,
    reader: Half<'a, R, R::Error>,
    writer: Half<'a, W, R::Error>,
    clock: C,
    secure: bool,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
type Opening<'a, R, W> = Boxed<'a, Result<(R, W), <R as embedded_io_async::ErrorType>::Error>>;
type Used<H, E> = (H, Vec<u8>, Result<usize, E>);

/// One direction, with its buffer.
enum Half<'a, H, E> {
    Closed,
    /// The part of the buffer that was read and not taken yet.
    Idle(H, Vec<u8>, Range<usize>),
    Busy(Boxed<'a, Used<H, E>>),
}

/// Bytes moved by one call of a half.
const CHUNK: usize = 2048;

impl<'a, R, W, C> Embedded<'a, R, W, C>
where
    R: Read + 'a,
    W: Write<Error = R::Error> + 'a,
    C: Clock,
{
    /// Makes a transport that gets its halves from `open`, once for each link; `secure` is what
    /// [`is_secure`](Transport::is_secure) answers.
    pub fn new<F>(mut open: impl FnMut() -> F + 'a, clock: C, secure: bool) -> Self
    where
        F: Future<Output = Result<(R, W), R::Error>> + 'a,
    {
        Self {
            open: Box::new(move || Box::pin(open())),
            opening: None,
            reader: Half::Closed,
            writer: Half::Closed,
            clock,
            secure,
        }
    }
}

impl<'a, R, W, C> Transport for Embedded<'a, R, W, C>
where
    R: Read + 'a,
    W: Write<Error = R::Error> + 'a,
    C: Clock,
{
    type Error = R::Error;

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        let opening = self.opening.get_or_insert_with(&mut self.open);
        opening
            .as_mut()
            .poll(cx)
            .map_ok(|(reader, writer)| {
                self.reader = Half::Idle(reader, alloc::vec![0; CHUNK], 0..0);
                self.writer = Half::Idle(writer, Vec::with_capacity(CHUNK), 0..0);
            })
            .map(|result| {
                self.opening = None;
                result
            })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, R::Error>> {
        if let Half::Idle(..) = self.reader {
            self.reader.begin(|mut reader, mut bytes| async move {
                let result = reader.read(&mut bytes).await;
                (reader, bytes, result)
            });
        }
        self.reader.poll(cx).map_ok(|()| self.reader.take(buffer))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, R::Error>> {
        match self.writer.poll(cx) {
            Poll::Ready(Ok(())) if matches!(self.writer, Half::Idle(..)) => {}
            other => return other.map_ok(|()| 0),
        }
        // taken at once: what the machine gives next time may be something else
        let bytes = bytes.get(..CHUNK).unwrap_or(bytes);
        self.writer.begin(|mut writer, mut copy| {
            copy.clear();
            copy.extend_from_slice(bytes);
            async move {
                let result = match writer.write_all(&copy).await {
                    Ok(()) => writer.flush().await,
                    error => error,
                };
                (writer, copy, result.map(|()| 0))
            }
        });
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.writer.poll(cx)
    }

    fn close(&mut self) {
        self.opening = None;
        self.reader = Half::Closed;
        self.writer = Half::Closed;
    }

    fn is_secure(&self) -> bool {
        self.secure
    }

    fn entropy(&mut self) -> Option<[u8; 16]> {
        self.clock.entropy()
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.clock.poll_sleep(cx, until)
    }
}

impl<'a, H, E> Half<'a, H, E> {
    /// Starts a call, unless bytes of the last one are left.
    fn begin<F: Future<Output = Used<H, E>> + 'a>(&mut self, call: impl FnOnce(H, Vec<u8>) -> F) {
        *self = match mem::replace(self, Self::Closed) {
            Self::Idle(half, bytes, left) if left.is_empty() => Self::Busy(Box::pin(call(half, bytes))),
            other => other,
        };
    }

    /// Waits for the end of the call, if any.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let Self::Busy(call) = self else { return Poll::Ready(Ok(())) };
        call.as_mut().poll(cx).map(|(half, bytes, result)| {
            let (count, result) = match result {
                Ok(count) => (count, Ok(())),
                Err(error) => (0, Err(error)),
            };
            *self = Self::Idle(half, bytes, 0..count);
            result
        })
    }

    /// Takes bytes that were read; gives how many.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let Self::Idle(_, bytes, left) = self else { return 0 };
        let unread = bytes.get(left.clone()).unwrap_or_default();
        let count = unread.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(unread) {
            *to = *from;
        }
        left.start += count;
        count
    }
}
