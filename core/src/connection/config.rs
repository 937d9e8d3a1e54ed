//! What a connection is told once.

use crate::cache::Caching;
use crate::resp::Limits;
use alloc::vec::Vec;

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP3 where the server knows it, RESP2 otherwise.
    #[default]
    Auto,
    /// RESP2.
    Resp2,
    /// RESP3, or no connection.
    Resp3,
}

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `None` is the server's default user.
    pub username: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials")
    }
}

/// What may lie in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Commands; those of a transaction count one by one, and so do MULTI and EXEC.
    pub commands: u32,
    /// Bytes of commands, external arguments included.
    pub bytes: u32,
}

/// How to shake hands, and how long to wait.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which protocol to speak.
    pub protocol: Protocol,
    /// Sent with HELLO or AUTH.
    pub credentials: Option<Credentials>,
    /// Sent with HELLO or CLIENT SETNAME.
    pub client_name: Option<Vec<u8>>,
    /// Sent with SELECT unless 0.
    pub database: u32,
    /// Asks the server to keep the link when it drops clients because their memory is too much (CLIENT NO-EVICT, Redis 7.0).
    pub no_evict: bool,
    /// Asks the server not to note what the link's commands touch as used (CLIENT NO-TOUCH, Redis 7.2).
    pub no_touch: bool,
    /// Asks for the server's version with INFO where HELLO does not tell it, over RESP2.
    pub ask_version: bool,
    /// Library name and version, sent with CLIENT SETINFO.
    pub library: Option<(&'static str, &'static str)>,
    /// Milliseconds from opening to the end of the handshake; 0: no limit.
    pub connect_timeout: u32,
    /// Milliseconds to a command's reply, from when a link is ready for it, which sends it as soon as the transport takes it; 0: no limit.
    pub timeout: u32,
    /// Milliseconds that a command waits for a link, or for room on it, at most, each time that it has to; 0: no limit.
    pub queue_timeout: u32,
    /// The first and the last ceiling, in milliseconds, of the time between attempts to open a link: it doubles with each attempt, and
    /// the time is any up to it. After a link on which a command was answered, or that lived as long as the last one, it begins anew; after a
    /// permanent failure, as a wrong password, it is the last one.
    pub backoff: (u32, u32),
    /// Any number that other clients do not have: it spreads attempts, so that not all clients of a server come back at once.
    pub seed: u32,
    /// How often a command that may be repeated is sent again when its link is lost.
    pub resends: u8,
    /// What may wait while no link is ready; no commands: whatever waits fails as soon as a link failed, and while none is ready
    /// after that.
    pub offline: Bounds,
    /// Whether the oldest commands make room for new ones while no link is ready, instead of the new ones being refused.
    pub drop_oldest: bool,
    /// What may be on its way on a link: commands without a reply, whether or not anybody waits for that, and bytes that the transport
    /// did not take.
    pub high_water: Bounds,
    /// Whether what is beyond `high_water` waits until there is room, within `offline` and for `queue_timeout` at most, instead of being
    /// refused.
    pub holds_back: bool,
    /// Milliseconds of silence on a link after which the server is asked with a PING, and the link given up 5 seconds later when still
    /// nothing came; 0: never.
    pub keep_alive: u32,
    /// Milliseconds after its deadline when a command that was given up and still has no reply ends its link; 0: never.
    pub tombstone_limit: u32,
    /// What the server may send: what is beyond is no Redis's, and ends the link.
    pub limits: Limits,
    /// How large a reply may be, as [`Decoder::size`](crate::resp::Decoder::size) counts: the command of a larger one fails alone, and what
    /// comes of it is passed over. It is looked at whenever more bytes are needed, so what came at once may be larger. Each value of an array, map
    /// or set counts 16 bytes beside its own; as a [`Frame`](crate::resp::Frame) it takes 40, and while a collection grows or becomes a map, up to
    /// four times as much: so many small values take up to ten times what they count.
    pub max_reply: u64,
    /// How replies are kept until their keys change, if at all. Then no link gets ready that does not speak RESP3.
    pub cache: Option<Caching>,
}

impl Config {
    /// The default configuration.
    pub const fn new() -> Self {
        Self {
            protocol: Protocol::Auto,
            credentials: None,
            client_name: None,
            database: 0,
            no_evict: false,
            no_touch: false,
            ask_version: false,
            library: Some(("redwire", env!("CARGO_PKG_VERSION"))),
            connect_timeout: 5_000,
            timeout: 10_000,
            queue_timeout: 5_000,
            backoff: (50, 2_000),
            seed: 0,
            resends: 3,
            offline: Bounds { commands: 10_000, bytes: 16 << 20 },
            drop_oldest: false,
            high_water: Bounds { commands: 4_000_000, bytes: 1 << 30 },
            holds_back: false,
            keep_alive: 15_000,
            tombstone_limit: 30_000,
            limits: Limits::new(),
            max_reply: 1 << 30,
            cache: None,
        }
    }

    /// Tells whether a link may speak RESP2 where the server does not know RESP3.
    pub(super) fn falls_back(&self) -> bool {
        self.protocol == Protocol::Auto && self.cache.is_none()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
