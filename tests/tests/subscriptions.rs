//! Subscriptions of the native client on real servers: on a thread that blocks, and as tasks of tokio over TLS.
#![cfg(unix)]

use redwire_core::client::Client;
use redwire_core::command::raw;
use redwire_core::commands::{command, publish, pubsub_channels, pubsub_numpat, pubsub_numsub, spublish};
use redwire_core::connection::{Config, Credentials, Protocol};
use redwire_core::embedded::Embedded;
use redwire_core::error::Error;
use redwire_core::owned::Bytes;
use redwire_core::pubsub::{Kind, LONGEST_NAME};
use redwire_core::subscription::{Event, Gap, Message, Overflow, Subscription};
use redwire_core::time::Instant;
use redwire_tests::server::{Brand, Server, fixture};
use redwire_tests::transport::{Socket, Ticks, Tls, halves};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

type Outcome = Result<(), Error>;

/// Runs `case` on every server, way and protocol; it is given a prefix that nobody else uses.
fn everywhere(name: &str, case: impl AsyncFn(Client, &str) -> Outcome) {
    for brand in [Brand::Redis, Brand::Valkey] {
        let Some(server) = Server::shared(brand) else { continue };
        for (number, protocol) in [(2, Protocol::Resp2), (3, Protocol::Resp3)] {
            let config = |own: &str| Config {
                protocol,
                client_name: Some(own.into()),
                backoff: (1, 10),
                ..Config::default()
            };
            let (blocking, tls) = (format!("{name}:blocking{number}:"), format!("{name}:tls{number}:"));
            let (client, mut driver) =
                Client::new(Socket::new(server.address()).expect("a socket"), config(&blocking));
            let result = driver.block_on(case(client, &blocking));
            result.expect("the case holds a client").unwrap_or_else(|error| unreachable!("{error}"));
            let authorities = std::fs::read(fixture("ca.crt")).expect("the fixture");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let transport = Tls::new("localhost", server.tls_port(), &authorities).expect("certificates");
            let result = runtime.block_on(async {
                let (client, driver) = Client::secure(transport, config(&tls)).expect("TLS is secure");
                let driver = tokio::spawn(driver);
                let result = case(client, &tls).await;
                driver.await.expect("the driver ends with its client and subscriptions");
                result
            });
            result.unwrap_or_else(|error| unreachable!("{error}"));
        }
    }
}

fn message(channel: &str, pattern: Option<&str>, data: &str) -> Option<Message> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Some(Message { channel: bytes(channel), pattern: pattern.map(bytes), data: bytes(data), gap: None })
}

