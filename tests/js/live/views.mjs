import assert from "node:assert/strict";
import { test } from "node:test";

/** Views share the connection and differ in how they treat values. */
export const views = (world) => {
  test("[promises 2, 9] a view gives bytes or text, on the same connection", async () => {
    const { redis } = world;
    await redis.set("k", "é");
    const bytes = redis.with({ decodeResponses: false });
    const [text, raw, again, id, sameId] = await Promise.all([
      redis.get("k"),
      bytes.get("k"),
      bytes.with({ decodeResponses: true }).get("k"),
      redis.call("CLIENT ID"),
      bytes.call("CLIENT ID"),
    ]);
    assert.equal(text, "é");
    assert.deepEqual(raw, new Uint8Array(Buffer.from("é")));
    assert.equal(again, "é");
    assert.equal(id, sameId);
  });

  test("statuses, names of fields and nested structs stay text in bytes", async () => {
    const { bytes } = world;
    assert.equal(await bytes.set("k", "v"), true);
    assert.equal(await bytes.call("TYPE", "k"), "string");
    assert.equal(await bytes.ping(), "PONG");
    await bytes.del("h");
    await bytes.hset("h", { f: 1 });
    assert.deepEqual(Object.keys(await bytes.hgetall("h")), ["f"]);
  });

  test("raw gives what the wire had", async () => {
    const { redis, protocol } = world;
    const raw = redis.with({ raw: true });
    assert.equal(await raw.set("k", "v"), "OK");
    assert.equal(await raw.set("k", "v", { nx: true }), null);
    await redis.del("set", "h", "z");
    await redis.sadd("set", "m");
    await redis.hset("h", { f: "v" });
    await redis.zadd("z", { a: 1.5 });
    const flat = protocol === 2;
    assert.deepEqual(await raw.smembers("set"), flat ? ["m"] : new Set(["m"]));
    assert.deepEqual(await raw.hgetall("h"), flat ? ["f", "v"] : { f: "v" });
    assert.deepEqual(await raw.zrange("z", 0, -1, { withscores: true }), flat ? ["a", "1.5"] : [["a", 1.5]]);
    assert.equal(await raw.call("zadd", "z", "INCR", 1, "a"), flat ? "2.5" : 2.5);
  });

  test("views of views add up", async () => {
    const { redis } = world;
    await redis.set("k", "v");
    const view = redis.with({ timeout: 5000 }).with({ decodeResponses: false }).with({ signal: new AbortController().signal });
    assert.deepEqual(await view.get("k"), new Uint8Array(Buffer.from("v")));
    assert.deepEqual(await view.pipeline().get("k").execute(), [new Uint8Array(Buffer.from("v"))]);
    assert.equal(await redis.with({}).get("k"), "v");
    assert.equal(await redis.with({ timeout: undefined }).get("k"), "v");
  });

  test("what is no option of a view is refused", () => {
    const { redis } = world;
    for (const options of [{ decode: true }, { timeout: -1 }, { timeout: 1.5 }, { timeout: "5" }, { signal: {} }, { raw: 1 }, { decodeResponses: "no" }, { host: "x" }]) {
      assert.throws(() => redis.with(options), (error) => error instanceof TypeError && error.message.includes(Object.keys(options)[0]));
    }
  });
};
