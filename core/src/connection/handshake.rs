//! The first commands of a link and their replies, which never leave the core.
//!
//! ```text
//!   HELLO 3 AUTH .. SETNAME ..; SELECT; CLIENT NO-EVICT, NO-TOUCH, SETINFO x2, TRACKING; PING    (protocol 3 or auto, one write)
//!      | unknown command, NOPROTO, NOPERM: drain, then (auto only)
//!      v
//!   AUTH; CLIENT SETNAME; SELECT; CLIENT NO-EVICT, NO-TOUCH, SETINFO x2; INFO; PING    (protocol 2, one write)
//! ```
//!
//! A server that is loading its data set answers all of them but PING: so PING is the last, and no link is ready before it is answered.

use super::config::{Config, Credentials};
use crate::cache::Tracking;
use crate::machine::Reason;
use crate::pubsub::{KINDS, Kind, Registry};
use crate::resp::{Aggregate, Event, Sink, Text, encode};
use crate::table;
use alloc::vec::Vec;

/// What one reply is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    Name,
    Select,
    Feature,
    Library,
    Version,
    Tracking,
    Probe,
    /// A name that is subscribed to again.
    Subscribe,
}

/// What to do after a reply.
pub(super) enum Progress {
    /// Send what is there to be sent, and wait for the next reply.
    More,
    /// The link is ready.
    Done,
    /// The link is of no use.
    Fail(Reason),
    /// The next name may not be subscribed to again, as the server says with this.
    Forbidden(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Handshake {
    steps: Vec<Step>,
    answered: usize,
    refused: bool,
    reply: Reply,
    bytes: Vec<u8>,
    sent: usize,
    /// Names that are subscribed to again.
    resumed: usize,
}

impl Handshake {
    pub(super) fn new(config: &Config, hello: bool) -> Self {
        let mut handshake = Self::empty();
        if hello {
            handshake.hello(config)
        } else {
            handshake.plain(config)
        }
        handshake.send(Step::Probe, &[Some(b"PING")]);
        handshake
    }

    fn empty() -> Self {
        Self {
            steps: Vec::new(),
            answered: 0,
            refused: false,
            reply: Reply::default(),
            bytes: Vec::new(),
            sent: 0,
            resumed: 0,
        }
    }

    /// Gives what is still to be written.
    pub(super) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Notes that `count` bytes were written.
    pub(super) fn transmitted(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
    }

    /// Tells whether HELLO was sent and nothing came back yet.
    pub(super) fn awaits_hello(&self) -> bool {
        self.steps.first() == Some(&Step::Hello) && self.sent > 0 && self.is_unanswered()
    }

    /// Tells whether nothing came back yet, and no password was sent but with HELLO.
    pub(super) fn is_unanswered(&self) -> bool {
        let begun = self.answered > 0 || self.reply.depth > 0;
        self.steps.first() != Some(&Step::Auth) && !begun
    }

    /// Tells whether everything is answered.
    pub(super) fn is_done(&self) -> bool {
        self.answered == self.steps.len()
    }

    /// Gives what the server said of itself.
    pub(super) fn server(&mut self) -> Server {
        core::mem::take(&mut self.reply.server)
    }

    /// Gives the sink for the reply that comes next.
    pub(super) fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    /// Takes the end of a reply.
    pub(super) fn end(&mut self, config: &Config, detail: &mut Vec<u8>) -> Progress {
        let Some(&step) = self.steps.get(self.answered) else { return Progress::Fail(Reason::Unsolicited) };
        self.answered += 1;
        let error = self.reply.error.take();
        self.reply.fields = 0;
        if let Some(error) = error {
            match step {
                Step::Hello if is_unsupported(&error) => {
                    if !config.falls_back() {
                        return Progress::Fail(Reason::Protocol3);
                    }
                    self.refused = true;
                }
                // what follows a refused HELLO says NOAUTH, and comes again
                _ if self.refused => {}
                Step::Subscribe if code(&error) == b"NOPERM" => return Progress::Forbidden(error),
                step => {
                    if let Some(reason) = reason(step, &error) {
                        // texts of HELLO and AUTH can hold the password: their first word has to do
                        let secret =
                            matches!(step, Step::Hello | Step::Auth) || reason == Reason::Authentication;
                        detail.clear();
                        detail.extend_from_slice(if secret { code(&error) } else { &error });
                        return Progress::Fail(reason);
                    }
                }
            }
        }
        if !self.is_done() {
            return Progress::More;
        }
        if self.refused {
            *self = Self::new(config, false);
            return Progress::More;
        }
        Progress::Done
    }

    /// Begins to subscribe to what `registry` holds, name by name, since in a cluster shard channels live in different slots. A reply refuses
    /// a name: that is to be taken out of the registry.
    pub(super) fn resume(&mut self, registry: &Registry) {
        *self = Self { reply: core::mem::take(&mut self.reply), ..Self::empty() };
        for kind in KINDS {
            let verb: &[u8] = match kind {
                Kind::Channel => b"SUBSCRIBE",
                Kind::Pattern => b"PSUBSCRIBE",
                Kind::Shard => b"SSUBSCRIBE",
            };
            for name in registry.names(kind) {
                self.send(Step::Subscribe, &[Some(verb), Some(name)]);
            }
        }
    }

    /// Tells whether names are being subscribed to again.
    pub(super) fn is_resuming(&self) -> bool {
        self.steps.first() == Some(&Step::Subscribe)
    }

    /// Takes the confirmation of a name.
    pub(super) fn confirm(&mut self) {
        self.answered += 1;
        self.resumed += 1;
    }

    /// Gives the place in the registry of the name that is answered next.
    pub(super) fn resumed(&self) -> usize {
        self.resumed
    }

    fn hello(&mut self, config: &Config) {
        let credentials = config.credentials.as_ref();
        let name = config.client_name.as_deref();
        self.send(
            Step::Hello,
            &[
                Some(b"HELLO"),
                Some(b"3"),
                credentials.map(|_| &b"AUTH"[..]),
                credentials.map(|known| known.username.as_deref().unwrap_or(b"default")),
                credentials.map(|known| &known.password[..]),
                name.map(|_| &b"SETNAME"[..]),
                name,
            ],
        );
        self.rest(config);
        self.track(config);
    }

    /// Asks to be told when keys change. What the client writes itself is told too: only the server knows what a script wrote.
    fn track(&mut self, config: &Config) {
        let Some(cache) = &config.cache else { return };
        let (mode, prefixes) = match &cache.tracking {
            Tracking::Default => (None, &[][..]),
            Tracking::OptIn => (Some(&b"OPTIN"[..]), &[][..]),
            Tracking::Broadcast(prefixes) => (Some(&b"BCAST"[..]), &prefixes[..]),
        };
        let mut args = Vec::from([Some(&b"CLIENT"[..]), Some(b"TRACKING"), Some(b"ON"), mode]);
        args.extend(prefixes.iter().flat_map(|prefix| [Some(&b"PREFIX"[..]), Some(prefix)]));
        self.send(Step::Tracking, &args);
    }

    fn plain(&mut self, config: &Config) {
        if let Some(credentials) = &config.credentials {
            self.steps.push(Step::Auth);
            self.bytes.extend_from_slice(&auth(credentials));
        }
        if let Some(name) = &config.client_name {
            self.send(Step::Name, &[Some(b"CLIENT"), Some(b"SETNAME"), Some(name)]);
        }
        self.rest(config);
        if config.ask_version {
            self.send(Step::Version, &[Some(b"INFO"), Some(b"server")]);
        }
    }

    fn rest(&mut self, config: &Config) {
        if config.database != 0 {
            let mut digits = [0; 10];
            self.send(Step::Select, &[Some(b"SELECT"), Some(decimal(config.database, &mut digits))]);
        }
        for (asked, feature) in [(config.no_evict, &b"NO-EVICT"[..]), (config.no_touch, b"NO-TOUCH")] {
            if asked {
                self.send(Step::Feature, &[b"CLIENT", feature, b"ON"].map(Some));
            }
        }
        if let Some((name, version)) = config.library {
            for (field, text) in [(&b"LIB-NAME"[..], name), (b"LIB-VER", version)] {
                let args = [&b"CLIENT"[..], b"SETINFO", field, text.as_bytes()];
                self.send(Step::Library, &args.map(Some));
            }
        }
    }

    #[inline(never)]
    fn send(&mut self, step: Step, args: &[Option<&[u8]>]) {
        self.steps.push(step);
        command(&mut self.bytes, args);
    }
}

/// Gives the command that tells `credentials`, as it is sent.
pub(super) fn auth(credentials: &Credentials) -> Vec<u8> {
    let mut bytes = Vec::new();
    command(&mut bytes, &[Some(b"AUTH"), credentials.username.as_deref(), Some(&credentials.password)]);
    bytes
}

/// Writes a command of those arguments that there are.
fn command(out: &mut Vec<u8>, args: &[Option<&[u8]>]) {
    encode::header(out, b'*', args.iter().flatten().count());
    for arg in args.iter().flatten() {
        encode::bulk(out, arg);
    }
}

/// Gives `number` as text; the formatting machinery would be a tenth of the wasm module.
#[inline(never)]
fn decimal(number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut rest = number;
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or_default()
}

/// What a server says of itself in its answer to HELLO, or to INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The version, as `7.0.15`; empty when the server did not say.
    pub version: Vec<u8>,
    /// Whether it is a fork of Redis, whose versions are its own.
    pub is_fork: bool,
    /// The protocol that the link speaks: 2 or 3.
    pub protocol: u8,
}

impl Server {
    /// A server that was not asked.
    pub(super) const fn resp2() -> Self {
        Self { version: Vec::new(), is_fork: false, protocol: 2 }
    }

