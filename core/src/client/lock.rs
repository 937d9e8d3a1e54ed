//! Locks: see [`operation`](crate::operation) for how they are taken.

use super::{Client, push_operation};
use crate::commands::{exists, get};
use crate::error::{Error, LockError};
use crate::machine::LeaseId;
use crate::operation::kind;
use crate::sha1::sha1_hex;
use crate::time::Instant;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::ops::ControlFlow;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

impl Client {
    /// Makes a lock on the key `name`, which nobody holds yet. At most one holds it at a time, as long as each keeps to its time limit.
    ///
    /// ```
    /// use redwire_core::{client::Client, error::Error};
    /// use std::time::Duration;
    ///
    /// async fn report(redis: &Client) -> Result<(), Error> {
    ///     let held = redis.lock("report").timeout(Duration::from_secs(5)).acquire().await?;
    ///     // one at a time is here, for five seconds at most
    ///     held.release().await
    /// }
    /// ```
    ///
    /// On a [lease](Self::lease) it is in the lease's database; when the link is lost, it is given back on the link that everybody shares, and
    /// so stays until its time is up where that has another database.
    ///
    /// It lives on one server: when a replica that did not get the key in time takes that one's place, two may hold it.
    pub fn lock(&self, name: &str) -> LockBuilder {
        LockBuilder {
            client: self.clone(),
            name: name.into(),
            timeout: None,
            sleep: None,
            blocking_timeout: None,
            watches: false,
        }
    }

    /// Gives a token that nobody else has: 160 bits, in hexadecimal.
    fn token(&self) -> Result<[u8; 40], LockError> {
        let entropy = self.handle.entropy.ok_or(LockError::Entropy)?;
        let number = self.handle.shared.number();
        Ok(sha1_hex(&[&entropy[..], &number.to_be_bytes()].concat()))
    }
}

/// A lock that can be taken, any number of times. Durations are exact to the millisecond.
#[derive(Clone, Debug)]
pub struct LockBuilder {
    client: Client,
    name: String,
    timeout: Option<Duration>,
    sleep: Option<Duration>,
    blocking_timeout: Option<Duration>,
    watches: bool,
}

impl LockBuilder {
    /// The lock goes by itself after this time, unless it is [kept](Held::keep) or [extended](Held::extend); without, it stays until it is released. This and
    /// all times of locks are rounded up to whole milliseconds, of which there may be 2^32-1; here, three at least, since clocks differ.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// About the time between two tries, 100 ms or the timeout without: each wait is half of it at least, one and a half at most. It must
    /// not be above the timeout.
    pub fn sleep(self, sleep: Duration) -> Self {
        Self { sleep: Some(sleep), ..self }
    }

    /// [`acquire`](Self::acquire) waits for so long at most; for ever without.
    pub fn blocking_timeout(self, wait: Duration) -> Self {
        Self { blocking_timeout: Some(wait), ..self }
    }

    /// Has it released and extended by transactions that watch the key, on a [lease](Client::lease) that is taken for it, instead of scripts:
    /// four round trips where these need one. On a client that is a lease already, they wait for transactions on it; a lock that is dropped
    /// there is given back by a script all the same.
    pub fn watching(self) -> Self {
        Self { watches: true, ..self }
    }

    /// Takes the lock, as soon as it is free.
    ///
    /// A reply that was lost with its link does no harm: the lock is known by its token. Dropping the future gives the lock back if it was
    /// taken.
    ///
    /// # Errors
    /// [`Error::Lock`] when it was not to be had in time, or cannot be: [`LockError::Time`] for times that are too long, or too short; [`Error::OneStream`] when it is a [`watching`](Self::watching) one and
    /// the transport gives no stream for that; what a command can fail with.
    pub async fn acquire(&self) -> Result<Held, Error> {
        self.take(self.blocking_timeout).await?.ok_or(LockError::Taken.into())
    }

