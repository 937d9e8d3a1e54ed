//! The native client against real servers: the same suite for each server, transport and protocol.
#![cfg(unix)]

use redwire_core::cache::{Caching, Tracking};
use redwire_core::client::Client;
use redwire_core::command::Command;
use redwire_core::commands::*;
use redwire_core::connection::{Bounds, Config, Credentials, Protocol};
use redwire_core::embedded::Embedded;
use redwire_core::error::{Error, ServerError};
use redwire_core::machine::{Failure, Reason};
use redwire_core::operation::Script;
use redwire_core::owned::{Bytes, Frame};
use redwire_core::request::Request;
use redwire_core::transport::Blocking;
use redwire_tests::server::{Brand, Server, fixture};
use redwire_tests::transport::{Socket, Ticks, Tls, halves};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

#[derive(Clone, Copy)]
enum Way {
    /// Plain TCP, driven by a blocking thread.
    Tcp,
    /// A Unix socket, likewise.
    Unix,
    /// TLS, driven by tokio.
    Tls,
    /// A Unix socket as `embedded-io-async` streams, likewise.
    Embedded,
}

#[derive(Clone, Copy)]
struct Setup {
    brand: Brand,
    way: Way,
    protocol: Protocol,
    name: &'static str,
}

type Outcome = Result<(), Error>;
type Get = Command<Option<Bytes>>;

/// One case in its setup.
struct Place {
    setup: Setup,
    server: Arc<Server>,
    case: &'static str,
}

impl Place {
    /// Gives a key of this case in this setup alone.
    fn key(&self, name: &str) -> String {
        format!("{}:{}:{name}", self.setup.name, self.case)
    }

    fn config(&self) -> Config {
        Config { protocol: self.setup.protocol, ..Config::default() }
    }

    /// Runs `case` with a client of its own.
    fn run<R>(&self, config: Config, case: impl AsyncFnOnce(Client) -> R) -> R {
        match self.setup.way {
            Way::Tcp => blocking(Socket::new(self.server.address()).expect("a socket"), config, case),
            Way::Unix => blocking(Socket::new(self.server.socket()).expect("a socket"), config, case),
            Way::Embedded => {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                let _inside = runtime.enter();
                let socket = self.server.socket();
                let transport = Embedded::new(|| halves(&socket), Ticks::default(), true);
                let (client, driver) = Client::new(transport, config);
                let mut driver = pin!(driver);
                let mut case = pin!(case(client));
                runtime.block_on(poll_fn(|cx| {
                    let over = driver.as_mut().poll(cx).is_ready();
                    let result = case.as_mut().poll(cx);
                    assert!(result.is_ready() || !over, "the case holds a client");
                    result
                }))
            }
            Way::Tls => {
                let authorities = std::fs::read(fixture("ca.crt")).expect("the fixture");
                let transport =
                    Tls::new("localhost", self.server.tls_port(), &authorities).expect("certificates");
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let (client, driver) = Client::secure(transport, config).expect("TLS is secure");
                    let driver = tokio::spawn(driver);
                    let result = case(client).await;
                    driver.await.expect("the driver ends with its client");
                    result
                })
            }
        }
    }
}

fn blocking<T: Blocking, R>(transport: T, config: Config, case: impl AsyncFnOnce(Client) -> R) -> R {
    let (client, mut driver) = Client::new(transport, config);
    let result = driver.block_on(case(client)).expect("the case holds a client");
    driver.run_blocking();
    result
}

macro_rules! suites {
    ($($name:ident: $brand:ident $way:ident $protocol:ident;)*) => {$(
        mod $name {
            use super::*;

            const SETUP: Setup = Setup {
                brand: Brand::$brand,
                way: Way::$way,
                protocol: Protocol::$protocol,
                name: stringify!($name),
            };

            cases!();
        }
    )*};
}

macro_rules! cases {
    () => {
        cases!(strings_promise_12_promise_17 binary large hashes_promise_14_promise_19 lists_and_sets_promise_13_promise_15_promise_18_promise_20 sorted_sets_promise_16_promise_21 errors pipelines transactions watched_keys);
        cases!(options places streams descriptions);
        cases!(cancelled passwords databases untyped scripts_promise_41 reconnected too_large held_back);
    };
    ($($case:ident)*) => {$(
        #[test]
        fn $case() {
            let Some(server) = Server::shared(SETUP.brand) else { return };
            let place = Place { setup: SETUP, server, case: stringify!($case) };
            let result: Outcome = super::$case(&place);
            if let Err(error) = result {
                unreachable!("{error}");
            }
        }
    )*};
}

