//! What a server tells a link of keys that change: CLIENT TRACKING.

use crate::wire::{bulk, encoded, error, simple};
use redwire_core::resp::Frame;
use std::collections::BTreeSet;

/// What a link is told of.
#[derive(Debug)]
enum Mode {
    Default,
    OptIn,
    Broadcast(Vec<Vec<u8>>),
}

/// What is known of a link that tracks.
#[derive(Debug)]
pub(super) struct Tracking {
    mode: Mode,
    /// The next command's keys are tracked.
    caching: bool,
    read: BTreeSet<Vec<u8>>,
    untold: Vec<Frame>,
}

/// Has the next command's keys tracked.
pub(super) fn caching(tracking: &mut Option<Tracking>) -> Frame {
    match tracking {
        Some(tracking @ Tracking { mode: Mode::OptIn, .. }) => {
            tracking.caching = true;
            simple("OK")
        }
        _ => error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN"),
    }
}

impl Tracking {
    /// Begins to track, with the options of CLIENT TRACKING ON.
    pub(super) fn new(options: &[&[u8]]) -> Self {
        let mode = match options {
            [] => Mode::Default,
            [b"OPTIN"] => Mode::OptIn,
            [b"BCAST", prefixes @ ..] => {
                Mode::Broadcast(prefixes.chunks(2).map(|prefix| prefix[1].to_vec()).collect())
            }
            _ => unreachable!("these options are not asked for"),
        };
        Self { mode, caching: false, read: BTreeSet::new(), untold: Vec::new() }
    }

    /// Notes a command of the link's own.
    pub(super) fn note(&mut self, command: &[&[u8]]) {
        let tracked = match self.mode {
            Mode::Default => true,
            Mode::OptIn => self.caching,
            Mode::Broadcast(_) => false,
        };
        match command {
            [b"GET" | b"HGETALL" | b"LRANGE", key, ..] if tracked => drop(self.read.insert(key.to_vec())),
            [b"MGET", keys @ ..] if tracked => self.read.extend(keys.iter().map(|key| key.to_vec())),
            _ => self.note_write(command),
        }
    }

    /// A command, or a transaction, ended.
    pub(super) fn end(&mut self) {
        self.caching = false;
    }

    /// Notes a command of anybody's that may write.
    pub(super) fn note_write(&mut self, command: &[&[u8]]) {
        let keys = match command {
            [b"FLUSHALL"] => {
                self.read.clear();
                self.untold.push(Frame::Null);
                return;
            }
            [b"SET" | b"INCR" | b"HSET" | b"RPUSH", key, ..] => vec![*key],
            [b"MSET", pairs @ ..] => pairs.iter().step_by(2).copied().collect(),
            [b"DEL", keys @ ..] => keys.to_vec(),
            _ => return,
        };
        for key in keys {
            let told = match &self.mode {
                Mode::Default | Mode::OptIn => self.read.remove(key),
                Mode::Broadcast(prefixes) => {
                    prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix))
                }
            };
            if told {
                self.untold.push(Frame::Array(vec![bulk(key)]));
            }
        }
    }

    /// Gives the pushes that are due; what is broadcast only when everything was `answered`.
    pub(super) fn tell(&mut self, answered: bool) -> Vec<Vec<u8>> {
        if matches!(self.mode, Mode::Broadcast(_)) && !answered {
            return Vec::new();
        }
        let push = |what: Frame| [&b">2\r\n$10\r\ninvalidate\r\n"[..], &encoded(&what)].concat();
        self.untold.drain(..).map(push).collect()
    }
}
