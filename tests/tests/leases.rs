//! The native client's links: blocking commands on links of their own, and leases, on real servers, by threads that block and by tokio.
#![cfg(unix)]

use redwire_core::client::Client;
use redwire_core::commands::*;
use redwire_core::connection::{Config, Protocol};
use redwire_core::error::Error;
use redwire_core::machine::{Failure, Reason};
use redwire_core::operation::Script;
use redwire_core::pool::Limits;
use redwire_core::record::Record;
use redwire_core::time::Instant;
use redwire_core::transport::{Blocking, Transport};
use redwire_tests::clients::wait;
use redwire_tests::server::{Brand, Server, fixture};
use redwire_tests::transport::{Socket, Tls};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

type Outcome = Result<(), Error>;

/// Where a case runs.
struct World {
    server: Arc<Server>,
    protocol: Protocol,
    /// TLS, driven by tokio; otherwise a socket, driven by a blocking thread.
    tls: bool,
    case: &'static str,
}

impl World {
    /// Gives a key of this case alone.
    fn key(&self, name: &str) -> String {
        format!("leases:{:?}:{}:{}:{name}", self.protocol, self.tls, self.case)
    }

    /// Gives how its clients are called.
    fn name(&self) -> String {
        self.key("client")
    }

    fn config(&self) -> Config {
        Config { protocol: self.protocol, client_name: Some(self.name().into()), ..Config::default() }
    }

    /// Runs `case` with a client that has so many links at most.
    fn run(&self, limits: Limits, case: impl AsyncFnOnce(Client) -> Outcome) -> Outcome {
        if self.tls {
            let authorities = std::fs::read(fixture("ca.crt")).expect("the fixture");
            let transport =
                Tls::new("localhost", self.server.tls_port(), &authorities).expect("certificates");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            return runtime.block_on(async {
                let (client, driver) = Client::with_limits(transport, self.config(), limits);
                let driver = tokio::spawn(driver);
                let outcome = case(client).await;
                driver.await.expect("the driver ends with its client");
                outcome
            });
        }
        let transport = Socket::new(self.server.address()).expect("a socket");
        let (client, mut driver) = Client::with_limits(transport, self.config(), limits);
        let driver = thread::spawn(move || driver.run_blocking());
        let outcome = wait(case(client));
        driver.join().expect("the driver ends with its client");
        outcome
    }
}

macro_rules! cases {
    ($($case:ident)*) => {$(
        #[test]
        fn $case() -> Outcome {
            #[allow(clippy::wildcard_imports, reason = "the cases are beside it")]
            use super::*;
            let Some(server) = Server::shared(BRAND) else { return Ok(()) };
            let case = stringify!($case);
            let world = World { server, protocol: PROTOCOL, tls: TLS, case };
            super::$case(&world)
        }
    )*};
    (in $($world:ident: $brand:ident $protocol:ident $tls:literal;)*) => {$(
        mod $world {
            use super::*;

            const BRAND: Brand = Brand::$brand;
            const PROTOCOL: Protocol = Protocol::$protocol;
            const TLS: bool = $tls;

            cases! {
                a_blocking_command_delays_nobody
                a_blocking_command_that_is_dropped_takes_nothing
                who_waits_for_a_link_waits_in_order_and_not_for_ever
                a_lease_is_a_link_of_its_own
                a_lease_is_used_again_only_as_new
                a_lease_that_is_given_up_goes_back
                a_lease_that_lost_its_link_says_so
                leases_watch_each_for_itself
                a_lease_has_scripts_and_locks
                a_lease_may_be_silent
                subscriptions_have_one_place_among_the_links
                who_gives_up_subscribing_needs_no_place
                what_changes_a_link_is_for_leases
            }
        }
    )*};
}

cases! { in
    redis_resp2: Redis Resp2 false;
    redis_resp3: Redis Resp3 false;
    redis_tls_resp2: Redis Resp2 true;
    redis_tls_resp3: Redis Resp3 true;
    redis82_resp3: Redis82 Resp3 false;
    valkey_resp2: Valkey Resp2 false;
    valkey_resp3: Valkey Resp3 false;
}

