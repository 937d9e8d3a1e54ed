// Policies that decide whether a command that failed is sent again.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compositeRetry, ConnectionError, constantRetry, exponentialRetry, isTransient, Pool, Redis, ResponseError, TimeoutError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { startProxy } from "./support/proxy.mjs";
import { bulk, error as reply } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const busy = reply("TRYAGAIN Multiple keys request during rehashing of slot");
/** Answers with `bytes` `times` times, and then with the command's first argument. */
const failing = (times, bytes) => (args) => (times-- > 0 ? bytes : bulk(args[1] ?? "PONG"));

describe("constantRetry, exponentialRetry, compositeRetry and one's own", () => {
  test("send again what failed for a while, as often as they say", async (t) => {
    for (const retry of [
      constantRetry({ retries: 3, delay: 1 }),
      exponentialRetry({ retries: 3, delay: 1, maxDelay: 4 }),
      compositeRetry(constantRetry({ retries: 9, delay: 1, on: () => false }), constantRetry({ retries: 3, delay: 1 })),
      { next: ({ attempt }) => (attempt <= 3 ? 0 : undefined) },
    ]) {
      const { redis, fake } = faked(t, failing(3, busy), { retry });
      assert.equal(await redis.echo("a"), "a");
      assert.equal(fake.commands.length, 4);
      fake.answer = failing(4, busy);
      assert.equal((await rejection(redis.echo("b"))).code, "TRYAGAIN");
      assert.equal(fake.commands.length, 8);
    }
  });

  test("wait as long as they say", () => {
    const failed = (attempt, elapsed = 0) => ({ error: new ConnectionError("x"), attempt, elapsed, command: "GET", safe: true });
    const constant = constantRetry({ retries: 2, delay: 7, deadline: 100 });
    assert.deepEqual([1, 2, 3].map((attempt) => constant.next(failed(attempt))), [7, 7, undefined]);
    assert.deepEqual([93, 94].map((elapsed) => constant.next(failed(1, elapsed))), [7, undefined]);
    const exact = exponentialRetry({ retries: 5, delay: 10, maxDelay: 60, jitter: false });
    assert.deepEqual([1, 2, 3, 4, 5, 6].map((attempt) => exact.next(failed(attempt))), [10, 20, 40, 60, 60, undefined]);
    const spread = Array.from({ length: 200 }, () => exponentialRetry({ retries: 9 }).next(failed(3)));
    assert.ok(spread.every((delay) => delay >= 0 && delay <= 200) && new Set(spread).size > 100);
    assert.ok(Math.max(...spread) > 100 && Math.min(...spread) < 100);
  });

  test("each of several has a say in what it knows", () => {
    const [lost, late] = [new ConnectionError("x"), new TimeoutError("x")];
    const policy = compositeRetry(
      constantRetry({ retries: 1, delay: 1, on: (error) => error instanceof ConnectionError }),
      constantRetry({ retries: 2, delay: 2, on: (error) => error instanceof TimeoutError, atLeastOnce: true }),
    );
    const next = (error, attempt, safe) => policy.next({ error, attempt, elapsed: 0, command: "INCR", safe });
    assert.deepEqual([next(lost, 1, true), next(lost, 2, true), next(late, 2, true), next(late, 3, true)], [1, undefined, 2, undefined]);
    assert.deepEqual([next(lost, 1, false), next(late, 1, false)], [undefined, 2]);
    assert.equal(policy.atLeastOnce, true);
  });

  test("that give no time, or one that never comes, give up", async (t) => {
    for (const wait of [NaN, Infinity, -1, null, "soon"]) {
      const { redis, fake } = faked(t, failing(3, busy), { retry: compositeRetry({ next: ({ attempt }) => (attempt < 9 ? wait : undefined) }) });
      assert.equal((await rejection(redis.echo("a"))).code, "TRYAGAIN");
      assert.equal(fake.commands.length, 1, String(wait));
    }
  });

  test("tell of each failure that another attempt follows", async (t) => {
    const told = [];
    const retry = constantRetry({ retries: 2, delay: 3, onFailure: ({ error, attempt, command, safe }, delay) => told.push([error.code, attempt, command, safe, delay]) });
    const { redis } = faked(t, failing(9, busy), { retry });
    await rejection(redis.incr("a"));
    assert.deepEqual(told, [["TRYAGAIN", 1, "INCR", true, 3], ["TRYAGAIN", 2, "INCR", true, 3]]);
  });

  test("are checked", () => {
    for (const make of [() => constantRetry({ retries: -1, delay: 1 }), () => constantRetry({ retries: 1 }), () => exponentialRetry({ retries: 1, delay: NaN }), () => exponentialRetry({}), () => constantRetry({ retries: 1, delay: 1, deadline: "5s" })]) {
      assert.throws(make, /TypeError: (constant|exponential)Retry: '(retries|delay|deadline)' expected a number from 0, got/);
    }
    for (const retry of [3, {}, true, null]) assert.throws(() => new Redis({ retry }), /'retry' expected a retry policy/);
    for (const retry of [3, {}, true]) assert.throws(() => new Redis().with({ retry }), /with: 'retry'/);
  });

  test("which errors may be gone next time", () => {
    for (const error of [new ConnectionError("x"), new TimeoutError("x"), new ResponseError("x", { code: "CLUSTERDOWN" })]) assert.ok(isTransient(error));
    for (const error of [new ResponseError("x", { code: "WRONGTYPE" }), new ResponseError("x", { code: "NOPERM" })]) assert.ok(!isTransient(error));
  });
});

