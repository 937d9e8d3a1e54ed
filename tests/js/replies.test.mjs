import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DecodeError, IntegerRangeError, Redis } from "redwire";
import { faked } from "./support/client.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";

/** Gives what `call` gets when the server answers with `wire`. */
const got = async (t, wire, call, options = {}) => {
  const { redis } = faked(t, () => Buffer.from(wire, "latin1"), options);
  return call(redis);
};
const answered = (command, wire, expected, options, ...args) =>
  test(`${command} ${JSON.stringify(options ?? {})}`, async (t) => {
    for (const protocol of [2, 3]) {
      const of = typeof wire === "string" ? wire : wire[protocol];
      assert.deepEqual(await got(t, of, (redis) => redis.call(...command.split(" "), ...args), { protocol, ...options }), expected);
    }
  });

const bytes = (text) => new Uint8Array(Buffer.from(text, "latin1"));
const hash = { 2: "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n", 3: "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n" };
const set = { 2: "*1\r\n$1\r\na\r\n", 3: "~1\r\n$1\r\na\r\n" };

describe("maps", () => {
  answered("HGETALL h", hash, { a: "1", b: "2" });
  answered("HGETALL h", hash, new Map([["a", "1"], ["b", "2"]]), { maps: "map" });
  answered("HGETALL h", hash, [["a", "1"], ["b", "2"]], { maps: "entries" });
  answered("HGETALL h", hash, { a: bytes("1"), b: bytes("2") }, { decodeResponses: false });
  answered("HGETALL h", hash, [[bytes("a"), bytes("1")], [bytes("b"), bytes("2")]], { decodeResponses: false, maps: "entries" });
  answered("HGETALL h", "*0\r\n", new Map(), { maps: "map" });
  answered("XREAD STREAMS s 0", { 2: "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", 3: "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n" }, { s: [["1-1", { f: bytes("v") }]] }, { decodeResponses: false });
});

describe("sets", () => {
  answered("SMEMBERS s", set, new Set(["a"]));
  answered("SMEMBERS s", set, ["a"], { sets: "array" });
  answered("SMEMBERS s", set, [bytes("a")], { decodeResponses: false });
  answered("KEYS *", "*1\r\n$1\r\na\r\n", new Set(["a"]));
  answered("SSCAN s 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n", ["0", new Set(["a"])]);
  answered("SRANDMEMBER s -2", "*2\r\n$1\r\na\r\n$1\r\na\r\n", ["a", "a"]);
});

describe("structs are objects with names that are strings, whatever the view", () => {
  const wire = { 2: "*1\r\n*4\r\n$4\r\nname\r\n$1\r\ng\r\n$7\r\npending\r\n:3\r\n", 3: "*1\r\n%2\r\n$4\r\nname\r\n$1\r\ng\r\n$7\r\npending\r\n:3\r\n" };
  answered("XINFO CONSUMERS s g", wire, [{ name: "g", pending: 3 }]);
  answered("XINFO CONSUMERS s g", wire, [{ name: bytes("g"), pending: 3n }], { decodeResponses: false, maps: "map", integers: "bigint" });
  answered("CLIENT LIST", "$18\r\nid=3 name=x age=0\n\r\n", [{ id: 3, name: "x", age: 0 }], { decodeResponses: false });
  answered("INFO", "$40\r\n# Server\r\na:x\r\nn:5\r\ndb0:keys=1,avg=1.5\r\n\r\n", { a: "x", n: 5, db0: { keys: 1, avg: 1.5 } }, { decodeResponses: false, maps: "map" });
});

describe("a text that is parsed may be large", () => {
  const lines = Array.from({ length: 5000 }, (_, id) => `id=${id} name=n${id}\n`).join("");
  answered("CLIENT LIST", `$${lines.length}\r\n${lines}\r\n`, Array.from({ length: 5000 }, (_, id) => ({ id, name: `n${id}` })));
});

describe("bytes that are no text", () => {
  answered("DUMP k", "$3\r\n\x00\xff\x80\r\n", bytes("\x00\xff\x80"));
  answered("DUMP k", "$-1\r\n", null);
  answered("DUMP k", `$20000\r\n${"\xff".repeat(20000)}\r\n`, bytes("\xff".repeat(20000)));
});

