//! One stream of bytes, and what was read from it.

use super::inbox::{Half, Inbox, Reading};
use crate::machine::{LinkId, Machine, Segment};
use crate::time::Instant;
use crate::transport::Transport;
use alloc::vec::Vec;
use core::task::{Context, Poll};

/// A transport for the links of one lane.
pub(super) struct Wire<T> {
    pub(super) transport: T,
    stream: Stream,
    input: Input,
    /// The reply that is being read.
    half: Half,
}

/// Where the transport stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Closed,
    Opening(LinkId),
    Open { link: LinkId, flushed: bool },
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something happened: more may be possible.
    Busy,
    /// The host will wake the task.
    Idle,
    /// No client is left.
    Over,
}

impl<T: Transport> Wire<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport, stream: Stream::Closed, input: Input::default(), half: Half::default() }
    }

    /// Gives the link that is open or being opened.
    pub(super) fn link(&self) -> Option<LinkId> {
        match self.stream {
            Stream::Closed => None,
            Stream::Opening(link) | Stream::Open { link, .. } => Some(link),
        }
    }

    /// Begins to open `link` instead of any other.
    pub(super) fn dial(&mut self, link: LinkId) {
        self.hang_up();
        self.stream = Stream::Opening(link);
    }

    pub(super) fn hang_up(&mut self) {
        if self.stream != Stream::Closed {
            self.stream = Stream::Closed;
            self.transport.close();
        }
    }

    /// Does what can be done now, once.
    ///
    /// # Errors
    /// The link is over; with the transport's error, if it has one.
    pub(super) fn turn<M: Machine>(
        &mut self,
        machine: &mut M,
        now: Instant,
        inbox: &mut Inbox,
        cx: &mut Context<'_>,
    ) -> Result<Step, Option<T::Error>> {
        match self.stream {
            Stream::Closed => Ok(Step::Idle),
            Stream::Opening(link) => match self.transport.poll_open(cx) {
                Poll::Pending => Ok(Step::Idle),
                Poll::Ready(Ok(())) => {
                    self.stream = Stream::Open { link, flushed: true };
                    self.input.clear();
                    machine.handle_open(now, link);
                    Ok(Step::Busy)
                }
                Poll::Ready(Err(error)) => Err(Some(error)),
            },
            Stream::Open { link, flushed } => {
                // nothing is written on a link that is known to be over
                let read = self.read(machine, now, link, inbox, cx)?;
                let written = self.write(machine, link, flushed, cx)?;
                Ok(if read == Step::Busy { read } else { written })
            }
        }
    }

    fn write<M: Machine>(
        &mut self,
        machine: &mut M,
        link: LinkId,
        flushed: bool,
        cx: &mut Context<'_>,
    ) -> Result<Step, Option<T::Error>> {
        let written = match machine.poll_transmit(link) {
            Some(Segment::Bytes(bytes)) => self.transport.poll_write(cx, bytes),
            // clients give arguments away: none is outside
            Some(Segment::External(..)) => Poll::Ready(Ok(0)),
            None if flushed => return Ok(Step::Idle),
            None => match self.transport.poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.stream = Stream::Open { link, flushed: true };
                    return Ok(Step::Busy);
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => return Ok(Step::Idle),
            },
        };
        match written {
            Poll::Pending => Ok(Step::Idle),
            Poll::Ready(Ok(0)) => Err(None),
            Poll::Ready(Ok(count)) => {
                self.stream = Stream::Open { link, flushed: false };
                machine.handle_transmitted(link, count);
                Ok(Step::Busy)
            }
            Poll::Ready(Err(error)) => Err(Some(error)),
        }
    }

    fn read<M: Machine>(
        &mut self,
        machine: &mut M,
        now: Instant,
        link: LinkId,
        inbox: &mut Inbox,
        cx: &mut Context<'_>,
    ) -> Result<Step, Option<T::Error>> {
        match self.transport.poll_read(cx, self.input.space()) {
            Poll::Pending => Ok(Step::Idle),
            Poll::Ready(Ok(0)) => Err(None),
            Poll::Ready(Ok(count)) => {
                let bytes = self.input.filled(count);
                let used =
                    machine.handle_bytes(now, link, bytes, &mut Reading { half: &mut self.half, inbox });
                self.input.consume(used);
                Ok(Step::Busy)
            }
            Poll::Ready(Err(error)) => Err(Some(error)),
        }
    }
}

/// Bytes read and not done with, at the start of a buffer that grows when they fill it.
#[derive(Debug, Default)]
struct Input {
    buffer: Vec<u8>,
    filled: usize,
}

/// What is read at once at least.
const WINDOW: usize = 16 << 10;

impl Input {
    fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.filled < WINDOW / 4 {
            self.buffer.resize((self.buffer.len() * 2).max(WINDOW), 0);
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Counts `count` more bytes; gives all.
    fn filled(&mut self, count: usize) -> &[u8] {
        self.filled = (self.filled + count).min(self.buffer.len());
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    fn clear(&mut self) {
        self.filled = 0;
    }
}