fn is_pending(subscription: &mut Subscription) -> bool {
    subscription.poll_next(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Has the server end the link of the subscriptions of the client `own`.
async fn kill(redis: &Client, own: &str) -> Outcome {
    let clients =
        redis.execute(raw("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").typed::<String>()).await?;
    let mine = clients.lines().find(|line| line.contains(&format!(" name={own} ")));
    let id = mine.and_then(|line| line.strip_prefix("id=")?.split(' ').next()).expect("it is there");
    assert_eq!(redis.execute(command("CLIENT").arg("KILL").arg("ID").arg(id).typed::<i64>()).await?, 1);
    Ok(())
}

#[test]
fn promise_96_and_promise_98_and_promise_103_and_promise_104_messages_come_per_channel_and_per_pattern() {
    everywhere("messages", async |redis, own| {
        let (first, second, pattern) = (format!("{own}a"), format!("{own}b"), format!("{own}*"));
        let mut channels = redis.subscribe(&[&first, &second]).await?;
        let mut patterns = redis.psubscribe(&[&pattern]).await?;
        assert_eq!(redis.execute(publish(&first, "some data")).await?, 2);
        assert_eq!(redis.execute(publish(&second, "more")).await?, 2);
        assert_eq!(channels.next().await, message(&first, None, "some data"));
        assert_eq!(channels.next().await, message(&second, None, "more"));
        assert_eq!(patterns.next().await, message(&first, Some(&pattern), "some data"));
        assert_eq!(patterns.next().await, message(&second, Some(&pattern), "more"));
        assert!(is_pending(&mut channels) && is_pending(&mut patterns));
        Ok(())
    });
}

#[test]
fn promise_105_and_promise_120_and_promise_121_and_promise_122_names_are_subscribed_to_once_until_the_last_leaves()
 {
    everywhere("names", async |redis, own| {
        let (name, other) = (format!("{own}name"), format!("{own}other"));
        let mut one = redis.subscribe(&[&name, &other]).await?;
        let mut two = redis.subscribe(&[&name]).await?;
        let count = async |name: &str| {
            redis.execute(pubsub_numsub().channels([name]).typed::<Vec<(Bytes, i64)>>()).await
        };
        assert_eq!(count(&name).await?, [(Bytes::from(name.clone()), 1)]);
        let channels =
            redis.execute(pubsub_channels().pattern(format!("{own}*")).typed::<BTreeSet<String>>()).await?;
        assert_eq!(channels, BTreeSet::from([name.clone(), other.clone()]));
        redis.execute(publish(&name, "x")).await?;
        assert_eq!(
            (one.next().await, two.next().await),
            (message(&name, None, "x"), message(&name, None, "x"))
        );
        drop(one);
        // on the same link, and so behind what ends the others
        let patterns = redis.psubscribe(&[format!("{own}*")]).await?;
        assert!(redis.execute(pubsub_numpat()).await? >= 1);
        assert_eq!(count(&name).await?[0].1, 1);
        assert_eq!(count(&other).await?[0].1, 0);
        drop((two, patterns));
        let _last = redis.subscribe(&[&other]).await?;
        assert_eq!(count(&name).await?[0].1, 0);
        Ok(())
    });
}

#[test]
fn promise_117_and_promise_118_what_is_lost_with_the_link_is_told_and_everything_is_subscribed_to_again() {
    everywhere("lost", async |redis, own| {
        let name = format!("{own}lost");
        let mut subscription = redis.subscribe(&[&name]).await?;
        redis.execute(publish(&name, "before")).await?;
        assert_eq!(subscription.next().await, message(&name, None, "before"));
        kill(&redis, own).await?;
        // messages go nowhere until it is back
        while redis.execute(publish(&name, "after")).await? == 0 {}
        let after = subscription.next().await.expect("the driver is there");
        assert_eq!(after.data, "after");
        let gap = after.gap.expect("the gap is told");
        assert!(gap.lost.is_some_and(|(from, to)| from <= to), "{gap:?}");
        assert!(gap.channels.iter().eq([&name]) && gap.patterns.is_empty(), "{gap:?}");
        redis.execute(publish(&name, "last")).await?;
        let mut next = subscription.next().await;
        while next.as_ref().is_some_and(|message| message.data == "after") {
            next = subscription.next().await;
        }
        assert_eq!(next, message(&name, None, "last"));
        Ok(())
    });
}

#[test]
fn a_gap_is_told_where_no_message_comes_and_of_the_names_that_it_is_about() {
    everywhere("silent", async |redis, own| {
        let mut silent = redis.subscribe(&[format!("{own}silent"), format!("{own}left")]).await?;
        silent.ssubscribe(&[format!("{own}shard")]).await?;
        silent.psubscribe(&[format!("{own}p*")]).await?;
        silent.unsubscribe(&[format!("{own}left")]).await?;
        kill(&redis, own).await?;
        let gap = poll_fn(|cx| match silent.poll_next(cx) {
            Poll::Ready(message) => unreachable!("nobody published {message:?}"),
            Poll::Pending => silent.take_gap().map_or(Poll::Pending, Poll::Ready),
        })
        .await;
        assert!(gap.lost.is_some_and(|(from, to)| from <= to) && gap.dropped == 0, "{gap:?}");
        assert!(gap.channels.iter().eq([&format!("{own}shard"), &format!("{own}silent")]), "{gap:?}");
        assert!(gap.patterns.iter().eq([&format!("{own}p*")]), "{gap:?}");
        assert_eq!(silent.take_gap(), None);
        // a gap before a message that waits is told by that
        kill(&redis, own).await?;
        while redis.execute(publish(format!("{own}silent"), "x")).await? == 0 {}
        let mut later = redis.subscribe(&[format!("{own}later")]).await?;
        assert_eq!((silent.take_gap(), later.take_gap()), (None, None));
        assert!(silent.next().await.is_some_and(|message| message.gap.is_some()));
        assert!(is_pending(&mut later));
        Ok(())
    });
}

#[test]
fn a_name_that_is_not_allowed_any_more_is_told_by_a_gap_without_an_end() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let (redis, mut driver) =
        Client::new(Socket::new(server.address()).expect("a socket"), Config::default());
    let credentials = Credentials { username: Some(b"narrow".to_vec()), password: b"secret".to_vec() };
    let config = Config { credentials: Some(credentials), backoff: (1, 10), ..Config::default() };
    let (narrow, mut own) = Client::new(Socket::new(server.address()).expect("a socket"), config);
    let mut allow = |channels: &str| {
        let user = ["narrow", "on", ">secret", "+@all", "~*", "resetchannels"];
        let user = user
            .into_iter()
            .chain(channels.split(' '))
            .fold(raw("ACL").arg("SETUSER"), |all, arg| all.arg(arg));
        driver.block_on(redis.execute(user)).expect("a client").expect("a user");
    };
    allow("&narrow:a &narrow:b");
    own.block_on(async {
        let mut both = narrow.subscribe(&["narrow:a", "narrow:b"]).await?;
        let mut rest = narrow.subscribe(&["narrow:b"]).await?;
        // the server ends the links of those who listen to what they may not any more
        allow("&narrow:b");
        let gap = async |subscription: &mut Subscription| {
            let gap = poll_fn(|cx| match subscription.poll_next(cx) {
                Poll::Ready(message) => unreachable!("nobody published {message:?}"),
                Poll::Pending => subscription.take_gap().map_or(Poll::Pending, Poll::Ready),
            });
            let Gap { channels, lost, .. } = gap.await;
            (channels.into_iter().collect::<Vec<_>>(), lost.map(|(_, to)| to))
        };
        let (told, to) = gap(&mut rest).await;
        assert!(told == names(&["narrow:b"]) && to < Some(Instant::NEVER));
        assert_eq!(gap(&mut both).await, (names(&["narrow:a", "narrow:b"]), Some(Instant::NEVER)));
        assert_eq!(both.channels(), names(&["narrow:b"]));
        narrow.execute(publish("narrow:b", "x")).await?;
        assert_eq!(
            (both.next().await, rest.next().await),
            (message("narrow:b", None, "x"), message("narrow:b", None, "x"))
        );
        Outcome::Ok(())
    })
    .expect("a client")
    .expect("it is allowed");
}

#[test]
fn promise_117_and_promise_118_after_ten_kills_all_is_subscribed_once_and_what_is_missing_lies_in_a_gap() {
    const CHANNELS: usize = 1_000;
    const PATTERNS: usize = 50;
    everywhere("kills", async |redis, own| {
        let channels: Vec<_> = (0..CHANNELS).map(|number| format!("{own}{number}")).collect();
        let patterns: Vec<_> = (0..PATTERNS).map(|number| format!("{own}{number}:*")).collect();
        let mut subscriptions = [redis.subscribe(&channels).await?, redis.psubscribe(&patterns).await?];
        let mut counts = [0; 2];
        let mut next = [0; 2];
        let mut lost = 0;
        for round in 0..=10 {
            let mut heard = [0; 2];
            if round > 0 {
                kill(&redis, own).await?;
            }
            // until it listens to every name again
            while heard.iter().any(|count| *count < CHANNELS as i64) {
                let mut batch = Vec::new();
                for _ in 0..100 {
                    let [channel, pattern] = counts.map(|count| count + batch.len() / 2);
                    batch.push(publish(&channels[channel % CHANNELS], channel));
                    batch.push(publish(format!("{own}{}:x", pattern % PATTERNS), pattern));
                }
                for (at, receivers) in redis.execute(batch).await?.into_iter().enumerate() {
                    heard[at % 2] = if receivers == 0 { 0 } else { heard[at % 2] + receivers };
                    counts[at % 2] += 1;
                }
            }
            for ((subscription, count), next) in subscriptions.iter_mut().zip(counts).zip(&mut next) {
                let mut gaps = 0;
                while *next < count {
                    let message = subscription.next().await.expect("the driver is there");
                    let data = std::str::from_utf8(&message.data).expect("text");
                    let number: usize = data.parse().expect("a number");
                    // some names are there before the last is, with which the gap ends
                    assert!(
                        number == *next || number > *next && gaps == 0 && round > 0,
                        "{number} after {next}"
                    );
                    gaps += message.gap.map_or(0, |gap| if gap.lost.is_some() { 1 } else { 2 });
                    lost += number - *next;
                    *next = number + 1;
                }
                assert_eq!(gaps, round.min(1), "one for each kill");
            }
        }
        assert!(lost > 0, "ten links were lost while messages were published");
        let counted =
            redis.execute(pubsub_numsub().channels(&channels).typed::<Vec<(String, i64)>>()).await?;
        assert!(counted.iter().all(|(_, count)| *count == 1));
        assert!(subscriptions.iter_mut().all(is_pending));
        Ok(())
    });
}

#[test]
fn promise_119_a_subscription_ends_with_its_driver() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let (client, mut driver) =
        Client::new(Socket::new(server.address()).expect("a socket"), Config::default());
    let mut subscription =
        driver.block_on(client.subscribe(&["ends"])).expect("a client").expect("it is allowed");
    driver.block_on(client.execute(publish("ends", "x"))).expect("a client").expect("a reply");
    let came = driver.block_on(subscription.next()).expect("a client");
    assert_eq!(came, message("ends", None, "x"));
    drop(driver);
    assert_eq!(subscription.poll_next(&mut Context::from_waker(Waker::noop())), Poll::Ready(None));
}

