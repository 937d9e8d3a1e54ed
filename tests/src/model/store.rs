//! What a server knows: enough of Redis for a dialogue.

use super::Words;
use crate::wire::{bulk, error, simple};
use redwire_core::resp::Frame;
use redwire_core::sha1::sha1_hex;
use std::collections::BTreeMap;

/// Keys and values.
#[derive(Clone, Debug, Default)]
pub struct Store {
    texts: BTreeMap<Vec<u8>, Vec<u8>>,
    lists: BTreeMap<Vec<u8>, Words>,
    /// Fields and values, one after the other.
    hashes: BTreeMap<Vec<u8>, Words>,
    /// When keys go by themselves.
    expiries: BTreeMap<Vec<u8>, u64>,
    /// What time it is there, in milliseconds.
    pub now: u64,
    /// Texts by their digests.
    scripts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How often each text was written to, or went by itself.
    writes: BTreeMap<Vec<u8>, u32>,
    /// What a new counter begins above: FLUSHALL raises it, so that counters never go back.
    pub least: i64,
}

impl Store {
    /// Gives the text at `key`.
    pub fn text(&self, key: &str) -> Option<&[u8]> {
        self.text_of(key.as_bytes())
    }

    fn text_of(&self, key: &[u8]) -> Option<&[u8]> {
        self.texts.get(key).map(Vec::as_slice)
    }

    /// Runs one of the scripts that it understands: one that counts its calls and gives its argument, one that raises a key that it does not
    /// declare, and those of locks, which it tells by how many keys and arguments they have.
    fn run(&mut self, text: &[u8], rest: &[&[u8]]) -> Frame {
        let (key, token) = match rest {
            [.., key] if text == Self::RAISE => return self.execute(&[b"INCR", key]),
            [b"1", key, arg] if text == Self::COUNT => {
                self.execute(&[b"INCR", key]);
                return bulk(arg);
            }
            [b"1", key, token, ..] | [b"2", key, _, token] => (*key, *token),
            _ => return error("ERR wrong number of arguments"),
        };
        let (now, expiry) = (self.now, self.expiries.get(key).copied());
        match *rest {
            _ if self.text_of(key) != Some(token) => Frame::Integer(0),
            [b"1", _, _, time, ref least @ ..] => match expiry {
                None => Frame::Integer(0),
                Some(at) => {
                    let at = if least.is_empty() { at + number(time) } else { at.max(now + number(time)) };
                    self.expiries.insert(key.to_vec(), at);
                    Frame::Integer((at - now) as i64)
                }
            },
            [b"2", _, fence, _] => {
                let next = self.text_of(fence).map_or(0, number) + 1;
                let next = next.max(now * 1_000);
                self.texts.insert(fence.to_vec(), next.to_string().into_bytes());
                Frame::Integer(next as i64)
            }
            _ => self.execute(&[b"DEL", key]),
        }
    }

    fn expire(&mut self) {
        let Self { expiries, texts, now, writes, .. } = self;
        expiries.retain(|key, at| {
            let lives = *at > *now;
            if !lives {
                texts.remove(key);
                *writes.entry(key.clone()).or_default() += 1;
            }
            lives
        });
    }

    /// The script that counts.
    pub const COUNT: &[u8] = b"redis.call('INCR', KEYS[1]) return ARGV[1]";
    /// The script, and the function, that raises a key that it does not declare.
    pub const RAISE: &[u8] = b"return redis.call('INCR', ARGV[1])";
    /// Tells how often the text at `key` was written to.
    pub fn writes(&mut self, key: &[u8]) -> u32 {
        self.expire();
        self.writes.get(key).copied().unwrap_or_default()
    }

    fn touch(&mut self, key: &[u8]) {
        *self.writes.entry(key.to_vec()).or_default() += 1;
    }

    /// Takes the first element of the list at `key`.
    pub fn pop(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let list = self.lists.get_mut(key).filter(|list| !list.is_empty())?;
        Some(list.remove(0))
    }

    /// Tells how many elements the list at `key` has.
    pub fn len(&self, key: &str) -> usize {
        self.lists.get(key.as_bytes()).map_or(0, Vec::len)
    }

