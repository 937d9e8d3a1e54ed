import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DecodeError, Redis } from "redwire";
import { json } from "redwire/adapters";
import { exists, get, sadd, smembers } from "redwire/commands";
import { faked } from "./support/client.mjs";
import { bulk } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection } from "./support/until.mjs";

/** Keeps dates as numbers. */
const dates = { encode: (date) => date.getTime(), decode: (text) => new Date(Number(text)) };
const [ada, bob] = [{ name: "Ada" }, { name: "Bob", tags: ["é", null, 1.5] }];

for (const server of programs) {
  for (const protocol of [2, 3]) {
    describe(`adapters on ${server.name}, protocol ${protocol}`, { skip: missing(server) }, () => {
      let running;
      let redis;
      let docs;
      before(async () => {
        running = await startServer(server.program);
        redis = new Redis({ path: running.path, protocol });
        docs = redis.with({ adapter: json });
      });
      beforeEach(() => redis.flushall());
      after(async () => {
        await redis?.close();
        await running?.stop();
      });

      test("values of every type are encoded, and decoded", async () => {
        assert.equal(await docs.set("k", ada), true);
        assert.equal(await redis.get("k"), '{"name":"Ada"}', "the view alone adapts");
        assert.deepEqual(await docs.get("k"), ada);
        assert.deepEqual(await docs.set("k", bob, { get: true }), ada);
        assert.equal(await docs.set("k", 1, { nx: true }), false);
        assert.equal(await docs.get("missing"), null);
        await docs.mset({ a: ada, b: [1, 2] });
        assert.deepEqual(await docs.mget("a", "missing", "b"), [ada, null, [1, 2]]);
        assert.equal(await docs.rpush("l", [ada, bob, "text", [1]]), 4);
        assert.deepEqual(await docs.lrange("l", 0, -1), [ada, bob, "text", [1]]);
        assert.equal(await docs.lpos("l", bob), 1);
        assert.equal(await docs.linsert("l", "before", bob, true), 5);
        assert.deepEqual(await docs.blpop(["none", "l"], 1), ["l", ada]);
        assert.deepEqual(await docs.lmpop(["l"], "left", { count: 2 }), ["l", [true, bob]]);
        assert.equal(await docs.hset("h", { "a b": ada, __proto__x: null, 1: bob }), 3);
        await docs.hset("h", new Map([["__proto__", { own: true }]]));
        const hash = await docs.hgetall("h");
        assert.deepEqual(Object.entries(hash).sort(), [["1", bob], ["__proto__", { own: true }], ["__proto__x", null], ["a b", ada]]);
        assert.equal(Object.getPrototypeOf(hash), Object.prototype);
        assert.deepEqual(await docs.hmget("h", "1", "missing"), [bob, null]);
        assert.deepEqual([...(await docs.hkeys("h"))].sort(), ["1", "__proto__", "__proto__x", "a b"], "names of fields are no values");
        assert.equal(await docs.sadd("s", ada, bob), 2);
        assert.equal(await docs.sadd("s", [ada]), 0);
        assert.deepEqual([...(await docs.smembers("s"))].sort((one, other) => one.name.localeCompare(other.name)), [ada, bob]);
        assert.deepEqual(await docs.smismember("s", ada, {}), [true, false]);
        assert.equal(await docs.zadd("z", [[ada, 2], [bob, 1]]), 2);
        assert.equal(await docs.zadd("z", { plain: 3 }), 1);
        assert.deepEqual(await docs.zrange("z", 0, -1, { withscores: true }), [[bob, 1], [ada, 2], ["plain", 3]]);
        assert.equal(await docs.zscore("z", ada), 2);
        assert.deepEqual(await docs.zpopmin("z"), [bob, 1]);
        const id = await docs.xadd("x", "*", { who: ada });
        assert.deepEqual(await docs.xrange("x", "-", "+"), [[id, { who: ada }]]);
        assert.deepEqual(await docs.xread({ x: "0" }), { x: [[id, { who: ada }]] });
        assert.deepEqual((await docs.xautoclaim("x", "g", "c", 0, "0").catch((error) => error.code)), "NOGROUP");
        await docs.geoadd("g", [[13.361389, 38.115556, ada]]);
        assert.deepEqual(await docs.geosearch("g", { frommember: ada }, { byradius: [1, "km"] }), [ada]);
        assert.deepEqual(await docs.geosearch("g", { fromlonlat: [13.361389, 38.115556] }, { byradius: [1, "km"] }, { withdist: true }).then(([[who, dist]]) => [who, dist < 0.01]), [ada, true]);
      });

      test("what is no value is left alone", async () => {
        await redis.mset({ "k:1": '"v"', text: "plain" });
        assert.deepEqual(await docs.keys("k:*"), new Set(["k:1"]));
        assert.deepEqual(await docs.scan("0", { match: "k:*", count: 1000 }), ["0", ["k:1"]]);
        assert.equal(await docs.append("text", " more"), 10);
        assert.equal(await docs.getrange("text", 0, 4), "plain");
        assert.equal(await docs.incr("n"), 1);
        assert.deepEqual(await docs.eval("return {KEYS[1], ARGV[1]}", ["k"], ["{"]), ["k", "{"]);
        assert.equal(await docs.call("GET", "text"), "plain more");
        assert.equal(await docs.with({ raw: true }).get("text"), "plain more");
        assert.equal(await docs.type("text"), "string");
      });

      test("pipelines, transactions, inert commands and iterators adapt", async () => {
        for (const transaction of [true, false]) {
          await redis.flushall();
          const results = await docs.pipeline({ transaction }).set("k", ada).get("k").sadd("s", ada, bob).smembers("s").incr("n").hset("h", { f: bob }).hgetall("h").execute();
          assert.deepEqual(results, [true, ada, 2, results[3], 1, 1, { f: bob }]);
          assert.deepEqual([...results[3]].map(({ name }) => name).sort(), ["Ada", "Bob"]);
        }
        assert.deepEqual(await docs.execute([sadd("t", "one"), smembers("t"), exists("t"), get("k")]), [1, new Set(["one"]), 1, ada]);
        const lease = await docs.lease();
        assert.deepEqual(await lease.get("k"), ada);
        await lease.release();
        const seen = [];
        for await (const [field, value] of docs.hscanIter("h")) seen.push([field, value]);
        for await (const member of docs.sscanIter("t")) seen.push(member);
        assert.deepEqual(seen, [["f", bob], "one"]);
      });

      test("the view's other options hold", async () => {
        await docs.hset("h", { f: ada });
        await docs.sadd("s", ada);
        assert.deepEqual(await docs.with({ maps: "map" }).hgetall("h"), new Map([["f", ada]]));
        assert.deepEqual(await docs.with({ maps: "entries" }).hgetall("h"), [["f", ada]]);
        assert.deepEqual(await docs.with({ sets: "array" }).smembers("s"), [ada]);
        assert.deepEqual(await docs.with({ decodeResponses: false }).smembers("s"), [ada]);
        const times = redis.with({ adapter: dates });
        const now = new Date();
        await times.zadd("z", [[now, 1]]);
        assert.deepEqual(await times.zrange("z", 0, -1), [now]);
        const checked = new Redis({ path: running.path, protocol, runtimeChecks: true });
        await checked.with({ adapter: json }).set("k", ada);
        assert.deepEqual(await checked.with({ adapter: json }).get("k"), ada);
        await checked.close();
      });

      test("an adapter that throws fails its own command", async () => {
        const broken = redis.with({ adapter: { encode: () => { throw new RangeError("no"); }, decode: () => { throw new RangeError("no"); } } });
        await redis.mset({ a: "1", b: "{", c: "3" });
        await redis.sadd("s", "1", "1.0");
        const [encode, decode, after] = await Promise.all([rejection(broken.set("a", 2)), rejection(broken.get("a")), redis.get("a")]);
        assert.ok(encode instanceof RangeError);
        assert.ok(decode instanceof DecodeError && decode.cause instanceof RangeError && decode.command === "GET", `${decode}`);
        assert.equal(after, "1", "and nothing was sent of the first");
        const [one, two, three] = await Promise.allSettled([docs.get("a"), docs.get("b"), docs.get("c")]);
        assert.deepEqual([one.value, two.reason.name, three.value], [1, "DecodeError", 3]);
        assert.doesNotMatch(two.reason.message, /\{/, "never the value");
        assert.match((await rejection(docs.smembers("s"))).message, /members of a set become one/);
        for (const transaction of [true, false]) {
          const pipeline = docs.pipeline({ transaction });
          pipeline.get("a");
          assert.throws(() => pipeline.set("b", 1n), TypeError);
          assert.equal(pipeline.length, 1, "nothing of it is queued");
          const error = await rejection(pipeline.get("b").get("c").execute());
          assert.ok(error instanceof DecodeError && error.position === 1, `${error}`);
          assert.equal(await redis.get("b"), "{");
        }
      });
    });
  }
}

test("what cannot be sent is refused before anything is", async (t) => {
  const { fake, redis } = faked(t, () => bulk("1"));
  for (const value of [undefined, () => {}, Symbol("secret")]) assert.match((await rejection(redis.with({ adapter: json }).set("k", value))).message, /^set: parameter 'value' expected .*, got undefined$/);
  const odd = redis.with({ adapter: { encode: () => ({}), decode: (text) => text } });
  assert.match((await rejection(odd.lpush("l", "a"))).message, /^lpush: parameter 'element' expected string \| Uint8Array \| number \| bigint of the adapter, got Object$/);
  for (const options of [undefined, null, "raw"]) assert.throws(() => redis.with(options), { name: "TypeError", message: /^with: parameter 'options' expected an object, got (undefined|null|string)$/ });
  for (const adapter of [null, {}, json.encode, { encode: json.encode }]) assert.throws(() => redis.with({ adapter }), { name: "TypeError", message: /^with: 'adapter' is no option, or does not take/ });
  assert.equal(fake.links.length, 0, "not even a connection");
});

test("an adapter may use its own client, and give up commands, while it adapts", async (t) => {
  const { fake, redis } = faked(t, (args) => (args[1] === "slow" ? undefined : args[1] === "out a" ? Buffer.concat([bulk("too late"), bulk("out a")]) : bulk(args[1])));
  const controller = new AbortController();
  const others = [];
  const adapter = {
    encode: (value) => (others.push(redis.get(`in ${value}`)), value),
    decode: (text) => (controller.abort(), others.push(redis.get(`out ${text}`)), text),
  };
  const adapted = redis.with({ adapter }).getset("a", "b");
  const waiting = rejection(redis.with({ signal: controller.signal }).get("slow"));
  assert.equal(await adapted, "a");
  assert.deepEqual(await Promise.all(others), ["in b", "out a"]);
  assert.equal((await waiting).name, "AbortError");
  assert.equal(fake.links.length, 1);
});
