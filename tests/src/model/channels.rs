//! Publish/subscribe as a server does it.

use super::Words;
use super::server::Session;
use crate::wire::{bulk, encoded, encoded_resp2};
use redwire_core::resp::Frame;
use std::collections::BTreeSet;

/// What a session is subscribed to: its verb's first letters before SUBSCRIBE, and the name.
pub type Names = BTreeSet<(String, Vec<u8>)>;

impl Session {
    /// Executes a command of publish/subscribe, or PING where it has another form; gives what is sent, `None` for any other command.
    pub(super) fn listen(&mut self, command: &Words) -> Option<Vec<u8>> {
        let (verb, names) = command.split_first()?;
        let verb = std::str::from_utf8(verb).ok()?;
        if verb == "PING" && self.protocol == 2 && !self.names.is_empty() {
            return Some(self.told(&[bulk("pong"), bulk("")]));
        }
        let (begins, prefix) = match verb.strip_suffix("UNSUBSCRIBE") {
            Some(prefix) => (false, prefix),
            None => (true, verb.strip_suffix("SUBSCRIBE")?),
        };
        let all: Vec<_> =
            self.names.iter().filter(|(kind, _)| kind == prefix).map(|(_, name)| name.clone()).collect();
        let mut names = names.to_vec();
        if names.is_empty() {
            names = all;
        }
        let word = verb.to_lowercase();
        if names.is_empty() {
            return Some(self.told(&[bulk(&word), Frame::Null, Frame::Integer(self.names.len() as i64)]));
        }
        let mut sent = Vec::new();
        for name in names {
            let key = (prefix.to_owned(), name.clone());
            if begins {
                self.names.insert(key)
            } else {
                self.names.remove(&key)
            };
            sent.extend(self.told(&[bulk(&word), bulk(name), Frame::Integer(self.names.len() as i64)]));
        }
        Some(sent)
    }

    /// Gives what the session is sent when `data` is published to `channel`; patterns are prefixes and a star.
    pub(super) fn publish(&self, channel: &str, data: &str) -> Vec<u8> {
        let matches = |pattern: &[u8]| {
            pattern.strip_suffix(b"*").is_some_and(|start| channel.as_bytes().starts_with(start))
        };
        let mut sent = Vec::new();
        for (kind, name) in &self.names {
            match kind.as_str() {
                "" if name == channel.as_bytes() => {
                    sent.extend(self.told(&[bulk("message"), bulk(channel), bulk(data)]))
                }
                "P" if matches(name) => {
                    sent.extend(self.told(&[bulk("pmessage"), bulk(name), bulk(channel), bulk(data)]))
                }
                _ => {}
            }
        }
        sent
    }

    fn told(&self, items: &[Frame]) -> Vec<u8> {
        match self.protocol {
            3 => encoded(&Frame::Push(items.to_vec())),
            _ => encoded_resp2(&Frame::Array(items.to_vec())),
        }
    }
}