#[test]
fn promise_125_shard_channels_work_without_a_cluster() {
    everywhere("shards", async |redis, own| {
        let name = format!("{own}shard");
        let mut subscription = redis.ssubscribe(&[&name]).await?;
        assert_eq!(redis.execute(spublish(&name, "x")).await?, 1);
        assert_eq!(subscription.next().await, message(&name, None, "x"));
        Ok(())
    });
}

#[test]
fn who_is_too_slow_is_told_how_many_were_let_go() {
    everywhere("slow", async |redis, own| {
        let (name, end) = (format!("{own}slow"), format!("{own}end"));
        let mut slow = redis.subscribe(&[&name]).await?;
        slow.limit(3);
        let mut quick = redis.subscribe(&[&end]).await?;
        for number in 0..10 {
            redis.execute(publish(&name, number)).await?;
        }
        redis.execute(publish(&end, "end")).await?;
        assert!(quick.next().await.is_some(), "everything before it came");
        let first = slow.next().await.expect("the driver is there");
        assert_eq!(
            (&first.data[..], first.gap.map(|gap| (gap.lost, gap.dropped))),
            (&b"7"[..], Some((None, 7)))
        );
        assert_eq!(slow.next().await, message(&name, None, "8"));
        Ok(())
    });
}

#[test]
fn who_is_too_slow_may_keep_the_oldest_or_be_closed() {
    everywhere("overflow", async |redis, own| {
        let [name, end] = ["slow", "end"].map(|name| format!("{own}{name}"));
        let channels = BTreeSet::from([Bytes::from(name.clone())]);
        let dropped = |dropped| Some(Gap { channels: channels.clone(), dropped, ..Gap::default() });
        let mut oldest = redis.subscribe(&[&name]).await?;
        oldest.limit(3);
        oldest.overflow(Overflow::DropNewest);
        let mut closed = redis.subscribe(&[&name]).await?;
        closed.psubscribe(&[format!("{own}p*")]).await?;
        closed.limit(3);
        closed.overflow(Overflow::Close);
        let mut quick = redis.subscribe(&[&end]).await?;
        for number in 0..10 {
            redis.execute(publish(&name, number)).await?;
        }
        redis.execute(publish(&end, "end")).await?;
        assert!(quick.next().await.is_some(), "everything before it came");
        for subscription in [&mut oldest, &mut closed] {
            for number in ["0", "1", "2"] {
                assert_eq!(subscription.take_gap(), None, "it is behind what waits");
                assert_eq!(subscription.next().await, message(&name, None, number));
            }
        }
        assert!(is_pending(&mut oldest));
        redis.execute(publish(&name, "10")).await?;
        let next = oldest.next().await.expect("the driver is there");
        assert_eq!((&next.data[..], next.gap), (&b"10"[..], dropped(7).map(Box::new)));
        // what came too late is counted, and the server is not asked for more
        assert_eq!((closed.next().await, closed.take_gap()), (None, dropped(1)));
        assert_eq!((closed.channels(), closed.patterns()), (Vec::new(), Vec::new()));
        assert!(matches!(closed.subscribe(&[&name]).await, Err(Error::Failure(_))));
        assert_eq!(heard(&redis, &[&name]).await?, [1], "the other listens");
        quick.subscribe(&[&name]).await?;
        assert_eq!(redis.execute(publish(format!("{own}p"), "x")).await?, 0);
        Ok(())
    });
}

