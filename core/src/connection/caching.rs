//! A connection that keeps replies: what is asked of the cache, and what it is told.

use super::adapter::Adapter;
use super::inbound::Route;
use super::queue::{self, Queue, Role, Terms};
use super::traces::Note;
use super::{Config, Connection};
use crate::batch::{Batch, Malformed};
use crate::cache::{Cache, CacheStats, Caching, Hit, Tracking, Verdict, Written};
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
        let mut unchecked = *batch;
        while unchecked.next_request()?.is_some() {}
        let Some((cache, caching)) = made(&mut self.cache, &self.config) else { return Ok(()) };
        let queue = &mut self.queue;
        let opt_in = caching.tracking == Tracking::OptIn;
        let mut accept = |queue: &mut Queue, run: &Batch<'a>, rest: &Batch<'a>| {
            let run = run.before(rest);
            if run.words.is_empty() { Ok(()) } else { queue.accept(terms, &run, aside.as_deref_mut()) }
        };
        // commands from here on were not accepted yet
        let (mut run, mut rest) = (*batch, *batch);
        loop {
            let before = rest;
            let Some(request) = rest.next_request()? else { return accept(queue, &run, &rest) };
            let row = queue::known_row(&request);
            let shape = queue::shape_of(row, &request);
            let verdict = cache.take(caching, terms.now, &request, row, shape);
            if matches!(verdict, Verdict::Send) {
                continue;
            }
            if matches!(verdict, Verdict::Hit) || opt_in {
                accept(queue, &run, &before)?;
                run = before;
            }
            if let Verdict::Miss(registration) = verdict {
                if opt_in {
                    queue.ask(CACHING);
                }
                accept(queue, &run, &rest)?;
                queue.register(registration);
            }
            run = rest;
        }
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
        let mut unchecked = *batch;
        while unchecked.next_request()?.is_some() {}
        let mut neutral = lease.is_neutral();
        let (mut run, mut rest) = (*batch, *batch);
        loop {
            let before = rest;
            let Some(request) = rest.next_request()? else { return lease.submit(now, &run) };
            let row = queue::known_row(&request);
            neutral &= Note::of(row, Role::Plain, &request) == Note::Nothing;
            let shape = queue::shape_of(row, &request);
            if neutral && cache.give(caching, now, &request, row, shape, written) {
                lease.submit(now, &run.before(&before))?;
                run = rest;
            } else {
                cache.note_write(row, &request, written);
            }
        }
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

/// Gives the cache, made if need be, where the configuration asks for one, and what that says.
#[inline(never)]
fn made<'a>(cache: &'a mut Option<Box<Cache>>, config: &'a Config) -> Option<(&'a mut Cache, &'a Caching)> {
    let caching = config.cache.as_ref()?;
    Some((cache.get_or_insert_with(|| Box::new(Cache::new(caching, config.seed))), caching))
}
