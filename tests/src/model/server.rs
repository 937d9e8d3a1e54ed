//! A server: one store, and a session per link.

use super::Words;
use super::channels::Names;
use super::store::Store;
use super::tracking::{self, Tracking};
use crate::wire::{bulk, encoded, encoded_resp2, error, simple};
use redwire_core::resp::{Decoder, Frame, FrameSink};

/// What a server answers to HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hello {
    /// It speaks RESP3.
    #[default]
    Known,
    /// It is too old.
    Unknown,
}

/// What kind of server it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Its answer to HELLO.
    pub hello: Hello,
    /// Its password.
    pub password: Option<&'static str>,
    /// Whether it knows CLIENT SETINFO.
    pub setinfo: bool,
    /// Whether it is loading its data, and executes nothing.
    pub loading: bool,
    /// Whether it is a replica, and executes nothing that writes.
    pub replica: bool,
}

/// A server.
#[derive(Debug, Default)]
pub struct Server {
    /// What kind it is.
    pub options: Options,
    /// What it knows.
    pub store: Store,
    /// Every command that was executed or queued, in order, but for the handshakes'.
    pub log: Vec<Words>,
    /// Forgets all scripts before so many more commands.
    pub flush_in: Option<usize>,
    /// How often it forgot who its clients are.
    pub lapses: u32,
}

/// One link as the server sees it.
#[derive(Debug)]
pub struct Session {
    /// Every command that came of somebody who is known, in order, but for the handshake's PING.
    pub log: Vec<Logged>,
    /// The blocking command that it waits with, and whether that is answered.
    blocked: Option<(Words, bool)>,
    /// Keys that are watched, and how often they had been written to by then.
    watching: Vec<(Vec<u8>, u32)>,
    database: Vec<u8>,
    answers: Answers,
    pub(super) protocol: u8,
    /// What it is subscribed to.
    pub names: Names,
    known: bool,
    /// Something came that is not part of a handshake.
    greeted: bool,
    lapses: u32,
    queued: Option<Vec<Words>>,
    tracking: Option<Tracking>,
    spoiled: bool,
    decoder: Decoder,
    unread: Vec<u8>,
}

/// A command as a link saw it.
#[derive(Debug)]
pub struct Logged {
    /// The command.
    pub words: Words,
    /// Whether the link was not as a new one.
    pub changed: bool,
    /// Whether the server answered with an error.
    pub refused: bool,
}

/// What CLIENT REPLY said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    On,
    Skip,
    Off,
}

impl Session {
    fn encoded(&self, reply: &Frame) -> Vec<u8> {
        if self.protocol == 3 { encoded(reply) } else { encoded_resp2(reply) }
    }

    /// Tells whether the link is not as a new one.
    pub fn is_changed(&self) -> bool {
        !self.watching.is_empty()
            || self.database != b"0"
            || self.answers != Answers::On
            || self.queued.is_some()
    }

    /// Gives what the link is told of a command that was executed on another.
    pub fn tell(&mut self, command: &[&[u8]]) -> Vec<u8> {
        let Some(tracking) = &mut self.tracking else { return Vec::new() };
        tracking.note_write(command);
        tracking.tell(true).concat()
    }

    /// Tells whether it waits with a blocking command.
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }
}

impl Server {
    /// Makes an empty server.
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Begins a session.
    pub fn session(&self) -> Session {
        Session {
            log: Vec::new(),
            blocked: None,
            watching: Vec::new(),
            database: b"0".to_vec(),
            answers: Answers::On,
            protocol: 2,
            names: Names::new(),
            known: self.options.password.is_none(),
            greeted: false,
            lapses: self.lapses,
            queued: None,
            tracking: None,
            spoiled: false,
            decoder: Decoder::default(),
            unread: Vec::new(),
        }
    }

    /// Changes its mind: it loads (0), is a replica (1), forgets who its clients are (2), or executes everything again.
    pub fn refuse(&mut self, what: u32) {
        match what {
            0 => self.options.loading = true,
            1 => self.options.replica = true,
            2 => self.lapses += 1,
            _ => (self.options.loading, self.options.replica) = (false, false),
        }
    }

