//! redwire's core behind numbers: what the npm package's JavaScript calls.
//!
//! The exports take and give numbers only; bytes and words lie in memory at addresses that the exports give. JavaScript reads
//! and writes there between calls, never during one, and asks for every address anew: growing memory moves nothing but ends
//! every view.
#![cfg_attr(feature = "module", no_std)]

extern crate alloc;

pub mod exports;
mod host;
#[cfg(all(feature = "module", target_arch = "wasm32"))]
mod module;

pub use host::Host;
