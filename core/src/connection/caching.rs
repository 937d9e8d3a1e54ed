//! A connection that keeps replies: what is asked of the cache, and what it is told.

use super::adapter::Adapter;
use super::inbound::Route;
use super::queue::{self, Role, Terms};
use super::traces::Note;
use super::{Config, Connection};
use crate::batch::{Batch, Malformed};
use crate::cache::{Cache, CacheStats, Caching, Hit, Lease, Tracking, Verdict, Written};
use crate::machine::{Machine, ReplySink};
use crate::resp::Decoder;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Has the server track what the next command reads.
const CACHING: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$7\r\nCACHING\r\n$3\r\nYES\r\n";

impl Connection {
    /// Begins to keep replies as `caching` says, before the first use.
    pub fn cache(&mut self, caching: Caching) {
        self.config.cache = Some(caching);
    }

    /// Tells what became of commands whose replies may be kept.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.as_ref().map(|cache| cache.stats()).unwrap_or_default()
    }

    /// Gives a number that changes whenever a reply is let go, in a place where it stays as long as the connection; none before the first
    /// command.
    pub fn cache_epoch(&self) -> Option<&u32> {
        self.cache.as_ref().map(|cache| cache.epoch())
    }

    /// Accepts the commands of `batch`, all or none, but for those whose reply is there.
    #[cold]
    #[inline(never)]
    pub(super) fn accept_cached<'a>(
        &mut self,
        terms: &Terms,
        batch: &Batch<'a>,
        mut aside: Option<&mut Vec<Batch<'a>>>,
    ) -> Result<(), Malformed> {
        let Some((cache, caching)) = made(&mut self.cache, &self.config) else { return Ok(()) };
        let queue = &mut self.queue;
        sift(cache, caching, terms.now, batch, None, &mut |run, registration| {
            if registration != 0 && caching.tracking == Tracking::OptIn {
                queue.ask(CACHING);
            }
            if !run.words.is_empty() {
                queue.accept(terms, run, aside.as_deref_mut())?;
            }
            if registration != 0 {
                queue.register(registration);
            }
            Ok(())
        })
    }

    /// Has the connection of a `lease` accept the commands of `batch`, but for those whose reply is there, as long as its link is as any
    /// other; adds what they may change to `written`.
    #[inline(never)]
    pub(crate) fn accept_beside(
        &mut self,
        now: Instant,
        batch: &Batch<'_>,
        lease: &mut Self,
        written: &mut Written,
    ) -> Result<(), Malformed> {
        let Some((cache, caching)) = made(&mut self.cache, &self.config) else {
            return lease.submit(now, batch);
        };
        let asking = Lease { neutral: lease.is_neutral(), written };
        sift(cache, caching, now, batch, Some(asking), &mut |run, _| lease.submit(now, run))
    }

    /// Forgets what was `written` on another link.
    #[cold]
    #[inline(never)]
    pub(crate) fn forget(&mut self, written: &Written) {
        if let Some(cache) = &mut self.cache {
            cache.forget(written);
        }
    }

    /// Gives the replies that were there when their commands were submitted.
    #[inline(never)]
    pub(super) fn tell_cached<S: ReplySink>(&mut self, sink: &mut S) {
        let count = self.cache.as_mut().map_or(0, |cache| cache.tell());
        if count == 0 {
            return;
        }
        // another reply may be half read
        let half = self.link.route.take().map(|route| (route, self.put_aside()));
        self.link.shaper.forget();
        for at in 0..count {
            let Some(Hit { slot, shape, reply }) = self.cache.as_ref().and_then(|cache| cache.told(at))
            else {
                break;
            };
            sink.begin(slot);
            self.link.route = Some(Route::Kept(Adapter::new(shape, false)));
            let told = self.read(Instant(0), &reply, sink);
            debug_assert!(told.is_err() || self.link.route.is_none(), "what is kept is a whole reply");
            sink.end();
        }
        if let Some((route, decoder)) = half {
            self.put_aside();
            (self.link.route, self.link.decoder) = (Some(route), decoder);
        }
        if let Some(cache) = &mut self.cache {
            cache.tell_end();
        }
    }

    /// Exchanges what reads a reply; gives the decoder that was there.
    fn put_aside(&mut self) -> Decoder {
        if let Some(cache) = &mut self.cache {
            core::mem::swap(&mut cache.shaper, &mut self.link.shaper);
        }
        core::mem::replace(&mut self.link.decoder, Decoder::new(self.config.limits))
    }
}

/// Gives `send` the commands of `batch`, in runs, but for those whose reply is there; with each run the registration of the reply to its
/// last command, or 0.
#[inline(never)]
fn sift<'a>(
    cache: &mut Cache,
    caching: &Caching,
    now: Instant,
    batch: &Batch<'a>,
    mut lease: Option<Lease<'_>>,
    send: &mut dyn FnMut(&Batch<'a>, u32) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut unchecked = *batch;
    while unchecked.next_request()?.is_some() {}
    // commands from here on were not sent yet
    let (mut run, mut rest) = (*batch, *batch);
    loop {
        let before = rest;
        let Some(request) = rest.next_request()? else { return send(&run, 0) };
        let row = queue::known_row(&request);
        if let Some(lease) = &mut lease {
            lease.neutral &= Note::of(row, Role::Plain, &request) == Note::Nothing;
        }
        let shape = queue::shape_of(row, &request);
        let (end, registration) = match cache.take(caching, now, &request, row, shape, lease.as_mut()) {
            Verdict::Send => continue,
            Verdict::Hit => (&before, 0),
            Verdict::Miss(registration) => (&rest, registration),
        };
        if registration != 0 && caching.tracking == Tracking::OptIn {
            send(&run.before(&before), 0)?;
            run = before;
        }
        send(&run.before(end), registration)?;
        run = rest;
    }
}

/// Gives the cache, made if need be, where the configuration asks for one, and what that says.
#[inline(never)]
fn made<'a>(cache: &'a mut Option<Box<Cache>>, config: &'a Config) -> Option<(&'a mut Cache, &'a Caching)> {
    let caching = config.cache.as_ref()?;
    Some((cache.get_or_insert_with(|| Box::new(Cache::new(caching, config.seed))), caching))
}