    /// Takes the lock if it is free; `None` if it is not.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> Result<Option<Held>, Error> {
        self.take(Some(Duration::ZERO)).await
    }

    /// Takes the lock, [keeps](Held::keep) it until `work` is done, gives it back, and gives what `work` gave. Nothing of `work` is
    /// done before the lock is held.
    ///
    /// ```
    /// use redwire_core::{client::Client, error::Error};
    /// use std::time::Duration;
    ///
    /// async fn report(redis: &Client, write: impl Future<Output = usize>) -> Result<usize, Error> {
    ///     redis.lock("report").timeout(Duration::from_secs(5)).run(write).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire), [`keep`](Held::keep) and [`release`](Held::release).
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut held = self.acquire().await?;
        let output = held.keep(work).await?;
        held.release().await?;
        Ok(output)
    }

    /// Tells whether anybody holds the lock: `EXISTS`.
    ///
    /// # Errors
    /// What a command can fail with.
    pub async fn locked(&self) -> Result<bool, Error> {
        Ok(self.client.execute(exists([&self.name]).cached(false)).await? > 0)
    }

    async fn take(&self, wait: Option<Duration>) -> Result<Option<Held>, Error> {
        let longest = self.timeout.unwrap_or(Duration::MAX);
        let sleep = self.sleep.unwrap_or(longest.min(Duration::from_millis(100)));
        if sleep > longest {
            return Err(LockError::Sleep.into());
        }
        if self.watches && !self.client.handle.leases {
            return Err(Error::OneStream);
        }
        // 0 is no limit
        let timeout = self.timeout.map_or(Ok(0), |time| limit(time, SHORTEST))?;
        let ttl = timeout.to_string();
        let wait = wait.map(milliseconds).transpose()?.map_or(String::new(), |wait| wait.to_string());
        let sleep = milliseconds(sleep)?.to_string();
        let token = self.client.token()?;
        // part of a token is as good as any number
        let random = token.iter().fold(0_u32, |sum, &digit| sum.wrapping_mul(31).wrapping_add(digit.into()));
        let random = random.to_string();
        let texts = [&self.name, &ttl, &sleep, &wait, &random].map(String::as_bytes);
        let [name, ttl, sleep, wait, random] = texts;
        // the reply may have come when nobody waits for it any more
        let (client, watches) = (self.client.clone(), self.watches);
        let mut held =
            Held { client, name: name.into(), token, timeout, watches, valid_until: None, held: true };
        let end = self.client.operate(kind::ACQUIRE, &[name, &token, ttl, sleep, wait, random]).await;
        held.held = matches!(end, Ok(end) if end != 0);
        held.valid_until = u64::try_from(end?).ok().map(Instant);
        Ok(held.held.then_some(held))
    }
}

/// A lock that is held. Dropping it gives it back, without telling whether that went well.
#[derive(Debug)]
pub struct Held {
    client: Client,
    name: Vec<u8>,
    token: [u8; 40],
    /// For how many milliseconds it was taken.
    timeout: u32,
    /// It is released and extended without scripts.
    watches: bool,
    valid_until: Option<Instant>,
    /// Nobody has given it back.
    held: bool,
}

impl Held {
    /// Gives until when it is held for certain, on the clock of the client's transport: what the server keeps, counted from before it was
    /// asked, and a hundredth and 2 ms less, for clocks differ. `None` is for ever.
    pub fn valid_until(&self) -> Option<Instant> {
        self.valid_until
    }

    /// Gives the token that the key holds as long as this holds the lock.
    pub fn token(&self) -> &str {
        core::str::from_utf8(&self.token).unwrap_or_default()
    }

    /// Tells whether the server still has it that this holds the lock.
    ///
    /// # Errors
    /// What a command can fail with.
    pub async fn owned(&self) -> Result<bool, Error> {
        let found = self.client.execute(get(&self.name).cached(false)).await?;
        Ok(found.is_some_and(|token| token == self.token[..]))
    }

    /// Gives a number above all that holders of this lock were given before, for a resource that refuses what comes with a smaller one than
    /// it has seen: whoever was held up for longer than the lock lived does no harm then.
    ///
    /// It is kept in the key `{name}:fence`, for a day, and never less than the server's time in microseconds: it grows even when a
    /// replica that has not got everything takes the server's place, as long as their clocks differ by less than that takes.
    ///
    /// # Errors
    /// [`Error::Lock`] when it is not held any more; what a command can fail with.
    pub async fn fence(&self) -> Result<u64, Error> {
        match self.client.operate(kind::FENCE, &[&self.name, &self.token]).await? {
            0 => Err(LockError::Lost.into()),
            fence => Ok(fence.unsigned_abs()),
        }
    }