    /// Takes bytes from the link; gives one piece of wire for each command that is whole now.
    pub fn receive(&mut self, session: &mut Session, bytes: &[u8]) -> Vec<Vec<u8>> {
        session.unread.extend_from_slice(bytes);
        let (mut consumed, mut replies, mut sink) = (0, Vec::new(), FrameSink::default());
        while !session.is_blocked() {
            // a command that is not whole is decoded again from its start
            let mut decoder = session.decoder.clone();
            let mut used = 0;
            let command = loop {
                let rest = &session.unread[consumed + used..];
                let decoded = decoder.decode(rest, &mut sink).expect("a client speaks the protocol");
                used += decoded.consumed;
                if decoded.done || decoded.consumed == 0 {
                    break sink.take();
                }
            };
            let Some(command) = command else { break };
            consumed += used;
            if session.lapses != self.lapses {
                session.lapses = self.lapses;
                // who asked for silence would not learn of it, and no server does both
                session.known &= session.answers != Answers::On || self.options.password.is_none();
            }
            let before = session.answers;
            let command = args(command);
            if let Some(told) = session.listen(&command) {
                replies.push(told);
                continue;
            }
            let logged = session.log.len();
            let reply = self.answer(session, &command);
            if let Some(last) = session.log.get_mut(logged) {
                last.refused = matches!(reply, Some(Frame::Error(_)));
            }
            let silent = if matches!(command.as_slice(), [a, b, ..] if a == b"CLIENT" && b == b"REPLY") {
                session.answers != Answers::On
            } else {
                if before == Answers::Skip {
                    session.answers = Answers::On;
                }
                before != Answers::On
            };
            replies.extend(reply.filter(|_| !silent).map(|reply| session.encoded(&reply)));
            let told = session.tracking.iter_mut().flat_map(|tracking| tracking.tell(false));
            replies.extend(told);
        }
        // what is broadcast comes when everything was answered
        replies.extend(session.tracking.iter_mut().flat_map(|tracking| tracking.tell(true)));
        session.unread.drain(..consumed);
        replies
    }

    /// Goes on with a link that waits with a blocking command, if there is an element for it, or it is to wait no longer.
    pub fn wake(&mut self, session: &mut Session, give_up: bool) -> Vec<Vec<u8>> {
        let Some((command, answered)) = &session.blocked else { return Vec::new() };
        let (key, answered) = (command[1].clone(), *answered);
        let reply = match self.store.pop(&key) {
            Some(element) => Frame::Array(vec![bulk(&key), bulk(&element)]),
            None if give_up => Frame::Null,
            None => return Vec::new(),
        };
        session.blocked = None;
        let mut replies = if answered { vec![session.encoded(&reply)] } else { Vec::new() };
        replies.extend(self.receive(session, &[]));
        replies
    }

    /// Executes a command of somebody else's; gives what the session is told of it.
    pub fn beside(&mut self, session: &mut Session, command: &Words) -> Vec<u8> {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        self.store.execute(&words);
        session.tell(&words)
    }