    /// Executes a command as RESP3 has it.
    pub fn execute(&mut self, command: &[&[u8]]) -> Frame {
        let text = |text: Option<&Vec<u8>>| text.map_or(Frame::Null, bulk);
        self.expire();
        match command {
            [b"PING"] => simple("PONG"),
            [b"PING" | b"ECHO", message] => bulk(message),
            [b"GET", key] if self.lists.contains_key(*key) => {
                error("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            [b"GET", key] => text(self.texts.get(*key)),
            [b"SET", key, _, b"NX", ..] if self.texts.contains_key(*key) => Frame::Null,
            [b"PTTL", key] => Frame::Integer(match self.expiries.get(*key) {
                Some(at) => (at - self.now) as i64,
                None => -1 - i64::from(!self.texts.contains_key(*key)),
            }),
            [b"PEXPIRE", key, time] => {
                let known = self.texts.contains_key(*key);
                if known {
                    self.touch(key);
                    self.expiries.insert(key.to_vec(), self.now + number(time));
                }
                Frame::Integer(known.into())
            }
            [b"SET", key, value, b"GET"] => text(self.texts.insert(key.to_vec(), value.to_vec()).as_ref()),
            [b"SET", key, value, options @ ..] => {
                self.touch(key);
                self.expiries.remove(*key);
                if let [.., b"PX", time] = options {
                    self.expiries.insert(key.to_vec(), self.now + number(time));
                }
                self.texts.insert(key.to_vec(), value.to_vec());
                simple("OK")
            }
            [b"GETRANGE", key, ..] => bulk(self.texts.get(*key).map_or(&[][..], Vec::as_slice)),
            [b"SCRIPT", b"FLUSH"] => {
                self.scripts.clear();
                simple("OK")
            }
            [b"EVALSHA", sha, rest @ ..] => match self.scripts.get(*sha).cloned() {
                Some(text) => self.run(&text, rest),
                None => error("NOSCRIPT No matching script. Please use EVAL."),
            },
            [b"EVAL", text, rest @ ..] => {
                self.scripts.insert(sha1_hex(text).to_vec(), text.to_vec());
                self.run(text, rest)
            }
            [b"FCALL", b"raise", rest @ ..] => self.run(Self::RAISE, rest),
            [b"MSET", pairs @ ..] => {
                for pair in pairs.chunks_exact(2) {
                    self.texts.insert(pair[0].to_vec(), pair[1].to_vec());
                }
                simple("OK")
            }
            [b"MGET", keys @ ..] => Frame::Array(keys.iter().map(|key| text(self.texts.get(*key))).collect()),
            [b"INCR", key] => {
                self.touch(key);
                let value =
                    self.texts.entry(key.to_vec()).or_insert_with(|| self.least.to_string().into_bytes());
                match std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()) {
                    None => error("ERR value is not an integer or out of range"),
                    Some(number) => {
                        *value = (number + 1).to_string().into_bytes();
                        Frame::Integer(number + 1)
                    }
                }
            }
            [b"FLUSHALL"] => {
                let count = |text: &Vec<u8>| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
                let most = self.texts.values().filter_map(count).max().unwrap_or_default();
                *self = Self { least: self.least.max(most) + 1, ..Self::default() };
                simple("OK")
            }
            [b"DEL", keys @ ..] => {
                keys.iter().for_each(|key| self.touch(key));
                self.expiries.retain(|key, _| !keys.contains(&key.as_slice()));
                Frame::Integer(keys.iter().filter(|key| self.texts.remove(**key).is_some()).count() as i64)
            }
            [b"RPUSH", key, values @ ..] => {
                let list = self.lists.entry(key.to_vec()).or_default();
                list.extend(values.iter().map(|value| value.to_vec()));
                Frame::Integer(list.len() as i64)
            }
            [b"LRANGE", key, ..] => {
                Frame::Array(self.lists.get(*key).into_iter().flatten().map(bulk).collect())
            }
            [b"HSET", key, pairs @ ..] => {
                let hash = self.hashes.entry(key.to_vec()).or_default();
                hash.extend(pairs.iter().map(|part| part.to_vec()));
                Frame::Integer(pairs.len() as i64 / 2)
            }
            [b"HGETALL", key] => {
                let parts = self.hashes.get(*key).map_or(&[][..], Vec::as_slice);
                let pairs = parts.chunks_exact(2).map(|pair| (bulk(&pair[0]), bulk(&pair[1])));
                Frame::Map(pairs.collect())
            }
            [name, ..] => error(format!("ERR unknown command '{}'", name.escape_ascii())),
            [] => error("ERR empty command"),
        }
    }
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}
