//! Scripts, libraries, transactions and locks against real servers, on both protocols.
#![cfg(unix)]

use redwire_core::argument::ToArg;
use redwire_core::cache::Caching;
use redwire_core::client::{Client, Library, LockBuilder, Watched};
use redwire_core::command::Command;
use redwire_core::commands::*;
use redwire_core::connection::{Config, Protocol};
use redwire_core::error::{Error, LockError};
use redwire_core::machine::{Failure, Reason};
use redwire_core::operation::Script;
use redwire_core::owned::Bytes;
use redwire_core::pool::Limits;
use redwire_core::record::Record;
use redwire_core::resp::Frame;
use redwire_tests::clients::{client, limited, wait};
use redwire_tests::server::{Brand, Server};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

type Outcome = Result<(), Error>;

/// One server, on one protocol; cases on it take turns, as some of them flush it.
struct World {
    server: Arc<Server>,
    brand: Brand,
    protocol: Protocol,
}

impl World {
    fn client(&self) -> Client {
        client(self.server.address(), self.config())
    }

    /// Gives a client that has one link only.
    fn lone_client(&self) -> Client {
        let limits = Limits { max_connections: 0, ..Limits::default() };
        limited(self.server.address(), self.config(), limits)
    }

    fn config(&self) -> Config {
        Config { protocol: self.protocol, backoff: (1, 20), ..Config::default() }
    }
}

fn run(brand: Brand, protocol: Protocol, case: impl AsyncFnOnce(&World, Client) -> Outcome) {
    static TURN: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
    let Some(server) = Server::shared(brand) else { return };
    let _turn = TURN[brand as usize].lock();
    let world = World { server, brand, protocol };
    let outcome = wait(async {
        let redis = world.client();
        redis.execute((flushall(), script_flush(), function_flush())).await?;
        case(&world, redis).await
    });
    assert_eq!(outcome, Ok(()));
}

macro_rules! cases {
    ($($case:ident)*) => {
        cases!(redis_resp2 Redis Resp2: $($case)*);
        cases!(redis_resp3 Redis Resp3: $($case)*);
        cases!(redis82_resp2 Redis82 Resp2: $($case)*);
        cases!(redis82_resp3 Redis82 Resp3: $($case)*);
        cases!(valkey_resp2 Valkey Resp2: $($case)*);
        cases!(valkey_resp3 Valkey Resp3: $($case)*);
    };
    ($world:ident $brand:ident $protocol:ident: $($case:ident)*) => {
        mod $world {
            use super::*;
            $(
                #[test]
                fn $case() {
                    run(Brand::$brand, Protocol::$protocol, super::$case);
                }
            )*
        }
    };
}

cases! {
    promise_42_promise_43_promise_44_promise_49_scripts_multiply
    promise_45_promise_46_promise_47_keys_and_arguments_can_be_left_out
    promise_48_promise_50_a_script_runs_for_any_client
    promise_51_a_script_survives_a_flush_between_any_two_calls
    promise_52_promise_53_promise_54_scripts_run_in_transactions_and_pipelines
    promise_52_promise_53_a_batch_calls_more_scripts_than_a_server_keeps
    promise_52_promise_53_a_script_is_known_behind_a_batch_that_called_it
    a_batch_has_the_server_forget_a_script_and_calls_it_all_the_same
    promise_41_promise_57_commands_of_scripts_and_functions_are_typed
    readonly_scripts_are_refused_a_write
    promise_58_promise_60_promise_64_promise_65_promise_66_promise_67_libraries_have_functions
    promise_61_promise_62_promise_63_a_library_is_replaced_when_told_to
    promise_68_promise_69_promise_70_promise_71_promise_72_promise_73_promise_74_promise_75_promise_76_a_library_is_bound
    a_library_is_updated_and_its_flags_decide
    a_library_may_be_large
    promise_77_promise_78_promise_80_promise_81_promise_82_promise_83_promise_89_tuples_are_pipelines
    promise_84_promise_85_a_transaction_is_one_unit_and_a_tuple_is_not
    promise_86_promise_87_promise_88_promise_90_a_watched_key_that_changes_begins_it_anew
    promise_93_promise_94_promise_95_a_transaction_gives_what_its_request_gives
    promise_91_promise_92_a_transaction_that_gives_up_watches_nothing
    a_transaction_survives_the_loss_of_its_link
    a_transaction_that_takes_its_time_delays_nobody
    transactions_read_what_the_server_has
    transactions_count_right_while_their_links_are_killed
    promise_126_promise_127_promise_128_promise_129_promise_130_a_lock_is_taken_and_given_back
    scenario_3_a_lock_whose_time_is_up_is_somebody_elses
    scenario_5_the_numbers_of_a_lock_grow
    locks_wait_for_each_other
    locks_are_extended
    locks_are_kept_for_as_long_as_it_takes
    a_lock_that_is_lost_ends_what_it_was_kept_for
    times_of_locks_are_never_taken_for_none
    locks_of_a_lease_whose_link_is_lost_are_given_back
    locks_that_are_dropped_are_given_back
    locks_without_scripts_ask_for_none_and_leave_other_transactions_alone
}

const MULTIPLY: &str = "
local value = redis.call('GET', KEYS[1])
value = tonumber(value)
return value * ARGV[1]";

async fn promise_42_promise_43_promise_44_promise_49_scripts_multiply(_: &World, r: Client) -> Outcome {
    let multiply = Script::new(MULTIPLY);
    assert_eq!(r.execute(script_exists([multiply.sha()])).await?, [false], "nothing was sent");
    r.execute(set("foo", 2)).await?;
    let ten: i64 = r.execute(multiply.call(&["foo"], &[&5])).await?;
    assert_eq!(ten, 10);
    assert_eq!(r.execute(script_exists([multiply.sha()])).await?, [true]);
    assert_eq!(r.execute(multiply.call::<i64>(&["foo"], &[&6])).await?, 12);
    Ok(())
}

