//! The handle that applications hold.

mod lease;
mod library;
mod lock;
mod transaction;

pub use library::{Function, Library};
pub use lock::{Held, LockBuilder};
pub use transaction::Watched;

use crate::argument::Fault;
use crate::batch::{BatchBuffer, flags};
use crate::command::Call;
use crate::connection::Config;
use crate::draft;
use crate::driver::Driver;
use crate::error::{Error, Mismatch, ServerError};
use crate::machine::Slot;
use crate::operation::{self, Script};
use crate::outbox::Commands;
use crate::pool::{Limits, Pool};
use crate::pubsub::Kind;
use crate::reply::FromReply;
use crate::request::{Replies, Request};
use crate::resp::Frame;
use crate::slab::Shared;
use crate::subscription::{Ears, Subscription};
use crate::table::{Effect, RowId};
use crate::transport::Transport;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use lease::Leased;

const MULTI: RowId = const { draft::id("MULTI") };
const EXEC: RowId = const { draft::id("EXEC") };
const SCRIPT_FLUSH: RowId = const { draft::id("SCRIPT FLUSH") };

/// A handle to a server: cheap to clone, usable from any thread or task. Its [`Driver`] does the work.
///
/// Commands of all clones share one link, in the order in which their futures are first polled. The link is opened when the
/// first command needs it, and again after it failed. Commands that block are the exception: each goes on a link of its own and delays
/// nobody. [`lease`](Self::lease) gives a client that has one to itself.
///
/// # Cancellation
/// Dropping the future of a request gives its commands up: those that were not written yet are never sent, replies to the others
/// are dropped. Other commands on the link are not disturbed.
///
/// # Interrupts
/// Clients and driver share a spin lock, which is held while the arguments of a request are copied: do not use a client inside an
/// interrupt handler.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    /// The link that it has to itself, with its clones.
    lease: Option<Arc<Leased>>,
}

/// Counts clients: the driver ends with the last.
struct Handle {
    shared: Arc<Shared>,
    /// What the transport gave to make tokens of.
    entropy: Option<[u8; 16]>,
    /// Subscriptions, where the transport has a stream for them.
    ears: Option<Arc<Ears>>,
    /// There are leases.
    leases: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(ears) = &self.ears {
            ears.shared.desert();
        }
        self.shared.desert();
    }
}

impl Client {
    /// Makes a client and the driver that must run for it. Nothing is opened yet.
    pub fn new<T: Transport>(transport: T, config: Config) -> (Self, Driver<T>) {
        Self::with_limits(transport, config, Limits::default())
    }

    /// Likewise, with so many links beside the shared one at most, and for so long: there are none where the transport gives no other stream.
    pub fn with_limits<T: Transport>(mut transport: T, config: Config, limits: Limits) -> (Self, Driver<T>) {
        let entropy = transport.entropy();
        let shared = Arc::<Shared>::default();
        let second = transport.another();
        let none = Limits { max_connections: 0, ..limits };
        let limits = if second.is_some() { limits } else { none };
        let mut driver = Driver::new(transport, Pool::new(config.clone(), limits), shared.clone());
        let ears = second.map(|second| {
            let ears = Arc::<Ears>::default();
            driver.listen(second, Pool::new(config, none), ears.clone());
            ears
        });
        (
            Self {
                handle: Arc::new(Handle { shared, entropy, ears, leases: limits.max_connections > 0 }),
                lease: None,
            },
            driver,
        )
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
    /// The first of its commands that failed; the others were executed nevertheless: [`Error::Unsupported`] where the server does not know a
    /// command of the table, [`Error::Server`] for what it refuses otherwise, with the command's name; [`Error::NoLink`] where none could be
    /// made. [`Error::Reserved`] for a command that would change
    /// the link that everybody shares, [`Error::TooLarge`] and [`Error::Empty`] for arguments: then nothing was sent.
    pub async fn execute<Q: Request>(&self, request: Q) -> Result<Q::Output, Error> {
        let mut replies = self.pipeline(&request, 0)?.replies(&request).await;
        request.read(&mut replies)
    }

    /// Like [`execute`](Self::execute), with a `Result` for each item of `request`.
    pub async fn try_execute<Q: Request>(&self, request: Q) -> Q::Tried {
        let mut replies = match self.pipeline(&request, 0) {
            Ok(pending) => pending.replies(&request).await,
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
        request.read(&mut self.whole(&request).await?)
    }

    /// Like [`atomic`](Self::atomic), with a `Result` for each item of `request`, where it was executed.
    ///
    /// # Errors
    /// Those of [`atomic`](Self::atomic) that are about all of it.
    pub async fn try_atomic<Q: Request>(&self, request: Q) -> Result<Q::Tried, Error> {
        Ok(request.try_read(&mut self.whole(&request).await?))
    }

    /// Gives the replies to `request` as a transaction.
    async fn whole<Q: Request>(&self, request: &Q) -> Result<Replies, Error> {
        match self.count(request)? {
            0 => Ok(Replies::new(Vec::new())),
            count => self.transact(request).await?.transaction(count, request).await,
        }
    }

    /// Submits `request` as a transaction, once nobody watches keys.
    async fn transact<Q: Request>(&self, request: &Q) -> Result<Pending, Error> {
        let submit = |slot, commands: &mut Commands| unit(&mut commands.batch, slot, request);
        let slot = poll_fn(|cx| self.handle.shared.poll_submit(self.lease_id(), cx, submit)).await?;
        Ok(Pending { shared: self.handle.shared.clone(), slots: alloc::vec![slot] })
    }

    /// Gives the messages of the channels `names` from when the server has confirmed them all, on a link of its own that all
    /// subscriptions share. Further names can be added and taken away. The link counts among
    /// [`max_connections`](Limits::max_connections) until nobody listens to anything.
    ///
    /// # Errors
    /// [`Error::OneStream`] when the transport has no stream for it,
    /// [`Reason::PoolTimeout`](crate::machine::Reason::PoolTimeout) when no connection came free within
    /// [`pool_timeout`](Limits::pool_timeout), [`Error::TooLarge`] when a name is longer than
    /// [`LONGEST_NAME`](crate::pubsub::LONGEST_NAME), and whatever a command may fail with: nothing is subscribed to then.
    pub async fn subscribe(&self, names: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Kind::Channel, names).await
    }

    /// Likewise, for the channels whose names match the glob `patterns`.
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub async fn psubscribe(&self, patterns: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Kind::Pattern, patterns).await
    }

