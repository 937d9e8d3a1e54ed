// Connections beside the shared one: blocking commands, and Pool, which clients share.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { ConnectionError, Pool, QueueFullError, Redis, TimeoutError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { array, bulk, error, ok } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const run = promisify(execFile);

for (const program of programs) {
  describe(`blocking commands with ${program.name}`, { skip: missing(program) }, () => {
    let server;
    let port;
    before(async () => {
      server = await startServer(program.program);
      ({ port } = server);
    });
    after(() => server?.stop());

    const client = (t, options) => {
      keepAlive(t);
      const redis = new Redis({ port, ...options });
      t.after(() => redis.destroy());
      return redis;
    };
    const blocked = async (redis, count) => until(async () => (await redis.clientList()).filter(({ cmd, flags }) => cmd === "blpop" && flags.includes("b")).length === count, `${count} wait at the server`);

    test("never delay another caller, whichever way they are asked for", async (t) => {
      const redis = client(t);
      await redis.set("now", "here");
      const waiting = [redis.blpop(["q1"], 0), redis.call("blpop", "q2", 0), redis.xread({ s: "$" }, { block: 0 }), redis.with({ sets: "array" }).blpop(["q3"], 0)];
      await until(async () => (await redis.clientList()).filter(({ flags }) => flags.includes("b")).length === 4, "all four wait");
      assert.equal(await within(redis.get("now"), 1000), "here");
      await redis.rpush("q1", "a");
      await redis.rpush("q2", "b");
      await redis.rpush("q3", "c");
      await redis.xadd("s", "1-1", { f: "v" });
      assert.deepEqual(await within(Promise.all(waiting)), [["q1", "a"], ["q2", "b"], { s: [["1-1", { f: "v" }]] }, ["q3", "c"]]);
    });

    test("those that do not block as given stay where they are", async (t) => {
      const redis = client(t);
      await redis.xadd("own", "1-1", { f: "v" });
      assert.deepEqual(await redis.xread({ own: "0" }), { own: [["1-1", { f: "v" }]] });
      assert.deepEqual(await redis.multi().blpop(["none"], 0).execute(), [null]);
      assert.equal((await redis.clientList()).length, 1);
    });

    test("ten with two connections wait for each other, first come, first served", async (t) => {
      const redis = client(t, { maxConnections: 2, poolTimeout: 0 });
      const waiting = Array.from({ length: 10 }, () => redis.blpop(["ten"], 0));
      await blocked(redis, 2);
      assert.equal((await redis.clientList()).length, 3);
      const items = Array.from({ length: 10 }, (_, at) => `${at}`);
      for (const item of items) await redis.rpush("ten", item);
      const got = await within(Promise.all(waiting));
      assert.deepEqual(got.map(([, item]) => item).sort(), items);
      assert.equal((await redis.clientList()).length, 3, "the connections are kept");
    });

    test("one that no connection came free for says which options decide", async (t) => {
      const redis = client(t, { maxConnections: 1, poolTimeout: 30 });
      const first = redis.blpop(["busy"], 0);
      const error = await rejection(redis.blpop(["other"], 0));
      assert.ok(error instanceof TimeoutError);
      assert.match(error.message, /all 1 connections .* 30 ms \(1 leased or blocking, 0 listening\); the command was not sent: .*'maxConnections' or 'poolTimeout'/);
      assert.deepEqual([error.command, error.maybeExecuted], ["BLPOP", false]);
      await redis.rpush("busy", "a");
      assert.deepEqual(await first, ["busy", "a"]);
    });

    test("one given up while it waits is gone, and loses no element", async (t) => {
      const redis = client(t, { maxConnections: 1 });
      const controllers = [new AbortController(), new AbortController()];
      const given = controllers.map(({ signal }) => redis.with({ signal }).blpop(["given"], 0));
      await blocked(redis, 1);
      const last = redis.blpop(["given"], 0);
      for (const controller of controllers) controller.abort("enough");
      for (const promise of given) assert.equal(await within(promise.catch((reason) => reason)), "enough");
      await redis.rpush("given", "a");
      assert.deepEqual(await within(last), ["given", "a"]);
      assert.equal(await redis.get("none"), null, "the shared connection is as it was");
    });

    test("one whose time is up closes its connection and takes nothing any more", async (t) => {
      const redis = client(t);
      const error = await rejection(redis.with({ timeout: 40 }).blpop(["late"], 0));
      assert.ok(error instanceof TimeoutError);
      assert.equal(error.maybeExecuted, true);
      await until(async () => (await redis.clientList()).length === 1, "its connection is closed");
      await redis.rpush("late", "a");
      assert.equal(await redis.llen("late"), 1);
    });

    test("one that the server ends in time gives its connection back", async (t) => {
      const redis = client(t);
      assert.equal(await redis.blpop(["nothing"], 0.05), null);
      const ids = (await redis.clientList()).map(({ id }) => id);
      assert.equal(await redis.brpop(["nothing"], 0.05), null);
      assert.deepEqual((await redis.clientList()).map(({ id }) => id), ids);
    });

    test("one whose connection is killed is told so, and is not sent again", async (t) => {
      const redis = client(t);
      const waiting = rejection(redis.with({ idempotent: true }).blpop(["killed"], 0));
      await blocked(redis, 1);
      const [{ id }] = (await redis.clientList()).filter(({ cmd }) => cmd === "blpop");
      await redis.clientKill({ filters: [{ clientId: id }] }).catch(() => redis.call("CLIENT KILL", "ID", id));
      const error = await waiting;
      assert.ok(error instanceof ConnectionError);
      assert.equal(error.maybeExecuted, true);
      assert.equal(redis.status, "ready");
    });

    test("what listens is counted, shown and waited for, each with a connection of its own", async (t) => {
      const redis = client(t, { maxConnections: 3, poolTimeout: 30 });
      const pubsub = redis.pubsub();
      await pubsub.subscribe("listens");
      assert.equal(redis.status, "idle", "it needs no shared connection");
      const stops = [await redis.subscribe("listens", () => {}), await redis.psubscribe("liste*", () => {})];
      const monitor = redis.monitor();
      const line = monitor.next();
      await until(() => redis.inspect().links[3]?.state === "ready");
      assert.deepEqual(redis.inspect().links.map(({ kind, state }) => [kind, state]), [["shared", "idle"], ["listening", "ready"], ["listening", "ready"], ["listening", "ready"]]);
      for (const busy of [redis.lease(), redis.blpop(["listens"], 0), redis.pubsub().psubscribe("listens"), redis.monitor().next()]) {
        const error = await rejection(busy);
        assert.ok(error instanceof TimeoutError);
        assert.match(error.message, /all 3 connections to \S+ beside the shared one were in use for 30 ms \(0 leased or blocking, 3 listening\); the command was not sent: /);
        assert.equal(error.maybeExecuted, false);
      }
      assert.equal((await redis.clientList()).length, 4);
      await line;
      await monitor.return();
      await within(redis.lease()).then((lease) => lease.release());
      await pubsub.close();
      for (const stop of stops) await stop();
      const leases = await within(Promise.all([redis.lease(), redis.lease(), redis.lease()]));
      assert.equal((await rejection(redis.pubsub().subscribe("late"))).command, "SUBSCRIBE");
      for (const lease of leases) await lease.release();
    });

    test("who listens waits in order with the others, and nothing is sent before", async (t) => {
      const redis = client(t, { maxConnections: 1, poolTimeout: 0 });
      const lease = await redis.lease();
      const first = redis.blpop(["queue"], 0);
      const pubsub = redis.pubsub();
      const subscribed = [pubsub.subscribe("queue"), pubsub.unsubscribe("queue"), pubsub.subscribe("queue", "other")];
      await until(() => redis.inspect().waiting.length === 2);
      const last = redis.lease();
      assert.deepEqual(redis.inspect().waiting.map(({ command, link, written }) => [command, link, written]), [["BLPOP", undefined, false], ["SUBSCRIBE", undefined, false], ["lease()", undefined, false]]);
      await lease.release();
      await blocked(redis, 1);
      assert.equal((await redis.clientList()).length, 2);
      await redis.rpush("queue", "x");
      assert.deepEqual(await first, ["queue", "x"]);
      await within(Promise.all(subscribed));
      assert.deepEqual(await redis.pubsubNumsub("queue", "other"), { queue: 1, other: 1 });
      await pubsub.close();
      await (await within(last)).release();
      assert.deepEqual(redis.inspect().waiting, []);
    });

    test("who listens gives up waiting when it is closed, aborted, or late, and may try again", async (t) => {
      const redis = client(t, { maxConnections: 1, poolTimeout: 0 });
      const lease = await redis.lease();
      const closing = redis.pubsub();
      const controller = new AbortController();
      const failed = [rejection(closing.subscribe("a")), rejection(redis.monitor({ signal: controller.signal }).next())];
      const monitor = redis.monitor();
      const ended = monitor.next();
      await until(() => redis.inspect().waiting.length === 3);
      await closing.close();
      controller.abort(new Error("enough"));
      await monitor.return();
      assert.deepEqual((await Promise.all(failed)).map(({ message }) => message), ["the client was closed; the command was not sent", "enough"]);
      assert.deepEqual(await ended, { value: undefined, done: true });
      await until(() => redis.inspect().waiting.length === 0);
      await lease.release();
      await (await within(redis.lease())).release();
      const late = client(t, { maxConnections: 1, poolTimeout: 20 });
      const held = await late.lease();
      await rejection(late.subscribe("a", () => {}));
      const pubsub = late.pubsub();
      await rejection(pubsub.subscribe("a"));
      await held.release();
      await within(pubsub.subscribe("a"));
      await pubsub.close();
      await (await within(late.subscribe("a", () => {})))();
    });

    for (const how of ["close", "destroy"]) {
      test(`${how}() of the client ends who waits to listen`, async (t) => {
        const redis = client(t, { maxConnections: 1, poolTimeout: 0 });
        await redis.lease();
        const failed = [rejection(redis.pubsub().subscribe("a")), rejection(redis.subscribe("a", () => {})), rejection(redis.lease())];
        const ended = redis.monitor().next();
        await until(() => redis.inspect().waiting.length === 4);
        await redis[how]();
        assert.equal((await within(ended)).done, true);
        for (const error of await within(Promise.all(failed))) assert.ok(error instanceof ConnectionError, error);
      });
    }

    test("a place is kept while its connection is made anew", async (t) => {
      const redis = client(t, { maxConnections: 1, poolTimeout: 20, retryDelay: 1 });
      const heard = [];
      const gap = new Promise((onGap) => redis.subscribe("kept", ({ data }) => heard.push(data), { onGap }));
      const listening = async () => (await redis.clientList()).find(({ cmd }) => cmd === "subscribe");
      await until(async () => (await listening()) !== undefined);
      await redis.call("CLIENT KILL", "ID", (await listening()).id);
      await within(gap);
      await redis.publish("kept", "again");
      await until(() => heard.length === 1);
      assert.match((await rejection(redis.lease())).message, /1 listening/);
    });

    test("close() ends them at once and waits for the others", async (t) => {
      const redis = client(t, { maxConnections: 1, poolTimeout: 0 });
      const waiting = [rejection(redis.blpop(["closing"], 0)), rejection(redis.blpop(["closing"], 0))];
      await blocked(redis, 1);
      waiting.push(rejection(redis.lease()));
      const last = redis.set("last", "one");
      await within(redis.close());
      assert.equal(await last, true);
      for (const error of await Promise.all(waiting)) assert.ok(error instanceof ConnectionError, error);
      assert.deepEqual((await Promise.all(waiting)).map(({ maybeExecuted }) => maybeExecuted), [true, false, false]);
    });

    test("connections that nobody uses are closed after maxIdleTime, but for minIdle", async (t) => {
      const redis = client(t, { maxIdleTime: 30, minIdle: 1 });
      await redis.connect();
      await until(async () => (await redis.clientList()).length === 2, "one is kept open");
      await Promise.all([redis.blpop(["idle"], 0.02), redis.blpop(["idle"], 0.02), redis.blpop(["idle"], 0.02)]);
      await until(async () => (await redis.clientList()).length === 2, "the others are closed");
      const other = client(t);
      for (const { id } of (await redis.clientList()).slice(1)) await other.call("CLIENT KILL", "ID", id);
      await until(async () => (await redis.clientList()).length === 3, "another is opened");
    });

    test("hold the process open while they wait, and no longer", async () => {
      const script = `
        import { Redis } from "redwire";
        const redis = new Redis({ port: ${port} });
        console.log(await redis.blpop(["exit"], 0.1));
        const lease = await redis.lease();
        console.log(await lease.ping());
      `;
      const { stdout } = await within(run(process.execPath, ["--input-type=module", "--eval", script], { cwd: import.meta.dirname }), 8000, "the process");
      assert.equal(stdout, "null\nPONG\n");
    });
  });

  describe(`a Pool with ${program.name}`, { skip: missing(program) }, () => {
    let server;
    let port;
    before(async () => {
      server = await startServer(program.program);
      ({ port } = server);
    });
    after(() => server?.stop());

    test("[promise 27] is shared by clients that decode as they like, until its owner closes it", async (t) => {
      keepAlive(t);
      const pool = new Pool({ port, maxConnections: 2 });
      t.after(() => pool.destroy());
      const [a, b] = [new Redis({ pool }), new Redis({ pool, decodeResponses: false })];
      assert.equal(pool.status, "idle");
      await a.set("k", "v");
      assert.deepEqual(await b.get("k"), new Uint8Array([118]));
      assert.equal((await a.clientList()).length, 1);
      const waiting = b.blpop(["q"], 0);
      await until(async () => (await a.clientList()).length === 2, "it waits on a connection of its own");
      const last = b.get("k");
      const closed = b.close();
      assert.match((await rejection(b.get("k"))).message, /the client is closed/);
      await within(closed);
      assert.equal(b.status, "closed");
      assert.deepEqual(await last, new Uint8Array([118]));
      assert.equal(await a.rpush("q", "x"), 1, "the others go on");
      assert.deepEqual(await within(waiting), [new Uint8Array([113]), new Uint8Array([120])], "and so does what waits");
      const listeners = [a.pubsub(), new Redis({ pool }).pubsub()];
      for (const pubsub of listeners) await pubsub.subscribe("a");
      const lease = a.lease();
      await until(() => a.inspect().waiting.length === 1);
      assert.deepEqual(a.inspect().links.map(({ kind }) => kind), ["shared", "listening", "listening"], "they take the pool's places");
      await a.close();
      await (await within(lease)).release();
      await listeners[1].close();
      assert.equal(pool.status, "ready");
      await pool.close();
      assert.equal(pool.status, "closed");
      assert.match((await rejection(new Redis({ pool }).get("k"))).message, /closed/);
    });

    test("a client of a Pool that is closed waits for no lock, and leaves none", async (t) => {
      keepAlive(t);
      const pool = new Pool({ port });
      t.after(() => pool.destroy());
      const [holder, closed, destroyed] = [1, 2, 3].map(() => new Redis({ pool }));
      const held = await holder.lock("lock").hold();
      const waiting = [closed, destroyed].flatMap((redis) => [redis.lock("lock", { sleep: 1 }).acquire(), redis.lock("lock", { sleep: 1 }).run(() => assert.fail())]);
      waiting.forEach((one) => one.catch(() => {}));
      await holder.ping();
      destroyed.destroy();
      await within(closed.close());
      for (const one of waiting) assert.match((await rejection(one)).message, /closed/);
      await held[Symbol.asyncDispose]();
      assert.equal(await holder.lock("lock").acquire({ blocking: false }), true);
      await holder.del("lock");
    });

    test("duplicate() gives a client with connections of its own, or another of the same pool", async (t) => {
      keepAlive(t);
      const redis = new Redis({ port, db: 3, maps: "map" });
      const other = redis.with({ decodeResponses: false }).duplicate({ clientName: "other" });
      t.after(() => [redis, other].forEach((one) => one.destroy()));
      await redis.hset("h", { f: "v" });
      assert.deepEqual(await other.hgetall("h"), new Map([[new Uint8Array([102]), new Uint8Array([118])]]));
      assert.deepEqual((await redis.clientList()).map(({ name, db }) => [name, db]), [["", 3], ["other", 3]]);
      const pool = new Pool({ port });
      t.after(() => pool.destroy());
      const sharer = new Redis({ pool });
      await Promise.all([sharer.ping(), sharer.duplicate().ping()]);
      assert.equal((await redis.clientList()).length, 3);
      const url = redis.duplicate({ url: `redis://127.0.0.1:${port}/4` });
      t.after(() => url.destroy());
      assert.equal(await url.exists("h"), 0);
    });
  });
}