async fn promise_45_promise_46_promise_47_keys_and_arguments_can_be_left_out(
    _: &World,
    r: Client,
) -> Outcome {
    let count = Script::new("return {#KEYS, #ARGV}");
    assert_eq!(r.execute(count.call::<(i64, i64)>(&[], &[])).await?, (0, 0));
    assert_eq!(r.execute(count.call::<(i64, i64)>(&["a", "b"], &[])).await?, (2, 0));
    assert_eq!(r.execute(count.call::<(i64, i64)>(&[], &[&"x", &1, &2.5])).await?, (0, 3));
    Ok(())
}

async fn promise_48_promise_50_a_script_runs_for_any_client(world: &World, r: Client) -> Outcome {
    let multiply = Script::new(MULTIPLY);
    let Some(other) = Server::own(world.brand) else { return Ok(()) };
    let r2 = client(other.address(), world.config());
    r.execute(set("foo", 2)).await?;
    assert_eq!(r.execute(multiply.call::<i64>(&["foo"], &[&5])).await?, 10);
    r2.execute(set("foo", 3)).await?;
    assert_eq!(r2.execute(multiply.call::<i64>(&["foo"], &[&5])).await?, 15);
    Ok(())
}

async fn promise_51_a_script_survives_a_flush_between_any_two_calls(_: &World, r: Client) -> Outcome {
    let echo = Script::new("return ARGV[1]");
    for round in 0..10 {
        let call = || echo.call::<i64>(&[], &[&round]);
        assert_eq!(r.execute(call()).await?, round);
        r.execute(script_flush()).await?;
        // many at once, while somebody flushes
        let flush = r.execute(script_flush());
        let (first, flushed, second) =
            (r.execute((call(), call())).await?, flush.await?, r.execute(vec![call(), call()]).await?);
        assert_eq!((first, flushed, second), ((round, round), true, vec![round, round]));
    }
    Ok(())
}

async fn promise_52_promise_53_promise_54_scripts_run_in_transactions_and_pipelines(
    _: &World,
    r: Client,
) -> Outcome {
    let multiply = Script::new(MULTIPLY);
    let call = || multiply.call::<i64>(&["foo"], &[&5]);
    assert_eq!(r.atomic((set("foo", 5), call())).await?, (true, 25));
    assert_eq!(r.execute(script_exists([multiply.sha()])).await?, [true]);
    for _ in 0..3 {
        // in order, though the server does not know it
        let request = (script_flush(), set("foo", 5), call(), set("foo", 6), call(), set("foo", 0));
        assert_eq!(r.execute(request).await?, (true, true, 25, true, 30, true));
        let request = (set("foo", 5), call(), script_flush(), call());
        let (_, first, _, second) = r.try_execute(request).await;
        assert_eq!((first, second), (Ok(25), Ok(25)));
    }
    // its errors stand for themselves, and keep their place
    let broken = Script::new("return redis.call('INCR', KEYS[1])");
    r.execute(rpush("list", ["x"])).await?;
    let (first, second) = r.try_execute((broken.call::<i64>(&["list"], &[]), call())).await;
    assert!(matches!(first, Err(Error::Server(_))), "{first:?}");
    assert_eq!(second, Ok(25));
    Ok(())
}

async fn promise_52_promise_53_a_batch_calls_more_scripts_than_a_server_keeps(
    _: &World,
    r: Client,
) -> Outcome {
    let scripts: Vec<_> = (0..600).map(|number| Script::new(format!("return {number}"))).collect();
    let calls =
        || scripts.iter().chain(&scripts).map(|script| script.call::<usize>(&[], &[])).collect::<Vec<_>>();
    let expected: Vec<_> = (0..600).chain(0..600).collect();
    assert_eq!(r.atomic(calls()).await?, expected);
    r.execute(script_flush()).await?;
    assert_eq!(r.execute(calls()).await?, expected);
    Ok(())
}

async fn a_batch_has_the_server_forget_a_script_and_calls_it_all_the_same(_: &World, r: Client) -> Outcome {
    let script = Script::new(format!("return 'known' {}", "-".repeat(1_024)));
    let call = || script.call::<String>(&[], &[]);
    let texts: Vec<_> = (0..520).map(|number| format!("return {number}")).collect();
    let requests = || (call(), texts.iter().map(|text| eval(text.as_str())).collect::<Vec<_>>(), call());
    for alone in [true, false] {
        r.execute(script_flush()).await?;
        let found = if alone { r.execute(requests()).await? } else { r.atomic(requests()).await? };
        assert_eq!(
            (found.0.as_str(), found.1.last(), found.2.as_str()),
            ("known", Some(&Frame::Integer(519)), "known")
        );
    }
    Ok(())
}

async fn promise_52_promise_53_a_script_is_known_behind_a_batch_that_called_it(
    _: &World,
    r: Client,
) -> Outcome {
    let (one, two) = (Script::new("return 'one' .. ARGV[1]"), Script::new("return 'two'"));
    let digests = || script_exists([one.sha(), two.sha()]);
    let calls = || {
        let first = one.call::<String>(&[], &[&1]);
        (
            first,
            digests(),
            one.call::<String>(&[], &[&2]),
            two.call_ro::<String>(&[], &[]),
            two.call_ro::<String>(&[], &[]),
        )
    };
    let replies = ("one1".into(), vec![true, false], "one2".into(), "two".into(), "two".into());
    // whatever the server knows before, and whether it is one unit
    for _ in 0..2 {
        for alone in [true, false] {
            r.execute(script_flush()).await?;
            let found = if alone { r.execute(calls()).await? } else { r.atomic(calls()).await? };
            assert_eq!(found, replies);
            assert_eq!(r.execute(digests()).await?, [true, true]);
        }
    }
    // forgotten in the midst of it, it is sent anew
    let forgotten = || (two.call_ro::<String>(&[], &[]), script_flush(), two.call_ro::<String>(&[], &[]));
    for alone in [true, false] {
        let found = if alone { r.execute(forgotten()).await? } else { r.atomic(forgotten()).await? };
        assert_eq!(found, ("two".into(), true, "two".into()));
        assert_eq!(r.execute(digests()).await?, [false, true]);
    }
    Ok(())
}