    /// Likewise, for shard channels.
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub async fn ssubscribe(&self, names: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Kind::Shard, names).await
    }

    async fn listen(&self, kind: Kind, names: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        let ears = self.handle.ears.clone().ok_or(Error::OneStream)?;
        let mut subscription = Subscription::new(self.shared(), ears);
        subscription.join(kind, names).await?;
        Ok(subscription)
    }

    /// Counts the commands of `request`, which all can be sent.
    fn count<Q: Request>(&self, request: &Q) -> Result<usize, Error> {
        let (mut count, mut refusal) = (0, None);
        request.calls(&mut |call| {
            count += 1;
            refusal = refusal.take().or_else(|| self.refusal(call));
        });
        refusal.map_or(Ok(count), Err)
    }

    /// Gives why a command cannot be sent, if so.
    fn refusal(&self, call: &Call) -> Option<Error> {
        let row = call.known();
        let command = row.name();
        match call.args().fault() {
            Some(Fault::TooLarge) => return Some(Error::TooLarge),
            Some(Fault::Empty(parameter)) => return Some(Error::Empty { command, parameter }),
            None => {}
        }
        match row.effect() {
            Effect::None => None,
            Effect::Subscribe | Effect::Unsubscribe => {
                Some(Error::Reserved { command, instead: "Client::subscribe" })
            }
            Effect::Monitor | Effect::Replication => {
                Some(Error::Reserved { command, instead: "a Connection of your own" })
            }
            // who has but one link changes it knowingly
            _ if self.lease.is_some() || self.handle.ears.is_none() => None,
            _ => Some(Error::Reserved { command, instead: "Client::lease" }),
        }
    }

    fn pipeline<Q: Request>(&self, request: &Q, role: u32) -> Result<Pending, Error> {
        let count = self.count(request)?;
        self.submit(count, |slots, commands| {
            let (mut slots, mut texts) = (slots.iter(), Texts::default());
            request.calls(&mut |call| {
                let Some(&slot) = slots.next() else { return };
                match call.script() {
                    // nothing is behind it that it could be sent again behind
                    Some(script) if count == 1 => {
                        commands.converses = true;
                        commands.scripts.push(script.clone());
                        push(&mut commands.batch, slot, call, role | flags::SCRIPT);
                    }
                    _ => texts.push(&mut commands.batch, slot, call, role, Texts::BRIEF),
                }
            });
        })
    }

    /// Runs an operation whose reply is a number.
    async fn operate(&self, kind: u16, args: &[&[u8]]) -> Result<i64, Error> {
        let pending = self.submit(1, |slots, commands| {
            slots.iter().for_each(|&slot| push_operation(commands, slot, kind, args.iter().copied()));
        })?;
        i64::from_reply(Replies::new(pending.outcomes().await).take()?)
    }

    fn submit(&self, count: usize, write: impl FnOnce(&[Slot], &mut Commands)) -> Result<Pending, Error> {
        let mut slots = alloc::vec![Slot(0); count];
        if count > 0 {
            self.handle.shared.submit(self.lease_id(), &mut slots, write)?;
        }
        Ok(Pending { shared: self.handle.shared.clone(), slots })
    }
}

/// Tells how many replies are waited for, or were not taken yet, by all clones.
impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let listening = self.handle.ears.as_ref().map(|ears| &ears.shared);
        let slabs = listening.into_iter().chain([&self.handle.shared]);
        let waiting: usize = slabs.map(|shared| shared.occupied()).sum();
        f.debug_struct("Client").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// Scripts whose text is part of a batch: calls behind it need no more than the digest.