/// Gives how many clients listen to each of `names`.
async fn heard(redis: &Client, names: &[&String]) -> Result<Vec<i64>, Error> {
    let counted = pubsub_numsub().channels(names).typed::<Vec<(String, i64)>>();
    Ok(redis.execute(counted).await?.into_iter().map(|(_, count)| count).collect())
}

fn names(names: &[&str]) -> Vec<Bytes> {
    names.iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
}

#[test]
fn promise_105_and_promise_119_a_subscription_takes_further_names_and_leaves_some() {
    everywhere("further", async |redis, own| {
        let [a, b, c] = ["a", "b", "c"].map(|name| format!("{own}{name}"));
        let (pattern, shard) = (format!("{own}p*"), format!("{own}shard"));
        let mut all = redis.subscribe(&[&a, &b]).await?;
        let other = redis.subscribe(&[&b]).await?;
        all.subscribe(&[&c, &a]).await?;
        all.psubscribe(&[&pattern]).await?;
        all.ssubscribe(&[&shard]).await?;
        assert_eq!(all.channels(), names(&[&a, &b, &c, &shard]));
        assert_eq!(all.patterns(), names(&[&pattern]));
        for (name, data) in [(&a, "1"), (&b, "2"), (&c, "3"), (&format!("{own}p"), "4")] {
            assert!(redis.execute(publish(name, data)).await? >= 1);
        }
        redis.execute(spublish(&shard, "5")).await?;
        for (name, pattern, data) in [
            (&a, None, "1"),
            (&b, None, "2"),
            (&c, None, "3"),
            (&format!("{own}p"), Some(pattern.as_str()), "4"),
            (&shard, None, "5"),
        ] {
            assert_eq!(all.next().await, message(name, pattern, data));
        }
        all.unsubscribe(&[&a, &b, &"never".into()]).await?;
        assert_eq!(heard(&redis, &[&a, &b, &c]).await?, [0, 1, 1], "the other listens to one of them");
        assert_eq!(all.channels(), names(&[&c, &shard]));
        all.sunsubscribe(&[&shard]).await?;
        redis.execute(publish(&b, "not for it")).await?;
        redis.execute(publish(&c, "6")).await?;
        assert_eq!(all.next().await, message(&c, None, "6"));
        let none: [&str; 0] = [];
        all.unsubscribe(&none).await?;
        assert_eq!((all.channels(), all.patterns()), (Vec::new(), names(&[&pattern])));
        assert_eq!(heard(&redis, &[&a, &b, &c]).await?, [0, 1, 0]);
        all.punsubscribe(&none).await?;
        assert!(is_pending(&mut all));
        all.subscribe(&[&a]).await?;
        redis.execute(publish(&a, "7")).await?;
        assert_eq!(all.next().await, message(&a, None, "7"));
        all.close().await?;
        other.close().await?;
        assert_eq!(heard(&redis, &[&a, &b, &c]).await?, [0, 0, 0]);
        Ok(())
    });
}

