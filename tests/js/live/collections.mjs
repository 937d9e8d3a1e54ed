import assert from "node:assert/strict";
import { test } from "node:test";

const bytesOf = (text) => new Uint8Array(Buffer.from(text));

/** Lists, hashes, sets and sorted sets. */
export const collections = (world) => {
  test("[promise 18] rpush and lrange", async () => {
    const { redis, bytes } = world;
    await redis.del("l");
    assert.deepEqual(await redis.lrange("l", 0, -1), []);
    assert.equal(await redis.rpush("l", "a", 1, 2n), 3);
    assert.equal(await redis.rpush("l", ["b", Buffer.from("c")]), 5);
    assert.deepEqual(await redis.lrange("l", 0, -1), ["a", "1", "2", "b", "c"]);
    assert.deepEqual(await redis.lrange("l", -2, -1), ["b", "c"]);
    assert.deepEqual(await redis.lrange("l", 9, 10), []);
    assert.deepEqual(await bytes.lrange("l", 0, 0), [bytesOf("a")]);
  });

  test("[promise 13] a list argument is an array or a rest", async () => {
    const { redis } = world;
    await redis.del("l");
    assert.equal(await redis.lpush("l", [1]), 1);
    assert.equal(await redis.lpush("l", 2, 3), 3);
    assert.equal(await redis.rpush("l", [4, 5]), 5);
    assert.deepEqual(await redis.lrange("l", 0, -1), ["3", "2", "1", "4", "5"]);
  });

  test("a list of 10 000 comes whole and in order", async () => {
    const { redis, bytes } = world;
    await redis.del("long");
    const items = Array.from({ length: 10_000 }, (_, index) => (index % 100 === 0 ? `é${index}`.repeat(20) : `item ${index}`));
    assert.equal(await redis.rpush("long", items), 10_000);
    assert.deepEqual(await redis.lrange("long", 0, -1), items);
    assert.deepEqual((await bytes.lrange("long", 0, -1)).map((item) => Buffer.from(item).toString()), items);
  });

  test("[promises 14, 19] hset takes an object, a Map and pairs; hgetall gives an object", async () => {
    const { redis, bytes } = world;
    await redis.del("h");
    assert.deepEqual(await redis.hgetall("h"), {});
    assert.equal(await redis.hset("h", { a: 1, b: "two" }), 2);
    assert.equal(await redis.hset("h", new Map([["c", 3n]])), 1);
    assert.equal(await redis.hset("h", [["d", Buffer.from("4")], ["a", "one"]]), 1);
    const all = await redis.hgetall("h");
    assert.deepEqual(all, { a: "one", b: "two", c: "3", d: "4" });
    assert.equal(Object.getPrototypeOf(all), Object.prototype);
    assert.deepEqual(await bytes.hgetall("h"), { a: bytesOf("one"), b: bytesOf("two"), c: bytesOf("3"), d: bytesOf("4") });
  });

  test("fields named like parts of an object are fields, and nothing of Object changes", async () => {
    const { redis, bytes } = world;
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "then", "10", "2", "", "x"];
    const before = Object.getOwnPropertyNames(Object.prototype).join();
    await redis.del("odd");
    await redis.hset("odd", names.map((name) => [name, `value of ${name}`]));
    const check = (all, text) => {
      assert.deepEqual(Object.keys(all).sort(), [...names].sort());
      for (const name of names) assert.equal(text(Object.getOwnPropertyDescriptor(all, name).value), `value of ${name}`);
      assert.equal(Object.getPrototypeOf(all), Object.prototype);
    };
    check(await redis.hgetall("odd"), String);
    check(await bytes.hgetall("odd"), (value) => Buffer.from(value).toString());
    const many = [...names, ...Array.from({ length: 40 }, (_, index) => `field ${index}`)];
    await redis.hset("odd", many.map((name) => [name, "v"]));
    const all = await redis.hgetall("odd");
    assert.deepEqual(Object.keys(all).sort(), [...many].sort());
    assert.equal(Object.getPrototypeOf(all), Object.prototype);
    assert.ok(Object.hasOwn(all, "__proto__"));
    assert.equal(Object.getOwnPropertyNames(Object.prototype).join(), before);
    assert.equal({}.x, undefined);
  });

  test("hashes of every size around the limit of small objects, and of 1 000", async () => {
    const { redis } = world;
    for (const size of [1, 31, 32, 33, 34, 1000]) {
      const fields = Object.fromEntries(Array.from({ length: size }, (_, index) => [`field ${index}`, `value ${index}`]));
      await redis.del("big");
      assert.equal(await redis.hset("big", fields), size);
      const all = await redis.hgetall("big");
      assert.deepEqual(all, fields);
      assert.equal(all.constructor, Object);
    }
  });

  test("a hash keeps the server's order", async () => {
    const { redis } = world;
    await redis.del("h");
    const fields = Array.from({ length: 20 }, (_, index) => [`f${19 - index}`, `${index}`]);
    await redis.hset("h", fields);
    assert.deepEqual(Object.entries(await redis.hgetall("h")), fields);
  });

  test("[promises 15, 20] sadd and smembers: a Set of text, an array of bytes", async () => {
    const { redis, bytes } = world;
    await redis.del("set");
    assert.deepEqual(await redis.smembers("set"), new Set());
    assert.deepEqual(await bytes.smembers("set"), []);
    assert.equal(await redis.sadd("set", ["a"]), 1);
    assert.equal(await redis.sadd("set", "a", "b", 3), 2);
    assert.deepEqual(await redis.smembers("set"), new Set(["a", "b", "3"]));
    const members = await bytes.smembers("set");
    assert.ok(Array.isArray(members) && members.every((member) => member instanceof Uint8Array));
    assert.deepEqual(members.map((member) => Buffer.from(member).toString()).sort(), ["3", "a", "b"]);
  });

  test("[promises 16, 21] zadd and zrange", async () => {
    const { redis, bytes } = world;
    await redis.del("z");
    assert.deepEqual(await redis.zrange("z", 0, -1), []);
    assert.equal(await redis.zadd("z", { a: 1.0 }), 1);
    assert.equal(await redis.zadd("z", new Map([["b", 2]])), 1);
    assert.equal(await redis.zadd("z", [["c", 3], ["a", 1]]), 1);
    assert.deepEqual(await redis.zrange("z", 0, -1), ["a", "b", "c"]);
    assert.deepEqual(await bytes.zrange("z", 0, 0), [bytesOf("a")]);
  });

  test("zadd with every option", async () => {
    const { redis } = world;
    await redis.del("z");
    assert.equal(await redis.zadd("z", { a: 1, b: 2 }), 2);
    assert.equal(await redis.zadd("z", { a: 5, c: 3 }, { nx: true }), 1);
    assert.equal(await redis.zadd("z", { a: 2, d: 3 }, { xx: true }), 0);
    assert.equal(await redis.zadd("z", { a: 3, b: 2, e: 1 }, { ch: true }), 2);
    assert.equal(await redis.zadd("z", { a: 1, b: 4 }, { gt: true, ch: true }), 1);
    assert.equal(await redis.zadd("z", { a: 1, b: 9 }, { lt: true, ch: true }), 1);
    assert.equal(await redis.zadd("z", { a: 2.5 }, { incr: true }), 3.5);
    assert.equal(await redis.zadd("z", { a: 1 }, { incr: true, nx: true }), null);
    assert.deepEqual(await redis.zrange("z", 0, -1, { withscores: true }), [["e", 1], ["c", 3], ["a", 3.5], ["b", 4]]);
  });

  test("zrange with every option", async () => {
    const { redis, bytes } = world;
    await redis.del("z", "lex");
    await redis.zadd("z", { a: 1, b: 2, c: 3, d: 4 });
    await redis.zadd("lex", { a: 0, b: 0, c: 0 });
    assert.deepEqual(await redis.zrange("z", 2, 3, { byscore: true }), ["b", "c"]);
    assert.deepEqual(await redis.zrange("z", "(1", "+inf", { byscore: true, limit: [1, 2] }), ["c", "d"]);
    assert.deepEqual(await redis.zrange("z", -Infinity, Infinity, { byscore: true, limit: [0, 1] }), ["a"]);
    assert.deepEqual(await redis.zrange("lex", "[b", "+", { bylex: true }), ["b", "c"]);
    assert.deepEqual(await redis.zrange("z", 0, 1, { rev: true }), ["d", "c"]);
    assert.deepEqual(await redis.zrange("z", 0, 1, { withscores: true }), [["a", 1], ["b", 2]]);
    assert.deepEqual(await redis.zrange("z", 3, "-inf", { byscore: true, rev: true, withscores: true }), [["c", 3], ["b", 2], ["a", 1]]);
    assert.deepEqual(await redis.zrange("missing", 0, -1, { withscores: true }), []);
    assert.deepEqual(await bytes.zrange("z", 0, 0, { withscores: true }), [[bytesOf("a"), 1]]);
  });

  test("doubles keep every bit, and infinity is a number", async () => {
    const { redis } = world;
    const scores = { big: 1e300, deep: -1e300, half: 0.1, max: Number.MAX_SAFE_INTEGER, min: Number.MIN_VALUE, pi: Math.PI, top: Infinity, under: -Infinity, zero: 0 };
    await redis.del("z");
    await redis.zadd("z", scores);
    assert.deepEqual(Object.fromEntries(await redis.zrange("z", 0, -1, { withscores: true })), scores);
    assert.equal(await redis.zadd("z", { top: 1 }, { incr: true }), Infinity);
    assert.equal(await redis.zadd("z", { under: 1 }, { incr: true }), -Infinity);
  });

  test("replies of many commands in flight keep to their commands", async () => {
    const { redis } = world;
    const keys = Array.from({ length: 3000 }, (_, index) => `many ${index}`);
    await Promise.all(keys.map((key, index) => redis.set(key, `${index} ${"x".repeat(index % 50)}`)));
    const values = await Promise.all(keys.map((key) => redis.get(key)));
    values.forEach((value, index) => assert.equal(value, `${index} ${"x".repeat(index % 50)}`));
  });
};
