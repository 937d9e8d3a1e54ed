// The seed's chapter on scripts, and what a script survives.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { CommandNotSupportedError, NoScriptError, Redis, ResponseError } from "redwire";
import { faked } from "./support/client.mjs";
import { handshake } from "./support/fake.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { bulk, error } from "./support/resp.mjs";
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
    const pipe = redis.pipeline();
    redis.registerScript(lua)({ keys: ["foo"], args: [4], readonly: true, client: pipe });
    assert.deepEqual(await pipe.execute(), [8]);
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

  test("an error of the script's own is no reason to send it again", async () => {
    const { redis } = world;
    await redis.del("tries");
    const fail = redis.registerScript("redis.call('INCR', KEYS[1]); return redis.error_reply('NOSCRIPTS of mine')");
    const refused = await rejection(fail({ keys: ["tries"] }));
    assert.ok(refused instanceof ResponseError && !(refused instanceof NoScriptError));
    assert.equal(refused.command, "EVALSHA");
    assert.equal(await redis.get("tries"), "1");
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
  assert.throws(() => script({ client: {} }), { name: "TypeError", message: /^script: option 'client' expected a client or a pipeline, got Object/ });
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
