import assert from "node:assert/strict";
import { test } from "node:test";
import { NoScriptError, UnknownCommandError } from "redwire";
import { rejection } from "../support/until.mjs";

/** Any command, by its name. */
export const calls = (world) => {
  test("a command that the table knows gets its usual shape, in any case", async () => {
    const { redis } = world;
    await redis.del("h", "set", "z", "k");
    assert.equal(await redis.call("set", "k", "v"), true);
    assert.equal(await redis.call("SET", "k", "v", "NX"), false);
    assert.equal(await redis.call("get", "k"), "v");
    await redis.call("hset", "h", "f", "v");
    assert.deepEqual(await redis.call("HgetAll", "h"), { f: "v" });
    await redis.call("sadd", "set", "m");
    assert.deepEqual(await redis.call("smembers", "set"), new Set(["m"]));
    await redis.call("zadd", "z", 1, "a", 2, "b");
    assert.deepEqual(await redis.call("zrange", "z", 0, -1), ["a", "b"]);
  });

  test("option tokens decide the shape, in any case, behind the required arguments only", async () => {
    const { redis } = world;
    await redis.del("z");
    await redis.set("k", "old");
    assert.equal(await redis.call("set", "k", "new", "GET"), "old");
    assert.equal(await redis.call("set", "k", "get", "get", "ex", 100), "new");
    assert.equal(await redis.call("set", "get", "GET"), true);
    assert.equal(await redis.call("zadd", "z", "incr", 1.5, "a"), 1.5);
    assert.deepEqual(await redis.call("zrange", "z", 0, -1, "withScores"), [["a", 1.5]]);
  });

  test("any command gives what its method gives", async () => {
    const { redis, bytes } = world;
    await redis.del("l", "missing");
    await redis.rpush("l", "a", "b");
    assert.equal(await redis.call("LLEN", "l"), 2);
    assert.equal(await redis.call("LPOP", "missing"), null);
    assert.equal(await redis.call("LINDEX", "l", 1), "b");
    assert.equal(await redis.call("TYPE", "l"), "list");
    assert.equal(await redis.call("FLUSHDB"), true);
    assert.deepEqual(await redis.call("object", "help"), await redis.call("OBJECT HELP"));
    assert.equal(await bytes.call("TYPE", "l"), "none");
    await redis.rpush("l", "a");
    assert.deepEqual(await bytes.call("LINDEX", "l", 0), new Uint8Array(Buffer.from("a")));
  });

  test("names of two words, and arguments of every kind", async () => {
    const { redis } = world;
    assert.equal(await redis.call("CONFIG GET", "maxmemory").then((reply) => (Array.isArray(reply) ? reply[1] : reply.maxmemory)), "0");
    assert.equal(typeof (await redis.call("CLIENT", "ID")), "number");
    assert.equal(await redis.call("client id"), await redis.call(" client  id "));
    assert.equal(await redis.call("ECHO", 1), "1");
    assert.equal(await redis.call("ECHO", 10n ** 20n), "100000000000000000000");
    assert.equal(await redis.call("ECHO", Buffer.from("é")), "é");
  });

  test("nested replies: arrays in arrays, nil, integers, errors inside", async () => {
    const { redis } = world;
    const lua = "return {1, {'a', {2, false, 'é'}}, {}, {{}, {{'deep'}}}}";
    assert.deepEqual(await redis.call("EVAL", lua, 0), [1, ["a", [2, null, "é"]], [], [[], [["deep"]]]]);
    await redis.call("SELECT_NOT", "x").catch(() => {});
    const nested = await redis.call("EVAL", "return {1, redis.error_reply('ERR inner'), 2}", 0);
    assert.equal(nested[0], 1);
    assert.ok(nested[1] instanceof Error);
    assert.match(nested[1].message, /inner/);
    assert.equal(nested[2], 2);
  });

  test("a wide or nested structure of 5 000 values", async () => {
    const { redis } = world;
    const lua = "local r = {} for i = 1, 1000 do r[i] = {i, tostring(i), {false, 'x' .. i}, 'é'} end return r";
    const reply = await redis.call("EVAL", lua, 0);
    assert.equal(reply.length, 1000);
    reply.forEach((row, index) => assert.deepEqual(row, [index + 1, `${index + 1}`, [null, `x${index + 1}`], "é"]));
  });

  test("an unknown name is an UnknownCommandError that was not executed", async () => {
    const error = await rejection(world.redis.call("NOSUCHCOMMAND", "x"));
    assert.ok(error instanceof UnknownCommandError);
    assert.equal(error.code, "ERR");
    assert.equal(error.command, "NOSUCHCOMMAND");
    assert.equal(error.maybeExecuted, false);
  });

  test("[promise 41] scripts are evaluated, loaded and looked for by typed commands", async () => {
    const { redis, bytes } = world;
    const script = `return {KEYS[1], ARGV[1], 7, false, {'${world.transport}', '${world.protocol}'}}`;
    const expected = ["k", "1.5", 7, null, [world.transport, `${world.protocol}`]];
    assert.deepEqual(await redis.eval(script, ["k"], [1.5]), expected);
    assert.deepEqual((await bytes.eval(script, ["k"], [1.5]))[0], new Uint8Array(Buffer.from("k")));
    const sha = await redis.scriptLoad(script);
    assert.match(sha, /^[0-9a-f]{40}$/);
    assert.deepEqual(await redis.evalsha(sha, ["k"], [1.5]), expected);
    assert.deepEqual(await redis.evalshaRo(sha, ["k"], 1.5), expected);
    assert.deepEqual(await redis.scriptExists(sha, "0".repeat(40)), [true, false]);
    const error = await rejection(redis.evalsha("0".repeat(40)));
    assert.ok(error instanceof NoScriptError && error.maybeExecuted === false && error.command === "EVALSHA", `${error}`);
    assert.deepEqual(await redis.multi().eval(script, ["k"], [1.5]).scriptExists([sha]).execute(), [expected, [true]]);
  });
};