async fn promise_41_promise_57_commands_of_scripts_and_functions_are_typed(_: &World, r: Client) -> Outcome {
    let sha = r.execute(script_load("return ARGV[1]")).await?;
    assert_eq!(sha, Script::new("return ARGV[1]").sha());
    assert_eq!(r.execute(evalsha(&sha).args(["a"]).typed::<String>()).await?, "a");
    assert_eq!(r.execute(eval("return #KEYS").keys(["a"]).typed::<i64>()).await?, 1);
    assert_eq!(r.execute(function_load(MYLIB.trim_start())).await?, "mylib");
    assert_eq!(r.execute(fcall("ping").typed::<String>()).await?, "PONG");
    assert_eq!(r.execute(function_list()).await?.len(), 1);
    assert!(r.execute(function_delete("mylib")).await?);
    assert_eq!(r.execute(function_list()).await?.len(), 0);
    Ok(())
}

async fn readonly_scripts_are_refused_a_write(_: &World, r: Client) -> Outcome {
    let (read, write) =
        (Script::new("return redis.call('GET', 'foo')"), Script::new("return redis.call('SET', 'foo', 1)"));
    r.execute(set("foo", "bar")).await?;
    for _ in 0..2 {
        assert_eq!(r.execute(read.call_ro::<String>(&[], &[])).await?, "bar");
        assert!(matches!(r.execute(write.call_ro::<Bytes>(&[], &[])).await, Err(Error::Server(_))));
        let (found,) = r.atomic((read.call_ro::<String>(&[], &[]),)).await?;
        assert_eq!(found, "bar");
        r.execute(script_flush()).await?;
    }
    Ok(())
}

const MYLIB: &str = r#"
#!lua name=mylib

redis.register_function('echo', function(k, a)
    return a[1]
end)
redis.register_function('ping', function()
    return "PONG"
end)
redis.register_function('get', function(k, a)
    return redis.call("GET", k[1])
end)
redis.register_function('hmmget', function(k, a)
    local values = {}
    local fields = {}
    local response = {}
    local i = 1
    local j = 1

    while a[i] do
        fields[j] = a[i]
        i = i + 2
        j = j + 1
    end

    for idx, key in ipairs(k) do
        values = redis.call("HMGET", key, unpack(fields))
        for idx, value in ipairs(values) do
            if not response[idx] and value then
                response[idx] = value
            end
        end
    end
    for idx, value in ipairs(fields) do
        if not response[idx] then
            response[idx] = a[idx*2]
        end
    end
    return response
end)"#;

async fn promise_58_promise_60_promise_64_promise_65_promise_66_promise_67_libraries_have_functions(
    _: &World,
    client: Client,
) -> Outcome {
    let library = client.register_library("mylib", MYLIB, false).await?;
    let names: BTreeSet<&str> = library.functions().iter().map(|function| function.name()).collect();
    assert_eq!(names, BTreeSet::from(["echo", "get", "hmmget", "ping"]));
    let function = |name| library.function(name).ok_or(Error::NoLibrary);
    assert_eq!(
        client.execute(function("echo")?.call::<String>(&[], &[&"hello world"])).await?,
        "hello world"
    );
    assert_eq!(client.execute(function("ping")?.call::<String>(&[], &[])).await?, "PONG");
    client.execute(set("co", "redis")).await?;
    assert_eq!(client.execute(function("get")?.call::<String>(&["co"], &[])).await?, "redis");
    assert!(library.function("no such").is_none());
    Ok(())
}

async fn promise_61_promise_62_promise_63_a_library_is_replaced_when_told_to(
    _: &World,
    client: Client,
) -> Outcome {
    assert!(matches!(client.load_library("mylib").await, Err(Error::NoLibrary)));
    client.register_library("mylib", MYLIB, false).await?;
    let again = client.register_library("mylib", MYLIB, false).await;
    assert!(matches!(again, Err(Error::Server(_))), "{again:?}");
    let library = client.register_library("mylib", MYLIB, true).await?;
    assert_eq!((library.name(), library.functions().len()), ("mylib", 4));
    assert_eq!(client.load_library("mylib").await?.functions().len(), 4);
    // no name is a pattern
    assert!(matches!(client.load_library("my*").await, Err(Error::NoLibrary)));
    // nor is it another's than the code's
    let misnamed = client
        .register_library("mylib", "#!lua name=other\nredis.register_function('f', function() end)", true)
        .await;
    assert!(matches!(misnamed, Err(Error::NoLibrary)), "{misnamed:?}");
    Ok(())
}

redwire_core::library! {
    /// The seed's library as a type of its own.
    struct MyLib("mylib", MYLIB);

    /// Gives `value` back.
    fn echo(value: &str) -> String { &[], &[&value] }
    fn ping() -> String { &[], &[] }
    fn get(key: &str) -> Option<String> { &[key], &[] }
    /// Values of fields from the first of the hashes at `keys` that has them, or else these.
    fn hmmget(keys: &[&str], fields: &[(&str, i64)]) -> Vec<i64> {
        keys, &fields.iter().flat_map(|(field, value)| [field as &dyn ToArg, value]).collect::<Vec<_>>()
    }
    /// The code has no such function.
    fn missing() -> () { &[], &[] }
}

