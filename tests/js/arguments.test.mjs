import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Redis } from "redwire";
import { faked } from "./support/client.mjs";
import { ok } from "./support/resp.mjs";
import { rejection } from "./support/until.mjs";

const echo = (args) => Buffer.from(`$${Buffer.byteLength(args[1] ?? "OK")}\r\n${args[1] ?? "OK"}\r\n`);

/** Calls that are wrong, and what their message must name. */
const wrong = {
  "get()": [(redis) => redis.get(), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got undefined$/],
  "get(null)": [(redis) => redis.get(null), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got null$/],
  "get({})": [(redis) => redis.get({}), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got Object$/],
  "get(NaN)": [(redis) => redis.get(NaN), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got NaN$/],
  "get(true)": [(redis) => redis.get(true), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got boolean$/],
  "get(Symbol())": [(redis) => redis.get(Symbol("secret")), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got symbol$/],
  "get(function)": [(redis) => redis.get(() => "secret"), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got function$/],
  "get(array)": [(redis) => redis.get(["secret"]), /^TypeError: get: parameter 'key' expected string \| Uint8Array, got Array$/],
  "set(k)": [(redis) => redis.set("k"), /set: parameter 'value' .*undefined/],
  "set(k, Date)": [(redis) => redis.set("k", new Date()), /set: parameter 'value' .*Date/],
  "set(k, ArrayBuffer)": [(redis) => redis.set("k", new ArrayBuffer(8)), /set: parameter 'value' .*ArrayBuffer/],
  "set(k, Uint16Array)": [(redis) => redis.set("k", new Uint16Array(8)), /set: parameter 'value' .*Uint16Array/],
  "set with a wrong option": [(redis) => redis.set("k", "v", { exp: 1 }), /set: 'exp' is not an option/],
  "set with NaN as expiry": [(redis) => redis.set("k", "v", { ex: NaN }), /set: .*NaN/],
  "set with an invalid Date": [(redis) => redis.set("k", "v", { exat: new Date(NaN) }), /set: parameter 'exat' .*Date/],
  "set with a text as flag": [(redis) => redis.set("k", "v", { nx: "yes" }), /set: parameter 'nx' expected true, got string/],
  "set with prototype names": [(redis) => redis.set("k", "v", { constructor: 1 }), /set: 'constructor' is not an option/],
  "del()": [(redis) => redis.del(), /del: parameter 'key' expected a non-empty array, got undefined/],
  "del([])": [(redis) => redis.del([]), /del: parameter 'key' expected a non-empty array, got an empty one/],
  "del with a hole": [(redis) => redis.del("a", undefined, "b"), /del: parameter 'key' .*undefined/],
  "mget of nested arrays": [(redis) => redis.mget(["a"], ["b"]), /mget: parameter 'key' .*Array/],
  "mset({})": [(redis) => redis.mset({}), /mset: parameter 'data' expected a non-empty object, Map or array of pairs, got an empty one/],
  "mset(text)": [(redis) => redis.mset("text"), /mset: parameter 'data' expected a non-empty object, Map or array of pairs, got string/],
  "mset(bytes)": [(redis) => redis.mset(Buffer.from("x")), /mset: parameter 'data' expected a non-empty object, Map or array of pairs, got Buffer/],
  "mset(null)": [(redis) => redis.mset(null), /mset: parameter 'data' expected a non-empty object, Map or array of pairs, got null/],
  "hset with an undefined value": [(redis) => redis.hset("k", { field: undefined }), /hset: parameter 'data' .*undefined/],
  "hset(k)": [(redis) => redis.hset("k"), /hset: parameter 'data' expected .*undefined/],
  "zadd with a missing score": [(redis) => redis.zadd("k", { member: null }), /zadd: parameter 'data' .*null/],
  "zadd with NaN": [(redis) => redis.zadd("k", { member: NaN }), /zadd: parameter 'data' .*NaN/],
  "zrange with a lone limit": [(redis) => redis.zrange("k", 0, 1, { limit: [0, null] }), /zrange: .*null/],
  "call()": [(redis) => redis.call(), /call: parameter 'name' .*undefined/],
  "call of a blank": [(redis) => redis.call("  "), /call: parameter 'name'/],
  "call of a number": [(redis) => redis.call(1), /call: parameter 'name' .*number/],
  "call with null": [(redis) => redis.call("GET", null), /get: argument .*null/],
};