suites! {
    redis_tcp_resp2: Redis Tcp Resp2;
    redis_tcp_resp3_promise_37_promise_40: Redis Tcp Resp3;
    redis_unix_resp2: Redis Unix Resp2;
    redis_unix_resp3: Redis Unix Resp3;
    redis_tls_resp2: Redis Tls Resp2;
    redis_tls_resp3: Redis Tls Resp3;
    redis_embedded_resp2: Redis Embedded Resp2;
    redis_embedded_resp3: Redis Embedded Resp3;
    valkey_tcp_resp2: Valkey Tcp Resp2;
    valkey_tcp_resp3: Valkey Tcp Resp3;
    valkey_unix_resp2: Valkey Unix Resp2;
    valkey_unix_resp3: Valkey Unix Resp3;
    valkey_tls_resp2: Valkey Tls Resp2;
    valkey_tls_resp3: Valkey Tls Resp3;
}

fn strings_promise_12_promise_17(place: &Place) -> Outcome {
    let (key, count) = (place.key("key"), place.key("count"));
    place.run(place.config(), async |redis| {
        assert_eq!(redis.execute(ping()).await?, "PONG");
        assert_eq!(redis.execute(echo("ä")).await?, "ä".as_bytes());
        assert_eq!(redis.execute(get(&key)).await?, None);
        assert!(redis.execute(set(&key, "value").ex(1000)).await?);
        assert!(!redis.execute(set(&key, "other").nx()).await?);
        assert!(redis.execute(set(&key, 1.5).xx().keepttl()).await?);
        assert_eq!(redis.execute(set(&key, "last").get().text()).await?.as_deref(), Some("1.5"));
        assert_eq!(redis.execute(get(&key).text()).await?.as_deref(), Some("last"));
        assert_eq!(redis.execute((incr(&count), incr(&count))).await?, (1, 2));
        assert_eq!(redis.execute(get(&count).typed::<u32>()).await?, 2);
        assert!(redis.execute(mset([(&key, "a"), (&count, "b")])).await?);
        let missing = place.key("missing");
        let values = redis.execute(mget([&key, &missing, &count])).await?;
        assert_eq!(values, [Some(Bytes::from("a")), None, Some(Bytes::from("b"))]);
        assert_eq!(redis.execute(del([&key, &missing, &count])).await?, 2);
        Ok(())
    })
}

fn binary(place: &Place) -> Outcome {
    let bytes: Vec<u8> = (0..=255).chain(*b"\r\n$-1\r\n").collect();
    let key = [place.key("").as_bytes(), &bytes].concat();
    place.run(place.config(), async |redis| {
        redis.execute(set(&key, &bytes)).await?;
        assert_eq!(redis.execute(get(&key)).await?, Some(Bytes::from(bytes)));
        let text = redis.execute(get(&key).text()).await;
        assert!(matches!(text, Err(Error::Reply(_))), "{text:?}");
        assert_eq!(redis.execute(set(&key, "")).await, Ok(true));
        assert_eq!(redis.execute(get(&key)).await?, Some(Bytes::new()));
        Ok(())
    })
}

fn large(place: &Place) -> Outcome {
    let value: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_ne_bytes).collect();
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let (stored, found, length) = redis
            .execute((set(&key, &value), get(&key), command("STRLEN").arg(&key).typed::<usize>()))
            .await?;
        assert!(stored && length == 1 << 20);
        assert!(found.is_some_and(|found| found == value));
        assert_eq!(redis.execute(del([&key])).await?, 1);
        Ok(())
    })
}

fn hashes_promise_14_promise_19(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        assert_eq!(redis.execute(hgetall(&key)).await?, []);
        assert_eq!(redis.execute(hset(&key, [("b", "2"), ("a", "1")])).await?, 2);
        let pairs = redis.execute(hgetall(&key).typed::<Vec<(String, i64)>>()).await?;
        assert_eq!(pairs, [("b".into(), 2), ("a".into(), 1)]);
        let map = redis.execute(hgetall(&key).typed::<BTreeMap<String, Bytes>>()).await?;
        assert_eq!(map.get("a"), Some(&Bytes::from("1")));
        Ok(())
    })
}

fn lists_and_sets_promise_13_promise_15_promise_18_promise_20(place: &Place) -> Outcome {
    let (list, members) = (place.key("list"), place.key("set"));
    place.run(place.config(), async |redis| {
        assert_eq!(redis.execute(lpush(&list, ["y", "x"])).await?, 2);
        assert_eq!(redis.execute(rpush(&list, ["z"])).await?, 3);
        assert_eq!(redis.execute(lrange(&list, 1, -1)).await?, ["y", "z"]);
        assert_eq!(redis.execute(sadd(&members, [1, 3, 2, 3])).await?, 3);
        assert_eq!(redis.execute(smembers(&members).typed::<Vec<i64>>()).await?, [1, 2, 3]);
        assert_eq!(
            redis.execute(smembers(&members).typed::<BTreeSet<i64>>()).await?,
            BTreeSet::from([1, 2, 3])
        );
        assert!(matches!(redis.execute(smembers(&members).typed::<Frame>()).await?, Frame::Set(_)));
        Ok(())
    })
}