async fn promise_68_promise_69_promise_70_promise_71_promise_72_promise_73_promise_74_promise_75_promise_76_a_library_is_bound(
    _: &World,
    client: Client,
) -> Outcome {
    assert!(matches!(MyLib::load(&client).await, Err(Error::NoLibrary)));
    MyLib::register(&client, false).await?;
    assert!(matches!(MyLib::register(&client, false).await, Err(Error::Server(_))));
    MyLib::register(&client, true).await?;
    let mut lib = MyLib::load(&client).await?;
    assert!(matches!(client.execute(lib.missing()).await, Err(Error::Server(_))));
    assert_eq!(client.execute(lib.ping()).await?, "PONG");
    assert_eq!(client.execute(lib.echo("hello world")).await?, "hello world");
    assert_eq!(client.execute(lib.get("nothing")).await?, None);
    client.execute(hset("k1", [("a", 10), ("b", 20)])).await?;
    client.execute(hset("k2", [("c", 30), ("d", 40)])).await?;
    let fields = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6)];
    assert_eq!(client.execute(lib.hmmget(&["k1", "k2"], &fields)).await?, [10, 20, 30, 40, 5, 6]);
    assert_eq!(client.atomic((lib.echo("a"), lib.ping())).await?, ("a".into(), "PONG".into()));
    lib.0.update(&client, &MYLIB.replace("PONG", "PING")).await?;
    assert_eq!(client.execute(lib.ping()).await?, "PING");
    Ok(())
}

async fn a_library_is_updated_and_its_flags_decide(_: &World, client: Client) -> Outcome {
    let code = |value: &str| {
        format!(
            "#!lua name=lib\nredis.register_function{{function_name='f', flags={{'no-writes'}}, \
             callback=function() return '{value}' end}}"
        )
    };
    let mut library = client.register_library("lib", &code("one"), false).await?;
    let call = |library: &Library| library.function("f").expect("a function").call::<String>(&[], &[]);
    assert!(library.functions()[0].is_readonly());
    assert_eq!(client.execute(call(&library)).await?, "one");
    library.update(&client, &code("two")).await?;
    assert_eq!(client.execute(call(&library)).await?, "two");
    assert!(library.update(&client, "#!lua name=lib\nnonsense").await.is_err());
    assert_eq!(client.execute(call(&library)).await?, "two");
    Ok(())
}

async fn a_library_may_be_large(_: &World, client: Client) -> Outcome {
    let code = format!(
        "#!lua name=large\nlocal text = '{}'\nredis.register_function('size', function() return #text end)",
        "x".repeat(1 << 20)
    );
    let library = client.register_library("large", &code, true).await?;
    let size = library.function("size").expect("a function").call::<usize>(&[], &[]);
    assert_eq!(client.execute(size).await?, 1 << 20);
    Ok(())
}

async fn promise_77_promise_78_promise_80_promise_81_promise_82_promise_83_promise_89_tuples_are_pipelines(
    _: &World,
    client: Client,
) -> Outcome {
    client.atomic((del(["bar"]), set("bar", "foo"))).await?;
    let results = client.atomic((flushdb(), set("foo", "bar"), set("bar", "foo"), keys("*"))).await?;
    let found: BTreeSet<Bytes> = results.3.into_iter().collect();
    assert_eq!((results.0, results.1, results.2), (true, true, true));
    assert_eq!(found, BTreeSet::from(["bar".into(), "foo".into()]));
    // a request does nothing until it is run
    let request = (incr("n"), incr("n"));
    assert_eq!(client.execute(get("n")).await?, None);
    assert_eq!(client.execute(request).await?, (1, 2));
    Ok(())
}

async fn promise_84_promise_85_a_transaction_is_one_unit_and_a_tuple_is_not(
    _: &World,
    client: Client,
) -> Outcome {
    client.execute(set("text", "x")).await?;
    // one that the server will not queue: nothing is executed
    let refused = client.atomic((set("text", "y"), command("NO.SUCH"))).await;
    assert!(matches!(refused, Err(Error::Refused { index: Some(1), .. })), "{refused:?}");
    assert_eq!(client.execute(get("text").text()).await?.as_deref(), Some("x"));
    let refused = client.try_atomic((set("text", "y"), command("NO.SUCH"))).await;
    assert!(matches!(refused, Err(Error::Refused { index: Some(1), .. })), "{refused:?}");
    assert_eq!(client.execute(get("text").text()).await?.as_deref(), Some("x"));
    // one that fails as it is executed: what the others did is told
    client.execute(rpush("jobs", ["first"])).await?;
    let (popped, failed) = client.try_atomic((rpop("jobs").typed::<String>(), incr("text"))).await?;
    assert_eq!(popped.as_deref(), Ok("first"));
    assert!(matches!(failed, Err(Error::Server(_))), "{failed:?}");
    assert_eq!(client.try_atomic(Vec::<Command<i64>>::new()).await, Ok(Vec::new()));
    let (set, refused) = client.try_execute((set("text", "y"), command("NO.SUCH"))).await;
    assert_eq!(set, Ok(true));
    assert!(matches!(refused, Err(Error::Server(_))));
    assert_eq!(client.execute(get("text").text()).await?.as_deref(), Some("y"));
    Ok(())
}

const SEQUENCE: &str = "OUR-SEQUENCE-KEY";

/// The seed's INCR of a client's own.
async fn increment(client: &Client) -> Result<(bool,), Error> {
    client
        .transaction(&[SEQUENCE], async |watched| {
            let current = watched.execute(get(SEQUENCE).typed::<Option<i64>>()).await?;
            Ok((set(SEQUENCE, current.unwrap_or(0) + 1),))
        })
        .await
}

async fn promise_86_promise_87_promise_88_promise_90_a_watched_key_that_changes_begins_it_anew(
    world: &World,
    r: Client,
) -> Outcome {
    let (other, tries) = (world.client(), AtomicU32::new(0));
    r.execute(set(SEQUENCE, 1)).await?;
    let done = r
        .transaction(&[SEQUENCE], async |watched| {
            let value = watched.execute(get(SEQUENCE).typed::<i64>()).await?;
            if tries.fetch_add(1, Ordering::Relaxed) == 0 {
                other.execute(set(SEQUENCE, 10)).await?;
            }
            Ok((set(SEQUENCE, value + 1), get(SEQUENCE).typed::<i64>()))
        })
        .await?;
    assert_eq!((done, tries.into_inner()), ((true, 11), 2));
    // by hand, on a link that is nobody else's
    let own = r.lease().await?;
    own.execute(command("WATCH").arg(SEQUENCE).typed::<()>()).await?;
    other.execute(incr(SEQUENCE)).await?;
    assert_eq!(own.atomic((set(SEQUENCE, 0),)).await, Err(Error::Watch));
    Ok(())
}

