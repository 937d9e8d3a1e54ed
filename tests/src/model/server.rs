//! A server: one store, and a session per link.

use super::Words;
use super::store::Store;
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
}

/// A server.
#[derive(Debug, Default)]
pub struct Server {
    /// What kind it is.
    pub options: Options,
    /// What it knows.
    pub store: Store,
    /// Every command that was executed or queued, in order.
    pub log: Vec<Words>,
    /// Forgets all scripts before so many more commands.
    pub flush_in: Option<usize>,
}

/// One link as the server sees it.
#[derive(Debug)]
pub struct Session {
    protocol: u8,
    known: bool,
    queued: Option<Vec<Words>>,
    spoiled: bool,
    decoder: Decoder,
    unread: Vec<u8>,
}

impl Server {
    /// Makes an empty server.
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Begins a session.
    pub fn session(&self) -> Session {
        Session {
            protocol: 2,
            known: self.options.password.is_none(),
            queued: None,
            spoiled: false,
            decoder: Decoder::default(),
            unread: Vec::new(),
        }
    }

    /// Takes bytes from the link; gives one piece of wire for each command that is whole now.
    pub fn receive(&mut self, session: &mut Session, bytes: &[u8]) -> Vec<Vec<u8>> {
        session.unread.extend_from_slice(bytes);
        let (mut consumed, mut replies, mut sink) = (0, Vec::new(), FrameSink::default());
        loop {
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
            let reply = self.answer(session, &args(command));
            replies.push(if session.protocol == 3 { encoded(&reply) } else { encoded_resp2(&reply) });
        }
        session.unread.drain(..consumed);
        replies
    }

    fn answer(&mut self, session: &mut Session, command: &Words) -> Frame {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        match words.as_slice() {
            [b"HELLO", ..] if self.options.hello == Hello::Unknown => {
                error("ERR unknown command 'HELLO', with args beginning with: '3' ")
            }
            [b"HELLO", b"3", rest @ ..] => self.hello(session, rest),
            [b"AUTH", .., password] => self.authenticate(session, password),
            _ if !session.known => error("NOAUTH Authentication required."),
            [b"CLIENT", b"SETINFO", ..] if !self.options.setinfo => {
                error("ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.")
            }
            [b"SELECT" | b"CLIENT", ..] => simple("OK"),
            [b"MULTI"] => {
                (session.queued, session.spoiled) = (Some(Vec::new()), false);
                simple("OK")
            }
            [b"EXEC"] => self.exec(session),
            _ => {
                self.log.push(command.clone());
                self.flush_in = self.flush_in.and_then(|left| left.checked_sub(1));
                if self.flush_in == Some(0) {
                    self.store.execute(&[b"SCRIPT", b"FLUSH"]);
                }
                self.execute(session, command, &words)
            }
        }
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
        let Some(queued) = &mut session.queued else { return self.store.execute(words) };
        if words.first() == Some(&&b"NOSUCH"[..]) {
            session.spoiled = true;
            return error("ERR unknown command 'NOSUCH'");
        }
        queued.push(command.clone());
        simple("QUEUED")
    }

    fn exec(&mut self, session: &mut Session) -> Frame {
        let Some(queued) = session.queued.take() else { return error("ERR EXEC without MULTI") };
        if session.spoiled {
            return error("EXECABORT Transaction discarded because of previous errors.");
        }
        let execute = |command: &Words| {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            self.store.execute(&words)
        };
        Frame::Array(queued.iter().map(execute).collect())
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
