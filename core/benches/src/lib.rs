//! What the benches share: replies as servers send them, and rounds for what divan cannot interleave.

pub mod replies;
pub mod rounds;
#[cfg(unix)]
pub mod tcp;