async fn promise_93_promise_94_promise_95_a_transaction_gives_what_its_request_gives(
    world: &World,
    r: Client,
) -> Outcome {
    assert_eq!(increment(&r).await?, (true,));
    // tasks of several clients, some of which share a link
    const EACH: i64 = 25;
    let clients = [world.client(), world.client(), r.clone(), r.clone()];
    let threads: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || (0..EACH).all(|_| wait(increment(&client)) == Ok((true,)))))
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().expect("no thread fails")));
    assert_eq!(r.execute(get(SEQUENCE).typed::<i64>()).await?, 1 + 4 * EACH);
    // without keys, and without commands
    assert_eq!(r.transaction(&[], async |_| Ok((incr("n"),))).await?, (1,));
    assert_eq!(r.transaction(&["n"], async |_| Ok(Vec::<Command<i64>>::new())).await?, []);
    assert_eq!(r.atomic((incr("n"),)).await?, (2,));
    Ok(())
}

async fn promise_91_promise_92_a_transaction_that_gives_up_watches_nothing(
    world: &World,
    r: Client,
) -> Outcome {
    for r in [r, world.lone_client()] {
        let gave_up = r.transaction(&["k"], async |_| Err::<Command<()>, _>(Error::TooLarge)).await.map(drop);
        assert_eq!(gave_up, Err(Error::TooLarge));
        // what it fails with is told, whatever that is
        let gave_up = r.transaction(&["k"], async |_| Err::<Command<()>, _>(Error::Watch)).await.map(drop);
        assert_eq!(gave_up, Err(Error::Watch));
        world.client().execute(set("k", 1)).await?;
        // the link watches nothing: this is executed
        assert_eq!(r.atomic((get("k").typed::<i64>(),)).await?, (1,));
        // nor does one that is dropped half-way
        let watching = AtomicBool::new(false);
        let mut half = Box::pin(r.transaction(&["k"], async |_| {
            watching.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
            Ok((incr("k"),))
        }));
        std::future::poll_fn(|cx| {
            assert!(half.as_mut().poll(cx).is_pending());
            if watching.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(half);
        world.client().execute(set("k", 2)).await?;
        assert_eq!(r.atomic((get("k").typed::<i64>(),)).await?, (2,));
        // and the next one is executed whatever became of the key
        let next = r.transaction(&["other"], async |_| {
            world.client().execute(set("k", 3)).await?;
            Ok((get("k").typed::<i64>(),))
        });
        assert_eq!(next.await?, (3,));
    }
    Ok(())
}

async fn a_transaction_survives_the_loss_of_its_link(world: &World, r: Client) -> Outcome {
    let killer = world.client();
    for r in [r, world.lone_client()] {
        let tries = AtomicU32::new(0);
        killer.execute(set(SEQUENCE, 1)).await?;
        let done = r
            .transaction(&[SEQUENCE], async |watched| {
                let (id, value) = watched.execute((client_id(), get(SEQUENCE).typed::<i64>())).await?;
                if tries.fetch_add(1, Ordering::Relaxed) < 3 {
                    killer.execute(command("CLIENT").arg("KILL").arg("ID").arg(id).typed::<()>()).await?;
                    killer.execute(incr(SEQUENCE)).await?;
                    // the loss is known when this fails, or another link answers
                    while watched.execute(client_id()).await == Ok(id) {}
                }
                Ok((set(SEQUENCE, value + 1),))
            })
            .await?;
        assert_eq!((done, tries.into_inner()), ((true,), 4));
        assert_eq!(r.execute(get(SEQUENCE).typed::<i64>()).await?, 5);
    }
    Ok(())
}

async fn a_transaction_that_takes_its_time_delays_nobody(_: &World, r: Client) -> Outcome {
    let done = r.transaction(&["slow"], async |_| {
        // its own link is nobody else's
        increment(&r).await?;
        r.atomic((incr("n"),)).await?;
        Ok((incr("slow"),))
    });
    assert_eq!(done.await?, (1,));
    assert_eq!(r.execute((get(SEQUENCE).typed::<i64>(), get("n").typed::<i64>())).await?, (1, 1));
    Ok(())
}

async fn transactions_read_what_the_server_has(world: &World, r: Client) -> Outcome {
    // it is refused where there are no pushes
    if world.protocol == Protocol::Resp2 {
        return Ok(());
    }
    let config = Config { cache: Some(Caching::default()), ..world.config() };
    let limits = Limits { max_connections: 0, ..Limits::default() };
    for keeping in
        [client(world.server.address(), config.clone()), limited(world.server.address(), config, limits)]
    {
        r.execute(set("kept", 1)).await?;
        keeping.execute(get("kept")).await?;
        let (info, _) = (r.execute(config_resetstat()).await?, keeping.execute(get("kept")).await?);
        assert!(info);
        let read = async |watched: Watched| {
            let value = watched.execute(get("kept").typed::<i64>()).await?;
            Ok((set("kept", value + 1),))
        };
        keeping.transaction(&["kept"], read).await?;
        let held = keeping.lock("kept lock").acquire().await?;
        keeping.execute((get("kept lock"), exists(["kept lock"]))).await?;
        assert!(held.owned().await? && held.owned().await?);
        let stats: Record = r.execute(command("INFO").arg("commandstats").typed()).await?;
        // the transaction's, the lock's when it was read first, and two to ask whose it is
        assert_eq!(stats.get::<Record>("cmdstat_get")?.get::<i64>("calls")?, 4);
    }
    Ok(())
}

async fn transactions_count_right_while_their_links_are_killed(world: &World, r: Client) -> Outcome {
    const WORKERS: u32 = 32;
    const EACH: u32 = 12;
    let clients = [(); 4].map(|()| world.client());
    let (outcomes, working, lost) = (AtomicU32::new(0), AtomicU32::new(WORKERS), AtomicU32::new(0));
    let work = async |client: &Client, worker: u32| {
        let mut done = 0;
        while done < EACH {
            let mark = format!("{worker}:{done}");
            let outcome = client
                .transaction(&[SEQUENCE], async |watched| {
                    let current = watched.execute(get(SEQUENCE).typed::<Option<i64>>()).await?;
                    Ok((set(SEQUENCE, current.unwrap_or(0) + 1), set(&mark, "done")))
                })
                .await;
            outcomes.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Ok(_) => done += 1,
                Err(Error::Failure(failure) | Error::NoLink { failure, .. }) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    // what is said to be unknown may have been executed, what is said not to be must not
                    let executed = r.execute(exists([&mark])).await? > 0;
                    assert!(failure.maybe_executed || !executed, "{failure:?}");
                    done += u32::from(executed);
                }
                Err(error) => return Err(error),
            }
        }
        working.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    };
    let kill = async || {
        let mut random = oorandom::Rand32::new(7);
        while working.load(Ordering::Relaxed) > 0 {
            let before = outcomes.load(Ordering::Relaxed);
            let list = r.execute(client_list()).await?;
            let at_work = |one: &&Record| {
                one.get::<String>("cmd").is_ok_and(|cmd| ["watch", "get", "exec"].contains(&&*cmd))
            };
            let targets: Vec<_> = list.iter().filter(at_work).collect();
            if let Some(end) = u32::try_from(targets.len()).ok().filter(|&end| end > 0) {
                let id: i64 = targets[random.rand_range(0..end) as usize].get("id")?;
                r.execute(command("CLIENT").arg("KILL").arg("ID").arg(id).typed::<i64>()).await?;
            }
            // one at a time, so that somebody gets through
            while working.load(Ordering::Relaxed) > 0 && outcomes.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (client, work) = (&clients[worker as usize % clients.len()], &work);
                scope.spawn(move || wait(work(client, worker)))
            })
            .collect();
        let killer = scope.spawn(|| wait(kill()));
        workers.into_iter().chain([killer]).try_for_each(|thread| thread.join().expect("no thread fails"))
    })?;
    assert!(lost.into_inner() > 0, "nobody was killed");
    assert_eq!(r.execute(get(SEQUENCE).typed::<u32>()).await?, WORKERS * EACH);
    Ok(())
}

