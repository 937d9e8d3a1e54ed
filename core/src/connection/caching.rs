//! A connection that keeps replies: what is asked of the cache, and what it is told.

use super::adapter::Adapter;
use super::inbound::Route;
use super::{Connection, queue};
use crate::batch::{Batch, Malformed};
use crate::cache::{Cache, CacheStats, Caching, Hit, Verdict};
use crate::machine::ReplySink;
use crate::time::Instant;
use alloc::boxed::Box;

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
    pub(super) fn accept_cached(
        &mut self,
        now: Instant,
        wait: Option<u32>,
        batch: &Batch<'_>,
    ) -> Result<(), Malformed> {
        let mut unchecked = *batch;
        while unchecked.next_request()?.is_some() {}
        let mut cache = match (self.cache.take(), &self.config.cache) {
            (Some(cache), _) => cache,
            (None, Some(caching)) => Box::new(Cache::new(caching.clone(), self.config.seed)),
            (None, None) => return Ok(()),
        };
        let accepted = self.sort_out(&mut cache, now, wait, batch);
        self.cache = Some(cache);
        accepted
    }

    fn sort_out(
        &mut self,
        cache: &mut Cache,
        now: Instant,
        wait: Option<u32>,
        batch: &Batch<'_>,
    ) -> Result<(), Malformed> {
        // commands from here on were not accepted yet
        let (mut run, mut rest) = (*batch, *batch);
        loop {
            let before = rest;
            let Some(request) = rest.next_request()? else { return self.accept_run(now, wait, &run, &rest) };
            let (row, shape) = queue::known(&request);
            let verdict = cache.take(now, &request, row, shape);
            if matches!(verdict, Verdict::Send) {
                continue;
            }
            if matches!(verdict, Verdict::Hit) || cache.is_opt_in() {
                self.accept_run(now, wait, &run, &before)?;
                run = before;
            }
            if let Verdict::Miss(registration) = verdict {
                if cache.is_opt_in() {
                    self.queue.ask(CACHING);
                }
                self.accept_run(now, wait, &run, &rest)?;
                self.queue.register(registration);
            }
            run = rest;
        }
    }

    /// Accepts what is in `run` before `rest`.
    fn accept_run(
        &mut self,
        now: Instant,
        wait: Option<u32>,
        run: &Batch<'_>,
        rest: &Batch<'_>,
    ) -> Result<(), Malformed> {
        let run = run.before(rest);
        if run.words.is_empty() { Ok(()) } else { self.queue.accept(now, self.config.timeout, wait, &run) }
    }

    /// Gives the replies that were there when their commands were submitted.
    #[inline(never)]
    pub(super) fn tell_cached<S: ReplySink>(&mut self, sink: &mut S) {
        let count = self.cache.as_mut().map_or(0, |cache| cache.tell());
        if count == 0 {
            return;
        }
        let route = self.link.route.take();
        if route.is_some() {
            self.swap_readers();
        }
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
        if route.is_some() {
            self.swap_readers();
        }
        if let Some(cache) = &mut self.cache {
            cache.tell_end();
        }
        self.link.route = route;
    }

    /// Puts aside what reads the reply that is half read, or takes it back.
    fn swap_readers(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.swap_readers(&mut self.link.decoder, &mut self.link.shaper);
        }
    }
}
