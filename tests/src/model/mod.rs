//! A world in memory: a caller, a link, a clock that moves when told, and a server.

mod caller;
mod channels;
mod fleet;
mod pair;
mod peer;
pub mod requests;
mod server;
mod store;
mod tracking;

pub use caller::{Caller, Outcome};
pub use channels::Names;
pub use fleet::{Fleet, Reaction};
pub use pair::Pair;
pub use peer::{Peer, plain};
pub use server::{Hello, Logged, Options, Server, Session};
pub use store::Store;

/// A command as words.
pub type Words = Vec<Vec<u8>>;

/// Makes the words of a command from a line of text.
pub fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}