/// A lock of either kind.
fn locks(client: &Client, name: &str) -> [LockBuilder; 2] {
    [client.lock(name), client.lock(name).watching()]
}

async fn promise_126_promise_127_promise_128_promise_129_promise_130_a_lock_is_taken_and_given_back(
    _: &World,
    client: Client,
) -> Outcome {
    for lock in locks(&client, "lalala") {
        assert!(client.execute(flushall()).await?);
        let held = lock.acquire().await?;
        assert_eq!(client.execute(get("lalala").text()).await?.as_deref(), Some(held.token()));
        assert!(lock.try_acquire().await?.is_none());
        assert!(lock.locked().await? && held.owned().await?);
        assert_eq!(held.valid_until(), None);
        held.release().await?;
        assert!(!lock.locked().await?);
        // what is released cannot be released again: it is gone
        assert!(lock.try_acquire().await?.is_some());
    }
    Ok(())
}

async fn scenario_3_a_lock_whose_time_is_up_is_somebody_elses(world: &World, client: Client) -> Outcome {
    for lock in locks(&client, "lock") {
        let lock = lock.timeout(Duration::from_millis(60)).sleep(Duration::from_millis(10));
        let mut first = lock.acquire().await?;
        // waits for the first one's time to be up
        let second = world.client().lock("lock").sleep(Duration::from_millis(10)).acquire().await?;
        assert_eq!(first.extend(Duration::from_secs(1)).await, Err(Error::Lock(LockError::Lost)));
        assert!(!first.owned().await?);
        assert_eq!(first.release().await, Err(Error::Lock(LockError::Lost)));
        assert!(second.owned().await?);
        second.release().await?;
    }
    Ok(())
}

async fn scenario_5_the_numbers_of_a_lock_grow(world: &World, r: Client) -> Outcome {
    let lock = r.lock("fenced").timeout(Duration::from_millis(50)).sleep(Duration::from_millis(2));
    let first = lock.acquire().await?;
    let (number, again) = (first.fence().await?, first.fence().await?);
    let (seconds, microseconds) = r.execute(time()).await?;
    assert!(again > number && again.abs_diff((seconds * 1_000_000 + microseconds) as u64) < 5_000_000);
    // the lock's time is up
    let second = world.client().lock("fenced").sleep(Duration::from_millis(2)).acquire().await?;
    assert!(second.fence().await? > again);
    assert_eq!(first.fence().await, Err(Error::Lock(LockError::Lost)));
    // though the server's clock be set back
    r.execute(set("{fenced}:fence", (1_u64 << 53) - 10)).await?;
    assert_eq!(second.fence().await?, (1 << 53) - 9);
    second.release().await
}