test("what duplicate() is told holds, whatever the view says", async (t) => {
  keepAlive(t);
  let asked = 0;
  const ask = { next: () => void asked++ };
  const { redis } = faked(t, ([name]) => (name === "GET" ? undefined : error("TRYAGAIN later")));
  const view = redis.with({ timeout: 60_000, retry: { next: () => undefined } });
  const other = view.duplicate({ timeout: 20, retry: ask });
  t.after(() => other.destroy());
  assert.equal((await rejection(other.echo("x"))).code, "TRYAGAIN");
  assert.ok((await rejection(other.get("k"))) instanceof TimeoutError);
  assert.equal(asked, 2);
  const same = view.duplicate();
  t.after(() => same.destroy());
  const waiting = same.get("k");
  waiting.catch(() => {});
  assert.equal(await Promise.race([waiting.catch(() => "rejected"), rejection(other.get("k")).then(() => "waits")]), "waits");
});

describe("a Pool", () => {
  test("[promise 32] connects as its connector says", async (t) => {
    keepAlive(t);
    const { fake } = faked(t, (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok));
    const endpoints = [];
    const connector = (endpoint, ...rest) => {
      endpoints.push([endpoint.host, endpoint.port]);
      return fake.connector(endpoint, ...rest);
    };
    const pool = new Pool({ connector, host: "somewhere", port: 7 });
    t.after(() => pool.destroy());
    assert.equal(await new Redis({ pool }).echo("a"), "a");
    assert.deepEqual(endpoints, [["somewhere", 7]]);
  });

  test("contradicts options about connections, which are named", () => {
    const pool = new Pool();
    for (const [name, value] of Object.entries({ host: "h", db: 1, timeout: 1, maxConnections: 2 })) {
      assert.throws(() => new Redis({ pool, [name]: value }), new RegExp(`TypeError: options: '${name}' contradicts 'pool'`));
    }
    for (const wrong of [{}, 1, "pool"]) assert.throws(() => new Redis({ pool: wrong }), /TypeError: options: 'pool' expected a Pool/);
    assert.throws(() => new Pool({ pool }), /TypeError: options: a Pool takes no 'pool'/);
    for (const maxConnections of [0, 256, 1.5, "8"]) assert.throws(() => new Pool({ maxConnections }), /TypeError: options: 'maxConnections' expected/);
  });

  test("a listener whose connection cannot be made holds no place", async (t) => {
    let away = true;
    const { redis, fake } = faked(t, (args) => (args[0] === "SUBSCRIBE" ? Buffer.from(">3\r\n+subscribe\r\n+a\r\n:1\r\n") : undefined), {
      maxConnections: 1,
      poolTimeout: 0,
      queueTimeout: 20,
      retryDelay: 1,
      maxRetryDelay: 2,
      connector: (...args) => {
        if (away) throw new Error("away");
        return fake.connector(...args);
      },
    });
    const pubsub = redis.pubsub();
    await rejection(pubsub.subscribe("a"));
    const lease = await within(redis.lease());
    const again = pubsub.subscribe("a");
    away = false;
    await until(() => redis.inspect().waiting.some(({ command }) => command === "SUBSCRIBE"));
    assert.equal(fake.links.length, 0);
    await lease.release();
    await within(again);
    assert.equal(fake.links.length, 1);
  });

  test("holds no more who wait than may wait", async (t) => {
    const { redis } = faked(t, (args) => (args[0] === "BLPOP" ? undefined : ok), { maxConnections: 1, offlineQueue: { maxCommands: 2 } });
    await redis.connect();
    const waiting = Array.from({ length: 4 }, () => rejection(redis.blpop(["q"], 0)));
    assert.ok((await waiting[3]) instanceof QueueFullError);
    redis.destroy();
    await Promise.all(waiting);
  });

  test("connects anew after a loss, though nothing may wait for a connection", async (t) => {
    const { redis, fake } = faked(t, (args) => (args[0] === "BLPOP" ? array([bulk("q"), bulk("x")]) : undefined), { maxConnections: 1, offlineQueue: false });
    const lease = await redis.lease();
    const lost = rejection(lease.get("a"));
    await until(() => fake.commands.length === 1);
    fake.link.end();
    assert.ok((await lost) instanceof ConnectionError);
    await lease.release();
    assert.deepEqual(await within(redis.blpop(["q"], 0)), ["q", "x"]);
  });

  test("closed while a pipeline waits for the server's version rejects it", async (t) => {
    let greet;
    const { redis } = faked(t, () => ok, { greet: () => greet });
    const call = rejection(redis.pipeline().getex("k", { persist: true }).execute());
    await until(() => redis.status === "connecting");
    redis.destroy();
    assert.ok((await call) instanceof ConnectionError);
  });

  test("large and small replies of several connections come in pieces, one into the other", async (t) => {
    const items = Array.from({ length: 50 }, (_, at) => bulk(`item ${at} ${"x".repeat(at)}`));
    const large = "y".repeat(100_000);
    const { redis, fake } = faked(t, () => undefined, { maxConnections: 3 });
    const given = [redis.call("LRANGE", "l", 0, -1), redis.blpop(["a"], 0), redis.blpop(["b"], 0), redis.blpop(["c"], 0)];
    await until(() => fake.links.length === 4 && fake.links.every(({ commands }) => commands.length === 1), "all are asked");
    const replies = new Map([["l", array(items)], ["a", array([bulk("a"), bulk(large)])], ["b", array([bulk("b"), bulk("é".repeat(3000))])], ["c", array([bulk("c"), bulk("small")])]]);
    const rest = fake.links.map((link) => ({ link, bytes: replies.get(link.commands[0][1]) }));
    for (let at = 0; rest.some(({ bytes }) => bytes.length > 0); at++) {
      for (const one of rest) {
        const piece = one.bytes.subarray(0, 1 + ((at * 7919) % (one.bytes.length > 50_000 ? 20_000 : 97)));
        one.bytes = one.bytes.subarray(piece.length);
        if (piece.length > 0) one.link.send(piece);
      }
    }
    const [list, a, b, c] = await within(Promise.all(given));
    assert.deepEqual(list, Array.from({ length: 50 }, (_, at) => `item ${at} ${"x".repeat(at)}`));
    assert.deepEqual([a, b, c], [["a", large], ["b", "é".repeat(3000)], ["c", "small"]]);
  });
});