    /// Gives the reply, unless it comes later.
    fn answer(&mut self, session: &mut Session, command: &Words) -> Option<Frame> {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        session.greeted |= match words[..] {
            [b"CLIENT", what, ..] => what == b"REPLY",
            _ => !matches!(words[0], b"HELLO" | b"AUTH" | b"SELECT" | b"PING"),
        };
        let greeting = !session.greeted && words[0] == b"PING";
        if session.known && !greeting && words[0] != b"HELLO" {
            let changed = session.is_changed();
            session.log.push(Logged { words: command.clone(), changed, refused: false });
        }
        Some(match words.as_slice() {
            [b"HELLO", ..] if self.options.hello == Hello::Unknown => {
                error("ERR unknown command 'HELLO', with args beginning with: '3' ")
            }
            [b"HELLO", b"3", rest @ ..] => self.hello(session, rest),
            [b"AUTH", .., password] if session.queued.is_none() => self.authenticate(session, password),
            [b"EXEC"] if !session.known => {
                session.queued = None;
                error("EXECABORT Transaction discarded because of: NOAUTH Authentication required.")
            }
            _ if !session.known => session.refuse("NOAUTH Authentication required."),
            [b"INCR", ..] if self.options.replica => {
                session.refuse("READONLY You can't write against a read only replica.")
            }
            [name, ..]
                if self.options.loading && !matches!(*name, b"CLIENT" | b"SELECT" | b"MULTI" | b"EXEC") =>
            {
                session.refuse("LOADING Redis is loading the dataset in memory")
            }
            _ if greeting => simple("PONG"),
            [b"CLIENT", b"SETINFO", ..] if !self.options.setinfo => {
                error("ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.")
            }
            [b"SELECT", database] => {
                session.database = database.to_vec();
                simple("OK")
            }
            [b"CLIENT", b"REPLY", mode] => {
                session.answers = match *mode {
                    b"ON" => Answers::On,
                    b"SKIP" if session.answers != Answers::Off => Answers::Skip,
                    _ => Answers::Off,
                };
                simple("OK")
            }
            [b"CLIENT", b"TRACKING", b"ON", rest @ ..] => {
                session.tracking = Some(Tracking::new(rest));
                simple("OK")
            }
            [b"CLIENT", b"CACHING", b"YES"] => tracking::caching(&mut session.tracking),
            [b"CLIENT", ..] => simple("OK"),
            [b"WATCH", key] => {
                session.watching.push((key.to_vec(), self.store.writes(key)));
                simple("OK")
            }
            [b"UNWATCH"] => {
                session.watching.clear();
                simple("OK")
            }
            [b"BLPOP", key, ..] if session.queued.is_none() => {
                self.log.push(command.clone());
                let Some(element) = self.store.pop(key) else {
                    session.blocked = Some((command.clone(), session.answers == Answers::On));
                    return None;
                };
                Frame::Array(vec![bulk(key), bulk(&element)])
            }
            [b"MULTI"] => {
                (session.queued, session.spoiled) = (Some(Vec::new()), false);
                simple("OK")
            }
            [b"DISCARD"] => {
                session.queued = None;
                session.watching.clear();
                simple("OK")
            }
            [b"EXEC"] => {
                let reply = self.exec(session);
                session.tracking.iter_mut().for_each(Tracking::end);
                reply
            }
            _ => {
                self.log.push(command.clone());
                self.flush_in = self.flush_in.and_then(|left| left.checked_sub(1));
                if self.flush_in == Some(0) {
                    self.store.execute(&[b"SCRIPT", b"FLUSH"]);
                }
                self.execute(session, command, &words)
            }
        })
    }

    fn hello(&self, session: &mut Session, rest: &[&[u8]]) -> Frame {
        if let [b"AUTH", _, password, ..] = rest
            && let refusal @ Frame::Error(_) = self.authenticate(session, password)
        {
            return refusal;
        }
        if !session.known {
            return error("NOAUTH HELLO must be called with the client already authenticated");
        }
        session.protocol = 3;
        Frame::Map(vec![
            (bulk("server"), bulk("redis")),
            (bulk("version"), bulk("7.0.15")),
            (bulk("proto"), Frame::Integer(3)),
            (bulk("modules"), Frame::Array(vec![])),
        ])
    }

    fn authenticate(&self, session: &mut Session, password: &[u8]) -> Frame {
        session.known = self.options.password.is_some_and(|known| known.as_bytes() == password);
        if session.known { simple("OK") } else { error("WRONGPASS invalid username-password pair") }
    }

    fn execute(&mut self, session: &mut Session, command: &Words, words: &[&[u8]]) -> Frame {
        let Some(queued) = &mut session.queued else {
            session.tracking.iter_mut().for_each(|tracking| {
                tracking.note(words);
                tracking.end();
            });
            return self.store.execute(words);
        };
        if words.first() == Some(&&b"NOSUCH"[..]) {
            session.spoiled = true;
            return error("ERR unknown command 'NOSUCH'");
        }
        queued.push(command.clone());
        simple("QUEUED")
    }

    fn exec(&mut self, session: &mut Session) -> Frame {
        let Some(queued) = session.queued.take() else { return error("ERR EXEC without MULTI") };
        let watching = std::mem::take(&mut session.watching);
        if watching.iter().any(|(key, writes)| self.store.writes(key) != *writes) {
            return Frame::Null;
        }
        if session.spoiled {
            return error("EXECABORT Transaction discarded because of previous errors.");
        }
        let execute = |command: &Words| {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            session.tracking.iter_mut().for_each(|tracking| tracking.note(&words));
            self.store.execute(&words)
        };
        Frame::Array(queued.iter().map(execute).collect())
    }
}

impl Session {
    /// Refuses a command, and with it the transaction that it may be part of.
    fn refuse(&mut self, text: &str) -> Frame {
        self.spoiled = true;
        error(text)
    }
}

fn args(command: Frame) -> Words {
    let Frame::Array(args) = command else { unreachable!("a command is an array") };
    let arg = |arg: &Frame| match arg {
        Frame::Bulk(text) => text.to_vec(),
        _ => unreachable!("an argument is a bulk"),
    };
    args.iter().map(arg).collect()
}