async fn locks_wait_for_each_other(world: &World, r: Client) -> Outcome {
    const CONTENDERS: u32 = 4;
    let (inside, entered) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for contender in 0..CONTENDERS as usize {
            let client = world.client();
            let (inside, entered) = (&inside, &entered);
            scope.spawn(move || {
                wait(async {
                    let [scripted, watching] = locks(&client, "lock");
                    let lock = if contender % 2 == 0 { scripted } else { watching };
                    let lock = lock.timeout(Duration::from_secs(10));
                    let lock = lock.sleep(Duration::from_millis(2));
                    for _ in 0..10 {
                        let held = lock.acquire().await.expect("the lock");
                        assert!(!inside.swap(true, Ordering::SeqCst), "nobody else is inside");
                        entered.fetch_add(1, Ordering::SeqCst);
                        inside.store(false, Ordering::SeqCst);
                        held.release().await.expect("it was held");
                    }
                });
            });
        }
    });
    assert_eq!(entered.into_inner(), CONTENDERS * 10);
    let lock = r.lock("lock").blocking_timeout(Duration::from_millis(30));
    let _held = lock.acquire().await?;
    assert!(matches!(lock.acquire().await, Err(Error::Lock(LockError::Taken))));
    // a lock that lives for a shorter time than the usual pause is tried more often
    let brief = r.lock("x").timeout(Duration::from_millis(50));
    drop(brief.acquire().await?);
    drop(brief.clone().sleep(Duration::from_millis(50)).acquire().await?);
    let impatient = brief.sleep(Duration::from_millis(51)).acquire().await;
    assert!(matches!(impatient, Err(Error::Lock(LockError::Sleep))));
    Ok(())
}

async fn locks_are_extended(_: &World, r: Client) -> Outcome {
    for lock in locks(&r, "lock") {
        let mut held = lock.clone().timeout(Duration::from_secs(10)).acquire().await?;
        let before = held.valid_until().expect("a limit");
        held.extend(Duration::from_secs(20)).await?;
        let after = held.valid_until().expect("a limit");
        assert!((19_000..=20_000).contains(&(after.0 - before.0)), "{before:?} {after:?}");
        assert!((29_000..=30_000).contains(&r.execute(pttl("lock")).await?));
        held.release().await?;
        let mut held = lock.acquire().await?;
        assert_eq!(held.extend(Duration::from_secs(1)).await, Err(Error::Lock(LockError::Unlimited)));
        held.release().await?;
    }
    Ok(())
}

/// Waits until so much time is over on the server's clock.
async fn pass(redis: &Client, milliseconds: i64) -> Outcome {
    let clock = async || {
        let (seconds, microseconds) = redis.execute(time()).await?;
        Ok::<_, Error>(seconds * 1000 + microseconds / 1000)
    };
    let end = clock().await? + milliseconds;
    while clock().await? < end {}
    Ok(())
}

async fn locks_are_kept_for_as_long_as_it_takes(world: &World, r: Client) -> Outcome {
    let other = world.client();
    let own = r.lease().await?;
    for lock in [&r, &own].iter().flat_map(|client| locks(client, "lock")) {
        let lock = lock.timeout(Duration::from_millis(300));
        let mut held = lock.acquire().await?;
        let (token, before) = (held.token().to_owned(), held.valid_until());
        let value = held
            .keep(async {
                pass(&other, 700).await?;
                other.execute(get("lock").text()).await
            })
            .await??;
        assert_eq!(value, Some(token));
        assert!(held.valid_until() > before);
        held.release().await?;
        assert_eq!(lock.run(async { pass(&other, 400).await.is_ok() }).await, Ok(true));
        assert!(!lock.locked().await?);
    }
    // one without a limit, and one whose link is lost meanwhile
    assert_eq!(r.lock("lock").run(async { 7 }).await, Ok(7));
    let lock = r.lock("lock").timeout(Duration::from_millis(600));
    let kill = async {
        other.execute(client_kill().id(r.execute(client_id()).await?)).await?;
        pass(&other, 700).await
    };
    assert_eq!(lock.run(kill).await, Ok(Ok(())));
    Ok(())
}

async fn a_lock_that_is_lost_ends_what_it_was_kept_for(_: &World, r: Client) -> Outcome {
    for lock in locks(&r, "lock") {
        let lock = lock.timeout(Duration::from_millis(90));
        let taken = async {
            r.execute(set("lock", "another's")).await?;
            std::future::pending::<Outcome>().await
        };
        assert_eq!(lock.run(taken).await, Err(Error::Lock(LockError::Lost)));
        assert_eq!(r.execute(get("lock").text()).await?.as_deref(), Some("another's"));
        // nothing is begun for a lock that is not to be had
        let never = async { unreachable!("it is not held") };
        let refused = lock.blocking_timeout(Duration::ZERO).run::<()>(never).await;
        assert_eq!(refused, Err(Error::Lock(LockError::Taken)));
        r.execute(del(["lock"])).await?;
    }
    Ok(())
}

async fn times_of_locks_are_never_taken_for_none(_: &World, r: Client) -> Outcome {
    let long = Duration::from_millis(1 << 32);
    let refused = |outcome: Result<_, Error>| matches!(outcome, Err(Error::Lock(LockError::Time)));
    for lock in locks(&r, "lock") {
        // nobody could count on one that lives for 2 ms
        for time in [Duration::ZERO, Duration::from_millis(2), long, Duration::MAX] {
            assert!(refused(lock.clone().timeout(time).acquire().await.map(drop)), "{time:?}");
        }
        assert!(refused(lock.clone().sleep(long).try_acquire().await.map(drop)));
        assert!(refused(lock.clone().blocking_timeout(long).acquire().await.map(drop)));
        assert!(!lock.locked().await?, "nothing was sent");
        // what is begun counts as a millisecond
        let mut held = lock.clone().timeout(Duration::from_micros(999_001)).acquire().await?;
        let before = held.valid_until();
        let left = r.execute(pttl("lock")).await?;
        assert!((1..=1_000).contains(&left), "{left}");
        for time in [Duration::ZERO, long, Duration::MAX] {
            assert!(refused(held.extend(time).await), "{time:?}");
        }
        assert_eq!(held.valid_until(), before);
        r.execute(pexpire("lock", 60_000)).await?;
        held.extend(Duration::from_nanos(1)).await?;
        held.extend(Duration::from_millis((1 << 32) - 1)).await?;
        assert!(r.execute(pttl("lock")).await? > 1 << 32);
        held.release().await?;
        // and no time at all is as good as none to wait for it
        let waits = lock.clone().timeout(Duration::from_secs(9)).sleep(Duration::ZERO);
        waits.blocking_timeout(Duration::ZERO).acquire().await?.release().await?;
    }
    Ok(())
}

