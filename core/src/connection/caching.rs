//! A connection that keeps replies: what is asked of the cache, and what it is told.

use super::adapter::Adapter;
use super::inbound::{Route, Router};
use super::{Connection, queue};
use crate::batch::{Batch, Malformed};
use crate::cache::{Cache, CacheStats, Caching, Verdict};
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
        let Some(caching) = &self.config.cache else { return Ok(()) };
        let cache = self.cache.get_or_insert_with(|| Box::new(Cache::new(caching.clone(), self.config.seed)));
        let (queue, timeout) = (&mut self.queue, self.config.timeout);
        let (mut run, mut rest) = (*batch, *batch);
        loop {
            let before = rest;
            let Some(request) = rest.next_request()? else { break };
            let (row, shape) = queue::known(&request);
            match cache.take(now, &request, row, shape) {
                Verdict::Send => continue,
                Verdict::Hit => queue.accept(now, timeout, wait, &run.before(&before))?,
                Verdict::Miss(registration) => {
                    if cache.is_opt_in() {
                        queue.accept(now, timeout, wait, &run.before(&before))?;
                        queue.ask(CACHING);
                        run = before;
                    }
                    queue.accept(now, timeout, wait, &run.before(&rest))?;
                    queue.register(registration);
                }
            }
            run = rest;
        }
        queue.accept(now, timeout, wait, &run)
    }

    /// Gives the replies that were there when their commands were submitted.
    pub(super) fn tell_cached<S: ReplySink>(&mut self, sink: &mut S) {
        let Some(cache) = &mut self.cache else { return };
        let (hits, decoder, shaper) = cache.tell();
        for hit in hits {
            sink.begin(hit.slot);
            let mut route = Route::Forward(Adapter::new(hit.shape, false));
            let mut router = Router {
                route: &mut route,
                queue: &self.queue,
                handshake: None,
                cache: None,
                flat: false,
                shaper,
                sink,
            };
            let told = decoder.decode(&hit.reply, &mut router);
            debug_assert!(told.is_ok_and(|told| told.done), "what is kept is a whole reply");
            sink.end();
        }
    }
}