/// Options that change what a reply is.
fn options(place: &Place) -> Outcome {
    let key = place.key("key");
    let other = place.key("other");
    place.run(place.config(), async |redis| {
        assert_eq!(redis.execute(set(&key, "one").get()).await?, None);
        assert_eq!(redis.execute(set(&key, "two").get().text()).await?.as_deref(), Some("one"));
        assert!(!redis.execute(set(&key, "three").nx()).await?);
        assert!(redis.execute(copy(&key, &other).replace()).await?);
        assert_eq!(
            redis
                .execute(bitfield(&key).get("u8", 0).overflow(WrapSatFail::Sat).incrby("u8", 0, 200))
                .await?,
            [Some(116), Some(255)]
        );
        redis.execute(del([&key, &other])).await?;
        redis.execute(rpush(&key, ["a", "b", "a", "c"])).await?;
        assert_eq!(redis.execute(lpos(&key, "a").rank(2)).await?, Some(2));
        assert_eq!(redis.execute(lpos(&key, "a").count(0)).await?, [0, 2]);
        assert_eq!(redis.execute(lpop(&key).text()).await?.as_deref(), Some("a"));
        assert_eq!(redis.execute(lpop(&key).count(2).text()).await?, ["b", "a"]);
        let popped = redis.execute(lmpop([&other, &key], LeftRight::Right).count(5).text()).await?;
        assert_eq!(popped, Some((key.clone(), vec!["c".to_string()])));
        assert_eq!(redis.execute(lmpop([&key], LeftRight::Left)).await?, None);
        redis.execute(zadd(&key, [("a", 1.0), ("b", 2.5)])).await?;
        assert_eq!(redis.execute(zrank(&key, "b")).await?, Some(1));
        assert_eq!(redis.execute(zpopmax(&key).text()).await?, Some(("b".to_string(), 2.5)));
        assert_eq!(
            redis.execute(zrandmember(&key).count(1).withscores().text()).await?,
            [("a".to_string(), 1.0)]
        );
        assert_eq!(redis.execute(zpopmax(&key).count(2).text()).await?, [("a".to_string(), 1.0)]);
        assert_eq!(redis.execute(zpopmax(&key)).await?, None);
        redis.execute(hset(&key, [("field", "value")])).await?;
        assert_eq!(redis.execute(hrandfield(&key).text()).await?.as_deref(), Some("field"));
        assert_eq!(redis.execute(hrandfield(&key).count(2).text()).await?, ["field"]);
        let pairs = redis.execute(hrandfield(&key).count(2).withvalues().text()).await?;
        assert_eq!(pairs, [("field".to_string(), "value".to_string())]);
        let page = redis.execute(hscan(&key, 0).count(100)).await?;
        assert_eq!(page, ("0".to_string(), vec![(Bytes::from("field"), Bytes::from("value"))]));
        assert!(redis.execute(expire(&key, 100).nx()).await?);
        assert!(!redis.execute(expire(&key, 100).nx()).await?);
        let sum = redis.execute(eval("return ARGV[1] + #KEYS").keys([&key]).args([4]).typed::<i64>()).await?;
        assert_eq!(sum, 5);
        Ok(())
    })
}

fn places(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let cities = [(13.361389, 38.115556, "Palermo"), (15.087269, 37.502669, "Catania")];
        assert_eq!(redis.execute(geoadd(&key, cities).nx()).await?, 2);
        let near = || {
            let from = GeosearchFrom::frommember("Palermo");
            geosearch(&key, from, By::byradius(200.0, Unit::Km)).asc().count(5)
        };
        assert_eq!(redis.execute(near().text()).await?, ["Palermo", "Catania"]);
        let distances = redis.execute(near().withdist().text()).await?;
        assert_eq!(distances[0], ("Palermo".to_string(), 0.0));
        assert!((distances[1].1 - 166.27).abs() < 0.01);
        let all = redis.execute(near().any().withcoord().withhash().withdist()).await?;
        let (member, distance, hash, (longitude, latitude)) = &all[0];
        assert_eq!((&member[..], *distance, *hash > 0), (&b"Palermo"[..], 0.0, true));
        assert!((longitude - 13.361389).abs() < 1e-4 && (latitude - 38.115556).abs() < 1e-4);
        assert_eq!(redis.execute(geodist(&key, "Palermo", "nowhere").km()).await?, None);
        assert_eq!(redis.execute(geopos(&key).members(["nowhere"])).await?, [None]);
        Ok(())
    })
}

