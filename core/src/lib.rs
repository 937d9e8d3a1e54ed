//! A Redis and Valkey client without I/O: bytes, time and sockets are the caller's.
//!
//! Three layers, each usable without the one above:
//!
//! | what | where | needs |
//! |---|---|---|
//! | [`Client`](client::Client), an `async` handle, and its [`Driver`](driver::Driver) over any [`Transport`](transport::Transport) | [`client`], [`driver`], [`transport`] | `alloc` |
//! | [`Connection`](connection::Connection), the machine inside: bytes, `now` and commands in; bytes, actions and replies out | [`machine`], [`connection`] | `alloc` |
//! | codec, [`commands`], cluster slots, and [`Session`](session::Session), one command at a time on a fixed buffer | [`resp`], [`session`] | nothing |
//!
//! # A client
//!
//! A command is a value that does nothing by itself; its type says what its reply reads as. A tuple of commands goes out in one
//! write and gives a tuple of replies.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use redwire_core::{client::Client, commands, error::Error};
//!
//! async fn visit(redis: Client, page: &str) -> Result<(Option<String>, i64), Error> {
//!     redis.execute(commands::set("last", page).ex(3600)).await?;
//!     redis.execute((commands::get("title").text(), commands::incr("visits"))).await
//! }
//! # }
//! ```
//!
//! `Client::new(transport, config)` gives the client and the driver: spawn the driver as a task, or let a thread have it with
//! [`run_blocking`](driver::Driver::run_blocking).
//!
//! # A driver of your own
//!
//! A [`Machine`](machine::Machine) takes what the world does through `handle_*` and says what it wants through `poll_*`. This is
//! all that a host does:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use redwire_core::batch::BatchBuffer;
//! use redwire_core::connection::{Config, Connection};
//! use redwire_core::machine::{Action, Machine, Segment, Slot};
//! use redwire_core::{table, tape::Tape, time::Instant};
//! # use std::io::Read;
//! # struct Stream { replies: &'static [u8], written: Vec<u8> }
//! # impl Stream {
//! #     fn write(&mut self, bytes: &[u8]) -> usize { self.written.extend_from_slice(bytes); bytes.len() }
//! #     fn read(&mut self, bytes: &mut [u8]) -> usize { self.replies.read(&mut bytes[..1]).unwrap() }
//! # }
//! # let open = || Stream { replies: b"+OK\r\n+OK\r\n+PONG\r\n$5\r\nvalue\r\n", written: Vec::new() };
//! # let now = || Instant(0);
//!
//! let mut machine = Connection::new(Config { protocol: redwire_core::connection::Protocol::Resp2, ..Config::default() });
//! let mut replies = Tape::default();
//! let mut commands = BatchBuffer::default();
//! commands.push(Slot(7), table::find(b"GET"), 0, None, [&b"key"[..]].into_iter());
//! machine.submit(now(), &commands.batch())?;
//!
//! let (mut stream, mut input) = (None, Vec::new());
//! while replies.words().is_empty() {
//!     while let Some(action) = machine.poll_action() {
//!         match action {
//!             Action::Open(link) => {
//!                 stream = Some((link, open()));
//!                 machine.handle_open(now(), link);
//!             }
//!             Action::Ready(_) | Action::Rest | Action::Leased(..) | Action::Unanswered(_) => {}
//!             Action::Close(..) => stream = None,
//!             Action::Settle(slot, failure) => panic!("{slot:?} failed: {failure}"),
//!         }
//!     }
//!     let Some((link, stream)) = &mut stream else { break };
//!     while let Some(Segment::Bytes(bytes)) = machine.poll_transmit(*link) {
//!         let count = stream.write(bytes);
//!         machine.handle_transmitted(*link, count);
//!     }
//!     let mut chunk = [0; 4096];
//!     let count = stream.read(&mut chunk);
//!     if count == 0 {
//!         machine.handle_closed(now(), *link);
//!     }
//!     input.extend_from_slice(&chunk[..count]);
//!     let used = machine.handle_bytes(now(), *link, &input, &mut replies);
//!     input.drain(..used);
//!     // a host that can wait does so until bytes come or machine.poll_timeout(), then calls machine.handle_timeout()
//! }
//! assert_eq!(replies.words()[..2], [0, 7]);
//! # }
//! # Ok::<(), redwire_core::batch::Malformed>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod argument;
pub mod batch;
#[cfg(feature = "alloc")]
pub mod cache;
#[cfg(feature = "alloc")]
pub mod client;
pub mod command;
pub mod commands;
#[cfg(feature = "alloc")]
pub mod connection;
mod draft;
#[cfg(feature = "alloc")]
pub mod driver;
#[cfg(feature = "embedded-io-async")]
pub mod embedded;
#[cfg(feature = "alloc")]
pub mod error;
#[cfg(feature = "alloc")]
mod fifo;
pub mod machine;
#[cfg(feature = "alloc")]
pub mod operation;
#[cfg(feature = "alloc")]
mod outbox;
pub mod owned;
#[cfg(feature = "alloc")]
pub mod paths;
#[cfg(feature = "alloc")]
pub mod pool;
#[cfg(feature = "alloc")]
pub mod pubsub;
#[cfg(feature = "alloc")]
pub mod record;
#[cfg(feature = "alloc")]
pub mod reply;
#[cfg(feature = "alloc")]
pub mod request;
pub mod resp;
pub mod session;
pub mod sha1;
#[cfg(feature = "alloc")]
pub mod shape;
#[cfg(feature = "alloc")]
mod slab;
pub mod slot;
#[cfg(feature = "alloc")]
pub mod subscription;
pub mod table;
#[cfg(feature = "alloc")]
pub mod tape;
pub mod time;
pub mod transport;
