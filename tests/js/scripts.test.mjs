// The seed's chapter on scripts, and what a script survives.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { CommandNotSupportedError, NoScriptError, Redis, ResponseError } from "redwire";
import { faked } from "./support/client.mjs";
import { handshake } from "./support/fake.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { array, bulk, error, simple } from "./support/resp.mjs";
import { rejection } from "./support/until.mjs";

const lua = `
local value = redis.call('GET', KEYS[1])
value = tonumber(value)
return value * ARGV[1]`;

everywhere((world) => {
  test("[promises 42, 43, 44, 45, 46, 48, 49] a script is called like a function and multiplies", async () => {
    const multiply = world.redis.registerScript(lua);
    await world.redis.set("foo", 2);
    assert.equal(await multiply({ keys: ["foo"], args: [5] }), 10);
  });

  test("[promise 45] keys, args and options may be left out", async () => {
    assert.equal(await world.redis.registerScript("return 7")(), 7);
    assert.equal(await world.redis.registerScript("return #KEYS + #ARGV")({}), 0);
    assert.deepEqual(await world.redis.registerScript("return {#KEYS, ARGV[1], ARGV[2]}")({ args: ["a", 2n] }), [0, "a", "2"]);
  });

  test("[promises 47, 50] a script runs on another client, of another server", async (t) => {
    const { startServer } = await import("./support/servers.mjs");
    const other = await startServer(world.server.program);
    t.after(() => other.stop());
    const r2 = world.connect({ port: other.port });
    const multiply = world.redis.registerScript(lua);
    await r2.set("foo", 3);
    assert.equal(await multiply({ keys: ["foo"], args: [5], client: r2 }), 15);
    assert.deepEqual(await r2.scriptExists(multiply.sha), [true]);
  });

  test("[promise 51] a script that the server forgot is sent again, whoever flushes and when", async () => {
    const { redis } = world;
    const add = redis.registerScript("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    await redis.del("sum");
    const calls = [];
    for (let i = 0; i < 50; i++) {
      calls.push(add({ keys: ["sum"], args: [1] }));
      if (i % 3 === 0) calls.push(redis.scriptFlush());
    }
    await Promise.all(calls);
    assert.equal(await redis.get("sum"), "50");
  });

  test("[promises 52, 53, 54] a script in a pipeline is registered just before the pipeline is executed", async () => {
    const { redis } = world;
    const multiply = redis.registerScript(lua);
    await redis.scriptFlush();
    const pipe = redis.pipeline();
    pipe.set("foo", 5);
    assert.equal(multiply({ keys: ["foo"], args: [5], client: pipe }), pipe);
    assert.deepEqual(await redis.scriptExists(multiply.sha), [false]);
    assert.deepEqual(await pipe.execute(), [true, 25]);
    assert.deepEqual(await redis.scriptExists(multiply.sha), [true]);
  });

  for (const transaction of [true, false]) {
    test(`[promises 52, 53] a ${transaction ? "transaction" : "plain pipeline"} survives SCRIPT FLUSH before and while it is made`, async () => {
      const { redis } = world;
      const [multiply, seven] = [redis.registerScript(lua), redis.registerScript("return 7")];
      for (let round = 0; round < 3; round++) {
        await multiply({ keys: ["foo"], args: [1] });
        const pipe = redis.pipeline({ transaction }).set("foo", 2);
        multiply({ keys: ["foo"], args: [2], client: pipe });
        await redis.scriptFlush();
        seven({ client: pipe });
        multiply({ keys: ["foo"], args: [3], client: pipe });
        const flushed = redis.scriptFlush();
        assert.equal(pipe.length, 4);
        assert.deepEqual(await pipe.execute(), [true, 4, 7, 6]);
        await flushed;
      }
    });
  }

  for (const transaction of [true, false]) {
    const kind = transaction ? "transaction" : "plain pipeline";

    test(`[promises 52, 53] scripts of a ${kind} run in their places, though the server knows none of them`, async () => {
      const { redis } = world;
      const get = redis.registerScript("return redis.call('GET', KEYS[1])");
      await redis.scriptFlush();
      const pipe = redis.pipeline({ transaction });
      for (const value of ["a", "b"]) {
        pipe.set("foo", value);
        get({ keys: ["foo"], client: pipe });
      }
      assert.deepEqual(await pipe.set("foo", "c").execute(), [true, "a", true, "b", true]);
    });

    test(`[promises 52, 53] a ${kind} calls more scripts, again and again, than a server keeps of those that EVAL told it`, async () => {
      const { redis } = world;
      const scripts = Array.from({ length: 600 }, (_, i) => redis.registerScript(`return ${i} + #ARGV`));
      await redis.scriptFlush();
      const pipe = redis.pipeline({ transaction });
      for (const args of [[], [], ["x"]]) for (const script of scripts) script({ args, client: pipe });
      const numbers = scripts.map((_, i) => i);
      assert.deepEqual(await pipe.execute(), [...numbers, ...numbers, ...numbers.map((i) => i + 1)]);
    });
  }

  test("scripts of pipelines run in their places while others flush, and behind a flush of the pipeline's own", async () => {
    const { redis } = world;
    const push = redis.registerScript("return redis.call('RPUSH', KEYS[1], ARGV[1])");
    const long = redis.registerScript(`${"-".repeat(2_000)}\nreturn redis.call('RPUSH', KEYS[1], ARGV[1])`);
    const other = redis.duplicate();
    let over = false;
    const flushing = (async () => {
      while (!over) await other.scriptFlush();
    })();
    for (let round = 0; round < 10; round++) {
      const pipe = redis.pipeline({ transaction: false }).del("list");
      const [script, expected] = [round % 2 === 0 ? push : long, []];
      for (let i = 0; i < 500; i++) {
        script({ keys: ["list"], args: [2 * i], client: pipe });
        pipe.rpush("list", 2 * i + 1);
      }
      const results = await pipe.execute({ raiseOnError: false });
      // what is too long to be said each time may be forgotten, and then it says so
      for (let i = 0; i < 1_000; i++) {
        if (!(results[i + 1] instanceof NoScriptError)) expected.push(`${i}`);
        else assert.ok(script === long && i % 2 === 0);
      }
      assert.deepEqual(await redis.lrange("list", 0, -1), expected);
    }
    over = true;
    await flushing;
    await other.close();

    for (const transaction of [true, false]) {
      const pipe = redis.pipeline({ transaction });
      for (const flush of [() => pipe.scriptFlush(), () => pipe.call("script", "flush"), () => pipe.ping()]) {
        long({ keys: ["l"], args: [1], client: pipe });
        long({ keys: ["l"], args: [1], client: pipe });
        flush();
      }
      assert.equal((await pipe.del("l").execute()).at(-2), "PONG");
    }
  });

  test("the name of a script is the SHA-1 of its text, as the server works it out", async () => {
    for (const text of ["return 1", lua, "return 'é, 日本語, 🎉'", `return ${"1 + ".repeat(50_000)}1`]) {
      const script = world.redis.registerScript(text);
      assert.equal(script.sha, createHash("sha1").update(text).digest("hex"));
      assert.equal(await world.redis.scriptLoad(text), script.sha);
      assert.deepEqual(Object.keys(script), ["sha"]);
    }
  });

  test("readonly scripts are called by EVALSHA_RO, and may not write", async () => {
    const { redis } = world;
    await redis.set("foo", 2);
    await redis.scriptFlush();
    assert.equal(await redis.registerScript(lua)({ keys: ["foo"], args: [4], readonly: true }), 8);
    const write = redis.registerScript("return redis.call('SET', KEYS[1], 'x')");
    const refused = await rejection(write({ keys: ["foo"], readonly: true }));
    assert.ok(refused instanceof ResponseError);
    assert.equal(await redis.get("foo"), "2");
    const reads = redis.registerScript(lua);
    for (const transaction of [true, false]) {
      await redis.scriptFlush();
      const pipe = redis.pipeline({ transaction });
      for (const args of [[4], [5]]) reads({ keys: ["foo"], args, readonly: true, client: pipe });
      assert.deepEqual(await pipe.execute(), [8, 10]);
      assert.deepEqual(await redis.scriptExists(reads.sha), [true]);
    }
  });

  test("scripts run through views, leases and watching pipelines, each giving what it gives", async () => {
    const { redis } = world;
    const get = redis.registerScript("return redis.call('GET', KEYS[1])");
    await redis.set("foo", "é");
    const keys = ["foo"];
    assert.deepEqual(Buffer.from(await get({ keys, client: redis.with({ decodeResponses: false }) })), Buffer.from("é"));
    const lease = await redis.lease();
    assert.equal(await get({ keys, client: lease }), "é");
    await lease.release();
    const watching = await redis.pipeline().watch("foo");
    assert.equal(await get({ keys, client: watching }), "é");
    const pipe = watching.multi();
    get({ keys, client: pipe });
    assert.deepEqual(await pipe.execute(), ["é"]);
  });

  test("a script is the same text whatever the encoding of data, alone and in pipelines", async () => {
    const latin1 = world.redis.with({ encoding: "latin1" });
    const lua = "return { ARGV[1], 'é' }";
    for (const script of [latin1.registerScript(lua), latin1.registerScript(`${lua} -- ${"-".repeat(1100)}`)]) {
      for (const transaction of [true, false]) {
        await world.redis.scriptFlush();
        const pipe = latin1.pipeline({ transaction });
        for (let i = 0; i < 2; i++) script({ args: ["ö"], client: pipe });
        const expected = await script({ args: ["ö"] });
        assert.deepEqual(expected, ["ö", "Ã©"]);
        assert.deepEqual(await pipe.execute(), [expected, expected]);
      }
    }
  });

  test("scripts that the server is told to make room for may have it forget one: that is sent again with its text", async () => {
    const { redis } = world;
    const script = redis.registerScript(`return 'known' ${"-".repeat(1_024)}`);
    const evals = [(pipe, lua) => pipe.eval(lua), (pipe, lua) => pipe.call("eval", lua, 0), (pipe, lua) => pipe.evalRo(lua), (pipe, lua) => pipe.call("EVAL_RO", lua, 0)];
    for (const transaction of [true, false]) {
      await redis.scriptFlush();
      const pipe = script({ client: redis.pipeline({ transaction }) });
      for (let i = 0; i < 520; i++) evals[i % 4](pipe, `return ${i}`);
      const results = await script({ client: pipe }).execute();
      assert.deepEqual([results[0], results[520], results[521]], ["known", 519, "known"]);
    }
  });

  test("an error of the script's own is no reason to send it again", async () => {
    const { redis } = world;
    for (const text of ["NOSCRIPTS of mine", "NOSCRIPT of mine"]) {
      await redis.del("tries");
      const fail = redis.registerScript(`redis.call('INCR', KEYS[1]); return redis.error_reply('${text}')`);
      for (let tries = 1; tries <= 2; tries++) {
        const refused = await rejection(fail({ keys: ["tries"] }));
        assert.ok(refused instanceof ResponseError && refused.message.startsWith(text), `${refused}`);
        assert.equal(await redis.get("tries"), String(tries));
      }
    }
  });

  test("arguments of any size, text or bytes, reach a script that is not known yet", async () => {
    const { redis } = world;
    const big = "é".repeat(100_000);
    await redis.scriptFlush();
    const same = redis.registerScript("return {ARGV[1], ARGV[2], KEYS[1]}");
    assert.deepEqual(await same({ keys: ["k"], args: [big, Buffer.from(big)] }), [big, big, "k"]);
  });
});

test("a script asks no server until it is called", () => {
  const redis = new Redis({ connector: () => assert.fail("connected") });
  const script = redis.registerScript("return 1");
  assert.equal(script.sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  assert.equal(redis.status, "idle");
});

test("what is no script, no list and no client is refused, and nothing is sent", async (t) => {
  const { fake, redis } = faked(t, () => undefined);
  for (const text of ["", undefined, null, 1, {}]) assert.throws(() => redis.registerScript(text), { name: "TypeError", message: /^registerScript: parameter 'lua' expected/ });
  const script = redis.registerScript("return 1");
  for (const options of [null, "k", 5, ["k"]]) assert.match((await rejection(script(options))).message, /^script: parameter 'options' expected an object, got (null|string|number|Array)$/);
  for (const client of [{}, null, 5]) {
    const { name, message } = await rejection(script({ client }));
    assert.ok(name === "TypeError" && /^script: option 'client' expected a client or a pipeline, got (Object|null|number)$/.test(message), message);
  }
  for (const options of [{ keys: "k" }, { args: "a" }, { keys: new Set() }]) {
    const refused = await rejection(script(options));
    assert.ok(refused instanceof TypeError && /^script: option '(keys|args)' expected an array/.test(refused.message), refused.message);
  }
  assert.ok((await rejection(script({ args: [{}] }))) instanceof TypeError);
  const pipe = redis.pipeline();
  assert.throws(() => script({ keys: "k", client: pipe }), TypeError);
  assert.throws(() => script({ args: [null], client: pipe }), TypeError);
  assert.equal(pipe.length, 0);
  assert.deepEqual(fake.commands, []);
});

test("a server that knows no script whatever it is told is asked no third time", async (t) => {
  const { fake, redis } = faked(t, () => error("NOSCRIPT No matching script. Please use EVAL."));
  const refused = await rejection(redis.registerScript("return 1")({ keys: ["k"], args: [1] }));
  assert.ok(refused instanceof NoScriptError);
  assert.deepEqual(fake.commands, [
    ["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "1", "k", "1"],
    ["EVAL", "return 1", "1", "k", "1"],
  ]);
});

for (const transaction of [true, false]) {
  test(`a ${transaction ? "transaction" : "plain pipeline"} sends the text of each script once, nothing before it, and in a plain one a brief text each time`, async (t) => {
    const { fake, redis } = faked(t, ([name]) => (name === "EXEC" ? array(["a", "b", "a", "b"].map(bulk)) : transaction ? simple(name === "MULTI" ? "OK" : "QUEUED") : bulk("x")));
    const texts = ["return 'a'", `return 'b' ${"-".repeat(1_024)}`];
    const [brief, long] = texts.map((lua) => redis.registerScript(lua));
    for (let round = 0; round < 2; round++) {
      fake.commands.length = 0;
      const pipe = redis.pipeline({ transaction });
      brief({ args: ["x"], client: pipe });
      long({ client: pipe });
      brief({ keys: ["k"], client: pipe });
      long({ client: pipe });
      await pipe.execute();
      const calls = [
        ["EVAL", texts[0], "0", "x"],
        ["EVAL", texts[1], "0"],
        transaction ? ["EVALSHA", brief.sha, "1", "k"] : ["EVAL", texts[0], "1", "k"],
        ["EVALSHA", long.sha, "0"],
      ];
      assert.deepEqual(fake.commands, transaction ? [["MULTI"], ...calls, ["EXEC"]] : calls);
    }
  });
}

test("a long script that is forgotten in the midst of a plain pipeline says so: sent again it would run behind the rest", async (t) => {
  const { fake, redis } = faked(t, ([name]) => (name === "EVALSHA" ? error("NOSCRIPT No matching script.") : bulk("x")));
  const script = redis.registerScript(`return 1 ${"-".repeat(1_024)}`);
  const pipe = redis.pipeline({ transaction: false });
  script({ client: pipe });
  script({ client: pipe });
  pipe.get("k");
  const refused = await rejection(pipe.execute());
  assert.ok(refused instanceof NoScriptError);
  assert.deepEqual([refused.position, refused.maybeExecuted, refused.results[2]], [1, false, "x"]);
  assert.deepEqual(
    fake.commands.map(([name]) => name),
    ["EVAL", "EVALSHA", "GET"],
  );
});

test("scripts without end, called or merely named, are called with their texts, which are not kept", async (t) => {
  const { Instance } = WebAssembly;
  t.after(() => (WebAssembly.Instance = Instance));
  let memory;
  WebAssembly.Instance = function (module) {
    const instance = new Instance(module);
    ({ memory } = instance.exports);
    return instance;
  };
  const { fake, redis } = faked(t, ([name]) => (name === "EVALSHA" ? error("NOSCRIPT No matching script.") : bulk("x")));
  const padding = "x".repeat(10_000);
  const scripts = (first, count) => Array.from({ length: count }, (_, i) => redis.registerScript(`return ${first + i} -- ${padding}`));
  let largest;
  for (let first = 0; first < 10_000; first += 2_000) {
    // some are still to be sent when the others are asked for
    const calls = [0, 1000].flatMap((from) => scripts(first + from, from ? 500 : 100).map((script) => script()));
    for (const script of scripts(first + 1500, 500)) assert.equal(script.sha.length, 40);
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(["x"]));
    const texts = fake.commands.filter(([name]) => name === "EVAL").map(([, text]) => text);
    assert.equal(new Set(texts).size, 600);
    fake.commands.length = fake.link.commands.length = fake.link.writes.length = 0;
    largest ??= memory.buffer.byteLength;
  }
  assert.equal(memory.buffer.byteLength, largest);
});

test("a readonly call needs Redis 7.0, by itself and in a pipeline", async (t) => {
  const { fake, redis } = faked(t, () => bulk("x"), { greet: handshake(3, "6.2.0") });
  const script = redis.registerScript("return 1");
  assert.equal(await script(), "x");
  const pipe = redis.pipeline();
  for (const refused of [await rejection(script({ readonly: true })), await rejection(script({ readonly: true, client: pipe }).execute())]) {
    assert.ok(refused instanceof CommandNotSupportedError, String(refused));
    assert.match(refused.message, /EVAL(SHA)?_RO needs version 7 of the server, which is 6\.2\.0/);
  }
  assert.deepEqual(fake.commands.map(([name]) => name), ["EVALSHA"]);
});