fn streams(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let added = redis.execute(xadd(&key, "1-1", [("field", "value")]).maxlen(9).approximately()).await?;
        assert_eq!(added.as_deref(), Some("1-1"));
        assert_eq!(redis.execute(xadd("none", "*", [("field", "value")]).nomkstream()).await?, None);
        let entry = ("1-1".to_string(), Some(vec![(Bytes::from("field"), Bytes::from("value"))]));
        let read = redis.execute(xread([(&key, "0")]).count(1)).await?;
        assert_eq!(read, Some(vec![(Bytes::from(key.clone()), vec![entry.clone()])]));
        assert_eq!(redis.execute(xread([(&key, "$")])).await?, None);
        assert_eq!(redis.execute(xrange(&key, "-", "+")).await?, std::slice::from_ref(&entry));
        assert!(redis.execute(xgroup_create(&key, "group", 0)).await?);
        let read = redis.execute(xreadgroup("group", "consumer", [(&key, ">")]).noack()).await?;
        assert_eq!(read.map(|streams| streams.len()), Some(1));
        redis.execute(xadd(&key, "2-1", [("field", "value")])).await?;
        redis.execute(xreadgroup("group", "consumer", [(&key, ">")])).await?;
        let (pending, first, _, consumers) = redis.execute(xpending(&key, "group")).await?;
        assert_eq!(
            (pending, first.as_deref(), consumers),
            (1, Some("2-1"), vec![(Bytes::from("consumer"), 1)])
        );
        let pending =
            redis.execute(xpending(&key, "group").filters("-", "+", 10).consumer("consumer")).await?;
        assert_eq!((pending[0].0.as_str(), pending[0].3), ("2-1", 1));
        let (_, claimed, _) = redis.execute(xautoclaim(&key, "group", "other", 0, 0).justid()).await?;
        assert_eq!(claimed, ["2-1"]);
        let whole = redis.execute(xinfo_stream(&key).full().count(1)).await?;
        assert_eq!(whole.get::<i64>("length")?, 2);
        Ok(())
    })
}

/// Replies that describe something.
fn descriptions(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        redis.execute(set(&key, "value")).await?;
        assert!(redis.execute(client_list()).await?.iter().any(|client| client.get::<i64>("id").is_ok()));
        assert!(redis.execute(info().sections(["server"])).await?.get::<i64>("process_id")? > 0);
        let limit = redis.execute(config_get(["maxmemory-policy"]).text()).await?;
        assert_eq!(limit[0].0, "maxmemory-policy");
        assert_eq!(redis.execute(object_encoding(&key)).await?.as_deref(), Some("embstr"));
        assert_eq!(redis.execute(r#type(&key)).await?, "string");
        let common = redis.execute(lcs(&key, &key).idx().withmatchlen()).await?;
        assert_eq!(common.get::<i64>("len")?, 5);
        assert_eq!(redis.execute(lcs(&key, &key).len()).await?, 5);
        assert!(redis.execute(memory_usage(&key)).await?.is_some());
        Ok(())
    })
}

fn sorted_sets_promise_16_promise_21(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let members = [("b", 1.5), ("c", f64::INFINITY), ("a", 1e-9)];
        assert_eq!(redis.execute(zadd(&key, members)).await?, 3);
        assert_eq!(redis.execute(zadd(&key, [("b", 2.0), ("d", 3.0)]).nx().ch()).await?, 1);
        assert_eq!(redis.execute(zrange(&key, 0, -1)).await?, ["a", "b", "d", "c"]);
        let scores = redis.execute(zrange(&key, 0, -1).rev().withscores()).await?;
        let expected = [("c", f64::INFINITY), ("d", 3.0), ("b", 1.5), ("a", 1e-9)];
        assert_eq!(scores, expected.map(|(member, score)| (Bytes::from(member), score)));
        let frame = redis
            .execute(zrange(&key, "(1.5", "+inf").byscore().limit(0, 1).withscores().typed::<Frame>())
            .await?;
        assert_eq!(
            frame,
            Frame::Array(vec![Frame::Array(vec![Frame::Bulk("d".into()), Frame::Double(3.0)])])
        );
        assert_eq!(redis.execute(zadd(&key, [("b", 0.5)]).incr()).await?, Some(2.0));
        assert_eq!(redis.execute(zadd(&key, [("e", 0.5)]).xx().incr()).await?, None);
        Ok(())
    })
}

