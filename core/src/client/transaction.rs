//! Reading, deciding and writing as one step: WATCH, MULTI, EXEC.

use super::{Client, Pending, unit};
use crate::batch::{BatchBuffer, flags};
use crate::commands::{unwatch, watch};
use crate::error::Error;
use crate::machine::{Failure, LeaseId, Reason};
use crate::request::{Replies, Request};
use crate::slab::Shared;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};

/// What a [transaction](Client::transaction) reads with while its keys are watched.
#[derive(Clone, Debug)]
pub struct Watched {
    client: Client,
}

impl Watched {
    /// Runs `request` at once, like [`Client::execute`]; all replies are the server's, none is one that was kept.
    ///
    /// # Errors
    /// Likewise.
    pub async fn execute<Q: Request>(&self, request: Q) -> Result<Q::Output, Error> {
        let mut replies = self.client.pipeline(&request, flags::UNCACHED)?.replies(&request).await;
        request.read(&mut replies)
    }
}

impl Client {
    /// Watches `keys`, has `decide` read what it needs and give a request, and runs that as a transaction: all of it is executed, or, when one
    /// of the keys was changed meanwhile or the link was lost, nothing, and it begins anew, as often as it takes.
    ///
    /// Each try takes a [lease](Self::lease), and delays nobody. On a client that is a lease already, and where the transport gives no other
    /// stream, transactions watch one after the other, and [`atomic`](Self::atomic) waits meanwhile: `decide` must not call it, nor begin
    /// another transaction on the same link. EXEC is never sent on another link than WATCH was. Whoever wants to give up after so many tries, or
    /// wait between two, does so in `decide`: what that fails with is returned.
    ///
    /// ```
    /// use redwire_core::{client::Client, commands, error::Error};
    ///
    /// /// INCR, of a client's own.
    /// async fn increment(redis: &Client, key: &str) -> Result<(bool,), Error> {
    ///     redis
    ///         .transaction(&[key], async |watched| {
    ///             let value = watched.execute(commands::get(key).typed::<Option<i64>>()).await?;
    ///             Ok((commands::set(key, value.unwrap_or(0) + 1),))
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of `decide`, whatever they are, and then nothing was executed: they may be that the link was lost. Those of
    /// [`atomic`](Self::atomic), but for [`Error::Watch`], and those of [`lease`](Self::lease), but for [`Error::OneStream`].
    pub async fn transaction<Q, F, U>(&self, keys: &[&str], decide: F) -> Result<Q::Output, Error>
    where
        Q: Request,
        F: Fn(Watched) -> U,
        U: Future<Output = Result<Q, Error>>,
    {
        if keys.is_empty() {
            return self.atomic(decide(Watched { client: self.clone() }).await?).await;
        }
        loop {
            let home = self.apart().await?;
            let own = self.lease.is_none() && home.lease.is_some();
            if let Some(output) = home.attempt(own, keys, &decide).await? {
                return Ok(output);
            }
        }
    }

    /// Gives a client that nobody else watches keys with, where there can be one.
    async fn apart(&self) -> Result<Self, Error> {
        match &self.lease {
            Some(_) => Ok(self.clone()),
            None => self.lease().await.or_else(|error| match error {
                Error::OneStream => Ok(self.clone()),
                error => Err(error),
            }),
        }
    }

    /// Tries once, on a lease that is this try's `own` or not; `None` where it is to begin anew.
    async fn attempt<Q, F, U>(&self, own: bool, keys: &[&str], decide: &F) -> Result<Option<Q::Output>, Error>
    where
        Q: Request,
        F: Fn(Watched) -> U,
        U: Future<Output = Result<Q, Error>>,
    {
        let mut gate = self.gate().await;
        gate.watching = true;
        if let Err(error) = self.watch(keys).await {
            return if own && is_lost(&error) { Ok(None) } else { Err(error) };
        }
        let request = decide(Watched { client: self.clone() }).await?;
        let mut replies = match self.count(&request)? {
            0 => Replies::new(Vec::new()),
            count => {
                gate.watching = false;
                let pending = self.conclude(&request)?;
                // whoever comes now sends behind the EXEC
                drop(gate);
                match pending.transaction(count, &request).await {
                    Err(Error::Watch) => return Ok(None),
                    // nobody knows whether a key changed
                    Err(error) if is_lost(&error) && !error.maybe_executed() => return Ok(None),
                    outcome => outcome?,
                }
            }
        };
        request.read(&mut replies).map(Some)
    }

    /// Waits until nobody else watches keys on its link.
    pub(super) async fn gate(&self) -> Gate<'_> {
        let (shared, lease) = (&self.handle.shared, self.lease_id());
        poll_fn(|cx| shared.poll_watch(lease, cx)).await;
        Gate { shared, lease, watching: false }
    }

    async fn watch(&self, keys: &[&str]) -> Result<(), Error> {
        let command = watch(keys);
        let pending = self.submit(1, |slots, commands| {
            if self.lease.is_none() {
                (commands.converses, commands.watch) = (true, slots.first().copied());
            }
            slots.iter().for_each(|&slot| super::push(&mut commands.batch, slot, command.call(), 0));
        })?;
        Replies::new(pending.outcomes().await).take().map(drop)
    }

    /// Submits the transaction, on the link of the last WATCH.
    fn conclude<Q: Request>(&self, request: &Q) -> Result<Pending, Error> {
        self.submit(1, |slots, commands| {
            let Some(&slot) = slots.first() else { return };
            // a lease goes nowhere else
            if self.lease.is_some() {
                return unit(&mut commands.batch, slot, request);
            }
            let mut batch = BatchBuffer::default();
            unit(&mut batch, slot, request);
            commands.watched = Some((slot, batch));
        })
    }
}

/// Tells whether the link was lost.
fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Failure(Failure { reason: Reason::Dropped | Reason::LeaseLost, .. }))
}

/// The only one that watches keys, until it is dropped.
pub(super) struct Gate<'a> {
    shared: &'a Arc<Shared>,
    lease: LeaseId,
    watching: bool,
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        if self.watching {
            let command = unwatch();
            self.shared.detach(self.lease, |slot, commands| {
                super::push(&mut commands.batch, slot, command.call(), 0)
            });
        }
        self.shared.leave(self.lease);
    }
}
