// Nine ways to lose a lock without knowing it, or to keep one for nobody, on real servers: what must come of each. `tests/tests/operations.rs`
// and `tests/tests/simulate_locks.rs` have them in virtual time.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Lock, LockError, LuaLock, Redis, ResponseError } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { startProxy } from "./support/proxy.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";
import { linkedReplica } from "./support/topologies.mjs";
import { rejection, until, within } from "./support/until.mjs";

const lost = "Cannot extend a lock that's no longer owned";
const gone = "Cannot release a lock that's no longer owned";
const isLockError = (message) => (error) => error instanceof LockError && error.message === message;
/** Holds up the whole process. */
const freeze = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

for (const server of allPrograms.filter(({ id }) => id !== "stack74")) {
  describe(server.name, { skip: missing(server) }, () => {
    let running;
    let redis;
    before(async () => {
      running = await startServer(server.program);
      redis = new Redis({ path: running.path });
    });
    after(async () => {
      redis?.destroy();
      await running?.stop();
    });
    beforeEach(() => redis.flushall());

    const connected = (t, options) => {
      const client = new Redis({ host: "127.0.0.1", ...options });
      t.after(() => client.destroy());
      return client;
    };
    const proxied = async (t) => {
      const proxy = await startProxy(t, running.port);
      return { proxy, client: connected(t, { port: proxy.port, retryDelay: 1 }) };
    };
    /** A primary and its replica, with a client of each. */
    const pair = async (t) => {
      const { primary, replica } = await linkedReplica((args) => startServer(server.program, args));
      t.after(() => Promise.all([primary.stop(), replica.stop()]));
      return { primary, replica, first: connected(t, { port: primary.port }), second: connected(t, { port: replica.port }) };
    };

    for (const [of, lockClass] of Object.entries({ LuaLock, Lock })) {
      test(`scenario 1: ${of}: the reply to SET NX is lost after it was executed; the lock is known by its token`, async (t) => {
        const { proxy, client } = await proxied(t);
        await client.ping();
        let left = 1;
        proxy.onReply = () => (left-- > 0 ? { drop: true, then: "cut" } : undefined);
        const lock = client.lock("k", { lockClass, timeout: 10_000, sleep: 5 });
        let tried;
        proxy.onRequest = () => void (tried ??= performance.now());
        assert.equal(await within(lock.acquire()), true);
        assert.equal(proxy.count, 2);
        // counted from the first try
        assert.ok(lock.validUntil <= tried + 10_000 - 100);
        assert.equal(await lock.owned(), true);
        await lock.release();
        assert.equal(await redis.exists("k"), 0);
      });

      test(`scenario 2: ${of}: the reply comes when the lock's time is up: it is not acquired`, async (t) => {
        const { proxy, client } = await proxied(t);
        await client.ping();
        proxy.onRequest = ([name]) => (name === "SET" ? { delay: 0 } : undefined);
        proxy.onReply = () => ({ delay: 80 });
        const lock = client.lock("k", { lockClass, timeout: 50, sleep: 1 });
        assert.equal(await lock.acquire({ blocking: false }), false);
        assert.equal(lock.validUntil, 0);
        assert.ok(isLockError("Cannot release an unlocked lock")(await rejection(lock.release())));
      });

      test(`scenario 3: ${of}: another holds the lock by now; it is neither released nor extended`, async (t) => {
        keepAlive(t);
        const { proxy, client } = await proxied(t);
        const [mine, yours] = [client.lock("k", { lockClass, timeout: 40 }), redis.lock("k", { lockClass, timeout: 10_000, sleep: 2 })];
        assert.equal(await mine.acquire(), true);
        assert.equal(await within(yours.acquire()), true);
        assert.ok(isLockError(lost)(await rejection(mine.extend(1000))));
        assert.ok(isLockError(gone)(await rejection(mine.release())));
        assert.equal(await yours.owned(), true);
        await yours.release();
        // its time is up while the release is on its way
        assert.equal(await mine.acquire(), true);
        proxy.onRequest = () => ({ delay: 80 });
        const releasing = rejection(mine.release());
        assert.equal(await within(yours.acquire()), true);
        assert.ok(isLockError(gone)(await releasing));
        assert.equal(await yours.owned(), true);
      });

      test(`scenario 4: ${of}: replicas do not follow; what is given up for it is one's own lock only`, async (t) => {
        const { first, replica } = await pair(t);
        const [one, other] = [await first.lease(), await first.lease()];
        const lock = (lease, timeout) => lease.lock("k", { lockClass, timeout, sleep: 1 });
        const mine = lock(one, 10_000);
        assert.equal(await mine.acquire(), true);
        assert.equal(await within(one.wait(1, 5_000)), 1);
        const token = await first.get("k");
        await replica.stop();
        // whoever does not get the lock takes nothing away
        assert.equal(await lock(other, 10_000).acquire({ blocking: false }), false);
        assert.equal(await first.get("k"), token);
        // whoever gets it where too few replicas follow gives it back
        await mine.release();
        const yours = lock(other, 30);
        assert.equal(await yours.acquire(), true);
        assert.equal(await other.wait(1, 60), 0);
        // by now another holds it, in spite of that
        assert.equal(await within(mine.acquire()), true);
        assert.ok(isLockError(gone)(await rejection(yours.release())));
        assert.equal(await mine.owned(), true);
        // a server that is told to refuses
        await first.configSet({ "min-replicas-to-write": "1", "min-replicas-max-lag": "1" });
        const refused = await rejection(lock(other, 10_000).acquire());
        assert.ok(refused instanceof ResponseError && refused.code === "NOREPLICAS", String(refused));
        assert.equal(await mine.owned(), true);
      });

      test(`scenario 5: ${of}: a replica without the key takes over; two hold the lock, and the later has the larger number`, async (t) => {
        const { first, second } = await pair(t);
        const mine = first.lock("k", { lockClass, timeout: 10_000 });
        assert.equal(await mine.acquire(), true);
        const before = await mine.fence();
        await mine.release();
        // from here on the replica gets nothing
        await second.call("REPLICAOF", "NO", "ONE");
        assert.equal(await mine.acquire(), true);
        const yours = second.lock("k", { lockClass, timeout: 10_000 });
        const older = [await mine.fence(), await mine.fence()];
        assert.equal(await yours.acquire(), true);
        const newer = [await yours.fence(), await yours.fence()];
        assert.deepEqual([await mine.owned(), await yours.owned()], [true, true]);
        const numbers = [before, ...older, ...newer];
        assert.deepEqual([...new Set(numbers)].sort((a, b) => a - b), numbers, "they grow");
      });

      test(`scenario 7: ${of}: a process that was held up for longer than the lock lives learns it before it extends`, async (t) => {
        keepAlive(t);
        const held = await redis.lock("k", { lockClass, timeout: 60 }).hold({ autoExtend: true });
        const first = held.validUntil;
        await until(() => held.validUntil > first, "it extends itself");
        freeze(150);
        await until(() => held.signal.aborted, "the signal aborts");
        assert.ok(held.signal.reason instanceof LockError && performance.now() >= held.validUntil);
        await redis.set("k", "another's", { px: 10_000 });
        await held[Symbol.asyncDispose]();
        assert.equal(await redis.get("k"), "another's");
        assert.ok((await redis.pttl("k")) <= 10_000, "nobody extends it");
      });

      test(`scenario 8: ${of}: a wait that ends, by its time or its signal, leaves no lock behind`, async (t) => {
        const { proxy, client } = await proxied(t);
        const waited = client.lock("k", { lockClass, timeout: 10_000, sleep: 5 });
        await redis.set("k", "another's");
        const asked = performance.now();
        assert.equal(await waited.acquire({ blockingTimeout: 50 }), false);
        assert.ok(performance.now() - asked >= 49);
        await redis.del("k");
        // SET is on its way
        const controller = new AbortController();
        const reason = new Error("enough");
        proxy.onReply = () => ({ delay: 20 });
        const acquiring = waited.acquire({ signal: controller.signal });
        await until(() => redis.exists("k"), "it was tried");
        controller.abort(reason);
        assert.equal(await rejection(acquiring), reason);
        await until(async () => (await redis.exists("k")) === 0, "it was given back");
      });
    }

    test("scenario 6: a token is 128 random bits of the host's; without them there is no lock", async (t) => {
      const tokens = new Set();
      for (let i = 0; i < 50; i++) {
        const lock = redis.lock("k");
        await lock.acquire();
        tokens.add(await redis.get("k"));
        await lock.release();
      }
      assert.equal(tokens.size, 50);
      for (const token of tokens) assert.match(token, /^[0-9a-f]{32}$/);
      const none = t.mock.method(crypto, "getRandomValues", () => {
        throw new Error("no entropy");
      });
      t.mock.method(Math, "random", () => assert.fail("no token is made of this"));
      assert.equal((await rejection(redis.lock("k").acquire())).message, "no entropy");
      assert.equal(none.mock.callCount(), 1);
      assert.equal(await redis.exists("k"), 0);
    });

    test("scenario 9: contenders whose replies are lost and who are held up never hold it at once, and their numbers grow", async (t) => {
      const held = [];
      const contend = async (of) => {
        const { proxy, client } = await proxied(t);
        await client.ping();
        // every eleventh reply is lost, each contender's others
        let replies = of;
        proxy.onReply = () => (++replies % 11 === 0 ? { drop: true, then: "cut" } : undefined);
        const lock = client.lock("k", { timeout: 60, sleep: 2 });
        for (let turn = 0; turn < 12; turn++) {
          while (!(await lock.acquire().catch(() => false)));
          const from = performance.now();
          const fence = await lock.fence().catch(() => undefined);
          // now and then for longer than it may
          if (turn % 4 === 3) await until(() => performance.now() > from + 80, "its time is up");
          held.push({ from, until: Math.min(performance.now(), lock.validUntil), fence });
          await lock.release().catch(() => {});
        }
      };
      await within(Promise.all([0, 3, 7].map(contend)), 30_000);
      assert.equal(held.length, 36);
      held.sort((a, b) => a.from - b.from);
      for (const [i, { from }] of held.entries()) assert.ok(i === 0 || held[i - 1].until <= from, `${i}: two held it at once`);
      const numbers = held.flatMap(({ fence }) => fence ?? []);
      assert.ok(numbers.length > 18);
      assert.deepEqual([...new Set(numbers)].sort((a, b) => a - b), numbers, "they grow");
    });

    test("a lock's numbers are above the server's time, in one slot with the key, and only for who holds it", async () => {
      for (const [name, fenceKey] of Object.entries({ k: "{k}:fence", "a{b}c": "a{b}c:fence", "{}": "{}:fence" })) {
        const lock = redis.lock(name, { timeout: 10_000 });
        const unheld = isLockError("Cannot fence a lock that's not owned");
        assert.ok(unheld(await rejection(lock.fence())));
        await lock.acquire();
        const [seconds, microseconds] = await redis.time();
        const first = await lock.fence();
        assert.ok(first >= seconds * 1e6 + microseconds && Number.isSafeInteger(first));
        assert.equal(await redis.get(fenceKey), String(first));
        const far = Number.MAX_SAFE_INTEGER - 10;
        await redis.set(fenceKey, far);
        assert.equal(await lock.fence(), far + 1, "though the clock was set back");
        assert.ok((await redis.pttl(fenceKey)) > 86_000_000);
        await redis.set(name, "another's");
        assert.ok(unheld(await rejection(lock.fence())));
      }
    });
  });
}