fn errors(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        redis.execute(set(&key, "no number")).await?;
        assert_eq!(code(redis.execute(hgetall(&key)).await), "WRONGTYPE");
        assert_eq!(code(redis.execute(command("NOSUCHCOMMAND").arg(&key)).await), "ERR");
        let wrong = redis.execute(get(&key).typed::<i64>()).await;
        assert_eq!(wrong.map_err(|error| error.to_string()), Err("expected i64, got text".into()));
        let missing = redis.execute(get(place.key("missing")).typed::<String>()).await;
        assert_eq!(missing.map_err(|error| error.to_string()), Err("expected bytes, got null".into()));
        assert_eq!(redis.execute(ping()).await?, "PONG");
        Ok(())
    })
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Server(error)) => error.code().into(),
        other => unreachable!("expected an error reply, got {other:?}"),
    }
}

fn pipelines(place: &Place) -> Outcome {
    let (key, text) = (place.key("key"), place.key("text"));
    place.run(place.config(), async |redis| {
        let nested = (set(&text, "a"), (incr(&key), vec![get(&text).text(); 2]), incr(&key));
        let values = redis.execute(nested).await?;
        assert_eq!(values, (true, (1, vec![Some("a".into()); 2]), 2));
        assert_eq!(
            redis.execute((incr(&text), incr(&key))).await.map_err(|error| matches!(error, Error::Server(_))),
            Err(true)
        );
        let (first, second) = redis.try_execute((incr(&text), incr(&key))).await;
        assert_eq!((code(first), second?), ("ERR".into(), 4));
        // the replies to what stands behind one that failed are not those of the next
        let lists = (vec![incr(&text), incr(&key)], vec![vec![incr(&text), incr(&key)], vec![incr(&key)]]);
        let (list, nested) = redis.try_execute((lists.0, incr(&key))).await;
        assert_eq!((code(list), nested?), ("ERR".into(), 6));
        // and each says which command it was
        let (both, _) = (redis.execute((incr(&text), decr(&text))).await, redis.atomic((incr(&key),)).await?);
        let unit = redis.atomic((decr(&key), hget(&key, "field"))).await.map_err(|error| error.to_string());
        let (text_error, type_error) = (
            "ERR value is not an integer or out of range",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        assert_eq!(both.map_err(|error| error.to_string()), Err(format!("INCR: {text_error}")));
        assert_eq!(unit.map(drop), Err(format!("HGET: {type_error}")));
        let mut lists = redis.try_execute(lists.1).await;
        assert_eq!((lists.pop(), lists.pop().map(code)), (Some(Ok(vec![8])), Some("ERR".into())));
        let many: Vec<_> = (0..5000).map(|_| incr(&key)).collect();
        assert_eq!(redis.execute(many).await?, (9..5009).collect::<Vec<_>>());
        assert_eq!(redis.execute(Vec::<Get>::new()).await?, []);
        assert_eq!(redis.execute(get(&key).typed::<f32>()).await?, 5008.0);
        Ok(())
    })
}

fn transactions(place: &Place) -> Outcome {
    let (key, text) = (place.key("key"), place.key("text"));
    place.run(place.config(), async |redis| {
        let (stored, (sum, old), map) = redis
            .atomic((set(&key, 5), (incr(&key), get(&key).typed::<i64>()), hgetall(place.key("none"))))
            .await?;
        assert_eq!((stored, sum, old, map), (true, 6, 6, vec![]));
        assert_eq!(redis.atomic(vec![incr(&key); 3]).await?, [7, 8, 9]);
        assert_eq!(redis.atomic(Vec::<Get>::new()).await?, []);
        redis.execute(set(&text, "text")).await?;
        assert_eq!(code(redis.atomic((incr(&text), incr(&key))).await), "ERR");
        assert_eq!(redis.execute(get(&key).typed::<i64>()).await?, 10, "the others were executed");

        let refused = redis.atomic((incr(&key), command("INCR").typed::<i64>(), incr(&key))).await;
        let told = |error: &ServerError| error.to_string().contains("wrong number of arguments");
        assert!(
            matches!(&refused, Err(Error::Refused { index: Some(1), error }) if told(error)),
            "{refused:?}"
        );
        assert_eq!(redis.execute(get(&key).typed::<i64>()).await?, 10, "nothing was executed");
        Ok(())
    })
}

fn watched_keys(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let own = match redis.lease().await {
            // the only link is nobody else's anyway
            Err(Error::OneStream) => redis.clone(),
            own => own?,
        };
        own.execute((command("WATCH").arg(&key), incr(&key))).await?;
        assert_eq!(own.atomic((incr(&key),)).await, Err(Error::Watch));
        assert_eq!(redis.atomic((incr(&key),)).await?, (2,));
        Ok(())
    })
}

