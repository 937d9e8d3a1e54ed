// Locks: the seed's sample, and what must hold when replies, connections or time are lost.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { ConnectionError, Lock, LockError, LuaLock, Pool, Redis, RedisError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { startProxy } from "./support/proxy.mjs";
import { startServer } from "./support/servers.mjs";
import { array, bulk, integer, nil, ok } from "./support/resp.mjs";
import { rejection, until, within } from "./support/until.mjs";

/** Gives what `error` says, which must be of locks. */
const said = (error) => (assert.ok(error instanceof LockError && error instanceof RedisError, String(error)), error.message);
const isClosed = (error) => assert.ok(error instanceof ConnectionError && /closed/.test(error.message), String(error));
const aborted = (signal) => until(() => signal.aborted && signal.reason, "the signal aborts");

everywhere((world) => {
  for (const [of, lockClass] of Object.entries({ LuaLock, Lock })) {
    const lock = (name, options) => world.redis.lock(name, { lockClass, ...options });

    test(`[promises 126, 127, 128, 129, 130] the seed's sample with ${of}`, async () => {
      await world.redis.flushall();
      const lalala = lock("lalala");
      assert.ok(lalala instanceof lockClass && lalala instanceof Lock);
      assert.equal(await lalala.acquire(), true);
      assert.equal(await lalala.acquire({ blocking: false }), false);
      assert.equal(await lalala.release(), undefined);
      assert.equal(said(await rejection(lalala.release())), "Cannot release an unlocked lock");
    });

    test(`${of}: a lock is one owner's, whose token is 128 random bits`, async () => {
      const { redis } = world;
      const [mine, yours] = [lock("k", { timeout: 10_000 }), lock("k", { timeout: 10_000 })];
      assert.deepEqual([await mine.locked(), await mine.owned()], [false, false]);
      assert.equal(await mine.acquire(), true);
      const token = await redis.get("k");
      assert.match(token, /^[0-9a-f]{32}$/);
      assert.ok((await redis.pttl("k")) > 9000);
      assert.ok(mine.validUntil > performance.now() + 9000 && mine.validUntil < performance.now() + 10_000 - 100);
      assert.deepEqual([await mine.locked(), await mine.owned(), await yours.locked(), await yours.owned()], [true, true, true, false]);
      assert.equal(await yours.acquire({ blocking: false }), false);
      assert.equal(said(await rejection(yours.release())), "Cannot release an unlocked lock");
      await mine.release();
      assert.deepEqual([mine.validUntil, await mine.locked()], [0, false]);
      assert.equal(await yours.acquire(), true);
      assert.notEqual(await redis.get("k"), token);
      await yours.release();
    });

    test(`${of}: a lock that another holds by now is neither released nor extended`, async () => {
      const { redis } = world;
      const [mine, yours] = [lock("k", { timeout: 20 }), lock("k", { timeout: 10_000 })];
      assert.equal(await mine.acquire(), true);
      assert.equal(await yours.acquire(), true);
      const token = await redis.get("k");
      assert.equal(said(await rejection(mine.extend(1000))), "Cannot extend a lock that's no longer owned");
      assert.equal(said(await rejection(mine.release())), "Cannot release a lock that's no longer owned");
      assert.equal(said(await rejection(mine.release())), "Cannot release an unlocked lock");
      assert.equal(await redis.get("k"), token);
      assert.equal(await yours.owned(), true);
      await yours.release();
    });

    test(`${of}: extending adds to what is left, where there is something`, async () => {
      const { redis } = world;
      const timed = lock("k", { timeout: 10_000 });
      assert.equal(said(await rejection(timed.extend(100))), "Cannot extend an unlocked lock");
      await timed.acquire();
      assert.equal(await timed.extend(5000), true);
      const left = await redis.pttl("k");
      assert.ok(left > 14_000 && left <= 15_000, `${left}`);
      assert.ok(timed.validUntil > performance.now() + 13_000 && timed.validUntil < performance.now() + 15_000 - 100);
      await redis.persist("k");
      assert.equal(said(await rejection(timed.extend(100))), "Cannot extend a lock that's no longer owned");
      await timed.release();
      const endless = lock("k");
      await endless.acquire();
      assert.deepEqual([await redis.pttl("k"), endless.validUntil], [-1, Infinity]);
      assert.equal(said(await rejection(endless.extend(100))), "Cannot extend a lock with no timeout");
      await endless.release();
    });

    test(`${of}: a lock's name is any text or bytes`, async () => {
      for (const name of ["", "é".repeat(100_000), new Uint8Array(100_000).fill(0xff)]) {
        const named = lock(name, { timeout: 10_000 });
        assert.equal(await named.acquire(), true);
        assert.equal(await named.extend(1000), true);
        assert.deepEqual([await named.owned(), await world.redis.strlen(name), await world.redis.dbsize()], [true, 32, 1]);
        await named.release();
        assert.equal(await world.redis.dbsize(), 0);
      }
    });

    test(`${of}: whatever goes on at once, a lock that is held is extended and released`, async () => {
      const { redis } = world;
      const busy = lock("k", { timeout: 10_000 });
      await busy.acquire();
      const extend = () => busy.extend(1000);
      assert.deepEqual(await Promise.all([extend(), extend(), extend()]), [true, true, true]);
      assert.ok((await redis.pttl("k")) > 12_000);
      const ends = await Promise.allSettled([extend(), extend(), busy.release()]);
      assert.equal(ends[2].reason, undefined);
      assert.equal(await redis.exists("k"), 0);
    });

    test(`${of}: acquire waits until the lock is free, or its time or its signal ends it`, async () => {
      const { redis } = world;
      const [mine, yours] = [lock("k", { timeout: 10_000 }), lock("k", { timeout: 10_000, sleep: 5 })];
      await mine.acquire();
      const began = performance.now();
      assert.equal(await yours.acquire({ blockingTimeout: 40 }), false);
      assert.ok(performance.now() - began >= 35);
      const reason = new Error("enough");
      const controller = new AbortController();
      const waiting = yours.acquire({ signal: controller.signal });
      await redis.ping();
      controller.abort(reason);
      assert.equal(await rejection(waiting), reason);
      const later = yours.acquire();
      await redis.ping();
      await mine.release();
      assert.equal(await within(later), true);
      await yours.release();
    });

    test(`${of}: a block holds the lock, and gives it back whatever happens in it`, async () => {
      const { redis } = world;
      const value = await lock("k", { timeout: 10_000 }).run(async (held) => {
        assert.equal(held.signal.aborted, false);
        assert.ok(held.validUntil > performance.now());
        assert.equal(await redis.exists("k"), 1);
        return 5;
      });
      assert.deepEqual([value, await redis.exists("k")], [5, 0]);
      const mine = new Error("mine");
      assert.equal(await rejection(lock("k").run(() => Promise.reject(mine))), mine);
      assert.equal(await redis.exists("k"), 0);
      const held = await lock("k").hold();
      assert.equal(held.validUntil, Infinity);
      assert.equal(said(await rejection(lock("k", { blockingTimeout: 0 }).hold())), "the lock was not to be had within 'blockingTimeout'");
      await held[Symbol.asyncDispose]();
      await held[Symbol.asyncDispose]();
      assert.equal(await redis.exists("k"), 0);
    });

    test(`${of}: a client that is closed waits for no lock, nor does a lease that is released`, async () => {
      const { redis } = world;
      const mine = lock("k", { timeout: 10_000 });
      await mine.acquire();
      const client = world.connect();
      const lease = await client.lease();
      const [leased, ...waiting] = [lease, client, client].map((on) => on.lock("k", { lockClass, sleep: 1 }).acquire());
      waiting.push(client.lock("k", { lockClass }).run(() => assert.fail()));
      const answers = [client.lock("free", { lockClass }).acquire({ blocking: false }), client.lock("k", { lockClass }).acquire({ blocking: false })];
      await lease.ping();
      const left = [leased, lease.release()];
      isClosed(await rejection(left[0]));
      await left[1];
      const closing = client.close();
      for (const given of waiting) isClosed(await rejection(given));
      await within(closing);
      assert.deepEqual(await Promise.all(answers), [true, false]);
      await mine.release();
      await redis.del("free");
      assert.equal(await redis.exists("k"), 0);
    });

    test(`${of}: the lock of a lease whose connection is lost is given back`, async () => {
      const { redis } = world;
      const lease = await redis.lease();
      const mine = lease.lock("k", { lockClass });
      assert.equal(await mine.acquire(), true);
      await redis.clientKill({ id: await lease.clientId() });
      // until that is known
      await rejection(lease.ping());
      await mine.release();
      assert.equal(await redis.exists("k"), 0);
      await lease.release();
    });

    test(`${of}: a try that is on its way when its client is closed leaves no lock behind`, async () => {
      for (let turns = 0; turns < 4; turns++) {
        const client = world.connect();
        await client.ping();
        const acquiring = client.lock("k", { lockClass }).acquire();
        for (let turn = 0; turn < turns; turn++) await null;
        const closing = client.close();
        isClosed(await rejection(acquiring));
        await within(closing);
        assert.equal(await world.redis.exists("k"), 0);
      }
    });

    test(`${of}: a signal of its view's does not keep it from being released, nor from extending itself`, async (t) => {
      keepAlive(t);
      const { redis } = world;
      const viewed = () => {
        const controller = new AbortController();
        return [controller, redis.with({ signal: controller.signal }).lock("k", { lockClass, timeout: 300 })];
      };
      const [run, inRun] = viewed();
      const value = await inRun.run(
        async (held) => {
          const first = held.validUntil;
          run.abort(new Error("enough"));
          await until(() => held.signal.aborted || held.validUntil > first + 150, "it was extended twice");
          return held.signal.aborted;
        },
        { autoExtend: true },
      );
      assert.deepEqual([value, await redis.exists("k")], [false, 0]);
      const [hold, inHold] = viewed();
      const held = await inHold.hold();
      hold.abort(new Error("enough"));
      await held[Symbol.asyncDispose]();
      assert.equal(await redis.exists("k"), 0);
      const [release, acquired] = viewed();
      await acquired.acquire();
      release.abort(new Error("enough"));
      assert.equal((await rejection(acquired.extend(100))).message, "enough");
      await acquired.release();
      assert.equal(await redis.exists("k"), 0);
    });

    test(`${of}: a lock that was lost while its block ran is a LockError, though it cannot be released either`, async (t) => {
      keepAlive(t);
      const own = await startServer(world.server.program);
      t.after(() => own.stop());
      const client = new Redis({ path: own.path, queueTimeout: 100, retryDelay: 1 });
      t.after(() => client.destroy());
      await client.connect();
      const lost = client.lock("k", { lockClass, timeout: 100 }).run(async (held) => {
        await own.stop();
        await aborted(held.signal);
      });
      const error = await rejection(lost);
      assert.equal(said(error), "the lock's time is up");
      assert.ok(error.cause instanceof RedisError && !(error.cause instanceof LockError), String(error.cause));
    });

    test(`${of}: a block is left once its lock is given back, and one that could not be left is left again`, async () => {
      const { redis } = world;
      const held = await lock("k", { timeout: 10_000 }).hold();
      const left = [held[Symbol.asyncDispose](), held[Symbol.asyncDispose]()];
      await left[1];
      assert.equal(await redis.exists("k"), 0);
      await Promise.all([left[0], held[Symbol.asyncDispose]()]);

      const client = world.connect();
      const kept = await client.lock("k", { lockClass, timeout: 10_000 }).hold();
      client.destroy();
      for (let time = 0; time < 2; time++) assert.ok((await rejection(kept[Symbol.asyncDispose]())) instanceof ConnectionError);
      await redis.del("k");
    });

    test(`${of}: a lock whose release was lost in an outage is free when that is over`, async (t) => {
      keepAlive(t);
      const { redis } = world;
      const proxy = await startProxy(t, world.port);
      const client = new Redis({ port: proxy.port, queueTimeout: 20, retryDelay: 1, maxRetryDelay: 10, offlineQueue: false });
      t.after(() => client.destroy());
      await client.connect();
      const mine = client.lock("k", { lockClass });
      await mine.acquire();
      let outage = false;
      proxy.onRequest = ([name]) => ((outage ||= /^(EVALSHA|EXEC)$/.test(name)) ? { drop: true, then: "cut" } : undefined);
      assert.equal((await rejection(mine.release())).maybeExecuted, true);
      const begun = proxy.count;
      await until(() => proxy.count > begun + 5, "there is an outage");
      assert.equal(await redis.exists("k"), 1);
      proxy.onRequest = undefined;
      await until(async () => (await redis.exists("k")) === 0, "it is given back");
    });

    test(`${of}: its name is what it was when it was made, in the encoding of its view`, async () => {
      const { redis } = world;
      const latin1 = redis.with({ encoding: "latin1" });
      const named = latin1.lock("é", { lockClass, timeout: 10_000 });
      await named.acquire();
      assert.deepEqual([await latin1.exists("é"), await redis.exists(new Uint8Array([0xe9])), await named.locked(), await named.owned()], [1, 1, true, true]);
      await named.release();
      assert.equal(await redis.dbsize(), 0);
      assert.throws(() => redis.with({ encoding: "ascii" }).lock("é", { lockClass }), { name: "TypeError", message: /^lock: argument 1 has characters that the encoding ascii lacks/ });
      for (const name of [new Uint8Array([1, 2]), Buffer.from("ab")]) {
        const mine = redis.lock(name, { lockClass });
        await mine.acquire();
        name[0] = 9;
        await mine.release();
        assert.equal(await redis.dbsize(), 0);
      }
    });

    test(`${of}: a lock that extends itself outlives its timeout, and stops when it is released`, async (t) => {
      keepAlive(t);
      const { redis } = world;
      const held = await lock("k", { timeout: 300 }).hold({ autoExtend: true });
      const token = await redis.get("k");
      const first = held.validUntil;
      await until(() => held.validUntil > first + 150, "it was extended twice");
      assert.deepEqual([held.signal.aborted, await redis.get("k")], [false, token]);
      await held[Symbol.asyncDispose]();
      assert.equal(await redis.exists("k"), 0);
      await redis.set("k", token, { px: 60 });
      await until(async () => (await redis.exists("k")) === 0, "nobody extends it any more");
    });

    test(`${of}: loss is told by the signal: the time is up, or another holds it`, async (t) => {
      keepAlive(t);
      const { redis } = world;
      const expired = await lock("k", { timeout: 20 }).hold();
      assert.equal(said(await aborted(expired.signal)), "the lock's time is up");
      assert.ok(performance.now() >= expired.validUntil);
      await expired[Symbol.asyncDispose]();

      const stolen = await lock("k", { timeout: 90 }).hold({ autoExtend: true });
      await redis.set("k", "another's", { px: 10_000 });
      assert.equal(said(await aborted(stolen.signal)), "Cannot extend a lock that's no longer owned");
      await stolen[Symbol.asyncDispose]();
      assert.equal(await redis.get("k"), "another's");
      await redis.del("k");

      const lost = lock("k", { timeout: 20 }).run(async (held) => void (await aborted(held.signal)));
      assert.equal(said(await rejection(lost)), "the lock's time is up");
    });
  }

  test("a lock that extends itself holds up neither the end of the process nor close, of any kind of client", async (t) => {
    keepAlive(t);
    const { redis } = world;
    const script = `import { Redis } from "redwire";
      await new Redis(${JSON.stringify({ path: world.path })}).lock("k", { timeout: 400 }).hold({ autoExtend: true });
      setTimeout(() => {}, 600);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit", cwd: import.meta.dirname });
    t.after(() => child.kill("SIGKILL"));
    assert.deepEqual(await within(once(child, "close"), 20_000, "the process"), [0, null]);
    assert.equal(await redis.exists("k"), 1, "it was extended meanwhile");
    await redis.del("k");

    const pool = new Pool({ path: world.path });
    t.after(() => pool.close());
    const clients = [world.connect(), await redis.lease(), new Redis({ pool })];
    for (const [kind, client] of clients.entries()) {
      const held = await client.lock("k", { timeout: 300 }).hold({ autoExtend: true });
      await within(kind === 1 ? client.release() : client.close());
      assert.equal(said(await aborted(held.signal)), "the lock's time is up");
      await until(async () => (await redis.exists("k")) === 0, "nobody extends it any more");
    }
  });

  test("a Lock asks for no script, and takes a connection of its own", async () => {
    const { redis } = world;
    const lock = redis.lock("k", { lockClass: Lock, timeout: 10_000 });
    await redis.configResetstat();
    await lock.acquire();
    await lock.extend(1000);
    await lock.release();
    const stats = await redis.info("commandstats");
    assert.deepEqual([stats.cmdstat_exec.calls, stats.cmdstat_eval, stats.cmdstat_evalsha], [2, undefined, undefined]);
  });

  test("blocks of one object hold it each for itself", async (t) => {
    keepAlive(t);
    const { redis } = world;
    const lock = redis.lock("k", { timeout: 200, sleep: 2 });
    const late = await lock.hold();
    const { validUntil } = late;
    const held = await within(lock.hold());
    await lock.extend(10_000);
    const token = await redis.get("k");
    assert.equal(late.validUntil, validUntil);
    assert.ok(held.validUntil > validUntil + 10_000);
    assert.equal(said(await rejection(late.fence())), "Cannot fence a lock that's not owned");
    assert.equal(said(await aborted(late.signal)), "the lock's time is up");
    await late[Symbol.asyncDispose]();
    assert.deepEqual([await redis.get("k"), held.signal.aborted, await lock.owned()], [token, false, true]);
    await held[Symbol.asyncDispose]();
    assert.equal(await redis.exists("k"), 0);
  });

  test("whoever holds a lock is asked of the server, whatever the client keeps", async () => {
    const redis = world.connect({ protocol: 3, cache: {} });
    const lock = redis.lock("k", { timeout: 10_000 });
    await lock.acquire();
    assert.deepEqual([await redis.get("k"), await redis.exists("k")].map(Boolean), [true, true]);
    await world.redis.configResetstat();
    for (let i = 0; i < 2; i++) assert.deepEqual([await lock.locked(), await lock.owned()], [true, true]);
    const { cmdstat_get, cmdstat_exists } = await world.redis.info("commandstats");
    assert.deepEqual([cmdstat_get?.calls, cmdstat_exists?.calls], [2, 2]);
  });

  test("many contenders on several clients take turns", async () => {
    const clients = Array.from({ length: 3 }, () => world.connect());
    let inside = 0;
    let count = 0;
    const contend = async (client) => {
      for (let round = 0; round < 5; round++) {
        await client.lock("turns", { timeout: 10_000, sleep: 2 }).run(async () => {
          assert.equal(++inside, 1);
          await client.incr("turns:count");
          count++;
          inside--;
        });
      }
    };
    await within(Promise.all(clients.flatMap((client) => [contend(client), contend(client)])), 20_000);
    assert.deepEqual([count, await world.redis.get("turns:count")], [30, "30"]);
  });
});

/** A server with one key, which answers SET NX, GETRANGE, and the release script. */
const keeper = (intervene = () => undefined) => {
  const state = { token: undefined, released: 0 };
  state.answer = (args, link) => {
    const [name, first, , third] = args;
    const text = args.join(" ");
    if (name === "SET") {
      const reply = state.token === undefined ? ((state.token = args[2]), ok) : nil(3);
      return intervene(state, args, link, reply) ?? (link.closed ? undefined : reply);
    }
    if (name === "GETRANGE") return bulk(state.token ?? "");
    if (/^EVAL/.test(name) && /del/.test(text) && args[4] === state.token) {
      state.token = undefined;
      state.released++;
      return integer(1);
    }
    void [first, third];
    return integer(0);
  };
  return state;
};

test("a lock whose reply was lost is recognised by its token", async (t) => {
  keepAlive(t);
  let cut = false;
  const state = keeper((_, args, link) => {
    if (cut) return undefined;
    cut = true;
    link.end();
    return undefined;
  });
  const { fake, redis } = faked(t, state.answer, { retryDelay: 1 });
  const lock = redis.lock("k", { timeout: 10_000, sleep: 5 });
  assert.equal(await within(lock.acquire()), true);
  assert.equal(fake.links.length, 2);
  assert.deepEqual([...new Set(fake.commands.map(([name]) => name))], ["SET", "GETRANGE"]);
  assert.equal(new Set(fake.commands.filter(([name]) => name === "SET").map((args) => args[2])).size, 1);
  assert.ok(lock.validUntil < performance.now() + 10_000);
});

test("a lock is answered while the reply behind its own is half read, wherever that is cut", async (t) => {
  const wire = Buffer.concat([ok, array([bulk("after"), integer(7)])]);
  for (let cut = 1; cut < wire.length; cut++) {
    const { redis } = faked(t, ([name], link) => {
      if (name !== "LRANGE") return undefined;
      link.send(wire.subarray(0, cut));
      setImmediate(() => link.send(wire.subarray(cut)));
      return undefined;
    });
    const answers = [redis.lock("k", { timeout: 10_000 }).acquire(), redis.lrange("list", 0, -1)];
    assert.deepEqual(await within(Promise.all(answers)), [true, ["after", 7]], `cut at ${cut}`);
    redis.destroy();
  }
});

test("a lock that was answered too late is not acquired, and deleted", async (t) => {
  keepAlive(t);
  const state = keeper((_, args, link, reply) => {
    setTimeout(() => link.send(reply), 40);
    return Buffer.alloc(0);
  });
  const { redis } = faked(t, state.answer);
  const lock = redis.lock("k", { timeout: 20, sleep: 1 });
  assert.equal(await lock.acquire({ blocking: false }), false);
  await until(() => state.released === 1, "it was deleted");
  assert.equal(said(await rejection(lock.release())), "Cannot release an unlocked lock");
});

test("a try that is given up while it is on its way is taken back", async (t) => {
  keepAlive(t);
  const state = keeper(() => Buffer.alloc(0));
  const { redis } = faked(t, state.answer);
  await redis.ready;
  const controller = new AbortController();
  const reason = new Error("enough");
  const acquiring = redis.lock("k", { timeout: 10_000 }).acquire({ signal: controller.signal });
  await until(() => state.token !== undefined, "it was tried");
  controller.abort(reason);
  assert.equal(await rejection(acquiring), reason);
  await until(() => state.token === undefined && state.released === 1, "it was deleted");
});

test("a client is not closed before the lock that it gave up is deleted", async (t) => {
  keepAlive(t);
  let [tried, deleted] = [];
  const { redis } = faked(t, ([name], link) => {
    if (name === "SET") tried = link;
    else deleted = link;
  });
  await redis.ready;
  const acquiring = redis.lock("k", { timeout: 10_000 }).acquire();
  await until(() => tried, "it was tried");
  let closed = false;
  const closing = redis.close().then(() => (closed = true));
  const error = await rejection(acquiring);
  isClosed(error);
  assert.equal(error.maybeExecuted, true);
  await until(() => deleted, "it is being deleted");
  assert.deepEqual([closed, redis.status], [false, "closing"]);
  deleted.send(Buffer.concat([ok, integer(1)]));
  assert.equal(await within(closing), true);
});

test("what cannot be a lock is refused, and nothing is sent", async (t) => {
  const { fake, redis } = faked(t, () => ok);
  assert.throws(() => redis.lock("k", { timeout: 50, sleep: 100 }), { name: "LockError", message: "'sleep' must be less than 'timeout'" });
  for (const options of [{ timeout: 0 }, { timeout: 2 }, { timeout: 1.5 }, { timeout: "5" }, { timeout: -1 }, { sleep: NaN }, { blockingTimeout: -1 }, { timeout: 2 ** 32 }]) {
    assert.throws(() => redis.lock("k", options), { name: "TypeError", message: /^lock: option '\w+' expected whole milliseconds/ });
  }
  for (const name of [undefined, null, {}]) assert.throws(() => redis.lock(name), { name: "TypeError", message: /^lock: parameter 'name' expected string \| Uint8Array/ });
  assert.ok((await rejection(redis.lock("k").acquire({ blockingTimeout: "x" }))) instanceof TypeError);
  for (const lockClass of [null, 5, Date, () => {}, {}]) assert.throws(() => redis.lock("k", { lockClass }), { name: "TypeError", message: /^lock: option 'lockClass' expected a class of locks, got/ });
  assert.equal((await rejection(redis.lock("k").run(5))).message, "run: parameter 'fn' expected a function, got number");
  const signal = new AbortController();
  for (const given of [redis.lock("k").acquire({ signal }), redis.lock("k").hold({ signal }), redis.lock("k").run(() => {}, { signal })]) {
    const { name, message } = await rejection(given);
    assert.deepEqual([name, message], ["TypeError", "acquire: option 'signal' expected an AbortSignal, got AbortController"]);
  }
  assert.deepEqual(fake.commands, []);
  assert.equal(Symbol.asyncDispose in Lock.prototype, false);
  assert.equal(typeof Redis, "function");
});

test("a wait for a lock ends with its client", async (t) => {
  keepAlive(t);
  const state = keeper();
  state.token = "another's";
  const { redis } = faked(t, state.answer);
  const waiting = redis.lock("k", { sleep: 50 }).acquire();
  await redis.ready;
  await until(() => true);
  redis.destroy();
  assert.ok((await rejection(waiting)) instanceof RedisError);
});
