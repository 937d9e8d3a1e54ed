// WATCH, immediate mode and `transaction`: the seed's samples, every illegal order, and counting under fire.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { ConnectionError, Lock, RedisError, ResponseError, TimeoutError, WatchError } from "redwire";
import { faked } from "./support/client.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { array, integer, nil, ok, queued } from "./support/resp.mjs";
import { outcome, rejection, until, within } from "./support/until.mjs";

const KEY = "OUR-SEQUENCE-KEY";

/** INCR as the seed's chapter builds it of WATCH, GET and SET. */
const increment = async (watching) => {
  const next = Number((await watching.get(KEY)) ?? 0) + 1;
  return watching.multi().set(KEY, next);
};

/** The connections of `redis`'s server, without the one that asks. */
const others = async (redis) => (await redis.clientList()).filter(({ cmd }) => cmd !== "client|list");

everywhere((world) => {
  test("[promises 86, 87, 88, 89] the client-side INCR of the seed, step by step", async () => {
    const { redis } = world;
    await redis.set(KEY, 5);
    const pipe = redis.pipeline();
    const watching = await pipe.watch(KEY);
    assert.equal(watching, pipe);
    assert.equal(await watching.get(KEY), "5");
    const queue = watching.multi();
    assert.equal(queue, pipe);
    assert.equal(queue.set(KEY, 6), pipe);
    assert.equal(pipe.length, 1);
    assert.equal(await redis.get(KEY), "5");
    assert.deepEqual(await pipe.execute(), [true]);
    assert.equal(await redis.get(KEY), "6");
  });

  test("[promise 86] a key that changes after WATCH makes EXEC fail, and nothing is executed", async () => {
    const { redis } = world;
    await redis.mset({ [KEY]: 1, other: 1 });
    const pipe = redis.pipeline();
    const watching = await pipe.watch(KEY, "unrelated");
    await redis.set(KEY, 7);
    const refused = await rejection(watching.multi().set(KEY, 2).set("other", 2).execute());
    assert.ok(refused instanceof WatchError && refused instanceof ResponseError);
    assert.deepEqual([refused.command, refused.maybeExecuted, refused.code], ["EXEC", false, "WATCH"]);
    assert.deepEqual(await redis.mget(KEY, "other"), ["7", "1"]);
    assert.deepEqual(await pipe.set("other", 3).execute(), [true]);
  });

  test("[promises 90, 91, 92] a watching pipeline has one connection, which goes back when it is left", async () => {
    const { redis } = world;
    const ids = new Set();
    for (const leave of [(p) => p.reset(), (p) => p[Symbol.asyncDispose](), (p) => p.discard(), (p) => p.unwatch(), (p) => p.multi().ping().execute()]) {
      const pipe = redis.pipeline();
      const watching = await pipe.watch(KEY);
      const id = await watching.call("CLIENT ID");
      assert.notEqual(id, await redis.clientId());
      assert.equal(await watching.clientId(), id);
      ids.add(id);
      await leave(pipe);
      assert.equal(pipe.length, 0);
      // it watches nothing any more: the next user's transaction is executed whatever became of the key
      const again = await redis.pipeline().watch("nothing");
      assert.equal(await again.clientId(), id);
      await redis.incr(KEY);
      assert.deepEqual(await again.multi().set("done", 1).execute(), [true]);
    }
    assert.equal(ids.size, 1);
  });

  test("[promises 93, 94, 95] transaction does the watching, and tries again", async () => {
    const { redis } = world;
    await redis.set(KEY, 5);
    assert.deepEqual(await redis.transaction(increment, [KEY]), [true]);
    assert.equal(await redis.get(KEY), "6");
    let tries = 0;
    const disturbed = async (watching) => {
      if (++tries < 4) await redis.incr(KEY);
      return increment(watching);
    };
    assert.deepEqual(await redis.transaction(disturbed, [KEY], { watchDelay: 1 }), [true]);
    assert.deepEqual([tries, await redis.get(KEY)], [4, "10"]);
  });

  test("transaction gives the function's value if asked, gives up if told to, and passes on what the function throws", async () => {
    const { redis } = world;
    await redis.set(KEY, 1);
    const value = await redis.transaction(async (watching) => ((watching.multi().incr(KEY), "mine")), [KEY], { valueFromCallable: true });
    assert.deepEqual([value, await redis.get(KEY)], ["mine", "2"]);
    let tries = 0;
    const disturbed = async (watching) => {
      tries++;
      await redis.incr(KEY);
      return increment(watching);
    };
    assert.ok((await rejection(redis.transaction(disturbed, [KEY], { maxAttempts: 3 }))) instanceof WatchError);
    assert.equal(tries, 3);
    const mine = new Error("mine");
    assert.equal(await rejection(redis.transaction(() => Promise.reject(mine), [KEY])), mine);
    const reason = new Error("enough");
    const controller = new AbortController();
    const endless = redis.transaction(async (watching) => (tries++ > 5 && controller.abort(reason), disturbed(watching)), [KEY], { signal: controller.signal, watchDelay: 1 });
    assert.equal(await rejection(endless), reason);
    assert.deepEqual(await redis.transaction(async (watching) => watching.multi().ping(), []), ["PONG"]);
    assert.deepEqual(await redis.transaction(async (watching) => void (await watching.get(KEY)), [KEY]), []);
    await until(async () => (await others(redis)).every(({ watch = 0 }) => watch === 0), "nothing is watched");
  });

  test("every illegal order is an error that says what is wrong, and the pipeline goes on", async () => {
    const { redis } = world;
    const nested = redis.pipeline().multi();
    assert.throws(() => nested.multi(), { name: "RedisError", message: "Cannot issue nested calls to MULTI" });
    const late = await rejection(nested.watch(KEY));
    assert.ok(late instanceof RedisError && late.message === "Cannot issue a WATCH after a MULTI");
    const unwatch = await rejection(nested.unwatch());
    assert.ok(unwatch instanceof RedisError && unwatch.message === "Cannot issue an UNWATCH after a MULTI");
    assert.deepEqual(await nested.ping().execute(), ["PONG"]);

    const queued = redis.pipeline().set("a", 1);
    assert.throws(() => queued.multi(), { name: "RedisError", message: "Commands without an initial WATCH have already been issued" });
    const watching = await queued.watch(KEY);
    assert.throws(() => watching.multi(), { message: "Commands without an initial WATCH have already been issued" });
    assert.deepEqual(await queued.execute(), [true]);

    const pipe = redis.pipeline();
    assert.equal(await pipe.unwatch(), pipe);
    await pipe.watch(KEY);
    assert.deepEqual(await pipe.execute(), []);
    await redis.set(KEY, "changed");
    assert.ok((await rejection(pipe.multi().ping().execute())) instanceof WatchError);
    assert.ok((await rejection(pipe.watch())) instanceof TypeError);
    await pipe.reset();
    assert.deepEqual(await pipe.ping().execute(), ["PONG"]);

    const plain = await redis.pipeline({ transaction: false }).watch(KEY);
    await redis.incr("n");
    await redis.set(KEY, "again");
    assert.ok((await rejection(plain.multi().incr("n").execute())) instanceof WatchError);
    for (const call of [redis.transaction(5, []), redis.transaction(() => {}, KEY)]) assert.ok((await rejection(call)) instanceof TypeError);
  });

  test("multi begins a transaction though a command before it could not be queued", async () => {
    const { redis } = world;
    await redis.mset({ [KEY]: 0, victim: "as it was", n: 0 });
    for (const transaction of [true, false]) {
      const pipe = redis.pipeline({ transaction });
      assert.throws(() => pipe.set("a", undefined), TypeError);
      await pipe.watch(KEY);
      await redis.incr(KEY);
      assert.ok((await rejection(pipe.multi().set("victim", "overwritten").execute())) instanceof WatchError);
      assert.throws(() => pipe.set("a", undefined), TypeError);
      assert.deepEqual(await pipe.multi().incr("n").execute(), [transaction ? 1 : 2]);
    }
    assert.deepEqual(await redis.mget("victim", "n"), ["as it was", "2"]);
    await redis.del("n");
  });

  test("a MULTI that the server refuses is the error, and the commands may have been executed", async () => {
    const { redis } = world;
    await redis.aclSetuser("single", "on", "nopass", "~*", "&*", "+@all", "-multi");
    const limited = world.connect({ username: "single", password: "x" });
    await redis.del("n");
    for (const options of [{}, { raiseOnError: false }]) {
      const refused = await rejection(limited.multi().incr("n").incr("n").execute(options));
      assert.deepEqual([refused.code, refused.command, refused.maybeExecuted, refused.position], ["NOPERM", "MULTI", true, undefined]);
    }
    assert.equal(await redis.get("n"), "4");
    assert.ok((await rejection(limited.transaction((watching) => watching.multi().incr("n"), ["other"]))) instanceof ResponseError);
    await redis.aclDeluser("single");

    await redis.mset({ b: "B", c: "C" });
    const lease = await redis.lease();
    await lease.call("MULTI");
    await lease.call("SET", "a", "1");
    const nested = await rejection(lease.multi().get("b").get("c").execute());
    assert.match(nested.message, /nested|not allowed/);
    assert.deepEqual([nested.command, nested.maybeExecuted], ["MULTI", true]);
    assert.deepEqual(await lease.multi().get("b").get("c").execute(), ["B", "C"]);
    await lease.release();
  });

  test("wrong arguments in immediate mode reject, after multi they throw", async () => {
    const watching = await world.redis.pipeline().watch(KEY);
    assert.ok((await rejection(watching.set(KEY, null))) instanceof TypeError);
    assert.ok((await rejection(watching.incr(KEY, 5))) instanceof TypeError);
    const pipe = watching.multi();
    assert.throws(() => pipe.set(KEY, null), TypeError);
    assert.deepEqual(await pipe.ping().execute(), ["PONG"]);
  });

  test("a connection that is lost between WATCH and EXEC executes nothing, and nobody else's does it", async () => {
    const { redis } = world;
    await redis.set(KEY, 1);
    const pipe = redis.pipeline();
    const watching = await pipe.watch(KEY);
    const id = await watching.clientId();
    const next = Number(await watching.get(KEY)) + 1;
    await redis.clientKill({ id });
    await redis.set(KEY, 10);
    await until(async () => (await others(redis)).every((client) => client.id !== id), "the connection is gone");
    await redis.configResetstat();
    const refused = await rejection(watching.multi().set(KEY, next).execute());
    assert.ok(refused instanceof WatchError, String(refused));
    assert.ok(refused.cause instanceof ConnectionError);
    assert.equal(await redis.get(KEY), "10");
    assert.equal((await redis.info("commandstats")).cmdstat_exec, undefined);
    assert.deepEqual(await pipe.set(KEY, 11).execute(), [true]);
  });

  test("what is queued once execute was called is another batch, whatever the first one was", async () => {
    const { redis } = world;
    const pipe = redis.pipeline({ transaction: false });
    const [first] = [pipe.multi().set("a", 1).get("a").execute(), pipe.set("b", 2)];
    assert.equal(pipe.length, 1);
    assert.deepEqual(await first, [true, "1"]);
    assert.deepEqual(await pipe.execute(), [true]);
    assert.equal(await redis.get("b"), "2");
    const watching = await pipe.watch("a");
    const second = watching.multi().incr("a").execute();
    pipe.incr("b");
    assert.deepEqual([await second, await pipe.execute()], [[2], [3]]);
  });

  test("a batch that ends gives up nothing that is watched since", async () => {
    const { redis } = world;
    const pipe = redis.pipeline();
    pipe.set("x", 1);
    const first = pipe.execute();
    const watching = await pipe.watch(KEY);
    await first;
    await redis.set(KEY, "theirs");
    assert.ok((await rejection(watching.multi().set(KEY, "mine").execute())) instanceof WatchError);
    assert.equal(await redis.get(KEY), "theirs");
  });

  test("whoever watches on one lease takes turns, and so does what would end a watch", async () => {
    const { redis } = world;
    const lease = await redis.lease();
    await redis.set(KEY, 0);
    await Promise.all(Array.from({ length: 20 }, () => lease.transaction(increment, [KEY])));
    assert.equal(await redis.get(KEY), "20");

    const watching = await lease.pipeline().watch(KEY);
    const order = [];
    const others = [
      lease.multi().set("turns", 1).execute(),
      lease.transaction(increment, [KEY]),
      lease.pipeline().watch("turns").then((pipe) => pipe.reset()),
    ].map((other, i) => other.then(() => order.push(i)));
    const abort = new AbortController();
    const given = rejection(lease.with({ signal: abort.signal }).multi().set("turns", 2).execute());
    assert.equal(await lease.get("turns"), null, "other commands go on");
    abort.abort();
    assert.equal((await given).name, "AbortError");
    await redis.set(KEY, 30);
    assert.ok((await rejection(watching.multi().set(KEY, 1).execute())) instanceof WatchError);
    await Promise.all(others);
    assert.deepEqual(order, [0, 1, 2]);
    assert.deepEqual(await redis.mget(KEY, "turns"), ["31", "1"]);
    await lease.release();
  });

  test("a connection that is lost before EXEC is begun anew with, whatever met the loss", async () => {
    const { redis } = world;
    const kill = async (id) => assert.equal(await redis.clientKill({ id, skipme: "no" }), 1);
    for (const at of ["before a read", "in a read"]) {
      await redis.set(KEY, 0);
      let tries = 0;
      await redis.transaction(async (watching) => {
        const id = await watching.call("CLIENT", "ID");
        if (++tries > 1) return increment(watching);
        if (at === "in a read") {
          const waiting = watching.call("BLPOP", "nothing", 0);
          await until(async () => (await redis.clientList()).some(({ cmd }) => cmd === "blpop"), "it waits");
          await Promise.all([waiting, kill(id)]);
        }
        await kill(id);
        return increment(watching);
      }, [KEY]);
      assert.deepEqual([await redis.get(KEY), tries], ["1", 2], at);
    }
    const theirs = new ConnectionError("another client's");
    assert.equal(await rejection(redis.transaction(() => Promise.reject(theirs), [KEY])), theirs);
    const lease = await redis.lease();
    const lost = rejection(lease.transaction(async (watching) => (await kill(await watching.call("CLIENT", "ID")), increment(watching)), [KEY]));
    assert.ok((await lost) instanceof ConnectionError);
  });

  test("what is watched guards nothing before watch has resolved, and is refused", async () => {
    const { redis } = world;
    const pipe = redis.pipeline();
    const watched = pipe.watch(KEY);
    assert.match((await rejection(pipe.multi().set("early", 1).execute())).message, /await 'watch'/);
    await watched.catch(() => {});
    assert.equal(await redis.exists("early"), 0);
    const left = rejection(pipe.watch(KEY));
    await pipe.reset();
    await left;
    assert.deepEqual(await pipe.set("early", 1).execute(), [true]);
  });

  test("whoever waits for a turn is told when the lease ends, however it does", async () => {
    const ends = {
      "is given back": (lease) => lease.release(),
      "loses its connection": async (lease, redis) => redis.clientKill({ id: await lease.clientId(), skipme: "no" }),
      "is its client's, which is destroyed": (lease, redis) => redis.destroy(),
    };
    for (const [how, end] of Object.entries(ends)) {
      const redis = world.connect();
      const lease = await redis.lease();
      const lock = lease.lock("lock", { lockClass: Lock, timeout: 60_000 });
      await lock.acquire();
      await lease.pipeline().watch(KEY);
      const waiting = [lease.multi().set("turns", 1).execute(), lease.transaction(increment, [KEY]), lock.extend(1000)].map((one) => rejection(one));
      const released = outcome(lock.release());
      await end(lease, redis);
      for (const error of await Promise.all(waiting)) assert.ok(error instanceof ConnectionError, `a lease that ${how}: ${error}`);
      // what only gives back goes on elsewhere
      const { error } = await released;
      assert.ok(how === "loses its connection" ? error === undefined : error instanceof ConnectionError, `a lease that ${how}: ${error}`);
      await world.redis.del("lock");
    }
  });

  test("a lock that watches takes turns with the transactions of its lease", async () => {
    const { redis } = world;
    const lease = await redis.lease();
    const lock = lease.lock("lock", { lockClass: Lock, timeout: 60_000 });
    await lock.acquire();
    const watching = await lease.pipeline().watch(KEY);
    await redis.set(KEY, "theirs");
    const released = lock.release();
    assert.ok((await rejection(watching.multi().set(KEY, "mine").execute())) instanceof WatchError);
    await released;
    assert.equal(await redis.exists("lock"), 0);
    await lease.release();
  });

  test("transactions are a pipeline's own to begin and to end, also on a lease", async () => {
    const { redis } = world;
    const lease = await redis.lease();
    const pipe = lease.pipeline({ transaction: false }).set("z", 1);
    for (const name of ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "RESET"]) {
      assert.throws(() => pipe.call(name), { name: "TypeError", message: new RegExp(`${name}.*pipeline`) });
    }
    assert.deepEqual(await pipe.get("z").execute(), [true, "1"]);
    const watching = await pipe.watch("z");
    assert.match((await rejection(watching.call("EXEC"))).message, /pipeline/);
    await watching.reset();
    for (const command of ["MULTI", "SELECT", "SUBSCRIBE"]) {
      assert.ok((await rejection(redis.execute([{ command, args: [] }]))) instanceof TypeError);
    }
    await lease.release();
  });

  test("a function that gives another pipeline is told so, and nothing is executed", async () => {
    const { redis } = world;
    const refused = await rejection(redis.transaction((watching) => (watching.multi().set("w", 1), redis.pipeline().get("w")), ["w"]));
    assert.ok(refused instanceof TypeError && /another pipeline/.test(refused.message));
    assert.equal(await redis.get("w"), null);
  });

  test("32 incrementers on 4 clients whose connections are killed at random count right", async () => {
    const { redis } = world;
    const EACH = 12;
    const clients = Array.from({ length: 4 }, () => world.connect({ retryDelay: 1 }));
    await redis.set(KEY, 0);
    let working = 32;
    const killer = (async () => {
      while (working > 0) {
        const targets = (await others(redis)).filter(({ cmd }) => /^(watch|get|exec|multi|unwatch)$/.test(cmd));
        const target = targets[Math.floor(Math.random() * targets.length)];
        if (target !== undefined) await redis.clientKill({ id: target.id });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    let lost = 0;
    const worker = async (client, name) => {
      for (let done = 0; done < EACH; ) {
        const mark = `${name}:${done}`;
        try {
          await client.transaction(async (watching) => (await increment(watching)).set(mark, 1), [KEY]);
          done++;
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          lost++;
          // what was said to be unknown may have been executed, what was said not to be must not
          const executed = (await redis.exists(mark)) === 1;
          if (error.maybeExecuted === false) assert.equal(executed, false);
          if (executed) done++;
        }
      }
      working--;
    };
    await within(Promise.all(Array.from({ length: 32 }, (_, at) => worker(clients[at % 4], `worker:${at}`))), 50_000, "the incrementers");
    await killer;
    assert.ok(lost > 0, "nobody was killed");
    assert.equal(await redis.get(KEY), String(32 * EACH));
  });
});

test("an EXEC that does not give a reply for each command is an error, never the replies of others", async (t) => {
  let reply;
  const { redis } = faked(t, ([name]) => (name === "MULTI" ? ok : name === "EXEC" ? reply : queued));
  for (reply of [array([ok, integer(1), integer(2)]), array([integer(1)]), array([]), ok]) {
    const error = await rejection(redis.multi().incr("a").incr("b").execute({ raiseOnError: false }));
    assert.deepEqual([error.name, error.command, error.maybeExecuted], ["ProtocolError", "EXEC", true]);
  }
  reply = array([integer(1), integer(2)]);
  assert.deepEqual(await redis.multi().incr("a").incr("b").execute(), [1, 2]);
});

test("a pipeline whose client is closed says so", async (t) => {
  const { redis } = faked(t, () => undefined);
  redis.destroy();
  for (const refused of [await rejection(redis.pipeline().watch("k")), await rejection(redis.transaction(increment, ["k"]))]) {
    assert.ok(refused instanceof ConnectionError && /closed/.test(refused.message));
  }
});

test("a transaction is given up while its function is busy, and gives its connection back", async (t) => {
  const { redis } = faked(t, () => ok, { maxConnections: 1, poolTimeout: 50 });
  const reason = new Error("enough");
  for (const keys of [["k"], []]) {
    const controller = new AbortController();
    let began = false;
    const given = redis.transaction(() => new Promise(() => (began = true)), keys, { signal: controller.signal });
    await until(() => began);
    controller.abort(reason);
    assert.equal(await rejection(given), reason);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    await (await redis.lease()).release();
  }
});

test("a transaction that waits to try again ends with its client", async (t) => {
  const { redis, fake } = faked(t, ([name]) => (name === "EXEC" ? Buffer.from("_\r\n") : ok));
  let tries = 0;
  const given = redis.transaction((watching) => (tries++, watching.multi().set("k", "v")), ["k"], { watchDelay: 60_000 });
  await until(() => fake.commands.some(([name]) => name === "EXEC") && redis.inspect().waiting.length === 0);
  await redis.close();
  const refused = await rejection(given);
  assert.ok(refused instanceof ConnectionError && /closed/.test(refused.message), String(refused));
  assert.equal(tries, 1);
});

test("what a transaction does not take is refused, and nothing is sent", async (t) => {
  const { redis, fake } = faked(t, () => ok);
  for (const [options, expected] of [
    [{ maxAttempts: 0 }, "'maxAttempts' expected a number from 1, got number"],
    [{ maxAttempts: NaN }, "'maxAttempts' expected a number from 1, got NaN"],
    [{ maxAttempts: {} }, "'maxAttempts' expected a number from 1, got Object"],
    [{ watchDelay: -1 }, "'watchDelay' expected a number from 0, got number"],
    [{ watchDelay: "5" }, "'watchDelay' expected a number from 0, got string"],
    [{ signal: new AbortController() }, "'signal' expected an AbortSignal, got AbortController"],
  ]) {
    const { name, message } = await rejection(redis.transaction(() => {}, ["k"], options));
    assert.deepEqual([name, message], ["TypeError", `transaction: option ${expected}`]);
  }
  assert.deepEqual(fake.commands, []);
});

test("a watch that rejects keeps no connection, unless another one holds it", async (t) => {
  const { redis, fake } = faked(t, ([name]) => (name === "WATCH" ? Buffer.from("-NOPERM no\r\n") : ok), { maxConnections: 1, poolTimeout: 50 });
  const pipe = redis.pipeline();
  assert.ok((await rejection(pipe.watch({}))) instanceof TypeError);
  await (await redis.lease()).release();
  assert.ok((await rejection(pipe.watch("k"))) instanceof ResponseError);
  await (await redis.lease()).release();
  fake.answer = () => ok;
  await pipe.watch("k");
  assert.ok((await rejection(pipe.watch({}))) instanceof TypeError);
  assert.ok((await rejection(redis.lease())) instanceof TimeoutError);
  await pipe.reset();
  await (await redis.lease()).release();
});

test("WATCH is sent the keys that it was given, at every try, though their bytes are used again", async (t) => {
  const answers = [nil(3), array([integer(1)])];
  const { redis, fake } = faked(t, ([name]) => (name === "EXEC" ? answers.shift() : name === "INCR" ? queued : ok));
  const key = Buffer.from("first");
  const pipeline = redis.pipeline();
  const watching = pipeline.watch(key);
  key.write("LATER");
  await within(watching);
  await pipeline.reset();
  key.write("first");
  const keys = [key];
  const done = redis.transaction((held) => held.multi().incr("n"), keys, { watchDelay: 1 });
  key.write("LATER");
  keys.pop();
  await within(done);
  assert.deepEqual(fake.commands.filter(([name]) => name === "WATCH"), Array(3).fill(["WATCH", "first"]));
});