describe("integers", () => {
  const beyond = ":9007199254740993\r\n";
  test("beyond what a number holds", async (t) => {
    const error = await got(t, beyond, (redis) => redis.incr("n")).catch((error) => error);
    assert.ok(error instanceof IntegerRangeError);
    assert.equal(error.value, 9007199254740993n);
    assert.equal(await got(t, beyond, (redis) => redis.with({ integers: "exact" }).incr("n")), 9007199254740993n);
    assert.equal(await got(t, ":5\r\n", (redis) => redis.with({ integers: "exact" }).incr("n")), 5);
    assert.equal(await got(t, ":5\r\n", (redis) => redis.with({ integers: "bigint" }).incr("n")), 5n);
    assert.equal(await got(t, ":5\r\n", (redis) => redis.with({ integers: "bigint" }).with({ integers: "number" }).incr("n")), 5);
    assert.deepEqual(await got(t, `*2\r\n${beyond}:1\r\n`, (redis) => redis.call("EVAL", "return", "0")), [9007199254740993n, 1]);
  });

  test("of that size do not cost the rest of INFO", async (t) => {
    const text = "n:9007199254740993\r\nm:5\r\n";
    const info = (options) => got(t, `$${text.length}\r\n${text}\r\n`, (redis) => redis.with(options).info());
    for (const integers of ["number", "exact"]) assert.deepEqual(await info({ integers }), { n: 9007199254740993n, m: 5 });
    assert.deepEqual(await info({ integers: "bigint" }), { n: 9007199254740993n, m: 5n });
  });
});

describe("encodings", () => {
  const wire = "$2\r\n\xe9a\r\n";
  answered("GET k", wire, "\ufffda");
  answered("GET k", wire, "\u00e9a", { encoding: "latin1" });
  answered("GET k", wire, "\ufffda", { encoding: "ascii" });
  answered("HGETALL k", { 2: `*2\r\n${wire}$1\r\n1\r\n`, 3: `%1\r\n${wire}$1\r\n1\r\n` }, { "\u00e9a": "1" }, { encoding: "latin1" });
  answered("GET k", `$20001\r\n\xe9${"a".repeat(20000)}\r\n`, `\u00e9${"a".repeat(20000)}`, { encoding: "latin1" });
  answered("CONFIG GET x", { 2: "*2\r\n$1\r\nx\r\n$2\r\n\xc3\xa9\r\n", 3: "%1\r\n$1\r\nx\r\n$2\r\n\xc3\xa9\r\n" }, { x: "é" }, { encoding: "latin1" });
  test("names that would merge", async (t) => {
    for (const encoding of ["utf-8", "ascii"]) {
      for (const options of [{}, { maps: "map" }, { decodeResponses: false }]) {
        await assert.rejects(got(t, `%1\r\n${wire}$1\r\n1\r\n`, (redis) => redis.call("HGETALL", "k"), { encoding, ...options }), DecodeError);
      }
      await assert.rejects(got(t, `~1\r\n${wire}`, (redis) => redis.call("SMEMBERS", "k"), { encoding }), DecodeError);
      assert.deepEqual(await got(t, `%1\r\n${wire}$1\r\n1\r\n`, (redis) => redis.call("HGETALL", "k"), { encoding, decodeResponses: false, maps: "map" }), new Map([[bytes("\xe9a"), bytes("1")]]));
    }
  });
  test("arguments are sent in it", async (t) => {
    const sent = [];
    const { redis } = faked(t, (words) => {
      sent.push(words[2]);
      return Buffer.from("+OK\r\n");
    }, { encoding: "latin1" });
    await redis.set("k", "\u00e9");
    assert.equal(sent.length, 1);
    await assert.rejects(redis.set("k", "\u20ac"), TypeError);
    await assert.rejects(redis.with({ encoding: "ascii" }).set("k", "\u00e9"), TypeError);
  });
});

test("what no view takes", () => {
  const redis = new Redis();
  for (const options of [{ maps: "maps" }, { sets: true }, { integers: 1 }, { encoding: "utf-16" }, { decodeResponses: "false" }]) {
    assert.throws(() => redis.with(options), TypeError);
    assert.throws(() => new Redis(options), TypeError);
  }
});

const stack = allPrograms.find(({ id }) => id === "stack74");
test("a search that ran out of time says so, where the protocol has a place for it", { skip: missing(stack) }, async (t) => {
  const running = await startServer(stack.program);
  t.after(() => running.stop());
  for (const protocol of [2, 3]) {
    const redis = new Redis({ path: running.path, protocol });
    t.after(() => redis.destroy());
    if (protocol === 2) {
      // what is written to an index that is there is indexed at once
      await redis.ft.create("i", [{ fieldName: "n", numeric: true }], { on: "hash" });
      await redis.eval('for n = 1, 20000 do redis.call("HSET", "h:" .. n, "n", n) end');
    }
    const limit = { limit: [0, 20_000], timeout: 1 };
    for (const reply of [await redis.ft.search("i", "*", { ...limit, sortby: { by: "n" } }), await redis.ft.aggregate("i", "*", [{ limit: [0, 20_000] }], { load: "*", timeout: 1 })]) {
      assert.ok(reply.results.length < 20_000);
      assert.deepEqual(Object.keys(reply).sort(), ["results", "total_results", ...(protocol === 3 ? ["warning"] : [])]);
      if (protocol === 3) assert.match(reply.warning[0], /^Timeout/);
    }
    assert.deepEqual(Object.keys(await redis.ft.search("i", "@n:[1 1]")).sort(), ["results", "total_results"]);
    await redis.close();
  }
});
