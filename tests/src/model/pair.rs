//! A connection and a server, joined by a link that moves as many bytes as it is told to.

use super::channels::Names;
use super::{Peer, Server, Session, Words};
use redwire_core::connection::Config;
use redwire_core::machine::LinkId;
use std::collections::VecDeque;

/// Both ends and what is between them.
#[derive(Debug)]
pub struct Pair {
    /// The client's end.
    pub peer: Peer,
    /// The server's end.
    pub server: Server,
    /// Replies that the client did not get yet; each ends where a push may stand.
    pub replies: VecDeque<u8>,
    /// How many bytes of replies the server has written on this link.
    pub answered: usize,
    /// How long the server's log was when each link was opened.
    pub begun: Vec<usize>,
    session: Option<(LinkId, Session)>,
    /// How much of what the client has written was given to the server.
    heard: usize,
}

impl Pair {
    /// Joins an idle connection and `server`.
    pub fn new(config: Config, server: Server) -> Self {
        Self {
            peer: Peer::new(config),
            server,
            replies: VecDeque::new(),
            answered: 0,
            begun: Vec::new(),
            session: None,
            heard: 0,
        }
    }

    /// Opens the link that is asked for.
    pub fn open(&mut self) {
        self.session = Some((self.peer.link(), self.server.session()));
        self.replies.clear();
        (self.heard, self.answered) = (0, 0);
        self.begun.push(self.server.log.len());
        self.peer.open_silent();
    }

    /// Tells whether the link in use is open.
    pub fn is_open(&self) -> bool {
        self.peer.is_linked() && self.session.as_ref().is_some_and(|(link, _)| *link == self.peer.link())
    }

    /// Tells whether a link is asked for and not open.
    pub fn is_opening(&self) -> bool {
        self.peer.is_linked() && !self.is_open()
    }

    /// Closes the link from outside.
    pub fn cut(&mut self) {
        self.session = None;
        self.replies.clear();
        self.peer.close();
    }

    /// Lets the transport take up to `room` bytes.
    pub fn write(&mut self, room: usize) -> usize {
        self.peer.transmit(room)
    }

    /// Lets the server read up to `count` bytes of what was written; it answers what is whole.
    pub fn serve(&mut self, count: usize) -> usize {
        let (true, Some((_, session))) = (self.is_open(), &mut self.session) else { return 0 };
        let rest = &self.peer.written[self.heard..];
        let rest = &rest[..count.min(rest.len())];
        self.heard += rest.len();
        for reply in self.server.receive(session, rest) {
            self.answered += reply.len();
            self.replies.extend(reply);
        }
        rest.len()
    }

    /// Has somebody else execute a command, and the server tell the client what it is to be told.
    pub fn beside(&mut self, command: &Words) {
        match &mut self.session {
            Some((_, session)) => {
                let told = self.server.beside(session, command);
                self.answered += told.len();
                self.replies.extend(told);
            }
            None => drop(self.server.beside(&mut self.server.session(), command)),
        }
    }

    /// Has somebody else publish `data`.
    pub fn publish(&mut self, channel: &str, data: &str) {
        if let (true, Some((_, session))) = (self.is_open(), &self.session) {
            let told = session.publish(channel, data);
            self.answered += told.len();
            self.replies.extend(told);
        }
    }

    /// Gives what the client is subscribed to; `None` while no link is open.
    pub fn names(&self) -> Option<&Names> {
        self.session.as_ref().filter(|_| self.is_open()).map(|(_, session)| &session.names)
    }

    /// Lets the client read up to `count` bytes.
    pub fn read(&mut self, count: usize) -> usize {
        let piece: Vec<u8> = self.replies.drain(..count.min(self.replies.len())).collect();
        if !piece.is_empty() && self.is_open() {
            self.peer.reply(&piece);
        }
        piece.len()
    }

    /// Moves everything until nothing moves, opening links as they are asked for.
    pub fn settle(&mut self) {
        loop {
            if self.is_opening() {
                self.open();
            }
            let moved = self.write(usize::MAX) + self.serve(usize::MAX) + self.read(usize::MAX);
            if moved == 0 && !self.is_opening() {
                break;
            }
        }
    }
}