test("each attempt sends the bytes that the call was given, though their buffer is used again", async (t) => {
  const { redis, fake } = faked(t, failing(1, busy), { retry: constantRetry({ retries: 3, delay: 1 }) });
  for (const call of [(bytes) => redis.set("k", bytes), (bytes) => redis.rpush("k", [bytes]), (bytes) => redis.call("SET", "k", bytes), (bytes) => redis.set("k", bytes, { ex: 1 })]) {
    fake.commands.length = 0;
    fake.answer = failing(1, busy);
    const bytes = Buffer.from("first");
    const sent = call(bytes);
    await until(() => fake.commands.length > 0);
    bytes.write("LATER");
    await within(sent);
    assert.deepEqual(fake.commands.map(([, , value]) => value), ["first", "first"]);
  }
});

test("what is told of a failure may fail itself: the command's own error is what its caller gets", async (t) => {
  for (const onFailure of [() => { throw new Error("the log is full"); }, () => Promise.reject(new Error("the log is away"))]) {
    const { redis } = faked(t, failing(9, busy), { retry: constantRetry({ retries: 2, delay: 1, onFailure }) });
    assert.equal((await rejection(redis.echo("a"))).code, "TRYAGAIN");
  }
});

test("nothing is asked, nor waited for, once the client is closed", async (t) => {
  const pool = new Pool({ port: 1 });
  t.after(() => pool.destroy());
  let asked = 0;
  const retry = { next: () => (asked++, 60_000) };
  for (const end of ["close", "destroy"]) {
    for (const make of [(t) => faked(t, () => busy, { retry }).redis, () => new Redis({ pool, retry })]) {
      const redis = make(t);
      asked = 0;
      redis[end]();
      assert.match((await rejection(redis.get("k"))).message, /^the client is closed/);
      assert.equal(asked, 0);
    }
  }
  const { redis } = faked(t, () => undefined, { retry });
  const flying = rejection(redis.get("k"));
  await redis.connect();
  redis.destroy();
  assert.match((await flying).message, /closed/);
  assert.equal(asked, 0);
  const shared = faked(t, () => busy);
  const quick = new Pool({ connector: shared.fake.connector });
  t.after(() => quick.destroy());
  const pooled = new Redis({ pool: quick, retry });
  const waiting = rejection(pooled.get("k"));
  await until(() => asked === 1);
  await pooled.close();
  assert.match((await waiting).message, /^the client is closed/);
});

