//! Links that a client has to itself.

use super::{Client, Pending};
use crate::error::Error;
use crate::machine::LeaseId;
use crate::slab::Shared;
use alloc::sync::Arc;
use core::future::poll_fn;

/// A lease, which ends when this is dropped.
pub(super) struct Leased {
    shared: Arc<Shared>,
    id: LeaseId,
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.shared.give_back(self.id);
    }
}

impl Client {
    /// Gives a client with a link of its own, which it shares with its clones only: for commands that change what a link is (`SELECT`,
    /// `CLIENT NO-TOUCH`), that are about what was sent on it (`WAIT`), or that shall delay nobody. Those that `CLIENT REPLY` has the server
    /// not answer give null.
    ///
    /// The link goes back when the last clone is dropped: to be used again where it is as good as a new one, and closed otherwise. What is
    /// in flight by then goes on, unless it blocks. When the link is lost, every command on it fails, those that come later with
    /// [`Reason::LeaseLost`](crate::machine::Reason::LeaseLost); none is sent again. Take another lease then.
    ///
    /// ```
    /// use redwire_core::{client::Client, commands, error::Error};
    ///
    /// /// Tells whether two replicas have what was written.
    /// async fn write(redis: &Client) -> Result<bool, Error> {
    ///     let own = redis.lease().await?;
    ///     own.execute(commands::set("key", "value")).await?;
    ///     Ok(own.execute(commands::wait(2, 1_000)).await? >= 2)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::OneStream`] when the transport gives no stream for it;
    /// [`Reason::PoolTimeout`](crate::machine::Reason::PoolTimeout) when none of
    /// [`max_connections`](crate::pool::Limits::max_connections) came free within
    /// [`pool_timeout`](crate::pool::Limits::pool_timeout).
    ///
    /// # Cancellation
    /// Dropping the future gives the lease back, or up.
    pub async fn lease(&self) -> Result<Self, Error> {
        let shared = self.handle.shared.clone();
        let mut asked = Pending { slots: alloc::vec![shared.ask()?], shared };
        poll_fn(|cx| asked.shared.poll_all(&asked.slots, cx)).await;
        let slot = core::mem::take(&mut asked.slots)[0];
        let leased = Leased { id: asked.shared.take_lease(slot)?, shared: asked.shared.clone() };
        Ok(Self { handle: self.handle.clone(), lease: Some(Arc::new(leased)) })
    }

    /// Gives the lease that its commands are sent on.
    pub(super) fn lease_id(&self) -> LeaseId {
        self.lease.as_ref().map_or(LeaseId::SHARED, |lease| lease.id)
    }

    /// Gives a client on the link that everybody shares.
    pub(super) fn shared(&self) -> Self {
        Self { handle: self.handle.clone(), lease: None }
    }
}