fn cancelled(place: &Place) -> Outcome {
    let (key, value) = (place.key("key"), vec![b'x'; 1 << 20]);
    place.run(place.config(), async |redis| {
        redis.execute(set(&key, &value)).await?;
        begun(redis.execute(del([&key])), 1).await;
        assert!(
            redis.execute(get(&key)).await?.is_some(),
            "a command given up before it was written is not sent"
        );
        for turns in [2, 3, 4, 5, 8] {
            begun(redis.execute((get(&key), set(&key, &value))), turns).await;
            begun(redis.atomic((get(&key), incr(place.key("other")))), turns).await;
            assert_eq!(redis.execute(echo(turns)).await?, turns.to_string(), "replies stay in their places");
        }
        let done = redis.execute(echo("dropped"));
        begun(async { (done.await, redis.execute(ping()).await) }, 2).await;
        assert_eq!(redis.execute(echo("kept")).await?, "kept");
        Ok(())
    })
}

fn too_large(place: &Place) -> Outcome {
    let (text, list) = (place.key("text"), place.key("list"));
    place.run(Config { max_reply: 100_000, ..place.config() }, async |redis| {
        redis.execute((set(&text, vec![b'x'; 1 << 20]), rpush(&list, vec!["y"; 10_000]))).await?;
        let failed = Err(Error::Failure(Failure { reason: Reason::ReplyTooLarge, maybe_executed: true }));
        let (large, many, next) = redis.try_execute((get(&text), lrange(&list, 0, -1), echo("next"))).await;
        let whole = redis.atomic((incr(place.key("count")), get(&text))).await;
        assert_eq!(
            (large.map(drop), many.map(drop), whole.map(drop)),
            (failed.clone(), failed.clone(), failed)
        );
        assert_eq!(next?, "next", "on the same link");
        assert_eq!(redis.execute(incr(place.key("count"))).await?, 2, "it was executed");
        Ok(())
    })
}

fn held_back(place: &Place) -> Outcome {
    let high_water = Bounds { commands: 3, bytes: u32::MAX };
    place.run(Config { high_water, holds_back: true, ..place.config() }, async |redis| {
        let numbers: Vec<u32> = (0..200).collect();
        let echoed =
            redis.execute(numbers.iter().map(|number| echo(number).typed::<u32>()).collect::<Vec<_>>());
        assert_eq!(echoed.await?, numbers);
        let whole = redis.atomic((echo("a"), echo("b"), echo("c"), echo("d"))).await?;
        assert_eq!(
            whole,
            ("a".into(), "b".into(), "c".into(), "d".into()),
            "of more commands than there is room"
        );
        Ok(())
    })
}

/// Polls `future` in `turns` turns of the driver, and drops it.
async fn begun<F: Future>(future: F, turns: u32) {
    let mut future = pin!(future);
    for turn in 1..=turns {
        let ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if ready || turn == turns {
            return;
        }
        pass().await;
    }
}

