//! What the module exports: the methods of the one machine that an instance has.

use crate::host::Host;
use spin::{Mutex, MutexGuard};
use wasm_bindgen::prelude::wasm_bindgen;

/// In a place known when the module is compiled, and so neither passed nor checked. Never locked at a call: the module imports
/// nothing that could call it, and an instance that trapped is not used again.
static HOST: Mutex<Host> = Mutex::new(Host::new());

#[inline(never)]
fn host() -> MutexGuard<'static, Host> {
    HOST.lock()
}

macro_rules! exports {
    ($($export:ident = $method:ident($($name:ident: $type:ident),*) $(-> $gives:ident)?;)*) => {
        $(
            /// See the method of [`Host`].
            #[wasm_bindgen]
            pub fn $export($($name: $type),*) $(-> $gives)? {
                host().$method($($name),*)
            }
        )*
    };
}

exports! {
    host_registers = registers() -> usize;
    host_input = input(bytes: usize) -> usize;
    host_words = words(count: usize) -> usize;
    host_configure = configure();
    host_submit = submit(now: f64, lease: u32, words: usize, text: usize, side: usize, how: u32) -> u32;
    host_script = script(length: usize, place: usize) -> usize;
    host_cache = cache(words: usize);
    host_cached = cached() -> usize;
    host_cache_epoch = cache_epoch() -> usize;
    host_cache_stats = cache_stats() -> usize;
    host_cancel = cancel(now: f64, slot: u32) -> i32;
    host_lease = lease(now: f64, slot: u32, bare: bool);
    host_release = release(now: f64, lease: u32);
    host_unblock = unblock(now: f64);
    host_dismiss = dismiss(now: f64, slot: u32);
    host_connect = connect(now: f64);
    host_shutdown = shutdown();
    host_opened = opened(now: f64, link: u32);
    host_closed = closed(now: f64, link: u32, untrusted: bool);
    host_authenticate = authenticate(username: u32, password: usize);
    host_timeout = timeout(now: f64);
    host_next_timeout = next_timeout() -> f64;
    host_window = window(link: u32) -> usize;
    host_receive = receive(now: f64, link: u32, count: usize) -> usize;
    host_read = read(link: u32, count: usize) -> usize;
    host_tape = tape() -> usize;
    host_transmit = transmit(link: u32) -> u32;
    host_poll = poll() -> usize;
    host_inspect = inspect(now: f64) -> usize;
    host_detail = detail(lane: u32) -> usize;
    host_version = version(lane: u32) -> usize;
    host_key_slot = key_slot(length: usize) -> u32;
    host_repeatable = repeatable(row: u32) -> bool;
}