/// Lets a request be sent: its first poll submits it. What the driver answers meanwhile is dropped.
fn begin<F: Future>(request: &mut Pin<&mut F>) {
    let _ = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// Waits until the client that is called `name` waits with BLPOP.
async fn blocked(client: &Client, name: &str) -> Outcome {
    loop {
        let list = client.execute(client_list()).await?;
        let is_waiting = |one: &Record| {
            let is = |field: &str, text: &str| one.get::<String>(field).is_ok_and(|found| found == text);
            is("cmd", "blpop") && is("name", name)
        };
        if list.iter().any(is_waiting) {
            return Ok(());
        }
    }
}

fn a_blocking_command_delays_nobody(world: &World) -> Outcome {
    let (one, two) = (world.key("one"), world.key("two"));
    world.run(Limits::default(), async |r| {
        let mut first = pin!(r.execute(blpop([&one], 0.0)));
        // in one batch with others, which do not wait for it either
        let mut second =
            pin!(r.try_execute((set(&one, "text"), del([&one]), blpop([&two], 0.0), incr(world.key("n")))));
        begin(&mut first);
        begin(&mut second);
        for count in 1..=20 {
            assert_eq!(r.execute(incr(world.key("count"))).await?, count);
        }
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        r.execute((rpush(&two, ["b"]), rpush(&one, ["a"]))).await?;
        assert_eq!(first.await?, Some((one.clone().into(), "a".into())));
        let (stored, deleted, popped, counted) = second.await;
        assert_eq!((stored?, deleted?, counted?), (true, 1, 1));
        assert_eq!(popped?, Some((two.clone().into(), "b".into())));
        r.execute(del([world.key("count"), world.key("n")])).await.map(drop)
    })
}

fn a_blocking_command_that_is_dropped_takes_nothing(world: &World) -> Outcome {
    let key = world.key("list");
    let limits = Limits { max_connections: 1, ..Limits::default() };
    world.run(limits, async |r| {
        for _ in 0..5 {
            let own = r.lease().await?;
            own.execute(command("CLIENT").arg("SETNAME").arg(&key).typed::<()>()).await?;
            {
                let mut popped = pin!(own.execute(blpop([&key], 0.0)));
                begin(&mut popped);
                blocked(&r, &key).await?;
            }
            drop(own);
            // and one of a client that has no lease, which needs the only link
            {
                let mut popped = pin!(r.execute(blpop([&key], 0.0)));
                begin(&mut popped);
            }
            let own = r.lease().await?;
            assert_eq!(own.execute(rpush(&key, ["element"])).await?, 1);
            assert_eq!(own.execute(lpop(&key)).await?, Some("element".into()));
        }
        Ok(())
    })
}

fn who_waits_for_a_link_waits_in_order_and_not_for_ever(world: &World) -> Outcome {
    let key = world.key("list");
    let limits = Limits { max_connections: 2, pool_timeout: 0, ..Limits::default() };
    world.run(limits, async |r| {
        let mut all: Vec<_> = (0..10).map(|_| Box::pin(r.execute(blpop([&key], 0.0)))).collect();
        all.iter_mut().for_each(|one| begin(&mut one.as_mut()));
        let elements: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(r.execute(rpush(&key, &elements)).await?, 10);
        let mut got = Vec::new();
        for one in all {
            got.extend(one.await?.map(|(_, element)| element));
        }
        got.sort();
        assert_eq!(got, elements, "each has one");
        Ok(())
    })?;
    let limits = Limits { max_connections: 1, pool_timeout: 50, ..Limits::default() };
    world.run(limits, async |r| {
        let own = r.lease().await?;
        let late = Error::from(Failure { reason: Reason::PoolTimeout, maybe_executed: false });
        assert_eq!(r.lease().await.err(), Some(late.clone()));
        assert_eq!(r.execute(blpop([&key], 0.0)).await, Err(late));
        drop(own);
        assert_eq!(r.execute(blpop([&key], 0.01)).await?, None);
        Ok(())
    })
}

fn a_lease_is_a_link_of_its_own(world: &World) -> Outcome {
    let key = world.key("key");
    world.run(Limits::default(), async |r| {
        let own = r.lease().await?;
        let other = r.lease().await?;
        let ids = [&r, &own, &other].map(|client| client.execute(client_id()));
        let [shared, first, second] = ids;
        let (shared, first, second) = (shared.await?, first.await?, second.await?);
        assert!(shared != first && first != second && second != shared);
        assert_eq!(own.clone().execute(client_id()).await?, first, "clones share it");
        own.execute(select(3)).await?;
        own.execute(set(&key, "three")).await?;
        assert_eq!(r.execute(get(&key)).await?, None);
        assert_eq!(other.execute(get(&key)).await?, None);
        assert_eq!(own.execute(wait_for(0)).await?, 0);
        own.execute(del([&key])).await.map(drop)
    })
}

fn subscriptions_have_one_place_among_the_links(world: &World) -> Outcome {
    let (a, b) = (world.key("a"), world.key("b"));
    let late = Error::from(Failure { reason: Reason::PoolTimeout, maybe_executed: false });
    world.run(Limits { max_connections: 1, pool_timeout: 50, ..Limits::default() }, async |r| {
        let own = r.lease().await?;
        assert_eq!(r.subscribe(&[&a]).await.err(), Some(late.clone()));
        drop(own);
        let mut first = r.subscribe(&[&a]).await?;
        let second = r.psubscribe(&[&b]).await?;
        assert_eq!(r.lease().await.err(), Some(late.clone()), "both share one");
        assert_eq!(r.execute(blpop([&b], 0.0)).await.err(), Some(late.clone()));
        drop(second);
        let listeners = r.execute(client_list().r#type(ClientType::Pubsub)).await?;
        let own =
            listeners.iter().filter(|one| one.get::<String>("name").is_ok_and(|name| name == world.name()));
        let ids: Vec<i64> = own.map(|one| one.get("id")).collect::<Result<_, _>>()?;
        assert_eq!(ids.len(), 1);
        r.execute(command("CLIENT").arg("KILL").arg("ID").arg(ids[0]).typed::<i64>()).await?;
        while r.execute(publish(&a, "again")).await? == 0 {}
        let message = first.next().await.expect("the driver is there");
        assert_eq!(message.data, "again");
        assert_eq!(r.lease().await.err(), Some(late), "it is kept while the link is made anew");
        Ok(())
    })?;
    world.run(Limits { max_connections: 1, pool_timeout: 0, ..Limits::default() }, async |r| {
        for _ in 0..3 {
            let (first, second) = (r.subscribe(&[&a]).await?, r.subscribe(&[&a, &b]).await?);
            let mut asked = pin!(r.lease());
            begin(&mut asked);
            drop((first, second));
            let own = asked.await?;
            own.execute(ping()).await?;
            let (names, other) = ([&a], [&b]);
            let mut first = pin!(r.subscribe(&names));
            let mut second = pin!(r.subscribe(&other));
            begin(&mut first);
            begin(&mut second);
            drop(own);
            first.await?;
            second.await?;
        }
        Ok(())
    })
}

fn who_gives_up_subscribing_needs_no_place(world: &World) -> Outcome {
    let names = [world.key("name")];
    world.run(Limits { max_connections: 1, pool_timeout: 0, ..Limits::default() }, async |r| {
        for _ in 0..10 {
            let own = r.lease().await?;
            {
                let mut first = pin!(r.subscribe(&names));
                let mut second = pin!(r.psubscribe(&names));
                begin(&mut first);
                begin(&mut second);
                own.execute(ping()).await?;
            }
            let mut asked = pin!(r.lease());
            begin(&mut asked);
            own.execute(ping()).await?;
            drop(own);
            asked.await?;
            assert_eq!(r.execute(pubsub_numsub().channels(&names)).await?[0].1, 0);
        }
        Ok(())
    })
}

/// WAIT, which is about what was sent on the link.
fn wait_for(replicas: i64) -> redwire_core::command::Command<i64> {
    redwire_core::commands::wait(replicas, 10)
}

fn a_lease_is_used_again_only_as_new(world: &World) -> Outcome {
    let key = world.key("key");
    world.run(Limits { max_connections: 1, ..Limits::default() }, async |r| {
        let own = r.lease().await?;
        let id = own.execute(client_id()).await?;
        own.execute(set(&key, 1)).await?;
        drop(own);
        let own = r.lease().await?;
        assert_eq!(own.execute(client_id()).await?, id, "nothing was left behind");
        own.execute(select(3)).await?;
        drop(own);
        let own = r.lease().await?;
        let next = own.execute(client_id()).await?;
        assert_ne!(next, id, "another database was selected");
        assert_eq!(own.execute(get(&key).typed::<Option<i64>>()).await?, Some(1));
        own.execute(watch([&key])).await?;
        drop(own);
        let own = r.lease().await?;
        assert_ne!(own.execute(client_id()).await?, next, "a key was watched");
        r.execute(del([&key])).await.map(drop)
    })
}

fn a_lease_that_is_given_up_goes_back(world: &World) -> Outcome {
    world.run(Limits { max_connections: 1, ..Limits::default() }, async |r| {
        for _ in 0..20 {
            {
                // given up when it is asked for, and
                let mut asked = pin!(r.lease());
                begin(&mut asked);
            }
            let own = r.lease().await?;
            {
                // while it is waited for, and
                let mut asked = pin!(r.lease());
                begin(&mut asked);
                r.execute(ping()).await?;
            }
            let mut asked = pin!(r.lease());
            begin(&mut asked);
            drop(own);
            // when it is there, and nobody looked
            r.execute(ping()).await?;
        }
        r.lease().await?.execute(ping()).await.map(drop)
    })
}

fn a_lease_that_lost_its_link_says_so(world: &World) -> Outcome {
    let key = world.key("key");
    world.run(Limits::default(), async |r| {
        let own = r.lease().await?;
        let id = own.execute(client_id()).await?;
        own.execute(watch([&key])).await?;
        assert_eq!(r.execute(client_kill().id(id)).await?, 1);
        let lost = |outcome: Result<(i64,), Error>| match outcome {
            Err(Error::Failure(failure)) => failure,
            other => unreachable!("{other:?}"),
        };
        // the loss may be known by now or not
        let first = lost(own.atomic((incr(&key),)).await);
        assert!(matches!(first.reason, Reason::Dropped | Reason::LeaseLost), "{first:?}");
        let over = Failure { reason: Reason::LeaseLost, maybe_executed: false };
        assert_eq!(lost(own.atomic((incr(&key),)).await), over);
        assert_eq!(own.execute(ping()).await, Err(over.into()));
        assert_eq!(r.execute(exists([&key])).await?, 0, "never on another link");
        let own = r.lease().await?;
        own.execute(ping()).await.map(drop)
    })
}

fn leases_watch_each_for_itself(world: &World) -> Outcome {
    let key = world.key("sum");
    world.run(Limits::default(), async |r| {
        let raise = async |client: &Client| {
            client
                .transaction(&[&key], async |watched| {
                    let value = watched.execute(get(&key).typed::<Option<i64>>()).await?;
                    Ok((set(&key, value.unwrap_or(0) + 1),))
                })
                .await
        };
        let leases = [r.lease().await?, r.lease().await?];
        // one is between its WATCH and its EXEC while the others go on
        let (own, other) = (leases[0].clone(), leases[1].clone());
        let value = own
            .transaction(&[&key], async |watched| {
                let value = watched.execute(get(&key).typed::<Option<i64>>()).await?.unwrap_or(0);
                if value < 2 {
                    raise(&other).await?;
                    raise(&r).await?;
                    other.atomic((ping(),)).await?;
                }
                Ok((set(&key, value + 100),))
            })
            .await?;
        assert_eq!(value, (true,));
        assert_eq!(r.execute(get(&key).typed::<i64>()).await?, 102, "the first try did not count");
        r.execute(del([&key])).await.map(drop)
    })
}

fn a_lease_has_scripts_and_locks(world: &World) -> Outcome {
    let (key, name) = (world.key("key"), world.key("lock"));
    world.run(Limits::default(), async |r| {
        let own = r.lease().await?;
        let script = Script::new("redis.call('SELECT', 3) return redis.call('SET', KEYS[1], ARGV[1])");
        own.execute(script.call::<()>(&[&key], &[&"value"])).await?;
        // whose database is its own
        assert_eq!(own.execute(get(&key)).await?, None);
        own.execute(select(3)).await?;
        assert_eq!(own.execute(get(&key).text()).await?.as_deref(), Some("value"));
        if own.lock(&name).try_acquire().await.is_err() {
            // this transport has no entropy
            return own.execute(del([&key])).await.map(drop);
        }
        let held = own.lock(&name).acquire().await?;
        assert_eq!(r.execute(exists([&name])).await?, 0, "it is in the lease's database");
        assert!(own.lock(&name).try_acquire().await?.is_none());
        held.release().await?;
        own.execute(del([&key])).await.map(drop)
    })
}

fn a_lease_may_be_silent(world: &World) -> Outcome {
    let key = world.key("n");
    world.run(Limits::default(), async |r| {
        let own = r.lease().await?;
        let reply = |mode: &'static str| command("CLIENT").arg("REPLY").arg(mode).typed::<()>();
        own.execute(reply("OFF")).await?;
        for _ in 0..100 {
            own.execute(incr(&key).typed::<()>()).await?;
        }
        own.execute(reply("ON")).await?;
        assert_eq!(own.execute(incr(&key)).await?, 101);
        own.execute((reply("SKIP"), incr(&key).typed::<()>())).await?;
        assert_eq!(own.execute(incr(&key)).await?, 103);
        r.execute(del([&key])).await.map(drop)
    })
}

fn what_changes_a_link_is_for_leases(world: &World) -> Outcome {
    let key = format!("leases:{}", world.case);
    world.run(Limits::default(), async |r| {
        let refused = r.execute(select(3)).await.expect_err("others share the link").to_string();
        assert_eq!(refused, "SELECT is not for the link that everybody shares: use Client::lease");
        // of such a request nothing is sent, however it is made
        let silent = command("client").arg("reply").arg("OFF").typed::<()>();
        for refused in [
            r.execute((set(&key, 1), silent.clone())).await.err(),
            r.atomic((set(&key, 1), silent.clone())).await.err(),
            r.try_execute((set(&key, 1), silent)).await.0.err(),
        ] {
            assert!(matches!(refused, Some(Error::Reserved { instead: "Client::lease", .. })), "{refused:?}");
        }
        assert_eq!(r.execute(exists([&key])).await?, 0);
        let own = r.lease().await?;
        let refused = own.execute(subscribe([&key])).await.err();
        assert!(matches!(refused, Some(Error::Reserved { instead: "Client::subscribe", .. })), "{refused:?}");
        own.execute((select(3), ping())).await.map(drop)
    })
}

/// A socket whose host has no other.
struct Only(Socket<std::net::SocketAddr>);

impl Transport for Only {
    type Error = std::io::Error;

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_open(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Self::Error>> {
        self.0.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Self::Error>> {
        self.0.poll_write(cx, bytes)
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.0.poll_sleep(cx, until)
    }
}

impl Blocking for Only {
    fn waker(&self) -> Waker {
        self.0.waker()
    }

    fn wait(&mut self, until: Instant) {
        self.0.wait(until);
    }
}

#[test]
fn a_transport_without_another_stream_says_so() -> Outcome {
    let Some(server) = Server::shared(Brand::Redis) else { return Ok(()) };
    let transport = Only(Socket::new(server.address()).expect("a socket"));
    let (r, mut driver) = Client::new(transport, Config::default());
    let outcome = driver.block_on(async move {
        assert_eq!(r.lease().await.err(), Some(Error::OneStream));
        let (before, popped, after) = r.try_execute((ping(), blpop(["leases:none"], 0.0), ping())).await;
        assert_eq!((before?, popped, after?), ("PONG".into(), Err(Error::OneStream), "PONG".into()));
        assert!(!Error::OneStream.maybe_executed());
        // as it is given, this one does not block
        r.execute(xread([("leases:none", "0")])).await?;
        // whoever has but one link changes it knowingly
        r.execute((select(3), ping())).await.map(drop)
    });
    outcome.expect("the client was there")
}
