// Pipelines: the seed's chapter, what is refused, and what a lost connection leaves behind.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { getEventListeners } from "node:events";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ConnectionError, DecodeError, ExecAbortError, LeaseError, LockError, Redis, RedisError, ResponseError, WrongTypeError } from "redwire";
import { blpop, get, incr, incrby, set } from "redwire/commands";
import { faked, keepAlive } from "./support/client.mjs";
import { cutter } from "./support/cut.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { error, integer, ok, queued } from "./support/resp.mjs";
import { outcome, rejection, until, within } from "./support/until.mjs";

everywhere((world) => {
  test("[promises 78, 79, 80] nothing is sent before execute, and a pipeline ends with its block", async () => {
    const { redis } = world;
    await redis.set("bar", "old");
    const pipe = redis.pipeline();
    pipe.del(["bar"]);
    pipe.set("bar", "foo");
    assert.equal(await redis.get("bar"), "old");
    assert.deepEqual(await pipe.execute(), [1, true]);
    assert.equal(await redis.get("bar"), "foo");
    pipe.set("bar", "never");
    await pipe[Symbol.asyncDispose]();
    assert.deepEqual([pipe.length, await pipe.execute(), await redis.get("bar")], [0, [], "foo"]);
  });

  test("[promises 81, 82, 83, 84] the seed's sample, chained and not", async () => {
    const expected = [true, true, true, new Set(["bar", "foo"])];
    assert.deepEqual(await world.redis.pipeline({ transaction: true }).flushdb().set("foo", "bar").set("bar", "foo").keys("*").execute(), expected);
    const pipe = world.redis.pipeline();
    pipe.flushdb().set("foo", "bar");
    pipe.set("bar", "foo");
    pipe.keys("*");
    assert.deepEqual(await pipe.execute(), expected);
  });

  test("what the server refuses to queue is named by its position; where only EXEC is refused, that error stands", async () => {
    const { redis } = world;
    await redis.aclSetuser("partial", "on", "nopass", "~*", "+@all", "-incr");
    const limited = world.connect({ username: "partial", password: "x" });
    const refused = await rejection(limited.pipeline().set("a", 1).incr("b").incr("c").execute());
    assert.deepEqual([refused.code, refused.position, refused.command, refused.maybeExecuted], ["NOPERM", 1, "INCR", false]);
    assert.match(refused.message, /^Command # 2 \(INCR\) of pipeline caused error: NOPERM/);
    assert.ok(!(refused instanceof ExecAbortError));
    await redis.aclDeluser("partial");
  });

  test("results hold errors in their places, each with its command, and the first is thrown otherwise", async () => {
    const { redis } = world;
    await redis.del("l");
    await redis.rpush("l", 1);
    for (const transaction of [true, false]) {
      const [one, two, three] = await redis.pipeline({ transaction }).get("l").llen("l").incr("l").execute({ raiseOnError: false });
      assert.ok(one instanceof WrongTypeError && two === 1 && three instanceof WrongTypeError);
      assert.deepEqual([one.command, three.command], ["GET", "INCR"]);
      const thrown = await rejection(redis.pipeline({ transaction }).llen("l").get("l").incr("l").execute());
      assert.ok(thrown instanceof WrongTypeError && thrown.position === 1 && thrown.results.length === 3 && thrown.results[0] === 1);
    }
  });

  test("so are replies that cannot be decoded, and all others are there", async () => {
    const { redis } = world;
    await redis.del("bytes", "fields");
    await redis.sadd("bytes", Uint8Array.of(255), Uint8Array.of(254));
    await redis.hset("fields", new Map([[Uint8Array.of(255), "a"], [Uint8Array.of(254), "b"]]));
    const adapted = redis.with({ adapter: { encode: String, decode: () => { throw new RangeError("no"); } } });
    for (const transaction of [true, false]) {
      await redis.set("big", "9007199254740993");
      const queue = (client = redis) => client.pipeline({ transaction }).set("a", 1).smembers("bytes").incr("big").hgetall("fields").lrange("none", 0, -1).incr("bytes").get("a");
      const results = await queue().execute({ raiseOnError: false });
      assert.deepEqual(results.map((result) => (result instanceof RedisError ? [result.name, result.command] : result)), [
        true,
        ["DecodeError", "SMEMBERS"],
        ["IntegerRangeError", "INCR"],
        ["DecodeError", "HGETALL"],
        [],
        ["WrongTypeError", "INCR"],
        "1",
      ]);
      assert.equal(results[2].value, 9007199254740994n);
      const thrown = await rejection(queue().execute());
      assert.ok(thrown instanceof DecodeError && thrown.position === 1 && thrown.command === "SMEMBERS" && thrown.results.length === 7 && thrown.results[6] === "1", `${thrown}`);
      assert.match(thrown.message, /^Command # 2 \(SMEMBERS\) of pipeline caused error: a field name or set member is not valid UTF-8/);
      const [set, got, length] = await adapted.pipeline({ transaction }).set("a", 1).get("a").strlen("a").execute({ raiseOnError: false });
      assert.ok(set === true && got instanceof DecodeError && got.cause instanceof RangeError && length === 1, `${got}`);
    }
    await redis.set("big", "9007199254740993");
    const lost = await rejection(redis.transaction((watching) => watching.multi().incr("big").get("a"), ["a"]));
    assert.deepEqual([lost.name, lost.position, lost.results[1]], ["IntegerRangeError", 0, "1"]);
  });

  test("what has no type has bigints where numbers are not exact, as single calls have, and no other reply does", async () => {
    const { redis } = world;
    const big = 9007199254740993n;
    await redis.set("big", big);
    const raw = redis.with({ raw: true });
    for (const transaction of [true, false]) {
      const pipe = redis.pipeline({ transaction }).call("incrby", "big", 0).incrby("big", 0).call("EVAL", "return {1, {9007199254740993}}", 0).strlen("big");
      const results = await pipe.execute({ raiseOnError: false });
      assert.deepEqual([results[0], results[1].name, results[1].value, results[2], results[3]], [big, "IntegerRangeError", big, [1, [big - 1n]], 16]);
      assert.deepEqual(await raw.pipeline({ transaction }).incrby("big", 0).call("INCRBY", "big", 0).execute(), [big, big]);
      assert.deepEqual((await rejection(redis.pipeline({ transaction }).call("config get").execute())).command, "CONFIG");
    }
    assert.deepEqual(await raw.execute([incrby("big", 0)]), [big]);
    const streamed = [];
    await raw.pipelineStream([incrby("big", 0)], { onResult: (result) => void streamed.push(result) });
    assert.deepEqual(streamed, [big]);
  });

  test("a blocking command is refused in a plain pipeline, and does not block in a transaction", async () => {
    const { redis } = world;
    await redis.del("none");
    const pipe = redis.pipeline({ transaction: false });
    const blocking = [
      () => pipe.blpop(["none"], 0),
      () => pipe.bzpopmin(["none"], 0),
      () => pipe.xread({ none: "$" }, { block: 0 }),
      () => pipe.call("BLPOP", "none", 0),
      () => pipe.call("xread", "block", 0, "streams", "none", "$"),
      () => pipe.call("xread", new TextEncoder().encode("block"), 0, "streams", "none", "$"),
    ];
    for (const append of blocking) assert.throws(append, { name: "TypeError", message: /blocks/ });
    assert.equal(pipe.length, 0);
    assert.deepEqual(await pipe.xread({ none: "0" }).ping().execute(), [null, "PONG"]);
    assert.deepEqual(await within(redis.pipeline().blpop(["none"], 0).ping().execute()), [null, "PONG"]);
  });

  test("commands of one tick keep their order around a pipeline of thousands", async () => {
    const { redis } = world;
    await redis.set("n", 0);
    const pipe = redis.pipeline({ transaction: false });
    for (let i = 0; i < 3000; i++) pipe.incr("n");
    const [before, inside, after] = await Promise.all([redis.incr("n"), pipe.execute(), redis.incr("n")]);
    assert.deepEqual([before, inside[0], inside[2999], after], [1, 2, 3001, 3002]);
  });

  for (const direction of ["up", "down"]) {
    test(`a transaction that is cut after any byte ${direction} is executed as a whole or not at all, and says what it knows`, async () => {
      const { redis } = world;
      const { connector, arm } = cutter(world.port);
      let cuts = 0;
      for (let at = 1; ; at++) {
        const client = world.connect({ connector, maxResends: 0 });
        await client.ping();
        await redis.mset({ a: 0, b: 0 });
        arm({ [direction]: at });
        const { value, error } = await outcome(client.multi().incr("a").incr("b").execute());
        arm(undefined);
        client.destroy();
        // the server reads what was written before the cut in its own time: it is done when it has closed the connection
        const [a, b] = await redis.mget("a", "b");
        assert.equal(a, b, `cut at ${at}`);
        if (value !== undefined) {
          assert.deepEqual([value, a], [[1, 1], "1"]);
          break;
        }
        cuts++;
        assert.ok(error instanceof ConnectionError, String(error));
        if (error.maybeExecuted === false) assert.equal(a, "0");
      }
      assert.ok(cuts > 20, `${cuts}`);
    });
  }

  test("a plain pipeline that is cut is not sent again, but for what may be", async () => {
    const { redis } = world;
    const { connector, arm } = cutter(world.port);
    const client = world.connect({ connector });
    await client.ping();
    await redis.mset({ n: 0, k: "v" });
    arm({ down: 1 });
    const refused = await rejection(client.pipeline({ transaction: false }).incr("n").incr("n").execute());
    assert.ok(refused instanceof ConnectionError && refused.maybeExecuted === true);
    assert.equal(await redis.get("n"), "2");
    arm({ down: 1 });
    assert.deepEqual(await client.pipeline({ transaction: false }).get("k").get("n").execute(), ["v", "2"]);
    const refusedAgain = await rejection((arm({ down: 1 }), client.multi().get("k").execute()));
    assert.ok(refusedAgain instanceof ConnectionError && refusedAgain.maybeExecuted === true);
  });

  test("a stream of commands gives results in order, takes any iterable, and holds no more than its window", async () => {
    const { redis } = world;
    await redis.set("n", 0);
    let [made, taken, most] = [0, 0, 0];
    async function* counted() {
      for (; made < 2500; made++) {
        most = Math.max(most, made - taken);
        yield incr("n");
      }
    }
    const options = { window: 100, onResult: (result, index) => assert.deepEqual([result, index], [++taken, taken - 1]) };
    assert.equal(await redis.pipelineStream(counted(), options), 2500);
    assert.deepEqual([made, taken], [2500, 2500]);
    assert.ok(most <= 100, `${most}`);
    assert.equal(await redis.pipelineStream([set("a", 1), get("a")]), 2);
    assert.equal(await redis.pipelineStream(new Set()), 0);
    assert.equal(await redis.get("a"), "1");
  });

  test("a stream of any length takes no more than 64 MiB above an idle client", async () => {
    const COUNT = 150_000;
    const script = path.join(import.meta.dirname, "support/stream.mjs");
    const { stdout } = await promisify(execFile)(process.execPath, [script, String(world.port), String(COUNT)]);
    const { stored, above } = JSON.parse(stdout);
    assert.equal(stored, COUNT);
    assert.ok(above < 64, `${above} MiB`);
  });

  test("a stream waits for the promise that onResult gives", async () => {
    const { redis } = world;
    let [busy, most] = [0, 0];
    const seen = [];
    await redis.pipelineStream(
      (function* () {
        for (let i = 0; i < 50; i++) {
          most = Math.max(most, i - seen.length);
          yield set("k", i);
        }
      })(),
      {
        window: 5,
        onResult: async (result, index) => {
          assert.equal(++busy, 1);
          await redis.ping();
          seen.push(index);
          busy--;
        },
      },
    );
    assert.deepEqual(seen, Array.from({ length: 50 }, (_, i) => i));
    assert.ok(most <= 6, `${most}`);
  });

  test("a stream gives each command's own error in its place, or ends at the first", async () => {
    const { redis } = world;
    await redis.set("text", "abc");
    const commands = [set("a", 1), incr("text"), set("a", {}), get("a")];
    const results = [];
    assert.equal(await redis.pipelineStream(commands, { onResult: (result) => void results.push(result) }), 4);
    assert.ok(results[0] === true && results[1] instanceof ResponseError && results[2] instanceof TypeError && results[3] === "1");
    const latin1 = [];
    await redis.with({ encoding: "latin1" }).pipelineStream([set("a", "€"), get("a")], { onResult: (result) => void latin1.push(result) });
    assert.ok(latin1[0] instanceof TypeError && latin1[1] === "1");
    const thrown = await rejection(redis.pipelineStream(commands));
    assert.deepEqual([thrown.position, thrown.command], [1, "INCR"]);
    assert.match(thrown.message, /^Command # 2 \(INCR\) of pipeline/);
    assert.equal(await redis.ping(), "PONG");
  });
});

test("a stream whose client is closed ends when what it sent is settled, though its source gives nothing", async (t) => {
  keepAlive(t);
  for (const end of ["close", "destroy"]) {
    const { redis } = faked(t, () => ok);
    const results = [];
    const source = (async function* () {
      for (let i = 0; i < 3; i++) yield set("k", i);
      await new Promise(() => {});
    })();
    const streaming = redis.pipelineStream(source, { onResult: (result) => void results.push(result) });
    streaming.catch(() => {});
    await until(() => results.length > 0 || end === "close", "something is answered");
    await redis[end]();
    const error = await rejection(streaming);
    assert.ok(error instanceof ConnectionError && /closed/.test(error.message), String(error));
    if (end === "destroy") assert.deepEqual(results, [true, true, true]);
  }
});

test("a stream that ends early tells its source, and sends nothing more", async (t) => {
  const { fake, redis } = faked(t, ([name]) => (name === "GET" ? error("ERR no") : ok));
  const reason = new Error("enough");
  const controller = new AbortController();
  const early = [
    [{ onResult: (result, index) => { if (index === 3) throw reason; } }, reason],
    [{ onResult: (result, index) => void (index === 3 && controller.abort(reason)), signal: controller.signal }, reason],
  ];
  for (const [options, expected] of early) {
    let returned = false;
    function* endless() {
      try {
        for (;;) yield set("k", "v");
      } finally {
        returned = true;
      }
    }
    assert.equal(await rejection(redis.pipelineStream(endless(), { window: 10, ...options })), expected);
    await redis.set("last", "1");
    const sent = fake.commands.length;
    assert.ok(returned);
    await redis.set("last", "2");
    assert.equal(fake.commands.length, sent + 1);
  }
  const broken = (async function* () {
    yield set("k", "v");
    throw reason;
  })();
  assert.equal(await rejection(redis.pipelineStream(broken)), reason);
  assert.equal(await rejection(redis.pipelineStream([set("k", "v")], { signal: AbortSignal.abort(reason) })), reason);
});

test("what is no stream is refused", async (t) => {
  const { fake, redis } = faked(t, () => ok);
  for (const source of [undefined, null, 5, {}]) assert.match((await rejection(redis.pipelineStream(source))).message, /^pipelineStream: parameter 'source' expected an iterable/);
  for (const window of [0, -1, 1.5, "5", NaN]) assert.match((await rejection(redis.pipelineStream([], { window }))).message, /^pipelineStream: option 'window' expected/);
  for (const onResult of [null, 5, {}]) assert.match((await rejection(redis.pipelineStream([], { onResult }))).message, /^pipelineStream: option 'onResult' expected a function, got/);
  assert.equal((await rejection(redis.pipelineStream([], { signal: new AbortController() }))).message, "pipelineStream: option 'signal' expected an AbortSignal, got AbortController");
  for (const item of [null, 5, {}, { command: "NOSUCH", args: [] }]) {
    assert.match((await rejection(redis.pipelineStream([item]))).message, /^pipelineStream: parameter 'source' expected commands made by/);
    assert.match((await rejection(redis.execute([item]))).message, /^execute: parameter 'commands' expected commands made by/);
  }
  assert.deepEqual(fake.commands, []);
  assert.equal(typeof blpop, "function");
});

test("a stream on a client that is closed, or a lease that is over, takes nothing of its source", async (t) => {
  const { redis } = faked(t, () => ok);
  const lease = await redis.lease();
  await lease.release();
  let taken = 0;
  function* source() {
    for (;;) yield set("a", taken++);
  }
  assert.ok((await rejection(lease.pipelineStream(source(), { onResult: () => {} }))) instanceof LeaseError);
  redis.destroy();
  assert.equal((await rejection(redis.pipelineStream(source(), { onResult: () => {} }))).message, "the client is closed: make a new one");
  assert.equal(taken, 0);
});

test("a stream ends with its lease, whatever takes its results", async (t) => {
  const { fake, redis } = faked(t, () => ok);
  const lease = await redis.lease();
  let taken = 0;
  function* endless() {
    for (; taken < 1e6; taken++) yield set("a", taken);
  }
  const failed = [];
  const onResult = (result, index) => {
    if (index === 2000) fake.link.end();
    if (result instanceof Error) failed.push(result);
  };
  const error = await rejection(lease.pipelineStream(endless(), { onResult }), 60_000);
  assert.ok(error instanceof LeaseError && failed.length > 0 && failed.length < 5000, `${error}, after ${failed.length} of them`);
});

test("timers have their turn though no command of a stream waits for anything", async (t) => {
  const { redis } = faked(t, () => ok, { offlineQueue: false, connector: () => Promise.reject(new Error("nobody there")) });
  const controller = new AbortController();
  const reason = new Error("enough");
  let taken = 0;
  function* endless() {
    for (; taken < 1e6; taken++) yield set("a", taken);
  }
  setTimeout(() => controller.abort(reason), 1);
  assert.equal(await rejection(redis.pipelineStream(endless(), { signal: controller.signal, onResult: () => {} }), 60_000), reason);
});

test("a signal ends a stream while what takes results is busy", async (t) => {
  const { redis } = faked(t, () => ok);
  const controller = new AbortController();
  const reason = new Error("enough");
  let [returned, taken] = [false, 0];
  function* endless() {
    try {
      for (;;) yield set("k", "v");
    } finally {
      returned = true;
    }
  }
  const onResult = () => new Promise(() => taken++);
  const streaming = redis.with({ signal: controller.signal }).pipelineStream(endless(), { window: 10, onResult });
  await until(() => taken === 1);
  controller.abort(reason);
  assert.equal(await rejection(streaming), reason);
  await until(() => returned, "the source was told");
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  assert.equal(await redis.set("k", "v"), true);
});

test("a stream whose server is gone ends, each command with its own error", async () => {
  const redis = new Redis({ port: 1, queueTimeout: 100 });
  const errors = [];
  assert.equal(await within(redis.pipelineStream([set("a", 1), set("b", 2)], { onResult: (result) => void errors.push(result) })), 2);
  assert.ok(errors.length === 2 && errors.every((error) => error instanceof RedisError && error.maybeExecuted === false));
  redis.destroy();
});

test("the reason of a signal is thrown as it is, whatever it is and whatever came before", async (t) => {
  const answers = { MULTI: ok, GET: error("ERR no"), SET: queued };
  for (const [transaction, names] of [[false, ["incr"]], [true, ["set"]], [true, ["get", "set"]]]) {
    const { fake, redis } = faked(t, ([name]) => answers[name]);
    const controller = new AbortController();
    const reason = new LockError("not held any more");
    const pipe = redis.with({ signal: controller.signal }).pipeline({ transaction });
    for (const name of names) pipe.call(name, "k");
    const thrown = rejection(pipe.execute());
    await until(() => fake.commands.length >= names.length);
    // what the server said so far is read
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort(reason);
    assert.equal(await thrown, reason);
    assert.deepEqual([reason.message, reason.command, reason.position], ["not held any more", undefined, undefined]);
  }
});

test("a plain pipeline that is cut: what became of each command is among the error's results, and what was not written runs on the next connection", async (t) => {
  const { redis, fake } = faked(t, ([, key]) => (key === "b" ? undefined : integer(1)));
  await redis.connect();
  const lost = rejection(redis.pipeline({ transaction: false }).incr("a").incr("b").execute({ raiseOnError: false }));
  await until(() => fake.commands.length === 2);
  fake.link.end();
  const { name, message, maybeExecuted, position, command, results } = await lost;
  assert.deepEqual([name, maybeExecuted, position, command, results[0]], ["ConnectionError", true, 1, "INCR", 1]);
  assert.match(message, /^Command # 2 \(INCR\) of pipeline/);
  assert.equal(results[1].message, message);

  const connector = async (...args) => {
    const socket = await fake.connector(...args);
    return fake.links.length > 1 ? socket : { ...socket, write: (bytes) => (socket.write(bytes), !Buffer.from(bytes).includes("INCR")) };
  };
  redis.destroy();
  fake.links.length = 0;
  const stalled = new Redis({ connector });
  t.after(() => stalled.destroy());
  await stalled.connect();
  fake.answer = ([, key]) => (fake.links.length === 1 ? undefined : key === "b" ? ok : integer(1));
  const first = stalled.pipeline({ transaction: false }).incr("a").set("b", "x".repeat(200_000)).incr("c").execute();
  await until(() => fake.link.commands.length === 1);
  fake.link.end();
  const error = await rejection(first);
  assert.deepEqual([error.position, error.maybeExecuted, error.results.at(-1)], [0, true, 1]);
  assert.deepEqual(fake.link.commands.map(([command, key]) => `${command} ${key}`), ["INCR c"]);
});