/// Lets the driver have its turn.
async fn pass() {
    let mut passed = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut passed, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn passwords(place: &Place) -> Outcome {
    let (user, right, wrong) = (place.key("user"), "right-secret", "wrong-secret");
    let acl = ["ACL", "SETUSER", &user, "on", &format!(">{right}"), "~*", "&*", "+@all"].map(String::from);
    let [name, arguments @ ..] = acl;
    place.run(place.config(), async |redis| {
        redis.execute(command(&name).args(arguments).typed::<()>()).await
    })?;
    let with = |password: &str| Config {
        credentials: Some(Credentials { username: Some(user.clone().into()), password: password.into() }),
        ..place.config()
    };
    let whoami = || command("ACL").arg("WHOAMI").typed::<String>();
    assert_eq!(place.run(with(right), async |redis| redis.execute(whoami()).await)?, user);
    let refused = place.run(with(wrong), async |redis| redis.execute(whoami()).await);
    let failure = Failure { reason: Reason::Authentication, maybe_executed: false };
    assert_eq!(refused, Err(Error::NoLink { failure, said: "WRONGPASS".into() }));
    assert!(refused.is_err_and(|error| !format!("{error} {error:?} {:?}", with(wrong)).contains("secret")));
    Ok(())
}

fn databases(place: &Place) -> Outcome {
    let info = || raw("CLIENT").arg("INFO").typed::<String>();
    let told =
        place.run(Config { database: 3, ..place.config() }, async |redis| redis.execute(info()).await)?;
    assert!(
        told.contains(" db=3 ") && told.contains("lib-name=redwire") || told.contains(" db=3 "),
        "{told}"
    );
    let none =
        place.run(Config { database: 4000, ..place.config() }, async |redis| redis.execute(info()).await);
    let failure = Failure { reason: Reason::Database, maybe_executed: false };
    assert_eq!(none, Err(Error::NoLink { failure, said: "ERR DB index is out of range".into() }));
    Ok(())
}

fn scripts_promise_41(place: &Place) -> Outcome {
    let key = place.key("key");
    place.run(place.config(), async |redis| {
        let body = format!("return {{KEYS[1], ARGV[1], 7, '{}'}}", place.case);
        let expected = (key.clone(), "a".to_string(), 7, place.case.to_string());
        let script = || eval(&body).keys([&key]).args(["a"]);
        assert_eq!(redis.execute(script().typed::<(String, String, i64, String)>()).await?, expected);
        let sha: String = redis.execute(script_load(&body)).await?;
        assert_eq!(redis.execute(script_exists([sha.as_str(), "0"])).await?, [true, false]);
        let by_hash = evalsha_ro(&sha).keys([&key]).args(["a"]);
        assert_eq!(redis.execute(by_hash.typed::<(String, String, i64, String)>()).await?, expected);
        let unknown = redis.execute(evalsha("0".repeat(40))).await;
        assert!(matches!(&unknown, Err(Error::Server(error)) if error.code() == "NOSCRIPT"), "{unknown:?}");
        Ok(())
    })
}

fn untyped(place: &Place) -> Outcome {
    place.run(place.config(), async |redis| {
        let lua = "return {1, 'two', {3, false}}";
        let script = || command("EVAL").arg(lua).arg(0);
        let value = redis.execute(script().typed::<(i64, String, (i64, Option<i64>))>()).await?;
        assert_eq!(value, (1, "two".into(), (3, None)));
        let config = command("CONFIG").arg("GET").arg("maxmemory");
        assert_eq!(
            redis.execute(config.clone().typed::<Vec<(String, u64)>>()).await?,
            [("maxmemory".into(), 0)]
        );
        assert_eq!(
            redis.execute(config.typed::<BTreeMap<String, u64>>()).await?,
            BTreeMap::from([(String::from("maxmemory"), 0)])
        );
        let key = place.key("key");
        redis.execute(hset(&key, [("f", "v")])).await?;
        let map = redis.execute(command("hgetall").arg(&key)).await?;
        assert!(matches!(map, Frame::Map(_)), "{map:?}");
        let map = redis.execute(raw("hgetall").arg(&key)).await?;
        assert_eq!(matches!(map, Frame::Map(_)), place.setup.protocol == Protocol::Resp3, "{map:?}");
        Ok(())
    })
}

fn reconnected(place: &Place) -> Outcome {
    place.run(place.config(), async |redis| {
        let id = redis.execute(client_id()).await?;
        let kill = command("CLIENT").arg("KILL").arg("ID").arg(id).arg("SKIPME").arg("no");
        redis.execute(kill.typed::<i64>()).await?;
        // the end of the stream may come before or after the next command, which is sent again if need be
        assert_eq!(redis.execute(ping()).await?, "PONG");
        Ok(())
    })
}

#[test]
fn nobody_there_is_told_with_the_reason() {
    let free =
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let transport = Socket::new(free.expect("a free port")).expect("a socket");
    let (client, mut driver) = Client::new(transport, Config { queue_timeout: 200, ..Config::default() });
    for _ in 0..2 {
        let refused = driver.block_on(client.execute(ping()));
        let failure = Failure { reason: Reason::Refused, maybe_executed: false };
        let said = std::io::Error::from_raw_os_error(111).to_string().into();
        assert_eq!(refused, Some(Err(Error::NoLink { failure, said })));
        assert_eq!(driver.fault().map(std::io::Error::kind), Some(std::io::ErrorKind::ConnectionRefused));
    }
}

#[test]
fn security_that_is_demanded_is_not_given_up() {
    let transport = Socket::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).expect("a socket");
    assert!(matches!(Client::secure(transport, Config::default()), Err(Error::Insecure)));
}

#[test]
fn a_certificate_of_another_host_or_authority_is_refused() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (host, authorities) in [("0.0.0.0", "ca.crt"), ("localhost", "wrong-host.crt")] {
        let authorities = std::fs::read(fixture(authorities)).expect("the fixture");
        let transport = Tls::new(host, server.tls_port(), &authorities).expect("certificates");
        let (client, driver) = Client::new(transport, Config { queue_timeout: 200, ..Config::default() });
        let refused = runtime.block_on(async {
            let driver = tokio::spawn(driver);
            let refused = client.execute(ping()).await;
            drop(client);
            driver.await.expect("the driver ends");
            refused
        });
        let failure = Failure { reason: Reason::Refused, maybe_executed: false };
        let told = |said: &Bytes| String::from_utf8_lossy(said).contains("certificate");
        assert!(
            matches!(&refused, Err(Error::NoLink { failure: of, said }) if *of == failure && told(said)),
            "{host}: {refused:?}"
        );
    }
}