    /// Adds time to what is left of the lock's. What fails with anything but [`Error::Lock`] can be tried again: the lock is as it was, or, where
    /// the error [may have been executed](Error::maybe_executed), lives for that time longer. [`keep`](Self::keep) has it live on for as long as something takes.
    ///
    /// # Errors
    /// [`Error::Lock`] when it is not held any more, has no time limit, or for a [time](LockBuilder::timeout) that is none or too long; what a
    /// command can fail with.
    pub async fn extend(&mut self, time: Duration) -> Result<(), Error> {
        if self.valid_until.is_none() {
            return Err(LockError::Unlimited.into());
        }
        let time = limit(time, 1)?.to_string();
        let kind = if self.watches { kind::WATCH_EXTEND } else { kind::EXTEND };
        let end = self.change(kind, &[&self.name, &self.token, time.as_bytes()]).await?;
        if end == 0 {
            return Err(LockError::Lost.into());
        }
        self.valid_until = Some(Instant(end.unsigned_abs()));
        Ok(())
    }

    /// Keeps the lock until `work` is done, and gives what that gave: whenever a third of its [time](LockBuilder::timeout) is over, it gets that
    /// back, and where this fails, it is tried again and again while the lock lives. Each time it is the client's driver that does so at the
    /// right moment, however long `work` takes to be polled; the next is only asked for when this future is polled, which must be before the
    /// lock's time is up. A lock without a time limit needs no keeping.
    ///
    /// Where the lock is lost `work` is dropped: it must bear to end at any of its `await`s. On a client that is a [lease](Client::lease) no transaction may be
    /// begun by hand meanwhile: what extends the lock would become part of it.
    ///
    /// # Errors
    /// [`Error::Lock`] when the lock is not held any more; what a command can fail with, when the last tenth of its time has begun and it could not be extended,
    /// or the client's driver ended.
    pub async fn keep<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        while let Some(until) = self.valid_until {
            let came = first(work.as_mut(), self.extended(until)).await;
            match came {
                ControlFlow::Break(output) => return Ok(output),
                ControlFlow::Continue(end) => self.valid_until = Some(end?),
            }
        }
        Ok(work.await)
    }

    /// Waits for the next extension that is due, and gives until when the lock is held then.
    async fn extended(&self, until: Instant) -> Result<Instant, Error> {
        let kind = if self.watches { kind::WATCH_KEEP } else { kind::KEEP };
        let [timeout, until] = [self.timeout.into(), until.0].map(|number: u64| number.to_string());
        match self
            .client
            .operate(kind, &[&self.name, &self.token, timeout.as_bytes(), until.as_bytes()])
            .await?
        {
            0 => Err(LockError::Lost.into()),
            end => Ok(Instant(end.unsigned_abs())),
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`Error::Lock`] when it was not held any more; what a command can fail with.
    pub async fn release(mut self) -> Result<(), Error> {
        let kind = if self.watches { kind::WATCH_RELEASE } else { kind::RELEASE };
        let released = self.change(kind, &[&self.name, &self.token]).await;
        // a failure may have come before the server gave it back: dropping tries again
        self.held = released.is_err();
        if released? == 0 { Err(LockError::Lost.into()) } else { Ok(()) }
    }

    async fn change(&self, kind: u16, args: &[&[u8]]) -> Result<i64, Error> {
        // on a lease of the caller's others may watch keys too
        let _gate =
            if self.watches && self.client.lease.is_some() { Some(self.client.gate().await) } else { None };
        self.client.operate(kind, args).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.held {
            let args = [&self.name[..], &self.token];
            let lease = self.client.lease_id();
            // nobody can wait here for those who watch keys on the same link
            let apart = self.watches && lease == LeaseId::SHARED;
            let kind = if apart { kind::WATCH_RELEASE } else { kind::RELEASE };
            self.client.handle.shared.detach(lease, |slot, outbox| {
                push_operation(outbox, slot, kind, args.into_iter());
            });
        }
    }
}

/// Breaks with what `work` gives, or goes on with what `other` does where that is there before.
async fn first<T, U>(
    mut work: Pin<&mut impl Future<Output = T>>,
    other: impl Future<Output = U>,
) -> ControlFlow<T, U> {
    let mut other = pin!(other);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(ControlFlow::Break(output)),
        Poll::Pending => other.as_mut().poll(cx).map(ControlFlow::Continue),
    })
    .await
}

/// Gives whole milliseconds: one that is begun counts.
fn milliseconds(duration: Duration) -> Result<u32, LockError> {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    u32::try_from(milliseconds).map_err(|_| LockError::Time)
}

/// So many milliseconds a lock has to live for anybody to count on it, since clocks differ.
const SHORTEST: u32 = 3;

/// Likewise, so many at least.
fn limit(duration: Duration, least: u32) -> Result<u32, LockError> {
    milliseconds(duration).and_then(|time| if time >= least { Ok(time) } else { Err(LockError::Time) })
}
