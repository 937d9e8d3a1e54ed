//! A Redis and Valkey client without I/O.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod batch;
#[cfg(feature = "alloc")]
pub mod connection;
pub mod machine;
pub mod resp;
pub mod shape;
pub mod slot;
pub mod table;
#[cfg(feature = "alloc")]
pub mod tape;
pub mod time;
