//! The handle that applications hold.

use crate::argument::Fault;
use crate::batch::{BatchBuffer, flags};
use crate::command::Call;
use crate::connection::{Config, Connection};
use crate::driver::Driver;
use crate::error::{Error, Mismatch};
use crate::machine::Slot;
use crate::request::{Replies, Request};
use crate::resp::Frame;
use crate::slab::Shared;
use crate::table::{self, Row, RowId};
use crate::transport::Transport;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;

/// A handle to a server: cheap to clone, usable from any thread or task. Its [`Driver`] does the work.
///
/// Commands of all clones share one link, in the order in which their futures are first polled. The link is opened when the
/// first command needs it, and again after it failed.
///
/// # Cancellation
/// Dropping the future of a request gives its commands up: those that were not written yet are never sent, replies to the others
/// are dropped. Other commands on the link are not disturbed.
///
/// # Interrupts
/// Clients and driver share a spin lock: do not use a client inside an interrupt handler.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Counts clients: the driver ends with the last.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.desert();
    }
}

impl Client {
    /// Makes a client and the driver that must run for it. Nothing is opened yet.
    pub fn new<T: Transport>(transport: T, config: Config) -> (Self, Driver<T>) {
        let shared = Arc::<Shared>::default();
        let driver = Driver::new(transport, Connection::new(config), shared.clone());
        (Self { handle: Arc::new(Handle { shared }) }, driver)
    }

    /// Like [`new`](Self::new), where security is demanded, as by a `rediss://` URL.
    ///
    /// # Errors
    /// [`Error::Insecure`] when the transport is not secure.
    pub fn secure<T: Transport>(transport: T, config: Config) -> Result<(Self, Driver<T>), Error> {
        if transport.is_secure() { Ok(Self::new(transport, config)) } else { Err(Error::Insecure) }
    }

    /// Runs `request`: its commands are sent in one go and may interleave with those of others.
    ///
    /// # Errors
    /// The first of its commands that failed; the others were executed nevertheless.
    pub async fn execute<Q: Request>(&self, request: Q) -> Result<Q::Output, Error> {
        let mut replies = self.pipeline(&request)?.replies().await;
        request.read(&mut replies)
    }

    /// Like [`execute`](Self::execute), with a `Result` for each item of `request`.
    pub async fn try_execute<Q: Request>(&self, request: Q) -> Q::Tried {
        let mut replies = match self.pipeline(&request) {
            Ok(pending) => pending.replies().await,
            Err(error) => {
                let mut failed = Vec::new();
                request.calls(&mut |_| failed.push(Err(error.clone())));
                Replies::new(failed)
            }
        };
        request.try_read(&mut replies)
    }

    /// Runs `request` as a transaction: the server executes all of it, with nothing of others in between, or nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server would not queue a command, [`Error::Watch`] when a watched key changed: nothing was
    /// executed. Otherwise the first of its commands that failed; the others were executed nevertheless.
    pub async fn atomic<Q: Request>(&self, request: Q) -> Result<Q::Output, Error> {
        let mut replies = match self.transaction(&request)? {
            (_, 0) => Replies::new(Vec::new()),
            (pending, count) => pending.transaction(count).await?,
        };
        request.read(&mut replies)
    }

    fn pipeline<Q: Request>(&self, request: &Q) -> Result<Pending, Error> {
        let count = count(request)?;
        self.submit(count, |slots, batch| {
            let mut slots = slots.iter();
            request.calls(&mut |call| {
                if let Some(&slot) = slots.next() {
                    push(batch, slot, call, 0);
                }
            });
        })
    }

    fn transaction<Q: Request>(&self, request: &Q) -> Result<(Pending, usize), Error> {
        let count = count(request)?;
        let pending = self.submit(count.min(1), |slots, batch| {
            let Some(&slot) = slots.first() else { return };
            batch.push(slot, table::find(b"MULTI"), flags::MULTI, None, core::iter::empty());
            request.calls(&mut |call| push(batch, slot, call, flags::MEMBER));
            batch.push(slot, table::find(b"EXEC"), flags::EXEC, None, core::iter::empty());
        })?;
        Ok((pending, count))
    }

    fn submit(&self, count: usize, write: impl FnOnce(&[Slot], &mut BatchBuffer)) -> Result<Pending, Error> {
        let mut slots = alloc::vec![Slot(0); count];
        if count > 0 {
            self.handle.shared.submit(&mut slots, write)?;
        }
        Ok(Pending { shared: self.handle.shared.clone(), slots })
    }
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Client")
    }
}

/// Counts the commands of `request`.
fn count<Q: Request>(request: &Q) -> Result<usize, Error> {
    let (mut count, mut fault) = (0, None);
    request.calls(&mut |call| {
        count += 1;
        fault = fault.or_else(|| call.args().fault().map(|fault| (call.row(), fault)));
    });
    match fault {
        None => Ok(count),
        Some((_, Fault::TooLarge)) => Err(Error::TooLarge),
        Some((row, Fault::Empty(parameter))) => Err(Error::Empty { command: Row::at(row).name(), parameter }),
    }
}

fn push(batch: &mut BatchBuffer, slot: Slot, call: &Call, role: u32) {
    let raw = if call.is_raw() { flags::RAW } else { 0 };
    let idempotent = if call.is_idempotent() && role == 0 { flags::IDEMPOTENT } else { 0 };
    let cached = call.is_cached().map_or(0, |cached| if cached { flags::CACHED } else { flags::UNCACHED });
    debug_assert!(
        call.row() != RowId::UNKNOWN || call.args().iter().next().is_some(),
        "a command has a name"
    );
    batch.push(slot, call.row(), role | raw | idempotent | cached, None, call.args().iter());
}

/// Commands that were submitted; dropping it gives them up.
struct Pending {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
}

impl Pending {
    async fn outcomes(mut self) -> Vec<Result<Frame, Error>> {
        poll_fn(|cx| self.shared.poll_all(&self.slots, cx)).await;
        self.shared.settle(&core::mem::take(&mut self.slots))
    }

    async fn replies(self) -> Replies {
        Replies::new(self.outcomes().await)
    }

    async fn transaction(self, count: usize) -> Result<Replies, Error> {
        match self.outcomes().await.pop() {
            Some(Ok(Frame::Array(items))) if items.len() == count => {
                Ok(Replies::new(items.into_iter().map(Ok).collect()))
            }
            Some(Ok(Frame::Null)) => Err(Error::Watch),
            Some(Ok(_)) | None => {
                Err(Mismatch { wanted: "a reply for each command", found: "something else" }.into())
            }
            Some(Err(error)) => Err(error),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.slots.is_empty() {
            self.shared.abandon(&self.slots);
        }
    }
}