const reserved = ["AUTH", "HELLO", "SELECT", "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "MONITOR", "RESET", "QUIT", "PSYNC", "SYNC", "REPLCONF", "CLIENT REPLY", "CLIENT SETNAME"];

describe("wrong arguments throw before anything is sent", () => {
  for (const [title, [call, message]] of Object.entries(wrong)) {
    test(title, async (t) => {
      const { fake, redis } = faked(t, echo);
      const error = await rejection(Promise.resolve(call(redis)));
      assert.ok(error instanceof TypeError, `${error}`);
      assert.match(`${error}`, message);
      assert.doesNotMatch(error.message, /secret/, "never the value");
      assert.equal(fake.links.length, 0, "not even a connection");
    });
  }

  test("neighbours of a refused command are sent, whole and alone", async (t) => {
    const { fake, redis } = faked(t, echo);
    const large = "x".repeat(100_000);
    const settled = await Promise.allSettled([
      redis.echo("before"),
      redis.set("key", "a".repeat(300), { ex: null }),
      redis.mset([["a", "1"], ["b", large], ["c", {}]]),
      redis.echo(large),
      redis.rpush("list", new Uint8Array(100_000), Symbol()),
      redis.echo("after"),
    ]);
    assert.deepEqual(settled.map(({ status }) => status), ["fulfilled", "rejected", "rejected", "fulfilled", "rejected", "fulfilled"]);
    assert.deepEqual(fake.commands.map(([name]) => name), ["ECHO", "ECHO", "ECHO"]);
    assert.ok(settled[3].value === large);
    assert.equal(settled[5].value, "after");
  });
});

describe("commands that change what the shared connection is", () => {
  test("are known by names in bytes too", async (t) => {
    const { fake, redis } = faked(t, echo);
    const reply = new TextEncoder().encode("reply");
    assert.match((await rejection(redis.call("client", reply, "OFF"))).message, /CLIENT REPLY would change the connection/);
    assert.throws(() => redis.pipeline().call("CLIENT", reply, "OFF"), /CLIENT REPLY would change the connection/);
    assert.equal(fake.links.length, 0);
  });

  for (const name of reserved) {
    test(`${name} is refused through call, in any form, and names the alternative`, async (t) => {
      const { fake, redis } = faked(t, () => ok);
      const [first, ...rest] = name.split(" ");
      for (const form of [[name], [name.toLowerCase()], [` ${first}  `, ...rest], [first, ...rest, "x"]]) {
        const error = await rejection(redis.call(...form));
        assert.ok(error instanceof TypeError);
        assert.match(error.message, new RegExp(`${name}.*: use `));
      }
      assert.equal(fake.links.length, 0);
    });
  }
});

describe("arguments cannot become commands", () => {
  test("line ends in every position are data", async (t) => {
    const evil = "a\r\nSET x 1\r\n*1\r\n$4\r\nPING\r\n";
    const { fake, redis } = faked(t, () => ok);
    await Promise.all([redis.set(evil, evil, { ex: evil }), redis.call(`ECHO${evil.slice(1)}`.trim(), evil), redis.mset([[evil, Buffer.from(evil)]])]);
    assert.deepEqual(fake.commands[0], ["SET", evil, evil, "EX", evil]);
    assert.equal(fake.commands.length, 3);
    assert.deepEqual(fake.commands[2], ["MSET", evil, evil]);
  });

  test("a client name with a space or a line end is refused", () => {
    for (const clientName of ["a b", "a\r\nb", "", "é", "\0"]) assert.throws(() => new Redis({ clientName }), /clientName/);
  });
});

test("what is changed after the call is not what is sent, for bytes below 64 KiB", async (t) => {
  const { fake, redis } = faked(t, () => ok);
  const [small, middle] = [Buffer.from("small"), Buffer.alloc(60_000, "m")];
  const done = Promise.all([redis.set("a", small), redis.set("b", middle)]);
  small.fill("!");
  middle.fill("!");
  await done;
  assert.deepEqual(fake.commands.map((args) => args[2].slice(0, 5)), ["small", "mmmmm"]);
});
