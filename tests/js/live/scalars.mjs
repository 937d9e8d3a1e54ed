import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegerRangeError, ResponseError, WrongTypeError } from "redwire";
import { rejection } from "../support/until.mjs";

/** Commands on single values. */
export const scalars = (world) => {
  test("a missing key is null", async () => {
    assert.equal(await world.redis.get("missing"), null);
    assert.equal(await world.bytes.get("missing"), null);
  });

  test("[promises 12, 17, 39] set takes text, numbers and bigints, and get gives text", async () => {
    const { redis } = world;
    assert.equal(await redis.set("s", "value"), true);
    assert.equal(await redis.get("s"), "value");
    for (const [value, text] of [
      [1, "1"],
      [-0.5, "-0.5"],
      [1e21, "1e+21"],
      [2n ** 70n, "1180591620717411303424"],
      [Infinity, "inf"],
      [-Infinity, "-inf"],
      [Buffer.from("bytes"), "bytes"],
      [new Uint8Array(0), ""],
      ["", ""],
    ]) {
      assert.equal(await redis.set("s", value), true);
      assert.equal(await redis.get("s"), text);
    }
  });

  test("[promise 22] the same calls give text or bytes as decodeResponses says", async () => {
    await world.redis.set("s", "value");
    assert.equal(await world.redis.get("s"), "value");
    assert.deepEqual(await world.bytes.get("s"), new Uint8Array(Buffer.from("value")));
  });

  test("set says false when nx or xx kept it from storing", async () => {
    const { redis } = world;
    await redis.del("nx");
    assert.equal(await redis.set("nx", "1", { xx: true }), false);
    assert.equal(await redis.set("nx", "1", { nx: true }), true);
    assert.equal(await redis.set("nx", "2", { nx: true }), false);
    assert.equal(await redis.set("nx", "3", { xx: true }), true);
    assert.equal(await redis.get("nx"), "3");
  });

  test("set with get gives the old value, null when there was none", async () => {
    const { redis } = world;
    await redis.del("old");
    assert.equal(await redis.set("old", "OK", { get: true }), null);
    assert.equal(await redis.set("old", "2", { get: true }), "OK");
    assert.equal(await redis.set("old", "3", { get: true, xx: true }), "2");
    assert.equal(await redis.set("old", "4", { get: true, nx: true }), "3");
    assert.equal(await redis.get("old"), "3");
  });

  test("set takes every form of expiry", async () => {
    const { redis } = world;
    const soon = new Date(Date.now() + 100_000);
    const left = async (options, low, high) => {
      assert.equal(await redis.set("ttl", "v", options), true);
      const ttl = await redis.call("PTTL", "ttl");
      assert.ok(ttl > low && ttl <= high, `${ttl} ms left after ${JSON.stringify(options)}`);
    };
    await left({ ex: 100 }, 90_000, 100_000);
    await left({ px: 5_500 }, 1_000, 5_500);
    await left({ keepttl: true }, 1_000, 5_500);
    await left({ exat: soon }, 90_000, 100_000);
    await left({ exat: Math.floor(soon / 1000) }, 90_000, 100_000);
    await left({ pxat: soon }, 90_000, 100_000);
    await left({ pxat: soon.getTime() }, 90_000, 100_000);
    assert.equal(await redis.set("ttl", "v"), true);
    assert.equal(await redis.call("PTTL", "ttl"), -1);
  });

  test("an absent or false option is none", async () => {
    const { redis } = world;
    await redis.set("s", "1");
    assert.equal(await redis.set("s", "2", { nx: false, get: undefined, ex: undefined }), true);
    assert.equal(await redis.set("s", "3", {}), true);
  });

  test("a key that is a number is its decimal text", async () => {
    await world.redis.set(12, "twelve");
    assert.equal(await world.redis.get("12"), "twelve");
  });

  test("[promise 80] del counts the keys that existed, in list and array form", async () => {
    const { redis } = world;
    await redis.mset({ a: 1, b: 2, c: 3 });
    assert.equal(await redis.del("a", "missing"), 1);
    assert.equal(await redis.del(["b", "c"]), 2);
    assert.equal(await redis.del("a"), 0);
  });

  test("incr counts", async () => {
    const { redis } = world;
    await redis.del("n");
    assert.equal(await redis.incr("n"), 1);
    assert.equal(await redis.incr("n"), 2);
  });

  test("integers stay exact on both sides of 32 bits and up to 2^53-1", async () => {
    const { redis } = world;
    const borders = [0, 1, -1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];
    for (const border of borders.flatMap((n) => [n, -n])) {
      await redis.set("n", border - 1);
      assert.equal(await redis.incr("n"), border === 0 ? 0 : border);
    }
  });

  test("an integer beyond 2^53-1 is an IntegerRangeError with its exact value, and a bigint through call", async () => {
    const { redis } = world;
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 53n), -(2n ** 63n) + 1n]) {
      await redis.set("n", value - 1n);
      const error = await rejection(redis.incr("n"));
      assert.ok(error instanceof IntegerRangeError);
      assert.equal(error.value, value);
      assert.equal(error.command, "INCR");
      await redis.set("n", value - 1n);
      assert.equal(await redis.call("INCR", "n"), value);
    }
    assert.equal(await redis.call("INCRBY", "n", 0), -(2n ** 63n) + 1n);
    assert.equal(await redis.ping(), "PONG");
  });

  test("mset takes an object, a Map and pairs; mget keeps order and holes", async () => {
    const { redis } = world;
    await redis.del("m1", "m2", "m3", "2", "1");
    assert.equal(await redis.mset({ m1: "one", m2: 2 }), true);
    assert.equal(await redis.mset(new Map([["m3", 3n]])), true);
    assert.equal(await redis.mset([["2", "first"], ["1", "second"], ["2", "last"]]), true);
    assert.deepEqual(await redis.mget("m1", "missing", "m2"), ["one", null, "2"]);
    assert.deepEqual(await redis.mget(["m3", "1", "2"]), ["3", "second", "last"]);
  });

  test("ping and echo", async () => {
    const { redis, bytes } = world;
    assert.equal(await redis.ping(), "PONG");
    assert.equal(await redis.ping("hello"), "hello");
    assert.equal(await redis.echo("hello"), "hello");
    assert.equal(await redis.echo(""), "");
    assert.equal(await bytes.ping(), "PONG");
    assert.deepEqual(await bytes.ping("hello"), new Uint8Array(Buffer.from("hello")));
    assert.deepEqual(await bytes.echo("PONG"), new Uint8Array(Buffer.from("PONG")));
  });

  test("an error of the server's is a reply: typed, with code and command, and the link goes on", async () => {
    const { redis } = world;
    await redis.del("list");
    await redis.rpush("list", "x");
    const before = redis.ping();
    const failed = redis.get("list");
    const behind = redis.ping("behind");
    const error = await rejection(failed);
    assert.ok(error instanceof WrongTypeError && error instanceof ResponseError);
    assert.equal(error.name, "WrongTypeError");
    assert.equal(error.code, "WRONGTYPE");
    assert.equal(error.command, "GET");
    assert.equal(await before, "PONG");
    assert.equal(await behind, "behind");
    await redis.set("text", "abc");
    const plain = await rejection(redis.incr("text"));
    assert.equal(plain.constructor, ResponseError);
    assert.equal(plain.code, "ERR");
    assert.match(plain.message, /not an integer/);
  });
};