#[derive(Default)]
struct Texts {
    sent: Vec<Script>,
    /// How many there are that are no [`Script`], since the first of these.
    others: usize,
}

impl Texts {
    /// Servers forget scripts that EVAL told them beyond 500: in a batch of more than these, every call has its text.
    const MOST: usize = 256;
    /// How many bytes of text go with each call outside transactions, where the server may be told to forget it at any time.
    const BRIEF: usize = 1024;

    /// Writes `call`; one of a script has its text in place of its digest, so that the server knows it from then on, where the text was not
    /// part of the batch before, or is of `brief` bytes at most.
    fn push(&mut self, batch: &mut BatchBuffer, slot: Slot, call: &Call, role: u32, brief: usize) {
        match call.script() {
            Some(script) if !self.were_sent(script) || script.text().len() <= brief => {
                let args = core::iter::once(script.text()).chain(call.args().iter().skip(1));
                batch.push(slot, operation::by_text(call.row()), flags_of(call, role), None, args);
            }
            _ => {
                if !self.sent.is_empty() {
                    match call.known().id() {
                        SCRIPT_FLUSH => *self = Self::default(),
                        row if operation::has_text(row) => self.others += 1,
                        _ => {}
                    }
                }
                push(batch, slot, call, role);
            }
        }
    }

    /// Tells whether the text was part of the batch before, and is still known; it is from now on.
    fn were_sent(&mut self, script: &Script) -> bool {
        if self.sent.len() + self.others >= Self::MOST {
            return false;
        }
        let sent = self.sent.iter().any(|sent| sent.digits() == script.digits());
        if !sent {
            self.sent.push(script.clone());
        }
        sent
    }
}

/// Writes `request` as a transaction.
fn unit<Q: Request>(batch: &mut BatchBuffer, slot: Slot, request: &Q) {
    let mut texts = Texts::default();
    batch.push(slot, MULTI, flags::MULTI, None, core::iter::empty());
    request.calls(&mut |call| texts.push(batch, slot, call, flags::MEMBER, 0));
    batch.push(slot, EXEC, flags::EXEC, None, core::iter::empty());
}

fn push_operation<'a>(commands: &mut Commands, slot: Slot, kind: u16, args: impl Iterator<Item = &'a [u8]>) {
    commands.converses = true;
    commands.batch.push(slot, RowId(kind), flags::OPERATION, None, args);
}

fn push(batch: &mut BatchBuffer, slot: Slot, call: &Call, role: u32) {
    debug_assert!(
        call.row() != RowId::UNKNOWN || call.args().iter().next().is_some(),
        "a command has a name"
    );
    batch.push(slot, call.row(), flags_of(call, role), None, call.args().iter());
}

/// Gives the flags of a command that has this role in its batch.
fn flags_of(call: &Call, role: u32) -> u32 {
    let raw = if call.is_raw() { flags::RAW } else { 0 };
    let idempotent = if call.is_idempotent() && role & flags::MEMBER == 0 { flags::IDEMPOTENT } else { 0 };
    let cached = call.is_cached().map_or(0, |cached| if cached { flags::CACHED } else { flags::UNCACHED });
    role | raw | idempotent | cached
}

/// Commands that were submitted; dropping it gives them up.
pub(crate) struct Pending {
    pub(crate) shared: Arc<Shared>,
    pub(crate) slots: Vec<Slot>,
}

impl Pending {
    pub(crate) async fn outcomes(mut self) -> Vec<Result<Frame, Error>> {
        poll_fn(|cx| self.shared.poll_all(&self.slots, cx)).await;
        self.shared.settle(&core::mem::take(&mut self.slots))
    }

    /// Gives the replies to the commands of `request`.
    async fn replies<Q: Request>(self, request: &Q) -> Replies {
        named(self.outcomes().await, request)
    }

    async fn transaction<Q: Request>(self, count: usize, request: &Q) -> Result<Replies, Error> {
        match self.outcomes().await.pop() {
            Some(Ok(Frame::Array(items))) if items.len() == count => {
                let outcome = |item| match item {
                    Frame::Error(text) => Err(ServerError::from(text).into()),
                    item => Ok(item),
                };
                Ok(named(items.into_iter().map(outcome).collect(), request))
            }
            Some(Ok(Frame::Null)) => Err(Error::Watch),
            Some(Ok(_)) | None => {
                Err(Mismatch { wanted: "a reply for each command", found: "something else" }.into())
            }
            Some(Err(error)) => Err(error),
        }
    }
}

/// Says of what the server refused which command of `request` it was.
fn named<Q: Request>(mut outcomes: Vec<Result<Frame, Error>>, request: &Q) -> Replies {
    if outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Server(_)))) {
        let mut all = outcomes.iter_mut();
        request.calls(&mut |call| {
            if let Some(Err(error)) = all.next() {
                error.name(call.known());
            }
        });
    }
    Replies::new(outcomes)
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.slots.is_empty() {
            self.shared.abandon(&self.slots);
        }
    }
}