describe("what is not sent again", () => {
  test("what was executed, or may have been, and is neither repeatable nor said to be", async (t) => {
    const { redis, fake } = faked(t, (args, link) => (args[0] === "INCR" ? link.end() : bulk("x")), { retry: constantRetry({ retries: 3, delay: 1 }), maxResends: 0 });
    const error = await rejection(redis.incr("n"));
    assert.equal(error.maybeExecuted, true);
    assert.equal(fake.commands.length, 1);
    await rejection(redis.with({ idempotent: true }).incr("n"));
    assert.equal(fake.commands.length, 1 + 4, "said to be idempotent");
    await rejection(redis.with({ retry: constantRetry({ retries: 2, delay: 1, atLeastOnce: true }) }).incr("n"));
    assert.equal(fake.commands.length, 5 + 3, "at least once");
  });

  test("reads are, also by their name", async (t) => {
    for (const get of [(redis) => redis.get("k"), (redis) => redis.call("get", "k"), (redis) => redis.call("OBJECT ENCODING", "k")]) {
      let lost = 3;
      const { redis } = faked(t, (args, link) => (lost-- > 0 ? link.end() : bulk("v")), { retry: constantRetry({ retries: 3, delay: 1 }), maxResends: 0 });
      assert.equal(await get(redis), "v");
    }
  });

  test("what may have been executed once says so to the end", async (t) => {
    let attempt = 0;
    const { redis } = faked(t, (args, link) => (++attempt === 1 ? link.end() : busy), { retry: constantRetry({ retries: 2, delay: 1, atLeastOnce: true }), maxResends: 0 });
    const error = await rejection(redis.incr("n"));
    assert.deepEqual([error.code, error.maybeExecuted], ["TRYAGAIN", true]);
  });

  test("wrong arguments, the server's verdicts, and whatever is given up", async (t) => {
    keepAlive(t);
    const { redis, fake } = faked(t, () => reply("WRONGTYPE Operation against a key holding the wrong kind of value"), { retry: constantRetry({ retries: 9, delay: 1 }) });
    assert.equal((await rejection(redis.get("k"))).code, "WRONGTYPE");
    assert.equal(fake.commands.length, 1);
    assert.ok((await rejection(redis.set("k", null))) instanceof TypeError);
    fake.answer = () => busy;
    const controller = new AbortController();
    const patient = redis.with({ signal: controller.signal, retry: constantRetry({ retries: 9, delay: 60_000 }) });
    const given = rejection(patient.get("k"));
    setTimeout(() => controller.abort(new Error("enough")), 20);
    assert.equal((await given).message, "enough");
    const closed = rejection(redis.with({ retry: constantRetry({ retries: 9, delay: 60_000 }) }).get("k"));
    setTimeout(() => redis.destroy(), 20);
    assert.match((await closed).message, /closed/);
  });

  test("what a view switches off, and pipelines", async (t) => {
    const { redis, fake } = faked(t, () => busy, { retry: constantRetry({ retries: 3, delay: 1 }) });
    await rejection(redis.with({ retry: false }).get("k"));
    assert.equal(fake.commands.length, 1);
    await rejection(redis.pipeline({ transaction: false }).get("k").execute());
    assert.equal(fake.commands.length, 2);
  });
});

for (const server of programs) {
  test(`${server.name}: increments through a proxy that loses replies, at least once each`, { skip: missing(server) }, async (t) => {
    const running = await startServer(server.program);
    t.after(() => running.stop());
    const proxy = await startProxy(t, running.port);
    const redis = new Redis({ host: "127.0.0.1", port: proxy.port, retry: constantRetry({ retries: 20, delay: 1, atLeastOnce: true }) });
    t.after(() => redis.destroy());
    await redis.ping();
    let gap = 7;
    let left = gap;
    proxy.onReply = () => {
      if (--left > 0) return undefined;
      // never as many as a link brings: each would lose its first one
      left = gap = gap === 12 ? 7 : gap + 1;
      return { drop: true, then: "cut" };
    };
    const replies = await within(Promise.all(Array.from({ length: 30 }, () => redis.incr("n"))), 10_000);
    proxy.onReply = undefined;
    const count = Number(await redis.get("n"));
    // what a link carried that was cut may be executed after what the next one carries
    assert.ok(count >= Math.max(...replies) && new Set(replies).size === 30, `${count}: ${replies}`);
  });
}