#[test]
fn what_waits_when_the_driver_is_dropped_is_told() {
    let transport = Socket::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).expect("a socket");
    let (client, driver) = Client::new(transport, Config::default());
    let waiting = client.execute((ping(), ping()));
    let mut waiting = pin!(waiting);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop(driver);
    let closed = Error::Failure(Failure { reason: Reason::Closed, maybe_executed: false });
    assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(Err(closed.clone())));
    assert_eq!(Pin::new(&mut Box::pin(client.execute(ping()))).poll(&mut cx), Poll::Ready(Err(closed)));
}

#[test]
fn many_threads_share_one_link() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let (client, mut driver) =
        Client::new(Socket::new(server.address()).expect("a socket"), Config::default());
    let driving = thread::spawn(move || driver.run_blocking());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || {
                let key = format!("threads:{thread}");
                (1..=250).all(|count| wait(client.execute(incr(&key))) == Ok(count))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().expect("no thread fails")));
    drop(client);
    driving.join().expect("the driver ends with the last client");
}

fn wait<Q: Future>(future: Q) -> Q::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// What is promised about threads holds when it compiles.
#[test]
fn clients_and_drivers_go_where_they_are_promised_to() {
    fn anywhere<T: Send + Sync + Clone>(_: &T) {}
    fn elsewhere<T: Send>(_: T) {}
    let (client, driver) =
        Client::new(Socket::new(std::path::PathBuf::new()).expect("a socket"), Config::default());
    anywhere(&client);
    elsewhere(driver);
    elsewhere(run(&client, (ping(), set("k", "v").get())));
    let script = Script::new("return ARGV[1]");
    elsewhere(async {
        let value = 5;
        client.execute(script.call::<i64>(&[], &[&value])).await
    });

    async fn run<Q: Request>(client: &Client, request: Q) -> Result<Q::Output, Error> {
        client.execute(request).await
    }
}

/// A client that keeps replies, and another that changes what they were about.
fn kept(brand: Brand) -> Outcome {
    let Some(server) = Server::shared(brand) else { return Ok(()) };
    let start = |cache| {
        let config = Config { cache, ..Config::default() };
        Client::new(Socket::new(server.address()).expect("a socket"), config)
    };
    let (other, mut beside) = start(None);
    let mut written = |value: &str| beside.block_on(other.execute(set("kept:key", value))).expect("it runs");
    for tracking in [Tracking::Default, Tracking::OptIn, Tracking::Broadcast(vec![b"kept:".to_vec()])] {
        let (redis, mut driver) = start(Some(Caching { tracking, ..Caching::default() }));
        written("1")?;
        driver
            .block_on(async {
                for _ in 0..3 {
                    assert_eq!(
                        redis.execute(get("kept:key").text().cached(true)).await?.as_deref(),
                        Some("1")
                    );
                    let both = (get("kept:key").cached(true), get("kept:key").cached(false));
                    assert_eq!(redis.execute(both).await?, (Some(Bytes::from("1")), Some(Bytes::from("1"))));
                }
                Outcome::Ok(())
            })
            .expect("it runs")?;
        assert_eq!(driver.connection().cache_stats().hits, 5);
        driver
            .block_on(async {
                let lease = redis.lease().await?;
                let read = || get("kept:key").cached(true);
                assert_eq!(lease.execute((read(), ping(), read())).await?.2, Some(Bytes::from("1")));
                lease.execute(watch(["kept:key"])).await?;
                // nobody was told yet, but who watches asks
                written("2")?;
                assert_eq!(lease.execute(read()).await?, Some(Bytes::from("2")));
                lease.execute(unwatch()).await?;
                redis.execute(ping()).await?;
                lease.execute(set("kept:key", "1")).await?;
                assert_eq!(redis.execute(read()).await?, Some(Bytes::from("1")));
                assert_eq!(lease.execute(read()).await?, Some(Bytes::from("1")));
                Outcome::Ok(())
            })
            .expect("it runs")?;
        assert_eq!(driver.connection().cache_stats().hits, 8);
        written("2")?;
        driver
            .block_on(async {
                // what it was told of stands before this reply
                redis.execute(ping()).await?;
                assert_eq!(redis.execute(get("kept:key").text().cached(true)).await?.as_deref(), Some("2"));
                redis.execute((set("kept:key", "3"), get("kept:key").cached(true))).await.map(|read| {
                    assert_eq!(read, (true, Some(Bytes::from("3"))));
                })
            })
            .expect("it runs")?;
    }
    Ok(())
}

#[test]
fn replies_are_kept_until_their_keys_change() {
    for brand in [Brand::Redis, Brand::Valkey] {
        if let Err(error) = kept(brand) {
            unreachable!("{error}");
        }
    }
}