    /// Takes what INFO says; no other text has such lines.
    fn learn(&mut self, info: &[u8]) {
        for line in info.split(|&byte| byte == b'\n') {
            for (field, is_fork) in [(&b"redis_version:"[..], false), (b"valkey_version:", true)] {
                if let Some(version) = line.strip_prefix(field) {
                    (self.version, self.is_fork) = (version.trim_ascii_end().to_vec(), is_fork);
                }
            }
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::resp2()
    }
}

/// Keeps what matters of a reply: its error, or the fields of HELLO or INFO.
#[derive(Debug, Default)]
pub(super) struct Reply {
    error: Option<Vec<u8>>,
    server: Server,
    depth: u32,
    fields: u32,
    field: Option<Field>,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Name,
    Version,
    Protocol,
}

impl Sink for Reply {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Text(Text::Error | Text::BlobError, text) if self.depth == 0 => {
                self.error = text.get(..text.len().min(128)).map(Vec::from);
            }
            Event::Open(kind, _) => {
                self.depth += 1;
                if kind == Aggregate::Attribute {
                    self.fields = 0;
                }
            }
            Event::Close { .. } => {
                self.depth -= 1;
                self.field_seen(None);
            }
            Event::Text(_, text) if self.depth == 0 => self.server.learn(text),
            Event::Text(_, text) => self.field_seen(Some(text)),
            Event::Integer(value) => {
                if let (1, Some(Field::Protocol)) = (self.depth, self.field) {
                    self.server.protocol = value as u8;
                }
                self.field_seen(None);
            }
            Event::BulkOpen(..) | Event::BulkPart(_) => {}
            _ => self.field_seen(None),
        }
    }
}

