import assert from "node:assert/strict";
import { test } from "node:test";
import { ExecAbortError, ResponseError, UnknownCommandError, WrongTypeError } from "redwire";
import { rejection } from "../support/until.mjs";

/** Pipelines, plain and as transactions. */
export const pipelines = (world) => {
  for (const transaction of [true, false]) {
    const pipeline = () => world.redis.pipeline({ transaction });
    const kind = transaction ? "a transaction" : "a plain pipeline";

    test(`[promises 77, 78, 81, 82] ${kind} takes every command and gives results in order`, async () => {
      const { redis } = world;
      await redis.call("FLUSHDB");
      const results = await pipeline()
        .set("k", "v").get("k").set("k", "w", { get: true }).set("k", "x", { nx: true }).del("missing").incr("n")
        .mset({ a: 1, b: 2 }).mget("a", "missing", "b").rpush("l", 1, 2).lrange("l", 0, -1)
        .hset("h", { f: "v" }).hgetall("h").sadd("s", "m").smembers("s")
        .zadd("z", { a: 1, b: 2 }).zadd("z", { a: 1 }, { incr: true }).zrange("z", 0, -1).zrange("z", 0, -1, { withscores: true })
        .ping().ping("é").echo("é").call("TYPE", "l").call("hgetall", "h").get("missing")
        .execute();
      assert.deepEqual(results, [
        true, "v", "v", false, 0, 1,
        true, ["1", null, "2"], 2, ["1", "2"],
        1, { f: "v" }, 1, new Set(["m"]),
        2, 2, ["a", "b"], [["a", 2], ["b", 2]],
        "PONG", "é", "é", "list", { f: "v" }, null,
      ]);
    });

    test(`${kind} of none gives none`, async () => {
      assert.deepEqual(await pipeline().execute(), []);
    });

    test(`${kind} of 5 000`, async () => {
      const pipe = pipeline();
      for (let index = 0; index < 5000; index++) pipe.echo(`${index}`);
      assert.equal(pipe.length, 5000);
      assert.deepEqual(await pipe.execute(), Array.from({ length: 5000 }, (_, index) => `${index}`));
    });

    test(`${kind} with arguments and replies of 1 MiB`, async () => {
      const big = "x".repeat(2 ** 20);
      const bytes = Buffer.from("é".repeat(100_000));
      const [, one, , two, last] = await pipeline().set("big", big).get("big").set("big", bytes).get("big").ping().execute();
      assert.ok(one === big && two === bytes.toString());
      assert.equal(last, "PONG");
    });

    test(`${kind} counts its commands, returns itself, and can be used again`, async () => {
      const pipe = pipeline();
      assert.equal(pipe.length, 0);
      assert.equal(pipe.set("k", "1"), pipe);
      assert.equal(pipe.incr("k"), pipe);
      assert.equal(pipe.length, 2);
      assert.deepEqual(await pipe.execute(), [true, 2]);
      assert.equal(pipe.length, 0);
      assert.deepEqual(await pipe.incr("k").exec(), [3]);
      assert.deepEqual(await pipe.execute(), []);
    });

    test(`[promises 91, 92] ${kind} forgets its commands on reset, discard and disposal`, async () => {
      const pipe = pipeline();
      for (const forget of [() => pipe.reset(), () => pipe.discard(), () => pipe[Symbol.asyncDispose]()]) {
        pipe.set("never", "1");
        await forget();
        assert.equal(pipe.length, 0);
        assert.deepEqual(await pipe.execute(), []);
      }
      assert.deepEqual(await pipe.get("never").execute(), [null]);
    });

    test(`${kind} throws its first error, with position, command and all results`, async () => {
      await world.redis.set("text", "abc");
      const error = await rejection(pipeline().set("k", "1").incr("text").get("k").hgetall("text").execute());
      assert.match(error.message, /^Command # 2 \(INCR\) of pipeline/);
      assert.equal(error.constructor, ResponseError);
      assert.equal(error.position, 1);
      assert.equal(error.command, "INCR");
      assert.equal(error.results.length, 4);
      assert.equal(error.results[0], true);
      assert.equal(error.results[1], error);
      assert.equal(error.results[2], "1");
      assert.ok(error.results[3] instanceof WrongTypeError);
    });

    test(`${kind} keeps errors in their places with raiseOnError: false`, async () => {
      await world.redis.set("text", "abc");
      const results = await pipeline().incr("text").get("text").hgetall("text").ping().execute({ raiseOnError: false });
      assert.ok(results[0] instanceof ResponseError && results[2] instanceof WrongTypeError);
      assert.deepEqual(results.map((result) => (result instanceof ResponseError ? result.command : result)), ["INCR", "abc", "HGETALL", "PONG"]);
    });

    test(`${kind} refuses a wrong argument at once and stays as it was`, async () => {
      const pipe = pipeline();
      assert.throws(() => pipe.set("k", null), TypeError);
      assert.throws(() => pipe.hset("h", {}), TypeError);
      assert.equal(pipe.length, 0);
      pipe.set("k", "kept");
      assert.throws(() => pipe.set("k", undefined), TypeError);
      assert.throws(() => pipe.call("SUBSCRIBE", "x"), TypeError);
      pipe.get("k");
      assert.equal(pipe.length, 2);
      assert.deepEqual(await pipe.execute(), [true, "kept"]);
      assert.throws(() => pipe.set("k", {}), TypeError);
      assert.deepEqual(await pipe.execute(), []);
      assert.equal(await world.redis.ping(), "PONG");
    });

    test(`[promises 55, 56] ${kind} has no then, so that await does not run it`, async () => {
      const pipe = pipeline().ping();
      assert.equal(pipe.then, undefined);
      assert.equal(await pipe, pipe);
      assert.equal(pipe.length, 1);
    });

    test(`${kind} leaves commands around it in order`, async () => {
      const { redis } = world;
      await redis.del("order");
      const lengths = await Promise.all([
        redis.rpush("order", "a"),
        pipeline().rpush("order", "b").rpush("order", "c").execute(),
        redis.rpush("order", "d"),
        pipeline().rpush("order", "e").execute(),
      ]);
      assert.deepEqual(lengths, [1, [2, 3], 4, [5]]);
    });
  }

  test("[promises 83, 84] the pipeline of the seed's sample", async () => {
    const pipe = world.redis.pipeline();
    const results = await pipe.flushdb().set("foo", "bar").set("bar", "foo").keys("*").execute();
    assert.deepEqual(results, [true, true, true, new Set(["foo", "bar"])]);
  });

  test("[promises 84, 89] multi is atomic: an error inside leaves the others executed", async () => {
    const { redis } = world;
    await redis.call("FLUSHDB");
    await redis.set("text", "abc");
    const results = await redis.multi().set("a", "1").incr("text").set("b", "2").execute({ raiseOnError: false });
    assert.equal(results[0], true);
    assert.ok(results[1] instanceof ResponseError);
    assert.equal(results[2], true);
    assert.deepEqual(await redis.mget("a", "b"), ["1", "2"]);
  });

  test("a command that the server refuses to queue ends the transaction, and nothing is executed", async () => {
    const { redis } = world;
    await redis.del("a", "b");
    for (const options of [{}, { raiseOnError: false }]) {
      const error = await rejection(redis.multi().set("a", "1").call("NOSUCHCOMMAND", "x").set("b", "2").execute(options));
      assert.ok(error instanceof UnknownCommandError);
      assert.equal(error.position, 1);
      assert.equal(error.command, "NOSUCHCOMMAND");
      assert.match(error.message, /^Command # 2 \(NOSUCHCOMMAND\) of pipeline/);
      assert.equal(error.maybeExecuted, false);
    }
    assert.deepEqual(await redis.mget("a", "b"), [null, null]);
    assert.equal(typeof ExecAbortError, "function");
  });

  test("[promise 85] without a transaction nothing is queued by the server", async () => {
    const { redis } = world;
    const results = await redis.pipeline({ transaction: false }).set("a", "1").call("NOSUCHCOMMAND").get("a").execute({ raiseOnError: false });
    assert.equal(results[0], true);
    assert.ok(results[1] instanceof UnknownCommandError);
    assert.equal(results[2], "1");
  });

  test("two transactions at once keep apart", async () => {
    const { redis } = world;
    await redis.del("n");
    const results = await Promise.all(Array.from({ length: 50 }, () => redis.multi().incr("n").incr("n").execute()));
    assert.deepEqual(results, Array.from({ length: 50 }, (_, index) => [2 * index + 1, 2 * index + 2]));
  });
};
