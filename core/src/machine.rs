//! The surface that drivers, bindings, simulations and fuzz targets use, whatever stands behind it.

use crate::batch::{Batch, Malformed};
use crate::resp::{
    Event, {DecodeError, Sink},
};
use crate::time::Instant;

/// The caller's name for a command: its place in a slab of the caller's. A machine gives each submitted slot back
/// exactly once, with a reply or with a failure, unless the caller cancels it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// One life of one socket. Numbers are never used twice, so nothing of one life can reach the next.
///
/// The low byte is the lane: 0 is the connection that everybody shares, another number is that of a leased one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u32);

impl LinkId {
    /// Gives the lane.
    #[inline]
    pub const fn lane(self) -> u8 {
        self.0 as u8
    }
}

/// One lease of one connection. Numbers are never used twice; the low byte is the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub u32);

impl LeaseId {
    /// The connection that everybody shares.
    pub const SHARED: Self = Self(0);
}

/// What a machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a socket and report [`Machine::handle_open`] or [`Machine::handle_closed`].
    Open(LinkId),
    /// The link has shaken hands: user commands flow.
    Ready(LinkId),
    /// The link is over; close its socket if it is still open. Nothing needs to be reported.
    Close(LinkId, Reason),
    /// No link is open, and none will be opened until a command needs one or the application asks for one.
    Rest,
    /// A command failed without a reply.
    Settle(Slot, Failure),
    /// A command was written, and the server does not answer it, as CLIENT REPLY said.
    Unanswered(Slot),
    /// Whoever asked for a lease in this slot has it.
    Leased(Slot, LeaseId),
}

/// Why a command got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// Whether the server may have executed the command: false when none of its bytes was handed to a transport.
    pub maybe_executed: bool,
}

/// What ended a link or a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The command's time was up.
    Timeout,
    /// No link was ready within the time that the command may wait, and the first attempt is still being made: where one failed, its
    /// reason is told.
    QueueTimeout,
    /// More waits for a link than may wait.
    QueueFull,
    /// More is on its way on the link than may be, or was for as long as the command may wait.
    HighWater,
    /// The link was not ready in time.
    ConnectTimeout,
    /// The transport could not be opened.
    Refused,
    /// The other side closed the transport during the handshake, or it failed.
    HungUp,
    /// The transport was closed by the other side, or failed, when the link was ready.
    Dropped,
    /// The peer answers nothing any more, neither commands nor PING.
    Silent,
    /// The server was made a replica: it takes no writes any more.
    Demoted,
    /// The server is loading its data set.
    Loading,
    /// The server does not know any more who the client is, or refused who it said to be from now on.
    Unauthenticated,
    /// One side of the link does not trust the other: the certificate, its host name, or the other's certificate.
    Untrusted,
    /// The peer broke the protocol.
    Protocol(DecodeError),
    /// A reply came that nothing had asked for.
    Unsolicited,
    /// Name or password were refused, or are missing.
    Authentication,
    /// The database could not be selected.
    Database,
    /// RESP3 was demanded and the server does not speak it.
    Protocol3,
    /// The server has no room for another client.
    MaxClients,
    /// The server refused the handshake otherwise.
    Handshake,
    /// The caller closed the machine.
    Closed,
    /// No connection beside the shared one came free in time: leases, commands that block and what listens had all that there may be.
    PoolTimeout,
    /// The lease is over, because its link is, or because it was given back.
    LeaseLost,
    /// The reply is larger than [`Config::max_reply`](crate::connection::Config::max_reply) allows.
    ReplyTooLarge,
}

impl Reason {
    /// Tells whether the next attempt will fail likewise, unless somebody changes a configuration.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::Authentication | Self::Database | Self::Protocol3 | Self::Untrusted)
    }
}

/// A stretch of what is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// An argument that the caller holds: the `index`th external one of the command in `slot`. It is asked for even after the
    /// command settled when some of the command was written by then, so that the link stays in step: neither the bytes nor the
    /// slot are free until the argument was transmitted, the link is over, or `maybe_executed` was false. A command that is sent again
    /// on another link asks for all its arguments again.
    External(Slot, u32),
}

/// Takes the replies of commands, each between `begin` and `end`.
pub trait ReplySink: Sink {
    /// A reply to the command in `slot` begins.
    fn begin(&mut self, slot: Slot);

    /// The reply ended; its slot is settled.
    fn end(&mut self);