impl Reply {
    /// Fields of HELLO come as name, value, name, value, as a map or as an array.
    fn field_seen(&mut self, text: Option<&[u8]>) {
        if self.depth != 1 {
            return;
        }
        self.fields += 1;
        if self.fields % 2 == 1 {
            self.field = match text {
                Some(b"server") => Some(Field::Name),
                Some(b"version") => Some(Field::Version),
                Some(b"proto") => Some(Field::Protocol),
                _ => None,
            };
        } else {
            match (self.field.take(), text) {
                (Some(Field::Name), Some(text)) => self.server.is_fork = text != b"redis",
                (Some(Field::Version), Some(text)) => self.server.version = text.to_vec(),
                _ => {}
            }
        }
    }
}

fn code(error: &[u8]) -> &[u8] {
    error.split(|&byte| byte == b' ').next().unwrap_or_default()
}

fn is_unsupported(error: &[u8]) -> bool {
    let unknown = b"err unknown command";
    matches!(code(error), b"NOPROTO" | b"NOPERM")
        || error.get(..unknown.len()).is_some_and(|start| table::is(start, unknown))
}

/// Gives what is wrong with the link, as the error says that is the reply to `step`; `None`: it does without.
fn reason(step: Step, error: &[u8]) -> Option<Reason> {
    if error.starts_with(b"ERR max number of clients") {
        return Some(Reason::MaxClients);
    }
    Some(match (step, code(error)) {
        (_, b"LOADING") => Reason::Loading,
        (_, b"WRONGPASS" | b"NOAUTH") | (Step::Auth | Step::Hello, b"NOPERM") | (Step::Auth, _) => {
            Reason::Authentication
        }
        // whatever else a server says, as BUSY, it says for a while
        (Step::Select, b"ERR" | b"NOPERM") => Reason::Database,
        (_, b"DENIED") => Reason::Handshake,
        (Step::Library | Step::Version | Step::Probe, _) => return None,
        _ => Reason::Handshake,
    })
}