#[test]
fn what_is_not_confirmed_leaves_a_subscription_as_it_was() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let (redis, mut driver) =
        Client::new(Socket::new(server.address()).expect("a socket"), Config::default());
    let user = ["SETUSER", "some", "on", ">secret", "+@all", "~*", "resetchannels", "&some:*"];
    let user = user.into_iter().fold(raw("ACL"), |all, arg| all.arg(arg));
    driver.block_on(redis.execute(user)).expect("a client").expect("a user");
    let credentials = Credentials { username: Some(b"some".to_vec()), password: b"secret".to_vec() };
    let config = Config { credentials: Some(credentials), ..Config::default() };
    let (some, mut own) = Client::new(Socket::new(server.address()).expect("a socket"), config);
    own.block_on(async {
        let mut one = some.subscribe(&["some:a"]).await?;
        assert!(matches!(one.subscribe(&["some:a", "some:b", "other"]).await, Err(Error::Server(_))));
        assert!(matches!(one.subscribe(&["x".repeat(LONGEST_NAME + 1)]).await, Err(Error::TooLarge)));
        {
            let mut dropped = pin!(one.psubscribe(&["some:*"]));
            assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!((one.channels(), one.patterns()), (names(&["some:a"]), Vec::new()));
        one.subscribe(&["some:c"]).await?;
        assert_eq!(some.execute(publish("some:a", "x")).await?, 1, "it is as it was");
        assert_eq!(some.execute(publish("some:b", "x")).await?, 0);
        assert_eq!(one.next().await, message("some:a", None, "x"));
        {
            let mut dropped = pin!(one.unsubscribe(&["some:a"]));
            assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        one.subscribe(&["some:d"]).await?;
        assert_eq!(some.execute(publish("some:a", "x")).await?, 0, "it is left all the same");
        Outcome::Ok(())
    })
    .expect("a client")
    .expect("it is allowed");
}

#[test]
fn promise_99_and_promise_106_confirmations_are_told_where_they_are_wanted() {
    everywhere("confirmed", async |redis, own| {
        let [a, b] = ["a", "b"].map(|name| Bytes::from(format!("{own}{name}")));
        let mut one = redis.subscribe(&[&a]).await?;
        let mut other = redis.subscribe(&[&b]).await?;
        one.confirmations(true);
        one.subscribe(&[&b]).await?;
        redis.execute(publish(&b, "x")).await?;
        let published = message(&format!("{own}b"), None, "x").expect("a message");
        assert_eq!(one.next_event().await, Some(Event::Subscribed(Kind::Channel, b.clone())));
        assert_eq!(one.next_event().await, Some(Event::Message(published.clone())));
        one.unsubscribe(&[&b, &a]).await?;
        for name in [&b, &a] {
            assert_eq!(one.next_event().await, Some(Event::Unsubscribed(Kind::Channel, name.clone())));
        }
        one.subscribe(&[&b]).await?;
        redis.execute(publish(&b, "x")).await?;
        assert_eq!(one.next().await, Some(published.clone()), "who asks for messages only gets them only");
        for _ in 0..2 {
            assert_eq!(other.next_event().await, Some(Event::Message(published.clone())));
        }
        // what is subscribed to again is confirmed again
        kill(&redis, own).await?;
        assert_eq!(one.next_event().await, Some(Event::Subscribed(Kind::Channel, b.clone())));
        assert!(is_pending(&mut other));
        Ok(())
    });
}

#[test]
fn a_refusal_is_the_callers_and_nothing_is_left_of_it() {
    everywhere("refused", async |redis, own| {
        let none: [&str; 0] = [];
        assert!(matches!(redis.subscribe(&none).await, Err(Error::Server(_))));
        assert!(matches!(redis.subscribe(&["x".repeat(LONGEST_NAME + 1)]).await, Err(Error::TooLarge)));
        let mut subscription = redis.subscribe(&[format!("{own}good")]).await?;
        redis.execute(command("PUBLISH").arg(format!("{own}good")).arg("x").typed::<i64>()).await?;
        assert!(subscription.next().await.is_some());
        Ok(())
    });
}

#[test]
fn who_leaves_a_name_while_another_thread_joins_ends_nothing() {
    const NAMES: usize = 2_000;
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let (client, mut driver) =
        Client::new(Socket::new(server.address()).expect("a socket"), Config::default());
    let names: Vec<_> = (0..NAMES).map(|number| format!("threads:{number}")).collect();
    let ask = async |name| client.subscribe(&[name]).await.expect("it is allowed");
    let mut leaving = Vec::new();
    for name in &names {
        leaving.push(driver.block_on(ask(name)).expect("a client"));
    }
    let mut joining: Vec<_> = names.iter().map(|name| Box::pin(ask(name))).collect();
    // both threads are at the same name at the same time
    let at = AtomicUsize::new(0);
    let meet = |name: usize| {
        at.fetch_add(1, Ordering::SeqCst);
        while at.load(Ordering::SeqCst) < 2 * name + 2 {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (name, subscription) in leaving.drain(..).enumerate() {
                meet(name);
                drop(subscription);
            }
        });
        for (name, asked) in joining.iter_mut().enumerate() {
            meet(name);
            assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    });
    let joined: Vec<_> = joining.into_iter().map(|asked| driver.block_on(asked).expect("a client")).collect();
    let counted = pubsub_numsub().channels(&names).typed::<Vec<(String, i64)>>();
    let counted = driver.block_on(client.execute(counted)).expect("a client").expect("a reply");
    let lost: Vec<_> = counted.into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(lost.is_empty(), "{lost:?}");
    drop(joined);
}

#[test]
fn a_transport_with_one_stream_has_no_subscriptions() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let socket = server.socket();
    let (client, _driver) =
        Client::new(Embedded::new(|| halves(&socket), Ticks::default(), true), Config::default());
    let refused = pin!(client.subscribe(&["a"])).as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(refused, Poll::Ready(Err(Error::OneStream))));
}