    /// A reply begins that a conversation may wait for: to a command with the flag [`SCRIPT`](crate::batch::flags::SCRIPT) or
    /// [`CONVERSATION`](crate::batch::flags::CONVERSATION).
    fn attend(&mut self, slot: Slot) {
        self.begin(slot);
    }

    /// Tells whether `event` of that reply is the caller's; otherwise it is taken here.
    fn overhear(&mut self, event: Event<'_>) -> bool {
        let _ = event;
        true
    }

    /// That reply ended.
    fn conclude(&mut self) {
        self.end();
    }

    /// The server refused to queue the command at `index` of the transaction in `slot`, or, at `u32::MAX`, to begin it.
    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]);
}

/// A client without I/O.
///
/// `handle_*` takes from the world, `poll_*` gives to it, plain verbs belong to the application. After any call, drain
/// [`poll_action`](Self::poll_action), send what [`poll_transmit`](Self::poll_transmit) gives for each open link, and set one timer to
/// [`poll_timeout`](Self::poll_timeout).
pub trait Machine {
    /// Accepts every command of `batch`, in order.
    ///
    /// # Errors
    /// [`Malformed`] when the batch is not well-formed; nothing of it is accepted then.
    fn submit(&mut self, now: Instant, batch: &Batch<'_>) -> Result<(), Malformed>;

    /// Likewise, on a lease that this machine gave, or on [`LeaseId::SHARED`]. A machine that gives none has one connection.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit).
    fn submit_on(&mut self, now: Instant, lease: LeaseId, batch: &Batch<'_>) -> Result<(), Malformed> {
        let _ = lease;
        self.submit(now, batch)
    }

    /// Asks for a lease: [`Action::Leased`] tells of it, or [`Action::Settle`] that there is none. [`cancel`](Self::cancel) gives it up while
    /// it is waited for. Gives whether this machine has any.
    fn lease(&mut self, now: Instant, slot: Slot) -> bool {
        let _ = (now, slot);
        false
    }

    /// Tells whether `lease` is over, or its link lost: what is submitted on it fails with [`Reason::LeaseLost`].
    fn is_lost(&self, lease: LeaseId) -> bool {
        let _ = lease;
        false
    }

    /// Ends a lease. Its connection goes back when what is in flight is answered, or at once when that blocks; it is closed unless it
    /// is as good as a new one.
    fn release(&mut self, now: Instant, lease: LeaseId) {
        let _ = (now, lease);
    }

    /// Gives up the command in `slot`: it is not sent if it was not yet, and its reply is dropped otherwise.
    ///
    /// Gives whether the server may execute it; `None` when no such command is waiting.
    fn cancel(&mut self, now: Instant, slot: Slot) -> Option<bool>;

    /// The socket of `link` is open.
    fn handle_open(&mut self, now: Instant, link: LinkId);

    /// Bytes came in on `link`; gives how many are done with. The rest must be given again with more behind it.
    fn handle_bytes<S: ReplySink>(&mut self, now: Instant, link: LinkId, input: &[u8], sink: &mut S)
    -> usize;

    /// `count` bytes of the large text that is open on `link` were read straight to where the caller wants them, instead of being
    /// given to [`handle_bytes`](Self::handle_bytes); gives how many of them belong to it.
    fn handle_read(&mut self, link: LinkId, count: usize) -> usize;

    /// The socket of `link` is closed, or could not be opened.
    fn handle_closed(&mut self, now: Instant, link: LinkId);

    /// The socket of `link` is closed, or could not be opened, because one side does not trust the other: the next attempt will fail
    /// likewise.
    fn handle_untrusted(&mut self, now: Instant, link: LinkId);

    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant);

    /// The transport took the next `count` bytes of `link`, or, after [`Segment::External`], that segment (`count` is ignored).
    fn handle_transmitted(&mut self, link: LinkId, count: usize);

    /// Gives what is to be sent next on `link`.
    fn poll_transmit(&self, link: LinkId) -> Option<Segment<'_>>;

    /// Gives the replies to commands that were submitted and need not be sent, because they are known: to be called after each
    /// [`submit`](Self::submit). What it tells stays where it is until it is called again.
    fn poll_cached<S: ReplySink>(&mut self, sink: &mut S);

    /// Gives what is to be done next.
    fn poll_action(&mut self) -> Option<Action>;

    /// Gives when to call [`handle_timeout`](Self::handle_timeout), if ever.
    fn poll_timeout(&self) -> Option<Instant>;
}