async fn locks_of_a_lease_whose_link_is_lost_are_given_back(world: &World, r: Client) -> Outcome {
    for (kind, released, known) in (0..8).map(|case| (case & 1, case & 2 > 0, case & 4 > 0)) {
        let own = r.lease().await?;
        let id = own.execute(client_id()).await?;
        let held = locks(&own, "lock")[kind].acquire().await?;
        assert_eq!(r.execute(client_kill().id(id)).await?, 1);
        while known && own.execute(ping()).await.is_ok() {}
        if released {
            // the loss may be learnt by this, and then nobody knows what became of it
            let outcome = held.release().await;
            let dropped = |error| matches!(error, Error::Failure(Failure { reason: Reason::Dropped, .. }));
            assert!(outcome.is_ok() || !known && outcome.is_err_and(dropped));
        } else {
            drop(held);
        }
        let lock = world.client().lock("lock").sleep(Duration::from_millis(2));
        lock.blocking_timeout(Duration::from_secs(5)).acquire().await?.release().await?;
    }
    Ok(())
}

async fn locks_that_are_dropped_are_given_back(world: &World, r: Client) -> Outcome {
    for watching in [false, true] {
        let of = |client: &Client| locks(client, "lock")[usize::from(watching)].clone();
        let lock = of(&r).sleep(Duration::from_millis(2)).blocking_timeout(Duration::from_secs(5));
        drop(lock.acquire().await?);
        // by the last of a client's handles, too
        let other = world.client();
        let held = of(&other).acquire().await?;
        drop((other, held));
        drop(lock.acquire().await?);
        // nobody waits for this one, and it was sent
        let mut taking = Box::pin(lock.acquire());
        std::future::poll_fn(|cx| Poll::Ready(taking.as_mut().poll(cx).is_ready())).await;
        drop(taking);
        lock.acquire().await?.release().await?;
    }
    Ok(())
}

async fn locks_without_scripts_ask_for_none_and_leave_other_transactions_alone(
    world: &World,
    r: Client,
) -> Outcome {
    let brief = |lock: LockBuilder| lock.timeout(Duration::from_secs(10)).sleep(Duration::from_millis(2));
    r.execute(command("CONFIG").arg("RESETSTAT")).await?;
    for _ in 0..2 {
        let mut held = brief(r.lock("lock").watching()).acquire().await?;
        held.extend(Duration::from_secs(1)).await?;
        held.release().await?;
    }
    let stats = r.execute(command("INFO").arg("commandstats").typed::<Record>()).await?;
    assert_eq!(stats.get::<Record>("cmdstat_exec")?.get::<u32>("calls")?, 4);
    assert!(stats.get::<Record>("cmdstat_evalsha").is_err() && stats.get::<Record>("cmdstat_eval").is_err());
    // on a lease of the caller's they take turns with what else watches keys there
    let own = r.lease().await?;
    let lock = brief(own.lock("lock").watching());
    r.execute(set("n", 0)).await?;
    let mut held = lock.acquire().await?;
    let tries = AtomicU32::new(0);
    let mut counting = Box::pin(own.transaction(&["n"], async |watched| {
        let n: i64 = watched.execute(get("n").typed()).await?;
        // somebody counts too, while the lock wants to be extended
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            r.execute(incr("n")).await?;
        }
        Ok((set("n", n + 1),))
    }));
    let mut extending = Box::pin(held.extend(Duration::from_secs(20)));
    let (mut counted, mut extended) = (None, None);
    std::future::poll_fn(|cx| {
        if counted.is_none()
            && let Poll::Ready(outcome) = counting.as_mut().poll(cx)
        {
            counted = Some(outcome);
        }
        if extended.is_none()
            && let Poll::Ready(outcome) = extending.as_mut().poll(cx)
        {
            extended = Some(outcome);
        }
        if counted.is_some() && extended.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    drop((counting, extending));
    assert_eq!((counted, extended), (Some(Ok((true,))), Some(Ok(()))));
    assert_eq!((r.execute(get("n").typed::<i64>()).await?, tries.into_inner()), (2, 2));
    assert!((29_000..=30_000).contains(&r.execute(pttl("lock")).await?));
    drop(held);
    lock.acquire().await?.release().await?;
    // where there are no leases, it is not taken
    let refused = world.lone_client().lock("lock").watching().acquire().await;
    assert!(matches!(refused, Err(Error::OneStream)), "{refused:?}");
    assert_eq!(r.execute(exists(["lock"])).await?, 0);
    Ok(())
}

/// Without entropy there are no tokens, and so no locks.
#[test]
fn scenario_6_tokens_are_made_of_entropy_or_not_at_all() {
    struct Poor;
    impl redwire_core::transport::Transport for Poor {
        type Error = Infallible;
        fn poll_open(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }
        fn poll_read(
            &mut self,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> Poll<Result<usize, Infallible>> {
            Poll::Pending
        }
        fn poll_write(
            &mut self,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> Poll<Result<usize, Infallible>> {
            Poll::Pending
        }
        fn close(&mut self) {}
        fn is_secure(&self) -> bool {
            false
        }
        fn now(&self) -> redwire_core::time::Instant {
            redwire_core::time::Instant(0)
        }
        fn poll_sleep(&mut self, _: &mut std::task::Context<'_>, _: redwire_core::time::Instant) -> Poll<()> {
            Poll::Pending
        }
    }
    let (client, _driver) = Client::new(Poor, Config::default());
    assert!(matches!(wait(client.lock("lock").acquire()), Err(Error::Lock(LockError::Entropy))));
}
